// dashboard.test.mjs - the dashboard as somebody uses it, by mouse, by keyboard and by screen reader.

import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import "./keys.test.mjs";
import "./scale.test.mjs";
import { pictures, root, runAll, startBrowser, startDaemon, test, until } from "./support.mjs";

const desk = join(root, "examples/support-desk");
const trainRows = readFileSync(join(desk, "train.jsonl"), "utf8").trim().split("\n").map((line) => JSON.parse(line));
const LAYERS = 6, MAPS = 6; // of examples/prilora-mini-en, adapted on all its linear maps

const daemon = await startDaemon();
const browser = await startBrowser(daemon.base);
let jobId = null, experimentId = null;

const connected = "#connection.up";
const chip = (page) => page.locator(".head .chip");
const countLabels = (rows) => rows.reduce((n, row) => n.set(row.label, (n.get(row.label) ?? 0) + 1), new Map());

/** Chooses an uploaded file by its name in the form for a new job. */
async function choose(page, filename) {
  const { id } = (await daemon.get("v1/files")).data.find((file) => file.filename === filename);
  await page.locator("[data-param=training_file] select").selectOption(id);
}

test("the page and its parts come with a strict policy and from this host", async () => {
  const page = await browser.open();
  const response = await page.reload();
  const policy = response.headers()["content-security-policy"];
  assert.match(policy, /default-src 'self'/);
  assert.doesNotMatch(policy, /unsafe/);
  await page.getByText("No jobs yet").waitFor();
  await page.locator(connected).waitFor();
  assert.equal(await page.evaluate(() => typeof window.Chart), "function");
});

test("a file that is no data says so beside its field", async () => {
  const page = await browser.open("#/new", { expected: /status of 4(00|22)/ });
  await page.getByLabel("or upload one").first().setInputFiles({ name: "words.md", mimeType: "text/plain", buffer: Buffer.from("hello") });
  const field = page.locator("[data-param=training_file]");
  await field.getByText("the ending of the name must tell the format").waitFor();
  assert.equal(await field.locator("select").getAttribute("aria-invalid"), "true");
});

test("wrong rows of a file are listed with their lines", async () => {
  const page = await browser.open("#/new", { expected: /status of 400/ });
  const text = 'text,label\nfine,a\n,b\n"also, fine",b\nshort\n';
  await page.getByLabel("or upload one").first().setInputFiles({ name: "rows.csv", mimeType: "text/csv", buffer: Buffer.from(text) });
  const box = page.locator(".preview .error");
  await box.waitFor();
  assert.match(await box.innerText(), /2 of 4 rows are wrong/);
  assert.match(await box.innerText(), /line 3: the text is empty/);
  assert.match(await box.innerText(), /line 5: 1 column/);
});

test("an uploaded file shows its first rows, labels and a forecast", async () => {
  const page = await browser.open("#/new");
  await page.getByLabel("or upload one").first().setInputFiles(join(desk, "train.jsonl"));
  await page.locator(".preview").waitFor();
  const preview = page.locator(".preview");
  assert.match(await preview.innerText(), new RegExp(`${trainRows.length} rows, JSONL; classification`));
  for (const [i, row] of (await preview.locator("table.rows tbody tr").all()).entries())
    assert.equal(await row.innerText(), `${i + 1}\t${trainRows[i].text}\t${trainRows[i].label}`);
  for (const [label, n] of countLabels(trainRows))
    assert.ok(await preview.locator(".bars li", { hasText: new RegExp(`^${label}${n}$`) }).count() === 1, `${label} ${n}`);
  await page.getByLabel("Epochs").fill("2");
  await page.getByLabel("Batch size").fill("64");
  await page.keyboard.press("Tab");
  // a tenth is held out; the rest in batches of 64, the last one smaller
  const steps = 2 * Math.ceil((trainRows.length - Math.floor(trainRows.length / 10)) / 64);
  await page.locator(".fact", { hasText: "Steps" }).getByText(String(steps), { exact: true }).waitFor();
  assert.match(await page.locator(".ranks").innerText(), /4 6 7 9 10 12/);
});

