// experiments.js - grids of jobs: their list, and one with its table as it fills.

import { askFirst } from "./actions.js";
import { get, poll, post, remove } from "./api.js";
import { announce, errorBox, fact, h, idTag, keyed, moment, newId, section, setText, table } from "./dom.js";
import { download } from "./download.js";
import { count, duration, number, sentence, shortId, words } from "./format.js";
import { isOver, progressBar, stateChip, states } from "./jobs.js";

const EXPERIMENTS = "v1/experiments";
const BUSY_MS = 2000, IDLE_MS = 8000, MOST_RUNS = 300;

const pathOf = (id, rest = "") => `${EXPERIMENTS}/${encodeURIComponent(id)}${rest}`;
const nameOf = (e) => e.name ?? shortId(e.id);
const overIn = (jobs) => jobs.succeeded + jobs.failed + jobs.cancelled;
const many = (list, word) => `${count(list.length)} ${word}${list.length === 1 ? "" : "s"}`;
const gridOf = (e) => [many(e.methods, "method"), many(e.tasks, "task"), many(e.seeds, "seed")].join(" × ");

// ---- the list -----------------------------------------------------------------------------------

const rows = new WeakMap();

function createRow(e) {
  const chip = stateChip(), bar = progressBar(`Progress of ${nameOf(e)}`), when = moment();
  const where = h("span", { class: "num" });
  const element = h("li", { class: "job" },
    h("div", { class: "job-title" },
      h("a", { href: `#/experiments/${encodeURIComponent(e.id)}`, class: "job-name" }, nameOf(e)),
      h("span", { class: "job-about" }, `${e.model} · ${gridOf(e)}`)),
    h("div", { class: "job-state" }, chip.element),
    h("div", { class: "job-progress" }, bar.element, where),
    h("div", { class: "job-metric" }),
    h("div", { class: "job-time" }, when.element));
  rows.set(element, { chip, bar, where, when });
  return element;
}

const jobsOf = (e) => `${count(overIn(e.jobs))} of ${count(e.n_cells)} jobs`
  + (e.jobs.failed ? `, ${count(e.jobs.failed)} failed` : "");

function updateRow(element, e) {
  const { chip, bar, where, when } = rows.get(element);
  chip.update(e);
  bar.update(e.progress.percent, e.status);
  setText(where, jobsOf(e));
  when.set(e.finished_at ?? e.created_at);
}

export async function showExperiments(main, signal) {
  const list = h("ul", { class: "jobs", "aria-label": "Experiments" });
  const empty = h("p", { class: "empty", hidden: true },
    "No experiments yet. One runs every method on every task with every seed, and ends in a table: ",
    h("code", {}, "prilora experiment submit"), ", or POST /v1/experiments.");
  const more = h("p", { class: "empty", hidden: true }, "Older ones are listed by the command line.");
  main.append(h("h1", {}, "Experiments"), h("div", { class: "card flush" }, list, empty, more));
  await poll(async () => {
    const page = await get(`${EXPERIMENTS}?limit=50`, signal);
    if (signal.aborted) return false;
    keyed(list, page.data, (e) => e.id, createRow, updateRow);
    empty.hidden = page.data.length > 0;
    more.hidden = !page.has_more;
    return page.data.some((e) => e.status === "running") ? BUSY_MS : IDLE_MS;
  }, signal);
}

// ---- what can be done to one --------------------------------------------------------------------

const steps = {
  pause: { word: "Pause", when: (e) => e.status === "running" },
  resume: { word: "Resume", when: (e) => e.jobs.paused > 0 },
  retry: { word: "Retry", when: (e) => e.jobs.failed + e.jobs.cancelled > 0 },
  cancel: { word: "Cancel", when: (e) => !isOver(e), yes: "Cancel all jobs", no: "Keep them running",
    ask: "Cancel all jobs of this experiment that are not over?" },
  delete: { word: "Delete", when: isOver, yes: "Delete the experiment", no: "Keep it",
    ask: "Delete this experiment with all its jobs and their adapters? This cannot be undone." },
};

