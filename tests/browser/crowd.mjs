// crowd.mjs - the dashboard before a server that has as much as one likes: 2,000 jobs, a job of 20,000
// steps and 500 prunings of a large base, a stream that is faster than any training. Only what the
// page asks for is answered, in the interface's words.

import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { root } from "./support.mjs";

export const N_JOBS = 2000, N_STEPS = 20000, N_PRUNINGS = 500, LAYERS = 24;
const MAPS = ["query", "key", "value", "attention_output", "intermediate", "output"];
const STATES = ["succeeded", "succeeded", "failed", "cancelled"];
const types = { html: "text/html; charset=utf-8", css: "text/css", js: "text/javascript", svg: "image/svg+xml" };

export const stateOf = (i) => STATES[i % STATES.length];
const idOf = (i) => `ftjob-${String(i).padStart(24, "0")}`;

function job(i, status = stateOf(i), step = N_STEPS) {
  const isOver = status !== "running";
  return { id: idOf(i), object: "fine_tuning.job", created_at: 1790000000 + i, finished_at: isOver ? 1790009000 + i : null,
    started_at: 1790000100 + i, estimated_finish: null, model: "large", base_model: "large", suffix: `job ${i}`, seed: 1,
    status, priority: 0, metadata: null, error: status === "failed" ? { code: "x", message: "it went wrong", param: null } : null,
    fine_tuned_model: null, training_file: "file-1", validation_file: null, trained_tokens: isOver ? 1e6 : null,
    cancel_requested: false, pause_requested: false, task: { type: "classification", metric: "accuracy" }, adapter: null,
    method: { type: "prilora", prilora: { hyperparameters: { n_epochs: 3 } } }, forecast: null, result: null,
    progress: { step, total_steps: N_STEPS, epoch: 1, percent: (100 * step) / N_STEPS, tokens_per_second: 500,
      seconds_left: isOver ? null : 60, loss: 0.5, peak_memory_bytes: 1e9 } };
}

const row = (step) => ({ step, created_at: 1790000000, epoch: step / 1000, train_loss: 2 / (1 + step / 5000) + 0.1 * Math.sin(step * 7),
  learning_rate: 1e-3 * (1 - step / N_STEPS / 10), grad_norm: 1 + Math.cos(step * 3), tokens_per_second: 500,
  ...(step % 500 === 0 ? { valid_loss: 1, accuracy: 0.5 + step / 1e6 } : {}) });

const pruning = (step) => ({ step, created_at: 1790000000, layers: Array.from({ length: LAYERS * MAPS.length }, (_, i) => ({
  layer: Math.floor(i / MAPS.length), map: MAPS[i % MAPS.length], module: `encoder.layer.${Math.floor(i / MAPS.length)}.${MAPS[i % MAPS.length]}`,
  in_features: 1024, out_features: 1024, rank: 4 + Math.floor(i / 18), scale: 2, n_parameters: 8192, n_prunable: 4096, n_nonzero: 2048,
  sparsity: 0.5, a_norm: 1.5, b_norm: 0.5, update_norm: 1 + Math.sin(i + step / 300), input_min: 0.1, input_mean: 0.5, input_max: 3.5,
  n_prunings: step / 40, last_pruning_step: step, last_pruned: 5, churn: 1 / (1 + step / 400) })) });

/** `data` behind the cursor, as a list. */
const page = (data, query, standard) => {
  const limit = Number(query.get("limit") ?? standard);
  return { object: "list", data: data.slice(0, limit), has_more: data.length > limit };
};

function listJobs(query) {
  const status = query.get("status");
  const ids = Array.from({ length: N_JOBS }, (_, i) => N_JOBS - 1 - i).filter((i) => !status || stateOf(i) === status);
  const at = query.has("after") ? ids.findIndex((i) => idOf(i) === query.get("after")) + 1 : 0;
  const limit = Number(query.get("limit"));
  return { object: "list", data: ids.slice(at, at + limit).map((i) => job(i)), has_more: at + limit < ids.length };
}

function series(query, n, distance, make) {
  const first = Math.floor(Number(query.get("after") ?? -1) / distance) + 1 || 1;
  const steps = Array.from({ length: Math.max(0, n - Math.max(first, 1) + 1) }, (_, i) => (Math.max(first, 1) + i) * distance);
  const limit = Number(query.get("limit") ?? 1000);
  return { ...page(steps, query, 1000), data: steps.slice(0, limit).map(make) };
}

/** {base, asked, stream(from, to, prunings), stop}; `asked`: every address that was. */
export async function startCrowd() {
  const asked = [], streams = [];

  const answers = [
    [/^\/readyz$/, () => ({ jobs: { succeeded: N_JOBS / 2, failed: N_JOBS / 4, cancelled: N_JOBS / 4, running: 0, queued: 0 } })],
    [/^\/v1\/fine_tuning\/jobs$/, listJobs],
    [/\/metrics$/, (query) => series(query, N_STEPS, 1, row)],
    [/\/layers$/, (query) => (query.has("history") ? series(query, N_PRUNINGS, 40, pruning) : { step: null, data: [] })],
    [/\/events$/, () => ({ object: "list", data: [], has_more: false })],
    [/\/jobs\/ftjob-[0-9]+$/, (query, path) => {
      const i = Number(path.split("-").at(-1));
      return i >= N_JOBS ? job(i, "running", 1) : job(i);
    }],
  ];

  function sendFile(response, path) {
    const name = path === "/" ? "index.html" : path.replace("/dashboard/", "");
    const file = name === "chart.js" ? "/usr/share/javascript/chart.js/chart.min.js" : join(root, "api/dashboard/web", name);
    response.writeHead(existsSync(file) ? 200 : 404, { "Content-Type": types[name.split(".").at(-1)] });
    response.end(existsSync(file) ? readFileSync(file) : "");
  }

  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url, "http://crowd");
    if (pathname === "/" || pathname.startsWith("/dashboard/")) return sendFile(response, pathname);
    asked.push(request.url);
    if (request.headers.accept === "text/event-stream") {
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      response.write(": hello\n\n");
      return streams.push(response);
    }
    const [, answer] = answers.find(([pattern]) => pattern.test(pathname)) ?? [];
    response.writeHead(answer ? 200 : 404, { "Content-Type": "application/json" });
    return response.end(JSON.stringify(answer ? answer(searchParams, pathname) : { error: { message: "nothing is here" } }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  const message = (type, data) => `event: ${type}\nid: 1-1-1-0-0\ndata: ${JSON.stringify(data)}\n\n`;
  return {
    base: `http://127.0.0.1:${server.address().port}/`,
    asked, streams,
    running: idOf(N_JOBS), finished: idOf(0),
    /** Steps `from` to `to`, with a pruning at every 40th if `prunes`, as fast as the page takes them. */
    async stream(from, to, prunes) {
      for (let step = from; step <= to; step += 1) {
        let text = message("metrics", row(step));
        if (prunes && step % 40 === 0) text += message("layers", pruning(step));
        if (step % 20 === 0) text += message("progress", { status: "running", progress: job(N_JOBS, "running", step).progress });
        if (!streams.at(-1).write(text)) await once(streams.at(-1), "drain");
      }
    },
    stop: () => { server.closeAllConnections(); server.close(); },
  };
}
