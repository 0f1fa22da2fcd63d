// /openapi.json: valid by the specification's own schema, and true of what the daemon answers. Every
// operation of the document is called; each answer must match its schema and have no member that the
// schema does not name.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { after, before, test } from "node:test";

import { Validator } from "@seriousme/openapi-schema-validator";
import Ajv from "ajv/dist/2020.js";

import { Daemon, root } from "../support/daemon.mjs";
import { Hub, Receiver } from "../support/servers.mjs";

const hub = await new Hub(`${root}/examples/prilora-mini-en`).start();
const receiver = await new Receiver().start();
const secret = `whsec_${Buffer.alloc(24, "s").toString("base64")}`;
const daemon = new Daemon(["--training.threads=1"]);
const rows = readFileSync(`${root}/examples/support-desk/train.jsonl`, "utf8").split("\n");
const few = rows.slice(0, 64).join("\n") + "\n";
const called = new Set();
let document, validators;

// ---- schemas ----

// Objects that list their members have no others, wherever the document does not say otherwise.
function close(schema) {
    if (Array.isArray(schema)) return schema.map(close);
    if (schema === null || typeof schema !== "object") return schema;
    const closed = Object.fromEntries(Object.entries(schema).map(([k, v]) => [k, close(v)]));
    if (closed.properties && closed.type === "object" && closed.additionalProperties === undefined)
        closed.additionalProperties = false;
    return closed;
}

function makeValidators() {
    const ajv = new Ajv({ strict: false, allErrors: true });

    ajv.addSchema({ $id: "prilorad", components: close(document.components) });
    return (schema) =>
        ajv.compile(
            JSON.parse(JSON.stringify(close(schema)).replaceAll('"#/components', '"prilorad#/components')),
        );
}

// What a reference stands for.
function resolve(part) {
    if (!part?.$ref) return part;
    return part.$ref.slice(2).split("/").reduce((at, name) => at[name], document);
}

function operation(id) {
    for (const [path, item] of Object.entries(document.paths))
        for (const [method, op] of Object.entries(item)) if (op.operationId === id) return { path, method, op };
    assert.fail(`the document has no operation ${id}`);
}

// Calls an operation; path holds the values of {…}, query what stands behind the '?'.
async function call(id, { path = {}, query = "", json, form, headers = {}, status = 200 } = {}) {
    const { path: template, method, op } = operation(id);
    const target = template.replaceAll(/\{(\w+)\}/g, (_, name) => encodeURIComponent(path[name]));
    if (json !== undefined && status === 200) checkRequest(id, op, json);
    const response = await fetch(`${daemon.url}${target}${query}`, {
        method: method.toUpperCase(),
        body: json === undefined ? form : JSON.stringify(json),
        headers: json === undefined ? headers : { "Content-Type": "application/json", ...headers },
    });
    const type = response.headers.get("content-type")?.split(";")[0];
    const bytes = Buffer.from(await response.arrayBuffer());
    const text = type?.match(/^text|json$/) ? bytes.toString() : null;
    const body = type?.endsWith("json") ? JSON.parse(text) : (text ?? bytes);

    called.add(id);
    assert.equal(response.status, status, `${id}: ${bytes.subarray(0, 500)}`);
    const described = resolve(op.responses[status]);
    assert.ok(described, `${id}: ${status} is not described`);
    for (const name of Object.keys(described.headers ?? {}))
        if (["ETag", "x-request-id", "Content-Range"].includes(name) && type !== "text/event-stream")
            assert.ok(response.headers.has(name), `${id}: ${name} is described, and was not sent`);
    if (!described.content) {
        assert.equal(bytes.length, 0, `${id}: ${status} has a body`);
        return response;
    }
    const content = described.content[type];
    assert.ok(content, `${id}: ${type} is not described`);
    if (content["x-messages"]) return checkStream(id, content["x-messages"], text);
    if (content.schema) matches(content.schema, body, id);
    return body;
}

