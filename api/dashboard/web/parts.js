// parts.js - the parts of a job's page that are neither curves nor maps: where it stands, its events,
// its settings, its files.

import { bytes, clock, count, duration, number, percent, sentence, shortId, time, words } from "./format.js";
import { errorBox, fact, h, idTag, keyed, moment, setText } from "./dom.js";
import { download } from "./download.js";
import { isOver, mainMetric, progressBar, settingsOf, states } from "./jobs.js";

// ---- where it stands ----------------------------------------------------------------------------

function errorText(job) {
  if (!job.error) return "";
  return `${job.error.message}${job.error.param ? ` (${job.error.param})` : ""}`;
}

/** What a job that has not begun, or stands still, waits for. */
const waiting = {
  validating_files: "Its files are being checked",
  queued: "Waits for a worker: jobs of higher priority and older ones go first",
  paused: "Paused: it keeps its place until it is resumed",
};

const isBetter = (name, value, baseline) => name === "accuracy" && typeof baseline === "number" && value > baseline;

export function standing() {
  const bar = progressBar("Progress of the job");
  const place = h("span", { class: "num" });
  const left = moment();
  const facts = {
    metric: fact("Metric"), loss: fact("Training loss"), epoch: fact("Epoch"), time: fact("Trained for"),
    speed: fact("Speed"), tokens: fact("Trained on"), memory: fact("Memory"), nonzero: fact("Non-zeros of A"),
  };
  const error = h("div"), note = h("p", { class: "muted" });
  const element = h("section", { class: "card", "aria-label": "Progress" },
    error, h("div", { class: "bar-row" }, bar.element, h("div", { class: "row between" }, place, left.element)), note,
    h("dl", { class: "facts" }, Object.values(facts).map((f) => f.element)));

  function showPlace(job) {
    const p = job.progress;
    const at = p.total_steps ? `Step ${count(p.step)} of ${count(p.total_steps)}` : sentence(states[job.status]?.word ?? job.status);
    setText(place, p.total_steps && !isOver(job) ? `${at}, ${Math.floor(p.percent)} %` : at);
    bar.update(job.status === "succeeded" ? 100 : p.percent, job.status);
    if (job.status === "running" && p.seconds_left !== null)
      left.set(job.estimated_finish, `${duration(p.seconds_left)} left`);
    else if (job.finished_at) left.set(job.finished_at);
    else if (job.forecast?.seconds) left.set(0, `about ${duration(job.forecast.seconds)}, once it runs`);
    else left.set(0, "");
  }

  function showMetric(job, evaluation) {
    const main = mainMetric(job) ?? evaluation, baseline = job.result?.majority_baseline;
    facts.metric.rename(main ? sentence(words(main[0])) : "Metric");
    facts.metric.set(main ? number(main[1]) : "–");
    facts.metric.note(!main ? (isOver(job) ? "" : "from the first evaluation on")
      : isBetter(main[0], main[1], baseline) ? `always one label: ${number(baseline)}`
        : job.result?.best_step ? `as of step ${count(job.result.best_step)}` : "");
  }

  return {
    element,
    update(job, evaluation) {
      const p = job.progress;
      const elapsed = job.started_at ? (job.finished_at ?? Date.now() / 1000) - job.started_at : null;
      const text = errorText(job);
      if (text && error.textContent !== text) error.replaceChildren(errorBox({ message: text }));
      setText(note, waiting[job.status] ?? "");
      note.hidden = !note.textContent;
      showPlace(job);
      showMetric(job, evaluation);
      facts.loss.set(number(p.loss));
      facts.epoch.set(number(p.epoch, 3));
      facts.speed.set(p.tokens_per_second === null ? "–" : `${count(p.tokens_per_second)} tokens/s`);
      facts.memory.set(bytes(p.peak_memory_bytes ?? job.forecast?.memory_bytes));
      facts.memory.note(p.peak_memory_bytes ? "at its peak" : job.forecast ? "forecast" : "");
      facts.time.set(job.result?.seconds !== undefined ? duration(job.result.seconds) : duration(elapsed));
      facts.tokens.set(!job.trained_tokens ? "–" : `${count(job.trained_tokens)} tokens`);
      facts.nonzero.set(job.result?.n_prunable ? count(job.result.n_nonzero) : "–");
      Object.values(facts).forEach((f) => f.hide(isOver(job) || ["tokens", "nonzero"].some((name) => facts[name] === f)));
      facts.nonzero.note(job.result?.n_prunable
        ? `${percent(job.result.n_nonzero / job.result.n_prunable, 0)} of ${count(job.result.n_prunable)}` : "");
    },
  };
}