test("a wrong setting is told at its field, which gets the focus", async () => {
  const page = await browser.open("#/new", { expected: /status of 400/ });
  await choose(page, "train.jsonl");
  await page.locator(".preview").waitFor(); // it moves what is below
  await page.getByText("All settings").click();
  await page.getByLabel("Prune decay").fill("much");
  await page.getByText("All settings").click();
  await page.getByRole("button", { name: "Start the job" }).click();
  const field = page.locator("[data-param=prune_decay]");
  await field.locator(".field-error").waitFor();
  assert.match(await field.locator(".field-error").innerText(), /prune_decay: "much", but must be a number/);
  assert.equal(await field.locator("input").getAttribute("aria-invalid"), "true");
  assert.equal(await page.evaluate(() => document.activeElement.closest(".field")?.dataset.param), "prune_decay");
  assert.equal((await daemon.get("v1/fine_tuning/jobs")).data.length, 0);
});

test("every hyperparameter that the server knows has a field", async () => {
  const page = await browser.open("#/new");
  const settings = (await daemon.get("v1/fine_tuning/settings")).data;
  assert.ok(settings.length > 30);
  await page.locator("[data-param=n_epochs]").waitFor();
  for (const setting of settings)
    assert.equal(await page.locator(`[data-param=${setting.name}]`).count(), 1, setting.name);
  await page.getByLabel("LoRA", { exact: false }).nth(1).check();
  assert.equal(await page.locator("[data-param=rank_end]").isHidden(), true);
  assert.equal(await page.locator("[data-param=r]").isVisible(), true);
});

test("a GLUE task reads its files in its own way, and the head alone has no ranks", async () => {
  const page = await browser.open("#/new", { expected: /status of 400/ });
  const text = "index\tsentence1\tsentence2\tlabel\n0\tIt rains.\tRain.\tentailment\n1\tNo sun.\tRain.\tnot_entailment\n";
  await page.getByLabel("or upload one").first().setInputFiles({ name: "rte.tsv", mimeType: "text/plain", buffer: Buffer.from(text) });
  await page.locator(".preview").waitFor();
  const other = page.getByLabel("Mismatched validation file (optional)");
  assert.equal(await other.isVisible(), false);
  await page.getByLabel("Task", { exact: true }).selectOption("mnli");
  await page.locator("[data-param=training_file]").getByText("not what MNLI has").first().waitFor();
  assert.equal(await other.isVisible(), true);
  await page.getByLabel("Task", { exact: true }).selectOption("rte");
  await page.locator(".preview .bars li", { hasText: "not_entailment1" }).waitFor();
  await page.getByLabel("Head only").check();
  await page.getByText("All settings").click();
  assert.equal(await page.locator("[data-param=lora_alpha]").isHidden(), true);
  assert.equal(await page.locator("[data-param=prune_ratio]").isHidden(), true);
  assert.equal(await page.locator("[data-param=preset]").isVisible(), true);
  await page.locator(".fact", { hasText: "Parameters trained" }).getByText("0 in adapters").waitFor();
  assert.equal(await page.locator(".rank-strip").count(), 0);
});

/** Tab until `selector` has the focus. */
async function tabTo(page, selector, most = 80) {
  for (let i = 0; i < most; i++) {
    await page.keyboard.press("Tab");
    if (await page.evaluate((s) => document.activeElement?.matches(s), selector)) return;
  }
  assert.fail(`the keyboard does not reach ${selector}`);
}

