// job.js - the page of one job. One that is not over is followed by its live stream, and asked where
// that cannot be had; one that is over is read page by page.

import { actions, metadataForm, priorityForm } from "./actions.js";
import { all, get, isPassing, jobPath, pages } from "./api.js";
import { charts, evaluated } from "./charts.js";
import { announce, h, idTag, section, setText } from "./dom.js";
import { heatmap } from "./heatmap.js";
import { isOver, jobName, stateChip, states } from "./jobs.js";
import { downloads, eventList, settingsTable, standing } from "./parts.js";
import { ranksBox } from "./ranks.js";
import { newRecord } from "./record.js";
import { follow } from "./stream.js";
import { tryBox } from "./try.js";

const DRAW_MS = 500;         // between two drawings while much comes
const LAYERS_MS = 4000;      // between two looks at the maps between prunings
const METRICS_PAGE = 5000, HISTORY_PAGE = 20, EVENTS_PAGE = 1000;

/** Calls `draw` soon, once for many calls, and not while nobody looks. */
function lazily(draw, signal) {
  let timer = 0, isDue = false;
  const go = () => {
    timer = 0;
    if (signal.aborted || document.hidden || !isDue) return;
    isDue = false;
    draw();
    timer = setTimeout(go, DRAW_MS);
  };
  document.addEventListener("visibilitychange", go, { signal });
  signal.addEventListener("abort", () => clearTimeout(timer));
  return () => {
    isDue = true;
    timer ||= setTimeout(go, 0);
  };
}

// ---- what is shown ------------------------------------------------------------------------------

function makeView(main, id, signal, onJob) {
  const title = h("h1"), about = h("p", { class: "muted wrap about" });
  const chip = stateChip(), stands = standing(), events = eventList();
  const lines = charts(id, () => all(jobPath(id, `/metrics?limit=${METRICS_PAGE}`), (row) => row.step, signal));
  const map = heatmap(async (step) => (step === undefined ? (await get(jobPath(id, "/layers"), signal)).data
    : (await get(jobPath(id, `/layers?history=1&limit=1${step > 0 ? `&after=${step - 1}` : ""}`), signal)).data[0].layers));
  const settings = h("div"), files = h("div"), trying = h("div"), evidence = h("div");
  const changes = [priorityForm(id, onJob), metadataForm(id, onJob), actions(id, onJob)];
  const [first, written, act] = changes;
  const fileSection = section("Adapter", h("div", { class: "adapter" }, files, trying));
  const curveSection = section("Curves", lines.element), mapSection = section("Layers and maps", map.element, evidence);
  let status = null, settingsShown = "", aboutShown = "";
  fileSection.hidden = true;

  main.append(
    h("p", { class: "crumb" }, h("a", { href: "#/jobs" }, "← All jobs")),
    h("div", { class: "head" }, h("div", { class: "head-title" }, h("div", { class: "row" }, title, chip.element), about),
      act.element),
    h("div", { class: "page" },
      stands.element,
      fileSection,
      curveSection, mapSection,
      section("Events", events.element),
      section("Settings", first.element, settings, written.element)));

  function showAbout(job) {
    const text = `${job.id} ${job.model} ${job.fine_tuned_model}`;
    if (text === aboutShown) return;
    aboutShown = text;
    about.replaceChildren(idTag(job.id, "job's id"), ` on ${job.model}`,
      ...(job.fine_tuned_model ? [" · adapter ", idTag(job.fine_tuned_model, "adapter's name", true)] : []));
  }

  function showFiles(job) {
    if (!job.adapter || !isOver(job) || !fileSection.hidden) return;
    fileSection.hidden = false;
    files.replaceChildren(downloads(job));
    if (job.method?.type !== "head") evidence.replaceChildren(ranksBox(id, signal));
    if (job.fine_tuned_model) trying.replaceChildren(h("h3", {}, "Try it"), tryBox(job.fine_tuned_model, job.task?.type, signal));
  }

  return {
    show(record, current, job) {
      lines.show(record.rows, job);
      map.show(record, current);
      events.show(record.events);
      curveSection.hidden = isOver(job) && record.rows.length === 0;
      mapSection.hidden = isOver(job) && record.frames.length === 0;
    },
    update(job, evaluation) {
      document.title = `${jobName(job)} · prilorad`;
      setText(title, jobName(job));
      showAbout(job);
      if (status && status !== job.status) announce(`The job is now ${states[job.status]?.word ?? job.status}`);
      status = job.status;
      chip.update(job);
      changes.forEach((change) => change.update(job));
      stands.update(job, evaluation);
      const text = JSON.stringify([job.method, job.task, job.started_at, job.finished_at, job.metadata, job.priority]);
      if (text !== settingsShown) settings.replaceChildren(settingsTable(job));
      settingsShown = text;
      showFiles(job);
    },
    destroy() {
      lines.destroy();
      map.destroy();
    },
  };
}

