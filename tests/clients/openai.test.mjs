// The official OpenAI client for JavaScript, unmodified, with nothing but baseURL and apiKey set,
// against the running daemon. $CLIENT names the installed package: the newest one, or 4.x.
import assert from "node:assert/strict";
import { File } from "node:buffer";
import { execFileSync } from "node:child_process";
import { createHash, webcrypto } from "node:crypto";
import { createReadStream, readFileSync, writeFileSync } from "node:fs";
import { after, before, test } from "node:test";

import { Daemon, root } from "../support/daemon.mjs";
import { Receiver } from "../support/servers.mjs";

// Debian 12's Node, 18, lacks two globals; the newest client's own messages say what to do then.
globalThis.File ??= File;
globalThis.crypto ??= webcrypto;

const packageName = process.env.CLIENT ?? "openai";
const { default: OpenAI, toFile } = await import(packageName);

const trainPath = `${root}/examples/support-desk/train.jsonl`;
const rows = readFileSync(trainPath, "utf8").split("\n").filter(Boolean);
const few = rows.slice(0, 64).join("\n") + "\n";
// enough steps that a job can be met while it runs, few enough that it ends soon
const quick = { n_epochs: 2, batch_size: 16, max_length: 24 };

const secret = `whsec_${Buffer.alloc(24, "s").toString("base64")}`;
const receiver = await new Receiver().start();
const daemon = new Daemon(["--training.threads=1"]);
let client, trainingFile;

// Every request that a client sends is counted, so that retries can be seen.
function countingClient(options = {}) {
    const sent = [];
    const counting = new OpenAI({
        baseURL: `${daemon.url}/v1`,
        apiKey: "any",
        fetch: (url, init) => {
            sent.push(`${init?.method ?? "GET"} ${new URL(url).pathname}`);
            return fetch(url, init);
        },
        ...options,
    });
    return { client: counting, sent };
}

async function upload(text = few, name = "train.jsonl") {
    return client.files.create({ file: await toFile(Buffer.from(text), name), purpose: "fine-tune" });
}

async function waitFor(id, ...states) {
    for (let i = 0; i < 2400; i++) {
        const job = await client.fineTuning.jobs.retrieve(id);
        if (states.includes(job.status)) return job;
        assert.ok(
            !["succeeded", "failed", "cancelled"].includes(job.status),
            `job ${id} is ${job.status}, not ${states}: ${JSON.stringify(job.error)}`,
        );
        await new Promise((done) => setTimeout(done, 50));
    }
    assert.fail(`job ${id} did not become ${states}`);
}

function createJob(more = {}) {
    return client.fineTuning.jobs.create({
        model: "prilora-mini-en",
        training_file: trainingFile.id,
        method: { type: "prilora", prilora: { hyperparameters: quick } },
        ...more,
    });
}

// Runs long enough to be paused or cancelled in the middle; never to its end in a test.
const long = { method: { type: "prilora", prilora: { hyperparameters: { ...quick, n_epochs: 9000 } } } };

const methods = {
    supervised: { type: "supervised", supervised: { hyperparameters: { n_epochs: 1, batch_size: "auto" } } },
    prilora: { type: "prilora", prilora: { hyperparameters: { ...quick, rank_end: 6 } } },
    lora: { type: "lora", lora: { hyperparameters: { ...quick, r: 2 } } },
};
const finishing = {};

// A job that has ended well, one of each method for all who ask.
function finished(type = "prilora") {
    finishing[type] ??= createJob({ method: methods[type], suffix: "desk/a b", seed: 7 })
        .then((job) => waitFor(job.id, "succeeded"));
    return finishing[type];
}

async function collect(pages) {
    const all = [];
    for await (const item of pages) all.push(item);
    return all;
}

before(async () => {
    writeFileSync(daemon.path("secret"), secret, { mode: 0o600 });
    daemon.settings.push(`--webhooks.url=${receiver.url}`, `--webhooks.secret_file=${daemon.path("secret")}`);
    await daemon.start();
    client = new OpenAI({ baseURL: `${daemon.url}/v1`, apiKey: "any" });
    trainingFile = await upload();
});