function actions(id, onChange) {
  const trouble = h("div");
  const buttons = Object.entries(steps).map(([name, step]) => {
    const button = h("button", { type: "button", hidden: true, class: name === "delete" ? "danger" : "" }, step.word);
    button.addEventListener("click", async () => {
      if (step.ask && !(await askFirst(step))) return;
      trouble.replaceChildren();
      button.disabled = true;
      try {
        if (name === "delete") {
          await remove(pathOf(id));
          announce("The experiment was deleted");
          location.hash = "#/experiments";
        } else {
          onChange(await post(pathOf(id, `/${name}`)));
        }
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
    update: (e) => buttons.forEach(([name, button]) => { button.hidden = !steps[name].when(e); }),
  };
}

// ---- the table ----------------------------------------------------------------------------------

const spread = ({ n, mean, sd }, nSeeds) => {
  const value = n === 0 ? "–" : n === 1 ? number(mean) : `${number(mean)} ± ${number(sd, 2)}`;
  return n < nSeeds ? `${value} (${n} of ${nSeeds})` : value;
};

const range = (values) => {
  const known = values.filter((value) => value !== null);
  if (!known.length) return "–";
  const [least, most] = [Math.min(...known), Math.max(...known)];
  return least === most ? count(least) : `${count(least)} – ${count(most)}`;
};

function resultTable(r) {
  const { tasks, seeds, averages } = r;
  const heads = ["Method", ...tasks.map((t) => (t.metric ? `${t.name}, ${words(t.metric)}` : t.name)),
    ...(tasks.length > 1 ? ["Mean"] : []), "Trainable", "Not zero", "Training"];
  return table("Mean and standard deviation over the seeds", heads, averages.map((average) => {
    const cells = r.cells.filter((cell) => cell.method === average.method);
    const seconds = cells.reduce((sum, cell) => sum + (cell.seconds ?? 0) * cell.n, 0);
    return h("tr", {}, h("th", { scope: "row" }, average.method),
      cells.map((cell) => h("td", {}, spread(cell, seeds.length),
        cell.n_failed ? h("span", { class: "failed" }, ` ${cell.n_failed} failed`) : null)),
      tasks.length > 1 ? h("td", {}, spread(average, seeds.length)) : null,
      h("td", {}, range(cells.map((cell) => cell.n_trainable))),
      h("td", {}, range(cells.map((cell) => cell.n_nonzero))),
      h("td", {}, seconds ? duration(seconds) : "–"));
  }), { class: "numbers grid" });
}

const signed = (x) => (x === null ? "–" : `${x > 0 ? "+" : ""}${number(x)}`);

function comparisonTable({ method, baseline, tasks, all }) {
  const lines = tasks.length > 1 ? [...tasks, { ...all, task: "all" }] : tasks;
  return table(`${method} minus ${baseline}`,
    [`${method} − ${baseline}`, "Pairs", "Difference", "t", "p, paired t", "W", "p, signed ranks"],
    lines.map((line) => h("tr", {}, h("th", { scope: "row" }, line.task), h("td", {}, count(line.n)),
      h("td", {}, signed(line.difference)), h("td", {}, number(line.t_test.t)), h("td", {}, number(line.t_test.p, 3)),
      h("td", {}, number(line.wilcoxon.w)), h("td", {}, number(line.wilcoxon.p, 3)))), { class: "numbers grid" });
}

function runTable(r) {
  const runs = r.cells.flatMap((cell) => cell.runs.map((run) => ({ ...run, cell })));
  runs.sort((a, b) => (b.error !== null) - (a.error !== null));
  const shown = runs.slice(0, MOST_RUNS);
  return [
    table("The jobs", ["Method", "Task", "Seed", "State", "Value", "Job"], shown.map(({ cell, seed, status, value, job_id: id, error }) =>
      h("tr", {}, h("td", {}, cell.method), h("td", {}, cell.task), h("td", {}, String(seed)),
        h("td", {}, states[status]?.word ?? status), h("td", { class: "text" }, error ?? number(value)),
        h("td", {}, id ? h("a", { class: "job-link", href: `#/jobs/${encodeURIComponent(id)}` }, shortId(id)) : "–"))), { class: "rows" }),
    runs.length > shown.length ? h("p", { class: "hint" }, `${count(shown.length)} of ${count(runs.length)}`) : null,
  ].filter(Boolean);
}

// ---- one experiment -----------------------------------------------------------------------------

function chooser(label, onChange) {
  const select = h("select", { id: newId("choice"), onchange: () => onChange() });
  let known = "";
  return {
    element: h("div", { class: "field inline" }, h("label", { for: select.id }, label), select),
    get value() { return select.value; },
    /** [value, text] pairs; what is chosen stays so. */
    offer(pairs) {
      const text = JSON.stringify(pairs);
      if (text === known) return;
      known = text;
      const chosen = select.value;
      select.replaceChildren(...pairs.map(([value, word]) => h("option", { value, selected: value === chosen }, word)));
    },
  };
}

function downloads(e, query) {
  const trouble = h("div");
  const save = (format, ending) => h("button", { type: "button", onclick: async () => {
    trouble.replaceChildren();
    try {
      await download(pathOf(e.id, `/results?${query(format)}`), `${e.name ?? e.id}.${ending}`);
    } catch (error) {
      trouble.replaceChildren(errorBox(error));
    }
  } }, `Save as ${sentence(format === "csv" ? "CSV" : format)}`);
  return h("div", {}, h("div", { class: "row" }, save("csv", "csv"), save("markdown", "md")), trouble);
}

export async function showExperiment(main, signal, id) {
  let e = await get(pathOf(id), signal);
  if (signal.aborted) return;
  const chip = stateChip(), bar = progressBar("Progress"), facts = {
    jobs: fact("Jobs over"), running: fact("Running"), failed: fact("Failed"), left: fact("Time left"),
  };
  const metric = chooser("Metric", () => refresh()), pair = chooser("Compare", () => refresh());
  const results = h("div"), comparisons = h("div"), runs = h("div");
  const query = (format) => new URLSearchParams([["format", format],
    ...(metric.value ? [["metric", metric.value]] : []), ...(pair.value ? [["compare", pair.value]] : [])]).toString();
  const act = actions(id, (changed) => { showState(changed); refresh(); });
  let shown = "";

  function showState(now) {
    if (now.status !== e.status) announce(`Experiment ${nameOf(now)}: ${states[now.status]?.word ?? now.status}`);
    e = now;
    chip.update(e);
    act.update(e);
    bar.update(e.progress.percent, e.status);
    facts.jobs.set(`${count(overIn(e.jobs))} of ${count(e.n_cells)}`);
    facts.running.set(count(e.jobs.running));
    facts.failed.set(count(e.jobs.failed + e.jobs.cancelled));
    facts.left.set(e.estimated_finish ? duration(Math.max(0, e.estimated_finish - Date.now() / 1000)) : "–");
  }

  function showResults(r) {
    const text = JSON.stringify(r);
    if (text === shown) return;
    shown = text;
    metric.offer([["", "that each task is judged by"],
      ...[...new Set(r.tasks.flatMap((t) => t.metrics))].map((name) => [name, words(name)])]);
    results.replaceChildren(resultTable(r));
    comparisons.replaceChildren(...r.comparisons.map(comparisonTable));
    runs.replaceChildren(...runTable(r));
  }

  async function look() {
    const [now, r] = await Promise.all([get(pathOf(id), signal), get(pathOf(id, `/results?${query("json")}`), signal)]);
    if (signal.aborted) return false;
    showState(now);
    showResults(r);
    return isOver(e) || e.status === "paused" ? IDLE_MS : BUSY_MS;
  }
  const refresh = () => look().catch((error) => signal.aborted || results.replaceChildren(errorBox(error)));

  const names = e.methods.map((m) => m.name);
  pair.offer([["", "the first with all others"],
    ...names.flatMap((a) => names.filter((b) => b !== a).map((b) => [`${a},${b}`, `${a} with ${b}`]))]);
  pair.element.hidden = names.length < 2;
  main.append(
    h("div", { class: "head" },
      h("div", { class: "head-title" },
        h("p", { class: "crumb" }, h("a", { href: "#/experiments" }, "Experiments")),
        h("h1", {}, nameOf(e)),
        h("p", { class: "row" }, chip.element, h("span", { class: "muted" }, `${e.model} · ${gridOf(e)}`), idTag(e.id))),
      act.element),
    h("div", { class: "page" },
      section("Progress", h("div", { class: "bar-row" }, bar.element),
        h("dl", { class: "facts" }, Object.values(facts).map((f) => f.element))),
      section("Results", h("div", { class: "controls" }, metric.element, downloads(e, query)), results),
      ...(names.length > 1 ? [section("Differences, seed by seed", h("div", { class: "controls" }, pair.element), comparisons)] : []),
      section("Jobs", runs)));
  await poll(look, signal);
}