/** The last evaluation's figure that the job goes by: [name, value], or null. */
function evaluationOf(row, job) {
  if (!row) return null;
  const name = job.task?.metric in row ? job.task.metric : evaluated.find((n) => n in row) ?? "valid_loss";
  return [name, row[name]];
}

// ---- where it comes from ------------------------------------------------------------------------

/** Asks for what `record` has not yet; changed() after each page. */
async function readNew(id, record, changed, signal) {
  const before = (rows) => (rows.length ? Math.max(0, rows.at(-1).step - 1) : undefined);
  const take = (add) => (page) => {
    page.forEach(add);
    if (page.length) changed();
  };
  await Promise.all([
    pages(jobPath(id, `/metrics?limit=${METRICS_PAGE}`), (row) => row.step, take(record.addStep), signal, before(record.rows)),
    pages(jobPath(id, `/events?order=asc&limit=${EVENTS_PAGE}`), (event) => event.id, take(record.addEvent), signal,
      record.events.at(-1)?.id)]);
  await pages(jobPath(id, `/layers?history=1&limit=${HISTORY_PAGE}`), (row) => row.step, take(record.addPruning), signal,
    before(record.frames));
}

export async function showJob(main, signal, id) {
  const record = newRecord();
  let job = await get(jobPath(id), signal), current = null, layersAt = 0, isGone = false, nChanges = 0;
  if (signal.aborted) return;
  const view = makeView(main, id, signal, (next) => {
    nChanges += 1;
    job = next;
    draw();
  });
  signal.addEventListener("abort", view.destroy);

  /** Maps between two prunings, which no message tells of. */
  async function lookAtLayers() {
    if (job.status !== "running" || Date.now() - layersAt < LAYERS_MS) return;
    layersAt = Date.now();
    const { step, data } = await get(jobPath(id, "/layers"), signal);
    current = data.length ? record.frameOf({ step, layers: data }) : null;
    draw();
  }

  const draw = lazily(() => {
    const shown = isOver(job) ? null : current;
    view.update(job, evaluationOf(record.lastEvaluation(), job));
    view.show(record, shown, job);
    lookAtLayers().catch(() => {}); // the indicator tells of it
  }, signal);

  const take = {
    job: (data) => { job = data; },
    progress: (data) => { job = { ...job, ...data }; },
    metrics: record.addStep,
    layers: record.addPruning,
    message: record.addEvent,
    end: (data) => { isGone = data.status === "deleted"; },
  };

  async function ask() {
    try {
      const before = nChanges, found = await get(jobPath(id), signal);
      if (before === nChanges) job = found; // else it may be from before the change
      await readNew(id, record, draw, signal);
    } catch (error) {
      if (!isPassing(error)) throw error;
    }
    draw();
    return true;
  }

  view.update(job, null);
  draw();
  if (isOver(job)) {
    await readNew(id, record, draw, signal);
    if (!record.frames.length) {
      const { step, data } = await get(jobPath(id, "/layers"), signal);
      if (data.length) record.addPruning({ step, layers: data });
    }
    return draw();
  }
  await follow(jobPath(id, "/events"), (type, data) => {
    take[type]?.(data);
    draw();
  }, ask, signal);
  if (isGone) main.replaceChildren(h("h1", {}, "Job"), h("p", {}, "This job was deleted. ", h("a", { href: "#/jobs" }, "All jobs")));
  else if (!signal.aborted) await ask();
  return undefined;
}
