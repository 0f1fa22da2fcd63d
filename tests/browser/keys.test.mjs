// keys.test.mjs - the dashboard of a daemon that wants keys of everybody: what each of them may do.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { Daemon } from "../support/daemon.mjs";
import { startHub } from "./hub.mjs";
import { root, startBrowser, test, until } from "./support.mjs";

const MODEL = "someone/small-model";
let daemon = null, hub = null, browser = null, jobId = null;
const keys = {};

/** As the owner does it: by the Unix socket. Resolves to {status, body}. */
function bySocket(method, path, body) {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath: daemon.path("socket"), path: `/${path}`, method,
      headers: { Host: "localhost", ...(body ? { "Content-Type": "application/json" } : {}) } }, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("end", () => resolve({ status: response.statusCode, bytes: Buffer.concat(parts),
        get body() { return JSON.parse(this.bytes); } }));
    });
    sent.on("error", reject);
    sent.end(body && JSON.stringify(body));
  });
}

const makeKey = async (scope) => (await bySocket("POST", "v1/keys", { name: scope, scope })).body.key;

async function uploadRows() {
  const form = new FormData();
  form.append("purpose", "fine-tune");
  const rows = readFileSync(join(root, "examples/support-desk/train.jsonl"), "utf8").split("\n").slice(0, 60).join("\n");
  form.append("file", new Blob([rows]), "few.jsonl");
  const response = await fetch(`${daemon.url}/v1/files`, { method: "POST", body: form,
    headers: { Authorization: `Bearer ${keys.submit}` } });
  return (await response.json()).id;
}

/** A page of a tab in which `key` was typed. */
async function openWith(key, hash, options = {}) {
  const page = await browser.open("livez", { expected: /status of (400|401|403|404|429)/, ...options });
  await page.evaluate((text) => sessionStorage.setItem("prilorad.key", text), key);
  await page.goto(`${daemon.url}/${hash}`);
  return page;
}

test("a daemon that wants keys starts, and its owner makes some by the socket", async () => {
  hub = await startHub(MODEL);
  daemon = new Daemon(["--training.threads=1", "--server.keys=always", `--hub.endpoint=${hub.endpoint}`]);
  daemon.settings.push(`--server.socket=${daemon.path("socket")}`,
    `--storage.models_dirs=${daemon.path("models")}:examples`);
  await daemon.start();
  browser = await startBrowser(`${daemon.url}/`);
  for (const scope of ["read", "submit", "admin"]) keys[scope] = await makeKey(scope);
  const { status, body } = await bySocket("POST", "v1/fine_tuning/jobs", { model: "prilora-mini-en", suffix: "guarded",
    training_file: await uploadRows(), method: { type: "prilora",
      prilora: { hyperparameters: { n_epochs: 1, max_steps: 2 } } } });
  assert.equal(status, 200, JSON.stringify(body));
  jobId = body.id;
  await until("its end", async () => (await bySocket("GET", `v1/fine_tuning/jobs/${jobId}`)).body.finished_at);
});

test("the page asks for a key, again for a better one, and forgets it with the tab", async () => {
  const page = await browser.open("#/jobs", { expected: /status of 401/ });
  const sent = [];
  page.on("request", (request) => {
    if (request.url().includes("/v1/")) sent.push(request);
  });
  const dialog = page.getByRole("dialog");
  await dialog.getByText("An API key is needed").waitFor();
  await page.keyboard.type("prilora-wrong");
  await page.keyboard.press("Enter");
  await dialog.getByText("This key does not do: this API key is not known here").waitFor();
  await page.getByLabel("Key", { exact: true }).fill(keys.read);
  await page.keyboard.press("Enter");
  await page.getByText("guarded", { exact: true }).waitFor();
  assert.equal(await page.locator("#key-button").innerText(), "API key: set");
  assert.equal(sent.at(-1).headers().authorization, `Bearer ${keys.read}`);
  assert.ok(sent.every((request) => !request.url().includes("prilora-")), "a key in an address");
  assert.equal(await page.evaluate(() => Object.keys(localStorage).length), 0);
  const other = await browser.open("#/jobs", { expected: /status of 401/ });
  await other.getByRole("dialog").getByText("An API key is needed").waitFor();
  await other.keyboard.press("Escape");
  await other.locator("main .error").getByText("An API key is needed").waitFor();
  await other.getByRole("button", { name: "Enter a key" }).click();
  await other.getByLabel("Key", { exact: true }).fill(keys.read);
  await other.keyboard.press("Enter");
  await other.getByText("guarded", { exact: true }).waitFor();
});

