// job.js - one job: where it stands, its curves, layers, events, settings, and what can be done.

import { all, download, get, jobPath, poll, post, remove } from "./api.js";
import { plot, smooth } from "./curves.js";
import { announce, errorBox, fact, h, keyed, newId, section, setText, table } from "./dom.js";
import { bytes, clock, count, duration, number, sentence, time, words } from "./format.js";
import { heatmap } from "./heatmap.js";
import { isOver, jobName, mainMetric, progressBar, settingsOf, stateChip, states } from "./jobs.js";
import { tryBox } from "./models.js";

// ---- what can be done ---------------------------------------------------------------------------

const doing = {
  pause: { word: "Pause", when: (job) => ["running", "queued"].includes(job.status) && !job.cancel_requested },
  resume: { word: "Resume", when: (job) => job.status === "paused" },
  cancel: { word: "Cancel", when: (job) => !isOver(job) && !job.cancel_requested,
    ask: "Stop this job? Its best adapter so far is kept; it cannot go on later." },
  delete: { word: "Delete", when: isOver,
    ask: "Delete this job with its adapter, curves and events? This cannot be undone." },
};

/** Asks in a dialog of the page; resolves to whether the answer was yes. */
function askFirst(question, word) {
  return new Promise((resolve) => {
    const dialog = h("dialog", { "aria-label": word },
      h("p", {}, question),
      h("div", { class: "row end" },
        h("button", { type: "button", class: "quiet", onclick: () => dialog.close("") }, "Keep it"),
        h("button", { type: "button", class: "danger", onclick: () => dialog.close("yes") }, word)));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

function actions(id, onJob) {
  const trouble = h("div");
  const buttons = Object.entries(doing).map(([name, { word, ask }]) => {
    const button = h("button", { type: "button", hidden: true, class: name === "delete" ? "danger" : "" }, word);
    button.addEventListener("click", async () => {
      if (ask && !(await askFirst(ask, word))) return;
      trouble.replaceChildren();
      button.disabled = true;
      try {
        if (name === "delete") {
          await remove(jobPath(id));
          announce("The job was deleted");
          location.hash = "#/jobs";
          return;
        }
        onJob(await post(jobPath(id, `/${name}`)));
      } catch (error) {
        trouble.replaceChildren(errorBox(error));
      } finally {
        button.disabled = false;
      }
    });
    return [name, button];
  });
  return {
    element: h("div", { class: "actions" }, h("div", { class: "row" }, buttons.map(([, button]) => button)), trouble),
    update: (job) => buttons.forEach(([name, button]) => { button.hidden = !doing[name].when(job); }),
  };
}

/** Whoever waits can be moved forward. */
function priority(id, onJob) {
  const input = h("input", { id: newId("priority"), class: "short", inputmode: "numeric", autocomplete: "off" });
  const said = h("p", { class: "hint", role: "status" });
  const form = h("form", { class: "field inline" },
    h("label", { for: input.id }, "Priority"), input, h("button", { type: "submit" }, "Set"), said);
  let shown = null;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const value = Number(input.value);
      onJob(await post(jobPath(id), { priority: Number.isFinite(value) && input.value.trim() ? value : input.value }));
      setText(said, "Set. Higher goes first.");
    } catch (error) {
      setText(said, error.message);
    }
  });
  return {
    element: form,
    update(job) {
      form.hidden = isOver(job) || job.status === "running";
      if (shown !== job.priority) input.value = job.priority;
      shown = job.priority;
    },
  };
}

// ---- where it stands ----------------------------------------------------------------------------

