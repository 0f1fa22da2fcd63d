// jobs.js - the list of jobs, and what one job's state looks like anywhere.

import { get, JOBS, poll } from "./api.js";
import { announce, h, keyed, newId, setAttribute, setText } from "./dom.js";
import { ago, duration, number, time, words } from "./format.js";

const PAGE = 20, PAGE_FILTERED = 100;

export const states = {
  validating_files: { word: "validating", sign: "◌" },
  queued: { word: "queued", sign: "○" },
  running: { word: "running", sign: "▶" },
  paused: { word: "paused", sign: "⏸\uFE0E" },
  succeeded: { word: "succeeded", sign: "✓" },
  failed: { word: "failed", sign: "✕" },
  cancelled: { word: "cancelled", sign: "■" },
};

export const isOver = (job) => ["succeeded", "failed", "cancelled"].includes(job.status);
export const jobName = (job) => job.suffix ?? job.model.split("/").at(-1);
export const settingsOf = (job) => {
  const method = job.method ?? {};
  return (method.prilora ?? method.lora ?? method[method.type])?.hyperparameters ?? {};
};

/** The figure that a job is judged by: [name, value], or null. */
export function mainMetric(job) {
  const metrics = job.result?.metrics;
  if (!metrics) return null;
  const wanted = job.task?.metric === "loss" ? "valid_loss" : job.task?.metric;
  const name = wanted in metrics ? wanted : Object.keys(metrics)[0];
  return name ? [name, metrics[name]] : null;
}

/** A chip with sign and word; update(job). */
export function stateChip() {
  const sign = h("span", { "aria-hidden": "true" });
  const word = h("span");
  const element = h("span", { class: "chip" }, sign, word);
  return {
    element,
    update(job) {
      const state = states[job.status] ?? { word: job.status, sign: "?" };
      setText(sign, state.sign);
      setText(word, job.cancel_requested && !isOver(job) ? "stopping" : state.word);
      setAttribute(element, "data-state", job.status);
    },
  };
}

export function progressBar(label) {
  const bar = h("progress", { max: 100, value: 0, "aria-label": label });
  return { element: bar, update: (percent) => { if (bar.value !== percent) bar.value = percent; } };
}

// ---- one row ------------------------------------------------------------------------------------

const rows = new WeakMap();

function createRow(job) {
  const name = h("a", { href: `#/jobs/${encodeURIComponent(job.id)}`, class: "job-name" });
  const about = h("span");
  const id = h("span", { class: "job-id" }, ` · ${job.id}`);
  const chip = stateChip();
  const bar = progressBar(`Progress of ${jobName(job)}`);
  const where = h("span", { class: "num" });
  const metric = h("span", { class: "num" });
  const left = h("span", { class: "num" });
  const element = h("li", { class: "job" },
    h("div", { class: "job-title" }, name, h("span", { class: "job-about" }, about, id)),
    h("div", { class: "job-state" }, chip.element),
    h("div", { class: "job-progress" }, bar.element, where),
    h("div", { class: "job-metric" }, metric),
    h("div", { class: "job-time" }, left));
  rows.set(element, { name, about, chip, bar, where, metric, left });
  return element;
}

function timeOf(job) {
  if (job.status === "running" && job.progress.seconds_left !== null)
    return `${duration(job.progress.seconds_left)} left`;
  if (isOver(job)) return `${ago(job.finished_at)}`;
  if (job.forecast?.seconds) return `about ${duration(job.forecast.seconds)}`;
  return `created ${ago(job.created_at)}`;
}

function metricOf(job) {
  const main = mainMetric(job);
  if (main) return `${words(main[0])} ${number(main[1])}`;
  if (job.status === "failed") return job.error?.code ? words(job.error.code) : "";
  return job.progress.loss === null ? "" : `loss ${number(job.progress.loss)}`;
}