after(async () => {
    await daemon.stop();
    daemon.remove();
    receiver.stop();
});

// ---- files ----

test("a file is created from a stream, and comes back byte for byte", async () => {
    const file = await client.files.create({ file: createReadStream(trainPath), purpose: "fine-tune" });
    const bytes = readFileSync(trainPath);

    assert.equal(file.object, "file");
    assert.equal(file.filename, "train.jsonl");
    assert.equal(file.bytes, bytes.length);
    assert.equal(file.purpose, "fine-tune");
    const content = await client.files.content(file.id);
    assert.deepEqual(Buffer.from(await content.arrayBuffer()), bytes);
});

test("a file is created from a buffer and from a Blob, with any name", async () => {
    const name = 'größe "x" 数据.jsonl';
    const fromBuffer = await client.files.create({
        file: await toFile(Buffer.from(few), name),
        purpose: "fine-tune",
    });
    const fromBlob = await client.files.create({
        file: await toFile(new Blob([few]), "blob.jsonl"),
        purpose: "fine-tune",
        expires_after: { anchor: "created_at", seconds: 7200 },
    });

    assert.equal(fromBuffer.filename, name);
    assert.equal(fromBlob.bytes, Buffer.byteLength(few));
    assert.equal(fromBlob.expires_at, fromBlob.created_at + 7200);
});

test("a file is retrieved, waited for, deleted, and then gone", async () => {
    const file = await upload();

    assert.deepEqual(await client.files.retrieve(file.id), file);
    assert.equal((await client.files.waitForProcessing(file.id)).status, "processed");
    const deleted = await (client.files.delete ?? client.files.del).call(client.files, file.id);
    assert.deepEqual(deleted, { id: file.id, object: "file", deleted: true });
    await assert.rejects(client.files.retrieve(file.id), OpenAI.NotFoundError);
});

test("lists of files page by themselves, in both orders", async () => {
    const before = (await collect(client.files.list())).length;
    const made = [];
    for (let i = 0; i < 12; i++) made.push((await upload(few, `page-${i}.jsonl`)).id);

    const newestFirst = await collect(client.files.list({ limit: 5 }));
    const oldestFirst = await collect(client.files.list({ limit: 5, order: "asc" }));
    assert.equal(newestFirst.length, before + 12);
    assert.deepEqual(newestFirst.slice(0, 12).map((f) => f.id), [...made].reverse());
    assert.deepEqual(oldestFirst.map((f) => f.id), newestFirst.map((f) => f.id).reverse());
    assert.equal((await collect(client.files.list({ purpose: "batch" }))).length, 0);
});

// ---- uploads in parts ----

test("an upload in parts becomes a file, its parts in the order that complete names", async () => {
    const bytes = readFileSync(trainPath);
    const cuts = [0, 10000, 50000, bytes.length];
    const begun = await client.uploads.create({
        bytes: bytes.length,
        filename: "parts.jsonl",
        mime_type: "application/jsonl",
        purpose: "fine-tune",
    });
    assert.equal(begun.status, "pending");
    const parts = await Promise.all(
        [2, 0, 1].map(async (i) => {
            const data = await toFile(bytes.subarray(cuts[i], cuts[i + 1]), "part");
            return [i, await client.uploads.parts.create(begun.id, { data })];
        }),
    );
    const ids = parts.sort(([a], [b]) => a - b).map(([, part]) => part.id);
    const done = await client.uploads.complete(begun.id, {
        part_ids: ids,
        md5: createHash("md5").update(bytes).digest("hex"),
    });

    assert.equal(done.status, "completed");
    assert.equal(done.file.bytes, bytes.length);
    const content = await client.files.content(done.file.id);
    assert.deepEqual(Buffer.from(await content.arrayBuffer()), bytes);
});