function standing() {
  const bar = progressBar("Progress of the job");
  const place = h("span", { class: "num" });
  const left = h("span", { class: "num" });
  const facts = {
    loss: fact("Training loss"), metric: fact("Metric"), epoch: fact("Epoch"), speed: fact("Tokens per second"),
    memory: fact("Memory"), time: fact("Trained for"), tokens: fact("Tokens trained"), nonzero: fact("Non-zeros of A"),
  };
  const error = h("div");
  const element = h("section", { class: "card", "aria-label": "Progress" },
    error, h("div", { class: "bar-row" }, bar.element, h("div", { class: "row between" }, place, left)),
    h("dl", { class: "facts" }, Object.values(facts).map((f) => f.element)));

  function showError(job) {
    const text = job.error ? `${job.error.message}${job.error.param ? ` (${job.error.param})` : ""}` : "";
    if (text && error.textContent !== text) error.replaceChildren(errorBox(text));
  }

  return {
    element,
    update(job, lastEvaluation) {
      const p = job.progress, main = mainMetric(job) ?? lastEvaluation;
      const elapsed = job.started_at ? (job.finished_at ?? Date.now() / 1000) - job.started_at : null;
      showError(job);
      bar.update(job.status === "succeeded" ? 100 : p.percent);
      setText(place, p.total_steps ? `step ${count(p.step)} of ${count(p.total_steps)}, ${Math.floor(p.percent)} %`
        : (states[job.status]?.word ?? job.status));
      setText(left, job.status === "running" && p.seconds_left !== null ? `${duration(p.seconds_left)} left`
        : job.finished_at ? `ended ${time(job.finished_at)}` : "");
      facts.loss.set(number(p.loss));
      facts.metric.rename(main ? sentence(words(main[0])) : "Metric");
      facts.metric.set(main ? number(main[1]) : "–");
      facts.epoch.set(number(p.epoch, 3));
      facts.speed.set(count(p.tokens_per_second));
      facts.memory.set(bytes(p.peak_memory_bytes ?? job.forecast?.memory_bytes)
        + (p.peak_memory_bytes || !job.forecast ? "" : " forecast"));
      facts.time.set(job.result?.seconds !== undefined ? duration(job.result.seconds) : duration(elapsed));
      facts.tokens.set(count(job.trained_tokens));
      facts.nonzero.set(job.result ? `${count(job.result.n_nonzero)} of ${count(job.result.n_prunable)}` : "–");
    },
  };
}

// ---- curves -------------------------------------------------------------------------------------

const evaluated = ["accuracy", "f1", "matthews", "pearson", "spearman"];
const isEvaluation = (row) => row.valid_loss !== undefined;
const pointsOf = (rows, name) =>
  rows.filter((row) => typeof row[name] === "number").map((row) => ({ x: row.step, y: row[name] }));

const numberColumns = ["step", "epoch", "train_loss", "learning_rate", "grad_norm", "tokens_per_second",
  "valid_loss", ...evaluated];

function csv(rows) {
  const names = numberColumns.filter((name) => rows.some((row) => row[name] !== undefined));
  return [names.join(","), ...rows.map((row) => names.map((name) => row[name] ?? "").join(","))].join("\n");
}