function matches(schema, value, what) {
    const validate = validators(schema);
    const right = validate(value);
    assert.ok(right, `${what}: ${JSON.stringify(validate.errors, null, 1)}\n${JSON.stringify(value).slice(0, 4000)}`);
}

function checkRequest(id, op, json) {
    matches(op.requestBody.content["application/json"].schema, json, `request of ${id}`);
}

/* The messages of a stream, by their events. */
function checkStream(id, schemas, text) {
    const seen = {};
    for (const message of text.split("\n\n").filter((m) => m.includes("data: "))) {
        const { event, data } = Object.fromEntries(message.split("\n").map((line) => [
            line.slice(0, line.indexOf(": ")), line.slice(line.indexOf(": ") + 2)]));
        assert.ok(schemas[event], `${id}: messages "${event}" are not described`);
        matches(schemas[event], JSON.parse(data), `${id}: ${event}`);
        seen[event] = (seen[event] ?? 0) + 1;
    }
    return seen;
}

function file(text = few, name = "train.jsonl") {
    const form = new FormData();
    form.append("purpose", "fine-tune");
    form.append("file", new Blob([text]), name);
    return form;
}

async function waitFor(id, ...states) {
    for (let i = 0; i < 2400; i++) {
        const job = await call("getJob", { path: { id } });
        if (states.includes(job.status)) return job;
        await new Promise((done) => setTimeout(done, 50));
    }
    assert.fail(`job ${id} did not become ${states}`);
}

before(async () => {
    writeFileSync(daemon.path("secret"), secret, { mode: 0o600 });
    daemon.settings.push(
        `--hub.endpoint=${hub.url}`,
        `--storage.models_dirs=${daemon.path("models")}:examples`,
        `--webhooks.url=${receiver.url}`,
        `--webhooks.secret_file=${daemon.path("secret")}`,
    );
    await daemon.start();
    document = JSON.parse(readFileSync(`${root}/api/openapi.json`, "utf8"));
    validators = makeValidators();
});

after(async () => {
    await daemon.stop();
    daemon.remove();
    hub.stop();
    receiver.stop();
});

test("the document is OpenAPI 3.1 by the specification's own schema", async () => {
    const served = await (await fetch(`${daemon.url}/openapi.json`)).json();
    assert.deepEqual(served, document);
    const result = await new Validator().validate(structuredClone(document));
    assert.ok(result.valid, JSON.stringify(result.errors, null, 1));
});

test("files", async () => {
    const made = await call("createFile", { form: file() });
    await call("listFiles", { query: "?limit=1&order=asc" });
    await call("getFile", { path: { id: made.id } });
    await call("getFileContent", { path: { id: made.id } });
    await call("getFileContent", { path: { id: made.id }, headers: { Range: "bytes=0-9" }, status: 206 });
    await call("previewFile", { path: { id: made.id } });
    await call("deleteFile", { path: { id: made.id } });
    await call("getFile", { path: { id: made.id }, status: 404 });
});

test("uploads in parts", async () => {
    const body = { bytes: few.length, filename: "p.jsonl", mime_type: "application/jsonl", purpose: "fine-tune" };
    const begun = await call("createUpload", { json: body });
    const part = new FormData();
    part.append("data", new Blob([few]), "part");
    const made = await call("addUploadPart", { path: { id: begun.id }, form: part });
    await call("listUploads");
    await call("getUpload", { path: { id: begun.id } });
    await call("completeUpload", { path: { id: begun.id }, json: { part_ids: [made.id] } });
    const other = await call("createUpload", { json: body });
    await call("cancelUpload", { path: { id: other.id } });
});

const hyperparameters = { n_epochs: 2, batch_size: 16, max_length: 24, prune_interval: 3 };
const job = (training, more = {}) => ({
    model: "prilora-mini-en",
    training_file: training.id,
    method: { type: "prilora", prilora: { hyperparameters } },
    ...more,
});