// ---- events -------------------------------------------------------------------------------------

const levels = { warn: "warning", error: "error" };
const MOST_EVENTS = 200;

export function eventList() {
  const list = h("ol", { class: "events", tabindex: "0", "aria-label": "Events, newest first" });
  const more = h("button", { type: "button", hidden: true, onclick: () => { most = Infinity; show(shown); } });
  let most = MOST_EVENTS, shown = [];

  function show(events) {
    shown = events;
    keyed(list, events.slice(-most).reverse(), (event) => event.id,
      (event) => h("li", { "data-level": event.level },
        h("time", { class: "num", datetime: new Date(event.created_at * 1000).toISOString(),
          title: time(event.created_at) }, clock(event.created_at)),
        h("span", {}, levels[event.level] ? h("strong", {}, `${levels[event.level]}: `) : null, event.message)), () => {});
    more.hidden = events.length <= most;
    setText(more, `Show all ${count(events.length)}`);
  }
  return { element: h("div", {}, list, more), show };
}

// ---- settings -----------------------------------------------------------------------------------

const asText = (value) => (value === null || value === undefined ? "–"
  : typeof value === "object" ? JSON.stringify(value) : String(value));

export function settingsTable(job) {
  const rows = [
    ["model", job.model], ["base model", job.base_model], ["method", job.method?.type],
    ["training file", job.training_file && idTag(job.training_file, "file's id")],
    ["validation file", job.validation_file ? idTag(job.validation_file, "file's id") : "none"],
    ["seed", job.seed], ["task", [job.task?.name, job.task?.type].filter(Boolean).join(": ")], ["metric", job.task?.metric],
    ...["doc_stride", "max_answer_length"].filter((name) => name in (job.task ?? {})).map((name) => [name, job.task[name]]),
    ["priority", job.priority],
    ["created", time(job.created_at)], ["started", time(job.started_at)], ["ended", time(job.finished_at)],
    ...Object.entries(job.metadata ?? {}).map(([name, value]) => [`metadata: ${name}`, value]),
    ...Object.entries(settingsOf(job)),
  ];
  return h("dl", { class: "pairs" }, rows.map(([name, value]) =>
    h("div", {}, h("dt", {}, name), h("dd", {}, value instanceof Node ? value : asText(value)))));
}

// ---- files --------------------------------------------------------------------------------------

const contents = {
  "README.md": "model card with a snippet that loads it", "adapter_config.json": "PEFT's configuration",
  "adapter_model.safetensors": "the weights", "labels.json": "names of the labels",
  "input_statistics.safetensors": "what ranks are suggested by",
};

function downloadRow({ path, name, label, about, size, isMain }) {
  const said = h("span", { class: "muted", role: "status" });
  const button = h("button", { type: "button", class: isMain ? "primary" : "", onclick: async () => {
    button.disabled = true;
    said.replaceChildren();
    try {
      await download(path, name, { size, onProgress: (n) => setText(said, `${bytes(n)} so far`) });
      setText(said, "");
    } catch (error) {
      said.replaceChildren(errorBox(error));
    } finally {
      button.disabled = false;
    }
  } }, label);
  return h("li", {}, button, h("span", { class: "muted" }, about), said);
}

/** What can be downloaded of a finished job. */
export function downloads(job) {
  const base = job.adapter.url.replace(/^\//, "");
  const sum = job.adapter.files.reduce((n, file) => n + file.bytes, 0);
  const name = shortId(job.id).replace("…", "-");
  const merged = (job.forecast?.base_bytes ?? 0) + sum;
  const whole = [
    { path: base, name: `${job.id}.tar`, label: "Adapter", isMain: true, size: sum,
      about: `for PEFT; tar, ${bytes(sum)}` },
    { path: `${base}?merged=true`, name: `${name}-merged.tar`, label: "Merged model", size: merged,
      about: `base and adapter in one, runs without PEFT; tar, about ${bytes(merged)}` },
    { path: `${base}?rank=uniform`, name: `${name}-uniform.tar`, label: "One rank for all maps", size: sum,
      about: "for servers that ignore rank_pattern (vLLM, llama.cpp); tar" },
  ];
  const single = job.adapter.files.map((file) => ({ path: `${base}/${encodeURIComponent(file.name)}`, name: file.name,
    label: file.name, size: file.bytes, about: [contents[file.name], bytes(file.bytes)].filter(Boolean).join(", ") }));
  return h("div", {},
    h("ul", { class: "downloads" }, whole.map(downloadRow)),
    h("details", {}, h("summary", {}, "Single files"), h("ul", { class: "downloads" }, single.map(downloadRow))));
}