function saveText(text, name) {
  const href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  const link = h("a", { href, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(href), 10000);
}

function curves(id) {
  const loss = plot("Loss"), metric = plot("Evaluation"), rate = plot("Learning rate"), norm = plot("Gradient norm");
  const plots = [loss, metric, rate, norm];
  const numbers = h("div");
  const details = h("details", { ontoggle: () => details.open && drawNumbers() },
    h("summary", {}, "Evaluations as a table"), numbers,
    h("button", { type: "button", onclick: () => saveText(csv(rows), `${id}-metrics.csv`) }, "All steps as CSV"));
  let rows = [];

  function drawNumbers() {
    const names = numberColumns.filter((name) => rows.some((row) => isEvaluation(row) && row[name] !== undefined));
    numbers.replaceChildren(table("Evaluations", names.map(words),
      rows.filter(isEvaluation).map((row) => h("tr", {}, names.map((name) =>
        h("td", {}, name === "step" ? count(row[name]) : number(row[name]))))), { class: "numbers" }));
  }

  return {
    element: h("div", {}, h("div", { class: "plots" }, plots.map((p) => p.element)), details),
    show(all, job) {
      rows = all;
      const losses = pointsOf(rows, "train_loss");
      const baseline = job.result?.majority_baseline, first = losses[0]?.x, last = losses.at(-1)?.x;
      loss.show([
        { label: "training, smoothed", points: smooth(losses), colour: "--series-1" },
        { label: "training", points: losses, colour: "--series-faint", width: 1 },
        { label: "validation", points: pointsOf(rows, "valid_loss"), colour: "--series-2", dash: [5, 3], dots: "rectRot" }]);
      metric.show([
        ...evaluated.map((name, i) => ({ label: name, points: pointsOf(rows, name), colour: `--series-${1 + i}`,
          dash: [[], [6, 3], [2, 3], [], [6, 3]][i], dots: ["circle", "rectRot", "triangle", "circle", "rectRot"][i] }))
          .filter((set) => set.points.length > 0),
        ...(typeof baseline === "number" && first !== undefined ? [{ label: "most frequent label", colour: "--muted",
          points: [{ x: first, y: baseline }, { x: last, y: baseline }], dash: [1, 3], width: 1 }] : [])]);
      rate.show([{ label: "learning rate", points: pointsOf(rows, "learning_rate"), colour: "--series-1" }]);
      norm.show([{ label: "gradient norm", points: pointsOf(rows, "grad_norm"), colour: "--series-1", width: 1 }]);
      if (details.open) drawNumbers();
    },
    destroy: () => plots.forEach((p) => p.destroy()),
  };
}

// ---- events, settings, downloads ----------------------------------------------------------------

const levels = { info: "", warn: "warning", error: "error" };

function eventList() {
  const list = h("ol", { class: "events", tabindex: "0", "aria-label": "Events, newest first" });
  return {
    element: list,
    show(events) {
      keyed(list, events.toReversed(), (event) => event.id,
        (event) => h("li", { "data-level": event.level },
          h("time", { class: "num", datetime: new Date(event.created_at * 1000).toISOString() },
            clock(event.created_at)),
          levels[event.level] ? h("strong", {}, levels[event.level]) : null,
          h("span", {}, event.message)), () => {});
    },
  };
}

function settingsTable(job) {
  const rows = [
    ["id", job.id], ["model", job.model], ["method", job.method?.type], ["training file", job.training_file],
    ["validation file", job.validation_file ?? "none"], ["seed", job.seed], ["task", job.task?.type],
    ["metric", job.task?.metric], ["created", time(job.created_at)], ["started", time(job.started_at)],
    ...Object.entries(job.metadata ?? {}).map(([name, value]) => [`metadata: ${name}`, value]),
    ...Object.entries(settingsOf(job)).map(([name, value]) => [name, value]),
  ];
  const text = (value) => (typeof value === "object" ? JSON.stringify(value) : String(value));
  return h("dl", { class: "pairs" }, rows.map(([name, value]) =>
    h("div", {}, h("dt", {}, name), h("dd", {}, value === null || value === undefined ? "–" : text(value)))));
}

function downloads(job) {
  const trouble = h("div");
  const base = job.adapter.url.replace(/^\//, "");
  const button = (path, name, label, size) => h("li", {},
    h("button", { type: "button", onclick: async () => {
      trouble.replaceChildren();
      try {
        await download(path, name);
      } catch (error) {
        trouble.replaceChildren(errorBox(error));
      }
    } }, label), size === null ? null : h("span", { class: "num muted" }, size));
  const sum = job.adapter.files.reduce((n, file) => n + file.bytes, 0);
  return h("div", {},
    h("ul", { class: "downloads" },
      button(base, `${job.id}.tar`, "Adapter (tar)", bytes(sum)),
      job.adapter.files.map((file) =>
        button(`${base}/${encodeURIComponent(file.name)}`, file.name, file.name, bytes(file.bytes))),
      button(`${base}?rank=uniform`, `${job.id}-uniform.tar`, "One rank for all layers (tar)", null),
      button(`${base}?merged=true`, `${job.id}-merged.safetensors`, "Merged with the base (safetensors)", null)),
    trouble);
}

// ---- the page -----------------------------------------------------------------------------------

export async function showJob(main, signal, id) {
  const title = h("h1"), about = h("p", { class: "muted wrap" });
  const chip = stateChip(), stands = standing(), lines = curves(id), map = heatmap(), events = eventList();
  const settings = h("div"), files = h("div"), trying = h("div");
  const lower = priority(id, (job) => update(job)), act = actions(id, (job) => update(job));
  const rows = [], history = [], told = [];
  let job = null, layers = null, status = null, settingsShown = "";
  const fileSection = section("Adapter", files, trying);
  fileSection.hidden = true;

  main.append(
    h("p", { class: "crumb" }, h("a", { href: "#/jobs" }, "Jobs")),
    h("div", { class: "head" }, h("div", { class: "head-title" }, h("div", { class: "row" }, title, chip.element), about),
      act.element),
    h("div", { class: "page" },
      stands.element,
      section("Curves", lines.element),
      section("Layers and maps", map.element),
      fileSection,
      section("Events", events.element),
      section("Settings", lower.element, settings)));

  function lastEvaluation() {
    const row = rows.findLast(isEvaluation);
    const name = row && (job.task?.metric in row ? job.task.metric : evaluated.find((n) => n in row) ?? "valid_loss");
    return row ? [name, row[name]] : null;
  }

  function update(next) {
    job = next;
    document.title = `${jobName(job)} · prilorad`;
    setText(title, jobName(job));
    setText(about, `${job.fine_tuned_model ?? job.id} · on ${job.model}`);
    if (status && status !== job.status) announce(`The job is now ${states[job.status]?.word ?? job.status}`);
    status = job.status;
    chip.update(job);
    act.update(job);
    lower.update(job);
    stands.update(job, lastEvaluation());
    const text = JSON.stringify([job.method, job.task, job.started_at]);
    if (text !== settingsShown) settings.replaceChildren(settingsTable(job));
    settingsShown = text;
    if (job.adapter && isOver(job) && fileSection.hidden) {
      fileSection.hidden = false;
      files.replaceChildren(downloads(job));
      if (job.fine_tuned_model) trying.replaceChildren(h("h3", {}, "Try it"), tryBox(job.fine_tuned_model, signal));
    }
  }

  /** What has come to a list since the last look; false: nothing. */
  async function more(list, path, value) {
    const page = await all(jobPath(id, path), value, signal, list.length ? value(list.at(-1)) : undefined);
    list.push(...page);
    return page.length > 0;
  }

  /** A step's row may come before its evaluation, which is then merged into it: the last is asked again. */
  async function moreMetrics() {
    const last = rows.at(-1);
    const page = await all(jobPath(id, "/metrics?limit=10000"), (row) => row.step, signal,
      last ? Math.max(0, last.step - 1) : undefined);
    if (last && page.length) rows.pop();
    rows.push(...page);
    return JSON.stringify(last) !== JSON.stringify(rows.at(-1));
  }

  async function look() {
    const next = await get(jobPath(id), signal);
    const [hasSteps, , hasEvents] = await Promise.all([
      moreMetrics(),
      more(history, "/layers?history=1&limit=100", (row) => row.step),
      more(told, "/events?order=asc&limit=1000", (event) => event.id),
      get(jobPath(id, "/layers"), signal).then((current) => { layers = current; })]);
    if (signal.aborted) return false;
    const hasChanged = job?.status !== next.status;
    update(next);
    if (hasSteps || hasChanged) lines.show(rows, job);
    if (hasEvents) events.show(told);
    map.show(history, layers);
    return !isOver(job);
  }

  signal.addEventListener("abort", () => { lines.destroy(); map.destroy(); });
  await poll(look, signal);
}