test("a job from its beginning to its end, and its model", async () => {
    const training = await call("createFile", { form: file() });
    const request = job(training, { suffix: "doc", metadata: { a: "b" } });
    await call("forecastJob", { json: request });
    const made = await call("createJob", { json: request, headers: { "Idempotency-Key": "document" } });
    const path = { id: made.id };
    const live = await call("listJobEvents", { path, query: "?stream=true" });
    for (const event of ["job", "metrics", "layers", "message", "end"])
        assert.ok(live[event] > 0, `no message ${event} in ${JSON.stringify(live)}`);
    const done = await waitFor(made.id, "succeeded");
    await call("listJobs", { query: "?limit=2&metadata%5Ba%5D=b&status=succeeded,failed" });
    await call("listJobEvents", { path, query: "?limit=100&order=asc&wait=1" });
    assert.ok((await call("listJobCheckpoints", { path })).data.length > 0);
    await call("listJobLayers", { path });
    assert.ok((await call("listJobLayers", { path, query: "?history=1&limit=100" })).data.length > 1);
    await call("listJobMetrics", { path, query: "?limit=1000" });
    const { suggestion } = await call("getJobRanks", { path, query: "?energy=0.99" });
    const again = (prilora, more) => ({ ...request, method: { type: "prilora", prilora: { hyperparameters: prilora } }, ...more });
    await call("forecastJob", { json: again(suggestion.hyperparameters) });
    const suggested = await call("createJob", { json: again({ max_steps: 1, ranks: "suggest" }, { ranks_from: made.id }) });
    await waitFor(suggested.id, "succeeded");
    await call("getJobRanks", { path: { id: suggested.id } });
    await call("createJob", { json: again({ ranks: "suggest" }), status: 400 });
    for (const query of ["", "?merged=true", "?rank=uniform"]) await call("getAdapter", { path, query });
    await call("getAdapter", { path, headers: { Range: "bytes=0-9" }, status: 206 });
    await call("getAdapter", { path, headers: { Range: "bytes=99999999-" }, status: 416 });
    for (const { name } of done.adapter.files) await call("getAdapterFile", { path: { ...path, file: name } });
    await call("getAdapterFile", { path: { ...path, file: "nothing" }, status: 404 });
    await call("listModels");
    await call("getModel", { path: { id: done.fine_tuned_model } });
    await call("getModel", { path: { id: "prilora-mini-en" } });
    await call("createPrediction", {
        json: { model: done.fine_tuned_model, input: ["one", { text: "two" }, ["a", "b"]], top_k: 2 },
    });
    await call("cancelJob", { path, status: 409 });
    await call("createJob", { json: { ...request, seed: -1 }, status: 400 });
    await call("createJob", { json: request, headers: { "Idempotency-Key": "document" } });
    await call("createJob", {
        json: { ...request, seed: 1 }, headers: { "Idempotency-Key": "document" }, status: 422,
    });
    await call("deleteModel", { path: { id: "prilora-mini-en" }, status: 403 });
    await call("deleteModel", { path: { id: done.fine_tuned_model } });
    await call("deleteJob", { path });
    await call("getJob", { path, status: 404 });
});

test("a regression, several labels at once, and OpenAI's own method", async () => {
    const numbers = rows.slice(0, 40).map((row, i) => JSON.stringify({ text: JSON.parse(row).text, label: i / 10 + 0.5 }));
    const lists = rows.slice(0, 40).map((row, i) => JSON.stringify({ text: JSON.parse(row).text, label: i % 2 ? ["x"] : ["x", "y"] }));
    const method = { type: "supervised", supervised: { hyperparameters: { n_epochs: 1, batch_size: "auto" } } };
    for (const text of [numbers.join("\n"), lists.join("\n")]) {
        const training = await call("createFile", { form: file(text) });
        await call("previewFile", { path: { id: training.id } });
        const made = await call("createJob", { json: job(training, { method }) });
        const done = await waitFor(made.id, "succeeded");
        const path = { id: made.id };
        await call("listJobMetrics", { path });
        await call("listJobEvents", { path });
        await call("listJobCheckpoints", { path });
        await call("createPrediction", { json: { model: done.fine_tuned_model, input: "one" } });
    }
});

