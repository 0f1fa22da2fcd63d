// /openapi.json: valid by the specification's own schema, and true of what the daemon answers. Every
// operation of the document is called; each answer must match its schema and have no member that the
// schema does not name.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";

import { Validator } from "@seriousme/openapi-schema-validator";
import Ajv from "ajv/dist/2020.js";

import { Daemon, root } from "../support/daemon.mjs";

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

function operation(id) {
    for (const [path, item] of Object.entries(document.paths))
        for (const [method, op] of Object.entries(item)) if (op.operationId === id) return { path, method, op };
    assert.fail(`the document has no operation ${id}`);
}

// Calls an operation; path holds the values of {…}, query what stands behind the '?'.
async function call(id, { path = {}, query = "", json, form, headers = {}, status = 200 } = {}) {
    const { path: template, method, op } = operation(id);
    const target = template.replaceAll(/\{(\w+)\}/g, (_, name) => encodeURIComponent(path[name]));
    const response = await fetch(`${daemon.url}${target}${query}`, {
        method: method.toUpperCase(),
        body: json === undefined ? form : JSON.stringify(json),
        headers: json === undefined ? headers : { "Content-Type": "application/json", ...headers },
    });
    const type = response.headers.get("content-type")?.split(";")[0];
    const bytes = Buffer.from(await response.arrayBuffer());
    const body = type?.endsWith("json") ? JSON.parse(bytes.toString()) : bytes;

    called.add(id);
    assert.equal(response.status, status, `${id}: ${bytes.subarray(0, 500)}`);
    if (status === 304) return response;
    const described = op.responses[status] ?? document.components.responses.Error;
    assert.ok(described, `${id}: ${status} is not described`);
    const content = described.content?.[type];
    assert.ok(content, `${id}: ${type} is not described`);
    if (content.schema) {
        const validate = validators(content.schema);
        assert.ok(validate(body), `${id}: ${JSON.stringify(validate.errors, null, 1)}\n${JSON.stringify(body)}`);
    }
    return body;
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
    await daemon.start();
    document = JSON.parse(readFileSync(`${root}/api/openapi.json`, "utf8"));
    validators = makeValidators();
});

after(async () => {
    await daemon.stop();
    daemon.remove();
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

test("a job from its beginning to its end, and its model", async () => {
    const training = await call("createFile", { form: file() });
    const method = { type: "prilora", prilora: { hyperparameters: { n_epochs: 6, batch_size: 16, prune_interval: 10 } } };
    const request = { model: "prilora-mini-en", training_file: training.id, method, suffix: "doc", metadata: { a: "b" } };
    await call("forecastJob", { json: request });
    const job = await call("createJob", { json: request });
    const path = { id: job.id };
    await waitFor(job.id, "succeeded");
    await call("listJobs", { query: "?limit=2&metadata%5Ba%5D=b" });
    await call("listJobEvents", { path, query: "?limit=100&order=asc" });
    await call("listJobCheckpoints", { path });
    await call("listJobLayers", { path });
    await call("listJobLayers", { path, query: "?history=1" });
    await call("listJobMetrics", { path });
    await call("getAdapter", { path });
    for (const name of ["adapter_config.json", "adapter_model.safetensors", "README.md"])
        await call("getAdapterFile", { path: { ...path, file: name } });
    const done = await call("getJob", { path });
    await call("listModels");
    await call("getModel", { path: { id: done.fine_tuned_model } });
    await call("getModel", { path: { id: "prilora-mini-en" } });
    await call("createPrediction", { json: { model: done.fine_tuned_model, input: ["one", "two"], top_k: 2 } });
    await call("cancelJob", { path, status: 409 });
    await call("deleteModel", { path: { id: done.fine_tuned_model } });
    await call("deleteJob", { path });
    await call("createJob", { json: { ...request, seed: -1 }, status: 400 });
});

test("a job that is paused, changed, resumed and cancelled", async () => {
    const training = await call("createFile", { form: file() });
    const method = { type: "lora", lora: { hyperparameters: { n_epochs: 5000, batch_size: 8 } } };
    const job = await call("createJob", { json: { model: "prilora-mini-en", training_file: training.id, method } });
    const path = { id: job.id };
    await waitFor(job.id, "running");
    await call("listJobLayers", { path });
    await call("pauseJob", { path });
    await waitFor(job.id, "paused");
    await call("updateJob", { path, json: { priority: 3, metadata: { why: "test" } } });
    await call("resumeJob", { path });
    await call("cancelJob", { path });
    await waitFor(job.id, "cancelled");
});

test("keys", async () => {
    const made = await call("createKey", { json: { name: "ci", scope: "submit", max_queued_jobs: 3 } });
    await call("listKeys");
    await call("getKey", { path: { id: made.id } });
    await call("revokeKey", { path: { id: made.id } });
});

test("base models are pulled, and what became of it is told", async () => {
    const hub = createServer((_, answer) => answer.writeHead(404).end("Not Found")).listen(0, "127.0.0.1");
    await new Promise((done) => hub.once("listening", done));
    const pull = await call("pullModel", { json: { model: "nobody/nothing" } });
    await call("listPulls");
    await call("getPull", { path: { id: pull.id } });
    await call("cancelPull", { path: { id: pull.id } });
    hub.close();
});

test("the service itself", async () => {
    await call("livez");
    await call("readyz");
    await call("openapi");
    await call("metrics");
    await call("listWebhookDeliveries");
    await call("dashboard");
});

test("every operation of the document was called", () => {
    const all = Object.values(document.paths).flatMap((item) => Object.values(item).map((op) => op.operationId));

    assert.deepEqual(all.filter((id) => !called.has(id)), []);
});