function updateRow(element, job) {
  const parts = rows.get(element);
  const { step, total_steps: total } = job.progress;
  setText(parts.name, jobName(job));
  setText(parts.about, `${job.model} · ${job.method?.type ?? ""}`);
  parts.chip.update(job);
  parts.bar.update(job.status === "succeeded" ? 100 : job.progress.percent);
  setText(parts.where, total ? `${number(step, 7)} / ${number(total, 7)}` : "");
  setText(parts.metric, metricOf(job));
  setText(parts.left, timeOf(job));
  parts.left.title = `created ${time(job.created_at)}`;
}

// ---- the page -----------------------------------------------------------------------------------

/** Says what has become of jobs since the last look. */
function tellChanges(before, jobs) {
  for (const job of jobs) {
    const old = before.get(job.id);
    if (old && old !== job.status) announce(`Job ${jobName(job)}: ${states[job.status]?.word ?? job.status}`);
    before.set(job.id, job.status);
  }
}

function makeFilter(onChange) {
  const name = newId("filter");
  const entries = [["", "all"], ...Object.entries(states).map(([id, s]) => [id, s.word])];
  const counts = new Map();
  const element = h("fieldset", { class: "filter" }, h("legend", { class: "unseen" }, "Show jobs that are"),
    entries.map(([id, word]) => {
      const n = h("span", { class: "num" });
      counts.set(id, n);
      return h("label", {},
        h("input", { type: "radio", name, value: id, checked: id === "", onchange: () => onChange(id) }),
        h("span", {}, `${word} `, n));
    }));
  return {
    element,
    update(byState) {
      let sum = 0;
      for (const [id, n] of Object.entries(byState)) {
        sum += n;
        if (counts.has(id)) setText(counts.get(id), n);
      }
      setText(counts.get(""), sum);
    },
  };
}

export async function showJobs(main, signal) {
  const list = h("ul", { class: "jobs", "aria-label": "Jobs" });
  const empty = h("p", { class: "empty", hidden: true });
  const older = h("button", { type: "button" }, "Older");
  const newer = h("button", { type: "button" }, "Newer");
  const place = h("span", { class: "muted" });
  const pager = h("nav", { class: "pager", "aria-label": "Pages of jobs" }, newer, place, older);
  const known = new Map();
  let cursors = [], wanted = "", last = null;

  const filter = makeFilter((id) => {
    wanted = id;
    cursors = [];
    refresh();
  });
  main.append(
    h("div", { class: "head" }, h("h1", {}, "Jobs"), h("a", { class: "button primary", href: "#/new" }, "New job")),
    filter.element,
    h("div", { class: "card flush" }, list, empty), pager);

  function show(page) {
    const jobs = wanted ? page.data.filter((job) => job.status === wanted) : page.data;
    tellChanges(known, page.data);
    keyed(list, jobs, (job) => job.id, createRow, updateRow);
    empty.hidden = jobs.length > 0;
    setText(empty, wanted || cursors.length
      ? `None of these ${page.data.length} jobs is ${states[wanted]?.word ?? "here"}.`
      : "No jobs yet. A new one needs a file of labelled text and a base model.");
    older.disabled = !page.has_more;
    newer.disabled = cursors.length === 0;
    pager.hidden = !page.has_more && cursors.length === 0;
    setText(place, `page ${cursors.length + 1}`);
    last = page.data.at(-1)?.id;
  }

  async function look() {
    const after = cursors.length ? `&after=${encodeURIComponent(cursors.at(-1))}` : "";
    const asked = wanted;
    const [page, ready] = await Promise.all([
      get(`${JOBS}?limit=${wanted ? PAGE_FILTERED : PAGE}${after}`, signal), get("readyz", signal)]);
    if (signal.aborted || asked !== wanted) return;
    filter.update(ready.jobs);
    show(page);
  }
  const refresh = () => look().catch((error) => signal.aborted || setText(place, error.message));
  older.addEventListener("click", () => { cursors.push(last); refresh(); });
  newer.addEventListener("click", () => { cursors.pop(); refresh(); });
  await poll(look, signal);
}