test("words with tags", async () => {
    const lines = Array.from({ length: 60 }, (_, i) => JSON.stringify({
        tokens: [i % 2 ? "Anna" : "Peter", "saw", "Rome"], ner_tags: ["B-PER", "O", "B-LOC"] }));
    const training = await call("createFile", { form: file(lines.join("\n")) });
    const preview = await call("previewFile", { path: { id: training.id } });
    assert.equal(preview.task, "token_classification");
    const made = await call("createJob", { json: job(training, { task: { metric: "f1" } }) });
    const done = await waitFor(made.id, "succeeded");
    assert.ok("precision" in done.result.metrics);
    await call("listJobMetrics", { path: { id: made.id } });
    await call("createPrediction", {
        json: { model: done.fine_tuned_model, input: ["Anna saw Rome", { words: ["Anna"] }, ["Anna", "saw"]] },
    });
});

test("questions and their contexts", async () => {
    const squad = { version: "test", data: [{ title: "letters", paragraphs: ["Rome", "Paris", "Oslo"].map((town, i) => ({
        context: `The letter came from ${town} in May.`,
        qas: Array.from({ length: 20 }, (_, k) => ({ id: `${i}-${k}`, question: "Where did it come from?",
            answers: [{ text: town, answer_start: 21 }] })) })) }] };
    const training = await call("createFile", { form: file(JSON.stringify(squad), "train.json") });
    const preview = await call("previewFile", { path: { id: training.id } });
    assert.equal(preview.task, "question_answering");
    assert.deepEqual(preview.rows[0].label, ["Rome"]);
    const task = { type: "question_answering", metric: "exact_match", doc_stride: 8, max_answer_length: 4 };
    const forecast = await call("forecastJob", { json: job(training, { task }) });
    assert.equal(forecast.training.n_questions + forecast.validation.n_questions, 60);
    const made = await call("createJob", { json: job(training, { task }) });
    const done = await waitFor(made.id, "succeeded");
    assert.deepEqual(done.task, task);
    assert.ok("exact_match" in done.result.metrics && "f1" in done.result.metrics);
    await call("listJobMetrics", { path: { id: made.id } });
    await call("listJobEvents", { path: { id: made.id } });
    await call("listJobCheckpoints", { path: { id: made.id } });
    const input = { question: "Where did it come from?", context: "The letter came from Rome in May." };
    const { data } = await call("createPrediction", { json: { model: done.fine_tuned_model, input: [input, input], top_k: 3 } });
    for (const { answers } of data)
        for (const { answer, start, end } of answers) assert.equal(answer, input.context.slice(start, end));
    await call("createPrediction", { json: { model: done.fine_tuned_model, input } });
    await call("createPrediction", { json: { model: done.fine_tuned_model, input: "Where?" }, status: 400 });
    await call("createJob", { json: job(training, { task: { ...task, type: "classification" } }), status: 400 });
});

test("a job that fails, and a file that is no data", async () => {
    const training = await call("createFile", { form: file('{"text": "a", "label": "x"}\n{"text": 7}\n') });
    const made = await call("createJob", { json: job(training) });
    await waitFor(made.id, "failed");
    await call("listJobEvents", { path: { id: made.id } });
    await call("previewFile", { path: { id: training.id } });
    await call("forecastJob", { json: job(training), status: 400 });
    const other = await call("createFile", { form: file("hello", "words.md") });
    await call("previewFile", { path: { id: other.id }, status: 422 });
});