test("an upload is cancelled, and takes no part after that", async () => {
    const begun = await client.uploads.create({
        bytes: 10,
        filename: "never.jsonl",
        mime_type: "application/jsonl",
        purpose: "fine-tune",
    });

    assert.equal((await client.uploads.cancel(begun.id)).status, "cancelled");
    await assert.rejects(
        client.uploads.parts.create(begun.id, { data: await toFile(Buffer.from("0123456789"), "p") }),
        (e) => e instanceof OpenAI.APIError && e.status >= 400 && e.status < 500,
    );
});

// ---- jobs ----

for (const type of Object.keys(methods))
    test(`a job of method ${type} runs to its end and leaves a model`, async () => {
        const done = await finished(type);

        assert.match(done.fine_tuned_model, /^ft:prilora-mini-en:desk/);
        assert.ok(done.trained_tokens > 0);
        assert.equal(done.error, null);
        assert.equal(done.seed, 7);
        assert.equal(done.method.type, type);
        const model = await client.models.retrieve(done.fine_tuned_model);
        assert.equal(model.id, done.fine_tuned_model);
        assert.equal(model.object, "model");
    });

test("a job that waits has what it will have later, as null", async () => {
    const job = await createJob();

    assert.equal(job.object, "fine_tuning.job");
    assert.equal(job.fine_tuned_model, null);
    assert.equal(job.finished_at, null);
    assert.equal(job.trained_tokens, null);
    assert.equal(job.error, null);
    await client.fineTuning.jobs.cancel(job.id);
});

test("the older place of hyperparameters works too", async () => {
    const job = await client.fineTuning.jobs.create({
        model: "prilora-mini-en",
        training_file: trainingFile.id,
        hyperparameters: { n_epochs: 1, learning_rate_multiplier: 2 },
    });
    const done = await waitFor(job.id, "succeeded");

    assert.equal(done.hyperparameters.n_epochs, 1);
    assert.equal(done.hyperparameters.learning_rate_multiplier, 2);
});

test("jobs are listed by metadata, and page by themselves", async () => {
    const made = [];
    for (let i = 0; i < 5; i++) made.push(await createJob({ metadata: { team: "pages", n: `${i}` } }));

    const found = await collect(client.fineTuning.jobs.list({ limit: 2, metadata: { team: "pages" } }));
    assert.deepEqual(found.map((j) => j.id), made.map((j) => j.id).reverse());
    const one = await collect(client.fineTuning.jobs.list({ metadata: { team: "pages", n: "3" } }));
    assert.deepEqual(one.map((j) => j.id), [made[3].id]);
    for (const job of made) await client.fineTuning.jobs.cancel(job.id).catch(() => {});
});

test("events and checkpoints of a finished job page by themselves", async () => {
    const job = await finished();
    const events = await collect(client.fineTuning.jobs.listEvents(job.id, { limit: 3 }));
    const checkpoints = await collect(client.fineTuning.jobs.checkpoints.list(job.id, { limit: 1 }));

    assert.ok(events.length > 3);
    assert.equal(new Set(events.map((e) => e.id)).size, events.length);
    for (const event of events) {
        assert.equal(event.object, "fine_tuning.job.event");
        assert.ok(["info", "warn", "error"].includes(event.level));
        assert.equal(typeof event.message, "string");
    }
    assert.equal(events.at(-1).message, `Created fine-tuning job: ${job.id}`);
    assert.equal(checkpoints.length, 2); // one after each epoch
    assert.ok(checkpoints[0].step_number > checkpoints[1].step_number);
    for (const checkpoint of checkpoints) {
        assert.equal(checkpoint.object, "fine_tuning.job.checkpoint");
        assert.equal(checkpoint.fine_tuning_job_id, job.id);
        assert.equal(typeof checkpoint.metrics.valid_loss, "number");
    }
});

test("a job is paused, resumed and cancelled", async () => {
    const job = await createJob(long);
    await waitFor(job.id, "running");
    await client.fineTuning.jobs.pause(job.id);
    const paused = await waitFor(job.id, "paused");
    assert.equal(paused.finished_at, null);
    const resumed = await client.fineTuning.jobs.resume(job.id);
    assert.equal(resumed.status, "queued");
    await waitFor(job.id, "running");
    await client.fineTuning.jobs.cancel(job.id);
    const over = await waitFor(job.id, "cancelled");
    assert.ok(over.finished_at >= over.created_at);
});

