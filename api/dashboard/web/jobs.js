// jobs.js - the list of jobs, and what one job's state looks like anywhere.

import { get, JOBS, poll } from "./api.js";
import { announce, h, keyed, moment, newId, setAttribute, setText } from "./dom.js";
import { ago, count, duration, number, percent, shortId, words } from "./format.js";

const PAGE = 20;
const BUSY_MS = 1500, IDLE_MS = 5000;

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
      setText(word, isOver(job) ? state.word : job.cancel_requested ? "cancelling"
        : job.pause_requested ? "pausing" : state.word);
      setAttribute(element, "data-state", job.status);
    },
  };
}

/** update(percent, state): the state colours it. */
export function progressBar(label) {
  const bar = h("progress", { max: 100, value: 0, "aria-label": label });
  return {
    element: bar,
    update(part, state = "running") {
      if (bar.value !== part) bar.value = part;
      setAttribute(bar, "data-state", state);
    },
  };
}

// ---- one row ------------------------------------------------------------------------------------

const rows = new WeakMap();

function createRow(job) {
  const name = h("a", { href: `#/jobs/${encodeURIComponent(job.id)}`, class: "job-name" });
  const about = h("span");
  const id = h("span", { class: "job-id", title: job.id }, ` · ${shortId(job.id)}`);
  const chip = stateChip();
  const bar = progressBar(`Progress of ${jobName(job)}`);
  const where = h("span", { class: "num" });
  const metric = h("span", { class: "num" });
  const when = moment();
  const element = h("li", { class: "job" },
    h("div", { class: "job-title" }, name, h("span", { class: "job-about" }, about, id)),
    h("div", { class: "job-state" }, chip.element),
    h("div", { class: "job-progress" }, bar.element, where),
    h("div", { class: "job-metric" }, metric),
    h("div", { class: "job-time" }, when.element));
  rows.set(element, { name, about, chip, bar, where, metric, when });
  return element;
}

function showTime(when, job) {
  if (job.status === "running" && job.progress.seconds_left !== null)
    when.set(job.estimated_finish, `${duration(job.progress.seconds_left)} left`);
  else if (isOver(job)) when.set(job.finished_at);
  else when.set(job.created_at, `added ${ago(job.created_at)}`);
}

function metricOf(job) {
  const main = mainMetric(job);
  if (main) return `${words(main[0])} ${number(main[1])}`;
  if (job.status === "failed") return job.error?.message ?? "";
  return job.progress.loss === null ? "" : `loss ${number(job.progress.loss)}`;
}

function updateRow(element, job) {
  const parts = rows.get(element);
  const { step, total_steps: total, percent: part } = job.progress;
  setText(parts.name, jobName(job));
  setText(parts.about, `${job.base_model ?? job.model} · ${job.method?.type ?? ""}`);
  parts.chip.update(job);
  parts.bar.update(job.status === "succeeded" ? 100 : part, job.status);
  setText(parts.where, !total ? "" : isOver(job) ? `${count(step)} of ${count(total)} steps`
    : `${percent(part / 100, 0)}, step ${count(step)} of ${count(total)}`);
  parts.where.hidden = !parts.where.textContent;
  setText(parts.metric, metricOf(job));
  setAttribute(parts.metric, "title", parts.metric.textContent);
  parts.metric.classList.toggle("failed", job.status === "failed");
  showTime(parts.when, job);
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

/** One state or all: {element, update(counts by state)}. */
function makeFilter(chosen, onChange) {
  const name = newId("filter");
  const entries = [["", "all"], ...Object.entries(states).map(([id, s]) => [id, s.word])];
  const counts = new Map();
  const element = h("fieldset", { class: "filter" }, h("legend", { class: "unseen" }, "Show jobs that are"),
    entries.map(([id, word]) => {
      const n = h("span", { class: "num" });
      counts.set(id, n);
      return h("label", {},
        h("input", { type: "radio", name, value: id, checked: id === chosen, onchange: () => onChange(id) }),
        h("span", {}, word, n));
    }));
  return {
    element,
    update(byState) {
      let sum = 0;
      for (const [id, n] of Object.entries(byState)) {
        sum += n;
        if (counts.has(id)) setText(counts.get(id), n ? ` ${count(n)}` : "");
      }
      setText(counts.get(""), sum ? ` ${count(sum)}` : "");
      return sum;
    },
  };
}

/** Where somebody was who comes back from a job: of each page before, the id it began behind. */
let place = { status: "", cursors: [] };

function emptyText(status, nJobs) {
  if (!nJobs)
    return ["No jobs yet. A job trains a base model on a file of labelled texts, and gives an adapter. ",
      h("a", { href: "#/new" }, "Start the first one")];
  return [`No job is ${states[status]?.word ?? "here"}.`];
}

export async function showJobs(main, signal, _part, query) {
  const list = h("ul", { class: "jobs", "aria-label": "Jobs" });
  const empty = h("p", { class: "empty", hidden: true });
  const older = h("button", { type: "button" }, "Older");
  const newer = h("button", { type: "button" }, "Newer");
  const said = h("span", { class: "muted num", role: "status" });
  const pager = h("nav", { class: "pager", hidden: true, "aria-label": "Pages of jobs" }, newer, said, older);
  const known = new Map();
  const status = query.get("status") in states ? query.get("status") : "";
  if (place.status !== status) place = { status, cursors: [] };
  let last = null, asked = 0;

  const filter = makeFilter(status, (id) => {
    place = { status: id, cursors: [] };
    history.replaceState(null, "", id ? `#/jobs?status=${id}` : "#/jobs");
    refresh();
  });
  main.append(
    h("div", { class: "head" }, h("h1", {}, "Jobs"), h("a", { class: "button primary", href: "#/new" }, "New job")),
    filter.element,
    h("div", { class: "card flush" }, list, empty), pager);

  function show(page, nJobs) {
    const { cursors } = place;
    if (!page.data.length && cursors.length) { // they were deleted meanwhile
      cursors.pop();
      return refresh();
    }
    tellChanges(known, page.data);
    keyed(list, page.data, (job) => job.id, createRow, updateRow);
    empty.hidden = page.data.length > 0;
    if (!empty.hidden) empty.replaceChildren(...emptyText(place.status, nJobs));
    older.disabled = !page.has_more;
    newer.disabled = cursors.length === 0;
    pager.hidden = !page.has_more && cursors.length === 0;
    setText(said, `page ${cursors.length + 1}`);
    last = page.data.at(-1)?.id;
    return undefined;
  }

  async function look() {
    const mine = asked += 1;
    const { status: wanted, cursors } = place;
    const path = `${JOBS}?limit=${PAGE}${wanted ? `&status=${wanted}` : ""}`
      + (cursors.length ? `&after=${encodeURIComponent(cursors.at(-1))}` : "");
    const [page, ready] = await Promise.all([get(path, signal), get("readyz", signal)]);
    if (signal.aborted || mine !== asked) return BUSY_MS;
    await show(page, filter.update(ready.jobs));
    return ready.jobs.running || ready.jobs.queued || ready.jobs.validating_files ? BUSY_MS : IDLE_MS;
  }
  const refresh = () => look().catch((error) => signal.aborted || setText(said, error.message));
  older.addEventListener("click", () => { place.cursors.push(last); refresh(); window.scrollTo({ top: 0, behavior: "instant" }); });
  newer.addEventListener("click", () => { place.cursors.pop(); refresh(); window.scrollTo({ top: 0, behavior: "instant" }); });
  await poll(look, signal);
}