test("a job that is paused, changed, resumed and cancelled", async () => {
    const training = await call("createFile", { form: file() });
    const method = { type: "lora", lora: { hyperparameters: { n_epochs: 9000, batch_size: 8, max_length: 24 } } };
    const made = await call("createJob", { json: job(training, { method }) });
    const path = { id: made.id };
    await waitFor(made.id, "running");
    await call("deleteFile", { path: { id: training.id }, status: 409 });
    await call("listJobLayers", { path });
    await call("pauseJob", { path });
    await waitFor(made.id, "paused");
    await call("updateJob", { path, json: { priority: 3, metadata: { why: "test" } } });
    await call("resumeJob", { path });
    await call("cancelJob", { path });
    await waitFor(made.id, "cancelled");
});

test("an experiment from its beginning to its end", async () => {
    const training = await call("createFile", { form: file() });
    const request = (max_steps) => ({
        model: "prilora-mini-en", seeds: [1, 2], name: "grid", metadata: { a: "b" },
        methods: [{ name: "p", method: { type: "prilora" } }, { name: "l", method: { type: "lora" } }],
        tasks: [{ name: "t", training_file: training.id, hyperparameters: { max_steps, batch_size: 8, max_length: 24 } }],
    });
    const made = await call("createExperiment", { json: request(2) });
    const path = { id: made.id };
    await call("getExperimentResults", { path });
    for (let i = 0; i < 2400 && (await call("getExperiment", { path })).status === "running"; i++)
        await new Promise((done) => setTimeout(done, 50));
    await call("listExperiments", { query: "?limit=1" });
    await call("listJobs", { query: `?experiment=${made.id}` });
    assert.equal((await call("listExperimentJobs", { path, query: "?limit=3&status=succeeded" })).data.length, 3);
    assert.equal((await call("getExperimentResults", { path, query: "?metric=f1&compare=l,p" })).cells[0].n, 2);
    for (const format of ["csv", "markdown"]) await call("getExperimentResults", { path, query: `?format=${format}` });
    await call("retryExperiment", { path, status: 409 });
    await call("deleteExperiment", { path });
    const { id } = await call("createExperiment", { json: request(1000000), headers: { "Idempotency-Key": "grid" } });
    for (const verb of ["pause", "resume", "cancel"]) await call(`${verb}Experiment`, { path: { id } });
    await call("retryExperiment", { path: { id } });
    await call("cancelExperiment", { path: { id } });
    await call("createExperiment", { json: { ...request(2), seeds: 0 }, status: 400 });
    await call("getExperiment", { path: { id: "exp-none" }, status: 404 });
});

test("keys", async () => {
    const made = await call("createKey", { json: { name: "ci", scope: "submit", max_queued_jobs: 3, expires_in: 3600 } });
    await call("listKeys");
    await call("getKey", { path: { id: made.id } });
    await call("revokeKey", { path: { id: made.id } });
    await call("listModels", { headers: { Authorization: `Bearer ${made.key}` }, status: 401 });
});

async function waitForPull(id) {
    for (let i = 0; i < 1200; i++) {
        const pull = await call("getPull", { path: { id } });
        if (pull.status !== "running") return pull;
        await new Promise((done) => setTimeout(done, 50));
    }
    assert.fail(`pull ${id} does not end`);
}

test("base models are pulled, and what became of it is told", async () => {
    const pull = await call("pullModel", { json: { model: hub.model, revision: "main", force: false } });
    assert.equal((await waitForPull(pull.id)).status, "succeeded");
    await call("getModel", { path: { id: hub.model } });
    const other = await call("pullModel", { json: { model: "nobody/nothing" } });
    assert.equal((await waitForPull(other.id)).status, "failed");
    await call("listPulls", { query: "?limit=1" });
    await call("cancelPull", { path: { id: other.id }, status: 409 });
    hub.hold();
    const held = await call("pullModel", { json: { model: hub.model, force: true } });
    await call("cancelPull", { path: { id: held.id } });
    assert.equal((await waitForPull(held.id)).status, "cancelled");
});