test("further routes are reached by get and post", async () => {
    const done = await finished();
    const layers = await client.get(`/fine_tuning/jobs/${done.id}/layers`);
    const answer = await client.post("/predictions", {
        body: { model: done.fine_tuned_model, input: ["My parcel has not come yet.", "I was charged twice."] },
    });

    assert.equal(layers.data.length, 36); // six layers of six maps
    assert.equal(answer.data.length, 2);
    for (const prediction of answer.data) {
        const sum = prediction.probabilities.reduce((s, p) => s + p.probability, 0);
        assert.ok(Math.abs(sum - 1) < 1e-5); // eight float32 probabilities
        assert.equal(prediction.label, prediction.probabilities[0].label);
    }
});

test("a job goes on from a finished adapter", async () => {
    const parent = await finished();
    const child = await createJob({ model: parent.fine_tuned_model, suffix: "more" });

    assert.equal(child.model, parent.fine_tuned_model);
    assert.match((await waitFor(child.id, "succeeded")).fine_tuned_model, /^ft:prilora-mini-en:more:/);
});

test("a webhook is unwrapped, and a forged one is not", async (t) => {
    if (!client.webhooks) return t.skip("this client has no webhooks");
    const job = await finished();
    const told = await receiver.wait(({ body }) => JSON.parse(body).data.id === job.id);
    const event = await client.webhooks.unwrap(told.body, told.headers, secret);

    assert.equal(event.type, "fine_tuning.job.succeeded");
    assert.equal(event.data.id, job.id);
    const forged = told.body.replace("succeeded", "cancelled");
    await assert.rejects(client.webhooks.unwrap(forged, told.headers, secret), OpenAI.InvalidWebhookSignatureError);
});

// ---- models ----

test("models are listed, retrieved and deleted; a base is not", async () => {
    const done = await finished("lora");
    const ids = (await collect(client.models.list())).map((m) => m.id);

    assert.ok(ids.includes("prilora-mini-en"));
    assert.ok(ids.includes(done.fine_tuned_model));
    const remove = (client.models.delete ?? client.models.del).bind(client.models);
    assert.deepEqual(await remove(done.fine_tuned_model), {
        id: done.fine_tuned_model,
        object: "model",
        deleted: true,
    });
    await assert.rejects(client.models.retrieve(done.fine_tuned_model), OpenAI.NotFoundError);
    await assert.rejects(remove("prilora-mini-en"), OpenAI.PermissionDeniedError);
});

// ---- errors: the class, the members, and whether the client tries again ----

async function fails(promise, type, members) {
    await assert.rejects(promise, (error) => {
        assert.ok(error instanceof type, `${error?.constructor?.name}: ${error?.message}`);
        for (const [name, value] of Object.entries(members)) assert.deepEqual(error[name], value, name);
        const id = error.requestID ?? error.request_id; // 4.x says request_id
        assert.match(id, /^req-/);
        return true;
    });
}

test("400: BadRequestError names the parameter, and is not retried", async () => {
    const { client: c, sent } = countingClient();
    const method = { type: "prilora", prilora: { hyperparameters: { rank_ende: 12 } } };

    await fails(
        c.fineTuning.jobs.create({ model: "prilora-mini-en", training_file: trainingFile.id, method }),
        OpenAI.BadRequestError,
        { status: 400, param: "method.prilora.hyperparameters.rank_ende", code: "invalid_value" },
    );
    assert.equal(sent.length, 1);
});

test("404: NotFoundError for unknown ids, and for an empty one", async () => {
    await fails(client.fineTuning.jobs.retrieve("ftjob-none"), OpenAI.NotFoundError, { status: 404 });
    await fails(client.files.retrieve("file-none"), OpenAI.NotFoundError, { status: 404 });
    await fails(client.get("/fine_tuning/jobs/"), OpenAI.NotFoundError, { status: 404 });
});