test("a job is submitted with nothing but the keyboard", async () => {
  const page = await browser.open();
  await page.locator(connected).waitFor();
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
  await tabTo(page, "nav a[href='#/new']");
  await page.keyboard.press("Enter");
  await page.locator("[data-param=training_file] select").waitFor();
  await tabTo(page, "[data-param=training_file] select");
  await page.keyboard.type("train");
  await page.locator(".preview").waitFor();
  await tabTo(page, "[data-param=suffix] input");
  await page.keyboard.type("by keyboard");
  for (const [name, text] of [["n_epochs", "1"], ["batch_size", "32"], ["learning_rate", "2e-3"]]) {
    await tabTo(page, `[data-param=${name}] input`);
    await page.keyboard.type(text);
  }
  await tabTo(page, "summary");
  await page.keyboard.press("Enter");
  await tabTo(page, "[data-param=seed] input");
  await page.keyboard.type("7");
  await tabTo(page, "[data-param=max_steps] input");
  await page.keyboard.type("16");
  await tabTo(page, "[data-param=eval_steps] input");
  await page.keyboard.type("8");
  await tabTo(page, "[data-param=prune_interval] input");
  await page.keyboard.type("4");
  await tabTo(page, "button[type=submit]");
  await page.keyboard.press("Enter");
  await page.waitForURL(/#\/jobs\/ftjob-/);
  jobId = page.url().split("/").at(-1);
  const job = await daemon.get(`v1/fine_tuning/jobs/${jobId}`);
  assert.equal(job.suffix, "by keyboard");
  assert.equal(job.seed, 7);
  const set = job.method.prilora.hyperparameters;
  assert.deepEqual([set.n_epochs, set.batch_size, set.learning_rate, set.max_steps, set.eval_steps, set.prune_interval], [1, 32, 0.002, 16, 8, 4]);
});

test("a job is watched from its first steps to its end", async () => {
  const page = await browser.open(`#/jobs/${jobId}`);
  const asked = [], seen = new Set();
  page.on("request", (request) => asked.push(`${request.headers().accept} ${new URL(request.url()).pathname}`));
  await page.getByRole("heading", { name: "by keyboard", level: 1 }).waitFor();
  await until("its end", async () => {
    seen.add(await page.locator(".bar-row .num").first().innerText());
    return (await chip(page).innerText()).includes("succeeded");
  }, 300000);
  const streams = asked.filter((text) => text.startsWith("text/event-stream"));
  assert.ok(streams.length >= 1 && streams.length <= 2, asked.join(", "));
  assert.ok(seen.size >= 2, `the progress shown: ${[...seen].join(", ")}`);
  assert.match(await page.locator("#announce").innerText(), /The job is now succeeded/);
  const job = await daemon.get(`v1/fine_tuning/jobs/${jobId}`);
  const facts = await page.locator(".facts").first().innerText();
  assert.ok(facts.includes(`Accuracy\n${Number(job.result.metrics.accuracy.toPrecision(4))}`), facts);
  const label = await page.locator("canvas").first().getAttribute("aria-label");
  assert.match(label, /^Loss\. training, smoothed: last [\d.]+, between/);
  assert.match(label, /validation: last/);
  assert.equal(await page.locator(".events li").count(),
    (await daemon.get(`v1/fine_tuning/jobs/${jobId}/events?limit=1000`)).data.length);
});

/** The heat map's numbers as [[text of each cell] of each row], the last layer first. */
const cells = (page) => page.locator("table.heat tbody tr").evaluateAll((rows) =>
  rows.map((row) => [...row.querySelectorAll("td")].map((td) => td.textContent)));

/** The same from the interface. */
function expectCells(layers, text) {
  const maps = [...new Set(layers.map((m) => m.map))];
  return [...Array(LAYERS).keys()].reverse().map((layer) =>
    maps.map((map) => text(layers.find((m) => m.layer === layer && m.map === map))));
}

const shownAs = {
  rank: (m) => String(m.rank),
  sparsity: (m) => `${Math.round(100 * m.sparsity)} %`,
  n_nonzero: (m) => m.n_nonzero.toLocaleString("en"),
  update_norm: (m) => m.update_norm.toPrecision(3),
  churn: (m) => `${(100 * m.churn).toFixed(1)} %`,
};

test("the heat map has the interface's numbers for every measure", async () => {
  const page = await browser.open(`#/jobs/${jobId}`);
  const { data } = await daemon.get(`v1/fine_tuning/jobs/${jobId}/layers`);
  assert.equal(data.length, LAYERS * MAPS);
  await page.locator("table.heat td").first().waitFor();
  for (const [measure, text] of Object.entries(shownAs)) {
    await page.getByLabel("Colour and number").selectOption(measure);
    assert.deepEqual(await cells(page), expectCells(data, text), measure);
  }
  const colours = await page.locator(".cell").evaluateAll((all) => all.map((c) => getComputedStyle(c).backgroundColor));
  await page.getByLabel("Colour and number").selectOption("rank");
  assert.ok(new Set(colours).size >= 1);
  const byRank = await page.locator(".cell").evaluateAll((all) => new Set(all.map((c) => getComputedStyle(c).backgroundColor)).size);
  assert.equal(byRank, new Set(data.map((m) => m.rank)).size);
});

test("the slider goes through the prunings, and a cell shows its own history", async () => {
  const page = await browser.open(`#/jobs/${jobId}`);
  const history = (await daemon.get(`v1/fine_tuning/jobs/${jobId}/layers?history=1`)).data;
  assert.ok(history.length >= 3);
  await page.locator("table.heat td").first().waitFor();
  await page.getByLabel("Colour and number").selectOption("update_norm");
  const slider = page.getByLabel("Pruning", { exact: true });
  await slider.focus();
  await page.keyboard.press("Home");
  assert.match(await slider.getAttribute("aria-valuetext"), new RegExp(`step ${history[0].step}$`));
  assert.deepEqual(await cells(page), expectCells(history[0].layers, shownAs.update_norm));
  await page.keyboard.press("ArrowRight");
  assert.deepEqual(await cells(page), expectCells(history[1].layers, shownAs.update_norm));
  const cell = page.getByRole("button", { name: /^layer 6, value: update norm/ });
  await cell.focus();
  await page.keyboard.press("Enter");
  assert.equal(await cell.getAttribute("aria-pressed"), "true");
  const last = history.at(-1).layers.find((m) => m.layer === 5 && m.map === "value").update_norm;
  const label = await page.locator(".heat-and-line canvas").getAttribute("aria-label");
  assert.ok(label.startsWith("Over the prunings. update norm: last ") && label.includes(String(Number(last.toPrecision(4)))), label);
  await page.getByText("All numbers as a table").click();
  await page.locator("table.numbers").waitFor();
  assert.equal(await page.locator("table.numbers tbody tr").count(), LAYERS * MAPS);
});

test("downloads have the bytes of the interface", async () => {
  const page = await browser.open(`#/jobs/${jobId}`);
  const job = await daemon.get(`v1/fine_tuning/jobs/${jobId}`);
  await page.getByText("Single files").click();
  const path = `v1/fine_tuning/jobs/${jobId}/adapter`;
  for (const [name, from] of [["Adapter", path], ...job.adapter.files.map((f) => [f.name, `${path}/${f.name}`])]) {
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name, exact: true }).click()]);
    assert.deepEqual(readFileSync(await download.path()), await daemon.bytes(from), name);
  }
  const [table] = await Promise.all([page.waitForEvent("download"), (async () => {
    await page.getByText("Evaluations as a table").click();
    await page.getByRole("button", { name: "All steps as CSV" }).click();
  })()]);
  const lines = readFileSync(await table.path(), "utf8").split("\n");
  assert.equal(lines.length, 1 + job.progress.total_steps);
});