test("webhooks arrive as they are described, and can be sent again", async () => {
    const told = await receiver.wait();
    const deliveries = await call("listWebhookDeliveries");
    const { id, type } = JSON.parse(told.body);
    const { parameters, requestBody } = document.webhooks[type].post;
    for (const { name } of parameters) assert.ok(told.headers[name], name);
    matches(requestBody.content["application/json"].schema, JSON.parse(told.body), type);
    assert.ok(deliveries.data.some((delivery) => delivery.id === id));
    await call("retryWebhookDelivery", { path: { id } });
    await call("retryWebhookDelivery", { path: { id: "evt_none" }, status: 404 });
});

test("a backup, and what nobody needs", async () => {
    const tar = await call("getBackup");
    assert.equal(tar.subarray(0, 20).toString(), "prilorad-backup.json");
    writeFileSync(daemon.path("state/files/file-orphan"), "nobody's");
    const dry = await call("collectGarbage", { query: "?dry_run=true" });
    assert.ok(dry.data.some(({ kind, bytes }) => kind === "orphan_file" && bytes === 8));
    assert.deepEqual((await call("collectGarbage")).data, dry.data);
    await call("collectGarbage", { query: "?dry_run=perhaps", status: 400 });
});

test("the service itself", async () => {
    for (const id of ["livez", "readyz", "openapi", "metrics", "listSettings", "dashboard"]) await call(id);
    for (const name of ["index.html", "style.css", "app.js", "icon.svg"])
        await call("getDashboardFile", { path: { file: name } });
    const { headers } = await fetch(`${daemon.url}/openapi.json`);
    assert.equal(headers.get("content-encoding"), "gzip"); // which fetch asks for
    const known = { "If-None-Match": headers.get("etag") };
    await call("openapi", { headers: known, status: 304 });
});

// ---- the whole ----

const operations = () =>
    Object.entries(document.paths).flatMap(([path, item]) =>
        Object.entries(item).map(([method, op]) => ({ path, method, op })));

test("examples are what their schemas say", () => {
    let n = 0;
    for (const { path, op } of operations())
        for (const part of [op.requestBody, ...Object.values(op.responses)].map(resolve))
            for (const { schema, examples } of Object.values(part?.content ?? {}))
                for (const [name, { value }] of Object.entries(examples ?? {})) {
                    matches(schema, value, `${path}: ${name}`);
                    n += 1;
                }
    assert.ok(n >= 3);
});

test("every operation of the document was called", () => {
    assert.deepEqual(operations().map(({ op }) => op.operationId).filter((id) => !called.has(id)), []);
});

// Of two operations a parameter decides on which others there are.
function onlyWith(op, name) {
    if (op.operationId === "listJobLayers" && ["limit", "after"].includes(name)) return "&history=1";
    return op.operationId === "listJobEvents" && name === "last_event_id" ? "&stream=true" : "";
}

test("operations take the query parameters that they say, and no others", async () => {
    const named = (op) => (op.parameters ?? []).map(resolve).filter((p) => p.in === "query")
        .map((p) => (p.style === "deepObject" ? `${p.name}[x]` : p.name));
    const all = new Set([...operations().flatMap(({ op }) => named(op)), "something"]);
    // forms are read before their parameters, of uploads that are there; the page takes any, as pages do
    const others = ["createFile", "addUploadPart", "dashboard", "getDashboardFile"];

    for (const { path, method, op } of operations().filter((o) => !others.includes(o.op.operationId))) {
        const own = named(op);
        for (const name of all) {
            const target = `${path.replaceAll(/\{\w+\}/g, "none")}?${encodeURIComponent(name)}=0${own.includes(name) ? onlyWith(op, name) : ""}`;
            const answer = await fetch(daemon.url + target, { method: method.toUpperCase() });
            const code = answer.ok ? "" : (await answer.json()).error.code;
            assert.equal(code === "unknown_parameter", !own.includes(name), `${method} ${target}: ${answer.status} ${code}`);
        }
    }
});