test("409: ConflictError once and for all is not retried", async () => {
    const job = await finished();
    const { client: c, sent } = countingClient();

    await fails(c.fineTuning.jobs.cancel(job.id), OpenAI.ConflictError, { status: 409 });
    assert.equal(sent.length, 1);
});

test("422: UnprocessableEntityError for an Idempotency-Key with another body", async () => {
    const options = { headers: { "Idempotency-Key": `${packageName}-1` } };
    const body = { model: "prilora-mini-en", training_file: trainingFile.id, hyperparameters: { n_epochs: 1 } };
    const first = await client.fineTuning.jobs.create(body, options);
    const again = await client.fineTuning.jobs.create(body, options);

    assert.equal(again.id, first.id);
    await fails(
        client.fineTuning.jobs.create({ ...body, seed: 5 }, options),
        OpenAI.UnprocessableEntityError,
        { status: 422 },
    );
});

test("401, 403 and 429: keys, scopes and quotas", async () => {
    const guarded = new Daemon(["--server.keys=always", `--server.socket=${daemon.path("socket")}`]);
    await guarded.start();
    const { request } = await import("node:http");
    const post = (path, body) =>
        new Promise((done, failed) => {
            const r = request(
                {
                    socketPath: daemon.path("socket"),
                    path,
                    method: "POST",
                    headers: { "Content-Type": "application/json", Host: "localhost" },
                },
                async (answer) => {
                    let text = "";
                    for await (const piece of answer) text += piece;
                    done(JSON.parse(text));
                },
            );
            r.on("error", failed);
            r.end(JSON.stringify(body));
        });
    try {
        const submitter = await post("/v1/keys", { name: "s", scope: "submit", max_queued_jobs: 1 });
        const reader = await post("/v1/keys", { name: "r", scope: "read" });
        const as = (apiKey) => new OpenAI({ baseURL: `${guarded.url}/v1`, apiKey });
        assert.equal(typeof submitter.key, "string", JSON.stringify(submitter));

        await fails(as("prilora-wrong").models.list(), OpenAI.AuthenticationError, { status: 401 });
        assert.ok((await collect(as(reader.key).models.list())).length > 0);
        const file = { file: await toFile(Buffer.from(few), "t.jsonl"), purpose: "fine-tune" };
        await fails(as(reader.key).files.create(file), OpenAI.PermissionDeniedError, { status: 403 });
        const training = await as(submitter.key).files.create({
            file: await toFile(Buffer.from(few), "t.jsonl"),
            purpose: "fine-tune",
        });
        const job = { model: "prilora-mini-en", training_file: training.id, ...long };
        const running = await as(submitter.key).fineTuning.jobs.create(job);
        await fails(as(submitter.key).fineTuning.jobs.create(job), OpenAI.RateLimitError, { status: 429 });
        await as(submitter.key).fineTuning.jobs.cancel(running.id);
    } finally {
        await guarded.stop();
        guarded.remove();
    }
});

test("500: InternalServerError is retried twice", async () => {
    const sql = (text) => execFileSync("sqlite3", [daemon.path("state/prilorad.db"), ".timeout 10000", text]);
    const { client: c, sent } = countingClient();

    sql("ALTER TABLE files RENAME TO lost"); // behind the daemon's back
    try {
        await fails(c.files.retrieve("file-any"), OpenAI.InternalServerError, { status: 500 });
    } finally {
        sql("ALTER TABLE lost RENAME TO files");
    }
    assert.equal(sent.length, 3);
    await c.files.retrieve(trainingFile.id);
});

test("a daemon that is away is tried again until it is back", async () => {
    const { client: c, sent } = countingClient({ maxRetries: 8 });
    await daemon.stop();
    const answer = c.models.list();
    await new Promise((done) => setTimeout(done, 300));
    await daemon.start();

    assert.ok((await answer).data.length > 0);
    assert.ok(sent.length > 1);
    await daemon.kill();
    const { client: once } = countingClient({ maxRetries: 0 });
    await assert.rejects(once.models.list(), OpenAI.APIConnectionError);
    await daemon.start();
});