test("merged and one-rank adapters are downloaded", async () => {
  const path = `v1/fine_tuning/jobs/${jobId}/adapter`;
  const page = await browser.open(`#/jobs/${jobId}`);
  for (const [name, from] of [["One rank for all maps", `${path}?rank=uniform`], ["Merged model", `${path}?merged=true`]]) {
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name }).click()]);
    assert.deepEqual(readFileSync(await download.path()), await daemon.bytes(from), name);
  }
});

test("a finished adapter is tried out", async () => {
  const { fine_tuned_model: model } = await daemon.get(`v1/fine_tuning/jobs/${jobId}`);
  const text = "Please send me the invoice for my last order.";
  const { body } = await daemon.post("v1/predictions", { model, input: [text] });
  const page = await browser.open(`#/jobs/${jobId}`);
  await page.getByLabel("Text", { exact: true }).fill(text);
  await page.getByRole("button", { name: "Predict" }).click();
  assert.equal(await page.locator(".verdict").innerText(), body.data[0].label);
  assert.equal(await page.locator(".answer .bars li").count(), body.data[0].probabilities.length);
});

test("ranks are suggested by a finished adapter, and used", async () => {
  const path = `v1/fine_tuning/jobs/${jobId}`;
  const { suggestion, maps } = await daemon.get(`${path}/ranks`);
  const page = await browser.open(`#/jobs/${jobId}`);
  await page.getByText("What the ranks carry").click();
  const rows = page.getByRole("region", { name: "Ranks by layer" }).locator("tbody tr");
  await rows.first().waitFor();
  assert.deepEqual(await rows.locator("td:nth-child(3)").allInnerTexts(), suggestion.ranks.map(String));
  assert.deepEqual(await rows.locator("td:last-child").allInnerTexts(), suggestion.layers.map((layer) => layer.reason));
  await page.getByText("Every map", { exact: true }).click();
  assert.equal(await page.getByRole("region", { name: "What every map" }).locator("tbody tr").count(), maps.length);
  await page.getByRole("link", { name: "Use these ranks" }).click();
  await page.waitForURL(/#\/new\?ranks_from=/);
  await page.getByText(`suggested by ${jobId}`).waitFor();
  await page.locator(".preview").waitFor();
  await page.getByRole("button", { name: "Start the job" }).click();
  await page.waitForURL(/#\/jobs\/ftjob-/);
  const job = await daemon.get(`v1/fine_tuning/jobs/${page.url().split("/").at(-1)}`), before = await daemon.get(path);
  const { ranks, ...settings } = job.method.prilora.hyperparameters;
  assert.deepEqual(ranks, suggestion.ranks);
  assert.deepEqual({ ranks, ...settings }, suggestion.hyperparameters);
  assert.deepEqual([job.model, job.training_file, job.task], [before.model, before.training_file, before.task]);
  await page.locator(".head .chip", { hasText: "succeeded" }).waitFor();
});

/** SQuAD's own form: 24 contexts, each with two questions. */
function squad() {
  const paragraphs = Array.from({ length: 24 }, (_, i) => {
    const who = ["Anna", "Peter"][i % 2], town = ["Rome", "Paris", "Oslo"][i % 3];
    return { context: `${who} lives in ${town}.`, qas: [
      { id: `${i}a`, question: "Who is it?", answers: [{ text: who, answer_start: 0 }] },
      { id: `${i}b`, question: "Where is it?", answers: [{ text: town, answer_start: who.length + 10 }] }] };
  });
  return JSON.stringify({ version: "1", data: [{ title: "letters", paragraphs }] });
}

test("questions are looked at, learned, and answered within their context", async () => {
  const page = await browser.open("#/new", { expected: /status of 400/ });
  const stride = page.getByLabel("Tokens that two windows share"), longest = page.getByLabel("Tokens of the longest answer");
  assert.equal(await stride.isVisible(), false);
  for (const [i, name] of ["squad.json", "squad-valid.json"].entries())
    await page.getByLabel("or upload one").nth(i).setInputFiles({ name, mimeType: "application/json", buffer: Buffer.from(squad()) });
  await page.locator(".preview").nth(1).waitFor();
  const preview = page.locator(".preview").first();
  assert.match(await preview.innerText(), /48 rows, JSON; question answering: a piece of the context for each question\n/);
  assert.deepEqual(await preview.locator("thead th").allInnerTexts(), ["line", "question", "context", "answers"]);
  assert.deepEqual((await preview.locator("tbody tr").nth(1).locator("td").allInnerTexts()).slice(1), ["Where is it?", "Anna lives in Rome.", "Rome"]);
  assert.equal(await preview.locator(".bars").count(), 0);
  assert.equal(await stride.isVisible(), true);
  await page.getByLabel("Task", { exact: true }).selectOption("classification");
  assert.equal(await longest.isHidden(), true);
  await page.getByLabel("Task", { exact: true }).selectOption("question_answering");
  await longest.fill("many");
  await page.keyboard.press("Tab");
  await page.locator("[data-param='task.max_answer_length'] .field-error").filter({ hasText: "many" }).waitFor();
  await page.getByLabel("Task", { exact: true }).selectOption("");
  await longest.fill("8");
  for (const [label, text] of [["Epochs", "15"], ["Batch size", "8"], ["Learning rate", "5e-3"]])
    await page.getByLabel(label, { exact: true }).fill(text);
  await page.keyboard.press("Tab");
  await page.locator(".fact", { hasText: "Training data" }).getByText("48 questions").waitFor();
  await page.getByRole("button", { name: "Start the job" }).click();
  await page.waitForURL(/#\/jobs\/ftjob-/);
  await page.locator(".head .chip", { hasText: "succeeded" }).waitFor({ timeout: 180000 });
  const job = await daemon.get(`v1/fine_tuning/jobs/${page.url().split("/").at(-1)}`);
  assert.deepEqual([job.task.type, job.task.max_answer_length], ["question_answering", 8]);
  assert.match(await page.locator(".plots canvas").nth(1).getAttribute("aria-label"), /^Evaluation\. f1: last .*exact match: last/);

  const context = "\u{1F4EE} Peter lives in Oslo.", question = "Where is it?"; // one code point, two in JavaScript
  const { body } = await daemon.post("v1/predictions", { model: job.fine_tuned_model, input: { question, context }, top_k: 5 });
  await page.getByLabel("Question", { exact: true }).fill(question);
  await page.getByLabel("Context", { exact: true }).fill(context);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.locator(".context mark").waitFor();
  assert.equal(body.data[0].answer, "Oslo");
  assert.equal(await page.locator(".try .verdict").innerText(), "Oslo");
  assert.equal(await page.locator(".context mark").innerText(), "Oslo");
  assert.equal(await page.locator(".context").innerText(), context);
  assert.equal(await page.locator(".try [aria-live] .context").count(), 0); // heard is the answer alone
  assert.equal(await page.getByRole("list", { name: "Other answers" }).locator("li").count(), body.data[0].answers.length - 1);
  assert.deepEqual(await browser.violations(page), []);
  const models = await browser.open("#/models");
  await models.getByLabel("Adapter", { exact: true }).selectOption(job.fine_tuned_model);
  await models.getByLabel("Question", { exact: true }).waitFor();
});

test("a job is changed, and watched through what happens to the connection", async () => {
  const training_file = (await daemon.get("v1/files")).data.find((f) => f.filename === "train.jsonl").id;
  const { body } = await daemon.post("v1/fine_tuning/jobs", { model: "prilora-mini-en", training_file, suffix: "long",
    method: { type: "prilora", prilora: { hyperparameters: { n_epochs: 2000 } } } });
  const page = await browser.open(`#/jobs/${body.id}`, { expected: /ERR_(INTERNET_DISCONNECTED|FAILED|NETWORK_CHANGED)|status of (400|503)/ });
  const connection = (text) => page.locator("#connection", { hasText: text }).waitFor();
  const press = (name) => page.getByRole("button", { name, exact: true }).click();
  const becomes = (word) => until(word, async () => (await chip(page).innerText()).includes(word));
  const place = () => page.locator(".bar-row .num").first().innerText();
  const goesOn = async () => {
    const before = await place();
    await until("another step", async () => (await place()) !== before);
  };
  await becomes("running");
  await connection("live");
  await goesOn();

  // the network goes: said at once; it comes back: the stream goes on behind its last message
  await page.context().setOffline(true);
  await connection("no connection, trying again");
  const again = page.waitForRequest((request) => request.headers()["last-event-id"] !== undefined);
  await page.context().setOffline(false);
  assert.match((await again).headers()["last-event-id"], /^[0-9a-f]+(-[0-9a-f]+){4}$/);
  await connection("live");
  await goesOn();

  // no stream can be had: the page asks instead, and says that it is connected, but not live
  await page.route("**/events", (route) => (route.request().headers().accept === "text/event-stream"
    ? route.fulfill({ status: 503, json: { error: { message: "too many watch" } } }) : route.continue()));
  await page.context().setOffline(true);
  await connection("no connection, trying again");
  await page.context().setOffline(false);
  await connection("connected");
  await goesOn();
  await page.unroute("**/events");
  await connection("live");

  await page.getByText("Edit the metadata").click();
  await page.getByLabel(/^Metadata/).fill("team = help desk\nnote = a = b");
  await page.locator("form", { has: page.getByLabel(/^Metadata/) }).getByRole("button", { name: "Set" }).click();
  await page.locator(".pairs div", { hasText: "metadata: note" }).getByText("a = b").waitFor();
  assert.deepEqual((await daemon.get(`v1/fine_tuning/jobs/${body.id}`)).metadata, { team: "help desk", note: "a = b" });
  await press("Pause");
  await becomes("paused");
  await page.getByLabel("Priority").fill("much");
  await page.locator("form", { has: page.getByLabel("Priority") }).getByRole("button", { name: "Set" }).click();
  await page.getByText(/priority: "much", but must be an integer/).waitFor();
  await page.getByLabel("Priority").fill("5");
  await page.locator("form", { has: page.getByLabel("Priority") }).getByRole("button", { name: "Set" }).click();
  await until("the priority", async () => (await daemon.get(`v1/fine_tuning/jobs/${body.id}`)).priority === 5);
  await press("Resume");
  await becomes("running");
  await press("Cancel");
  await page.getByRole("dialog").getByRole("button", { name: "Cancel the job" }).click();
  await becomes("cancelled");
  await press("Delete");
  await page.getByRole("dialog").getByRole("button", { name: "Delete the job" }).click();
  await page.waitForURL(/#\/jobs$/);
  assert.ok(!(await daemon.get("v1/fine_tuning/jobs")).data.some((job) => job.id === body.id));
});

test("another job goes on from an adapter, with what is its own", async () => {
  const { fine_tuned_model: model } = await daemon.get(`v1/fine_tuning/jobs/${jobId}`);
  const page = await browser.open(`#/jobs/${jobId}`);
  await page.getByRole("link", { name: "Train further" }).click();
  await choose(page, "train.jsonl");
  assert.equal(await page.locator("[data-param=model] select").inputValue(), model);
  await page.getByText("Ranks, alpha, scaling, maps, task and labels are the adapter's own.").waitFor();
  await page.locator(".ranks").waitFor();
  await page.getByText("All settings").click();
  await page.getByLabel("Max steps").fill("1");
  await page.getByRole("button", { name: "Start the job" }).click();
  await page.waitForURL(/#\/jobs\/ftjob-/);
  const job = await daemon.get(`v1/fine_tuning/jobs/${page.url().split("/").at(-1)}`);
  assert.equal(job.model, model);
  await page.locator(".head .chip", { hasText: "succeeded" }).waitFor();
});

test("a page that nobody sees leaves the server alone", async () => {
  const page = await browser.open("#/jobs");
  await page.locator(connected).waitFor();
  await page.evaluate(() => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => true });
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await page.waitForTimeout(2000); // what is on its way may still be asked
  let n = 0;
  page.on("request", () => { n += 1; });
  await page.waitForTimeout(2500);
  assert.equal(n, 0);
  await page.evaluate(() => {
    delete document.hidden;
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await until("requests", () => n > 0);
});

test("a lost connection is told, and found again", async () => {
  const page = await browser.open("#/jobs", { expected: /ERR_INTERNET_DISCONNECTED/ });
  await page.locator(connected).waitFor();
  await page.context().setOffline(true);
  await page.getByText("no connection, trying again").waitFor();
  await page.context().setOffline(false);
  await page.locator(connected).waitFor();
});

test("names in other scripts, long ones and such as look like markup are only text", async () => {
  const names = ["<img src=x onerror=document.title='broken'>", "ひらがなカタカナ漢字".repeat(6), "تصنيف رسائل العملاء", "W".repeat(64)];
  const training_file = await daemon.upload("<b>rows</b>.jsonl", trainRows.slice(0, 60).map((row) => JSON.stringify(row)).join("\n"));
  for (const suffix of names) {
    const { status, body } = await daemon.post("v1/fine_tuning/jobs", { model: "prilora-mini-en", training_file, suffix,
      method: { type: "prilora", prilora: { hyperparameters: { n_epochs: 1, max_steps: 2 } } } });
    assert.equal(status, 200, JSON.stringify(body));
    await until("its end", async () => (await daemon.get(`v1/fine_tuning/jobs/${body.id}`)).finished_at);
  }
  const page = await browser.open("#/jobs", { viewport: { width: 360, height: 800 } });
  for (const name of names) await page.getByText(name, { exact: true }).waitFor();
  const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(await overflow(), 0);
  for (const name of names) {
    await page.getByText(name, { exact: true }).click();
    await page.getByRole("heading", { level: 1, name }).waitFor();
    assert.equal(await overflow(), 0, name);
    await page.goBack();
    await page.locator(".job").first().waitFor();
  }
  assert.match(await page.title(), /prilorad$/);
});

test("jobs are filtered by their state", async () => {
  const page = await browser.open("#/jobs");
  const all = (await daemon.get("v1/fine_tuning/jobs?limit=20")).data;
  await until("all", async () => (await page.locator(".job").count()) === all.length);
  assert.equal(await page.locator(".job").count(), all.length);
  await page.getByLabel("failed").check({ force: true });
  await until("none", async () => (await page.locator(".job").count()) === all.filter((j) => j.status === "failed").length);
  await page.getByLabel("succeeded").check({ force: true });
  await until("the good ones", async () => (await page.locator(".job").count()) === all.filter((j) => j.status === "succeeded").length);
});

test("an experiment's table fills, is compared, saved and deleted", async () => {
  const { id: training } = (await daemon.get("v1/files")).data.find((file) => file.filename === "train.jsonl");
  const grid = (name, steps, extra) => ({ name, model: "prilora-mini-en", seeds: 2,
    methods: ["prilora", "lora", "small"].map((m) => ({ name: m, method: { type: m === "small" ? "lora" : m, ...extra[m] } })),
    tasks: [{ name: "desk", training_file: training, hyperparameters: { max_steps: steps, batch_size: 8, max_length: 16 } }] });
  const made = await daemon.post("v1/experiments", grid("a grid", 2, { small: { lora: { hyperparameters: { r: 2 } } } }));
  assert.equal(made.status, 200, JSON.stringify(made.body));
  experimentId = made.body.id;
  const page = await browser.open("#/experiments");
  await page.getByText("3 methods × 1 task × 2 seeds").waitFor();
  await page.getByRole("link", { name: "a grid" }).click();
  await page.locator(".head .chip", { hasText: "succeeded" }).waitFor();
  const results = await daemon.get(`v1/experiments/${experimentId}/results`);
  const cell = results.cells.find((c) => c.method === "small");
  const row = page.locator("section", { hasText: "Results" }).locator("tbody tr", { hasText: "small" });
  await until("the numbers", async () => (await row.innerText()).includes(cell.n_trainable.toLocaleString("en")));
  assert.match(await row.innerText(), / ± /);
  assert.equal(await page.getByText("prilora − small").count(), 1);
  await page.getByLabel("Compare").selectOption("lora,small");
  await page.getByText("lora − small", { exact: true }).waitFor();
  assert.equal(await page.getByText("prilora − small").count(), 0);
  await page.getByLabel("Metric").selectOption("valid_loss");
  await page.getByText("desk, valid loss").waitFor();
  const [saved] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save as CSV" }).click()]);
  assert.equal(saved.suggestedFilename(), "a grid.csv");
  assert.equal(readFileSync(await saved.path(), "utf8"),
    (await daemon.bytes(`v1/experiments/${experimentId}/results?format=csv&metric=valid_loss`)).toString());
  assert.equal(await page.locator("section", { hasText: "Jobs" }).locator("table.rows tbody tr").count(), 6);

  const other = (await daemon.post("v1/experiments", grid("to go", 1000000, {}))).body.id;
  await page.goto(`${daemon.base}#/experiments/${other}`);
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await page.getByRole("button", { name: "Cancel all jobs" }).click();
  await page.locator(".head .chip", { hasText: "cancelled" }).waitFor();
  await page.getByRole("button", { name: "Delete", exact: true }).click();
  await page.getByRole("button", { name: "Delete the experiment" }).click();
  await page.waitForURL(/#\/experiments$/);
  assert.equal((await daemon.get("v1/experiments")).data.length, 1);
});

// what axe-core finds depends on colours or on widths, hardly on both: two of the four are asked
for (const [scheme, width, height, isAsked] of [["light", 1280, 900, true], ["light", 360, 800, false],
  ["dark", 1280, 900, false], ["dark", 360, 800, true]])
  test(`nothing ${isAsked ? "serious stands in the way of access" : "is wider than the screen"}, ${scheme}, ${width} px`, async () => {
    const wrong = [];
    for (const [name, hash] of [["jobs", "#/jobs"], ["job", `#/jobs/${jobId}`], ["new", "#/new"], ["models", "#/models"],
      ["experiments", "#/experiments"], ["experiment", `#/experiments/${experimentId}`]]) {
      const page = await browser.open(hash, { viewport: { width, height }, colorScheme: scheme });
      await page.locator(connected).waitFor();
      if (name === "job") await page.locator("table.heat td").first().waitFor();
      if (name === "experiment") await page.locator("table.rows tbody tr").first().waitFor();
      if (name === "models") await page.getByText("Bring a model from a hub").click();
      if (name === "new") {
        await choose(page, "train.jsonl");
        await page.locator(".ranks").waitFor();
        await page.getByText("All settings").click();
      }
      await page.screenshot({ path: join(pictures, `${name}-${width}-${scheme}.png`), fullPage: isAsked });
      if (isAsked) wrong.push(...(await browser.violations(page)).map((text) => `${name}: ${text}`));
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (overflow > 0) wrong.push(`${name}: ${overflow} px wider than the screen`);
      await page.context().close();
    }
    assert.deepEqual(wrong, []);
  });

test("the console stays empty and no other host is asked", async () => {
  // the form asks what a file is as another task, and is told that it is none
  assert.deepEqual(browser.complaints.filter((text) => !/ 422 .*\/preview\?.*task=mnli$/.test(text)), []);
  assert.deepEqual(browser.foreign, []);
  assert.ok(statSync(join(pictures, "job-360-dark.png")).size > 10000);
});

test("the daemon ends well", async () => {
  await browser.close();
  await daemon.stop();
});

process.exit((await runAll()) ? 1 : 0);