test("a key that may only read is told so, at the button that needs more", async () => {
  const refusal = "Your API key may only look (scope read). This needs one that may submit and change jobs (scope submit).";
  const page = await openWith(keys.read, `#/jobs/${jobId}`);
  await page.getByRole("button", { name: "Delete", exact: true }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete the job" }).click();
  await page.locator(".actions .error").getByText(refusal).waitFor();
  assert.equal((await bySocket("GET", `v1/fine_tuning/jobs/${jobId}`)).status, 200);
  await page.goto(`${daemon.url}/#/models`);
  await page.getByText("Bring a model from a hub").click();
  await page.locator("[data-param=model] input").fill(MODEL);
  await page.getByRole("button", { name: "Bring it" }).click();
  await page.locator(".pull-form .error").getByText("This needs one that may administer the server (scope admin).").waitFor();
  await page.goto(`${daemon.url}/#/new`);
  await page.getByLabel("or upload one").first().setInputFiles(join(root, "examples/support-desk/train.jsonl"));
  await page.locator("[data-param=training_file] .field-error").getByText(refusal).waitFor();
});

test("downloads carry the key in a header, as a Blob or straight into a large file", async () => {
  const page = await openWith(keys.read, `#/jobs/${jobId}`);
  const path = `v1/fine_tuning/jobs/${jobId}/adapter`;
  for (const [button, from] of [["Adapter", path], ["Merged model", `${path}?merged=true`]]) {
    const [download] = await Promise.all([page.waitForEvent("download"),
      page.getByRole("button", { name: button, exact: true }).click()]);
    assert.ok(download.url().startsWith("blob:"), download.url());
    assert.deepEqual(readFileSync(await download.path()), (await bySocket("GET", from)).bytes, button);
  }
  // what a picker would give, and a base that is said to be large
  await page.addInitScript(() => {
    window.showSaveFilePicker = async () => (await navigator.storage.getDirectory()).getFileHandle("saved", { create: true });
  });
  await page.route(`**/jobs/${jobId}`, async (route) => {
    const response = await route.fetch();
    const job = await response.json();
    return route.fulfill({ response, json: { ...job, forecast: { ...job.forecast, base_bytes: 1e9 } } });
  });
  await page.reload();
  await page.getByRole("button", { name: "Merged model" }).click();
  await until("the file", async () => page.getByRole("button", { name: "Merged model" }).isEnabled());
  const size = () => page.evaluate(async () =>
    (await (await (await navigator.storage.getDirectory()).getFileHandle("saved")).getFile()).size);
  const whole = (await bySocket("GET", `${path}?merged=true`)).bytes.length;
  await until("all of it", async () => (await size().catch(() => 0)) === whole);
});

test("a live stream carries the key, too", async () => {
  const page = await openWith(keys.submit, "#/new");
  await page.locator("[data-param=training_file] select option", { hasText: "few.jsonl" }).waitFor({ state: "attached" });
  await page.locator("[data-param=training_file] select").selectOption({ index: 1 });
  await page.locator("[data-param=model] select").selectOption("prilora-mini-en");
  await page.getByLabel("Epochs").fill("1000");
  await page.getByRole("button", { name: "Start the job" }).click();
  await page.locator("#connection", { hasText: "live" }).waitFor();
  await page.locator(".bar-row", { hasText: /Step [1-9]/ }).waitFor();
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel the job" }).click();
  await page.locator(".head .chip", { hasText: "cancelled" }).waitFor();
});

test("a base model comes from a hub, and its progress is shown", async () => {
  const page = await openWith(keys.admin, "#/models");
  await page.getByText("Bring a model from a hub").click();
  await page.locator("[data-param=model] input").fill("no name at all");
  await page.getByRole("button", { name: "Bring it" }).click();
  await page.locator("[data-param=model] .field-error").waitFor();
  await page.locator("[data-param=model] input").fill(MODEL);
  await page.getByRole("button", { name: "Bring it" }).click();
  const row = page.locator(".pull");
  await row.getByText(/^\d[\d.]* [KM]?B of \d/).waitFor();
  await page.locator(".model strong", { hasText: MODEL.split("/")[1] }).waitFor();
  await row.getByText(/^here, /).waitFor();
});

test("a wrong key too often is told to wait", async () => {
  const page = await openWith("prilora-guess", "#/jobs");
  const isTold = () => page.locator("main .error", { hasText: /wait \d+ s/ }).isVisible();
  await until("the refusal", async () => {
    if (await isTold()) return true;
    await page.getByLabel("Key", { exact: true }).fill(`prilora-guess${Math.random()}`, { timeout: 1000 }).catch(() => {});
    await page.keyboard.press("Enter");
    return false;
  });
});

test("the guarded daemon ends well", async () => {
  assert.deepEqual(browser.complaints, []);
  assert.deepEqual(browser.foreign, []);
  await browser.close();
  hub.stop();
  await daemon.stop();
  daemon.remove();
});
