// charts.js - the curves of one job: loss, evaluations, learning rate, gradient norm.

import { plot, smooth } from "./curves.js";
import { errorBox, h, table } from "./dom.js";
import { saveText } from "./download.js";
import { count, number, words } from "./format.js";
import { isEvaluation } from "./record.js";

export const evaluated = ["accuracy", "f1", "exact_match", "precision", "recall", "matthews", "pearson", "spearman"];

const pointsOf = (rows, name) =>
  rows.filter((row) => typeof row[name] === "number").map((row) => ({ x: row.step, y: row[name] }));

const numberColumns = ["step", "epoch", "train_loss", "learning_rate", "grad_norm", "tokens_per_second",
  "valid_loss", ...evaluated];

function csv(rows) {
  const names = numberColumns.filter((name) => rows.some((row) => row[name] !== undefined));
  return [names.join(","), ...rows.map((row) => names.map((name) => row[name] ?? "").join(","))].join("\n");
}

const dashes = [[], [6, 3], [2, 3], [8, 3, 2, 3]]; // no task has more metrics
const marks = ["circle", "rectRot", "triangle", "rect"];

/** {element, show(rows, job), destroy}; askAll() gives every step, for the file. */
export function charts(name, askAll) {
  const loss = plot("Loss"), metric = plot("Evaluation"), rate = plot("Learning rate"), norm = plot("Gradient norm");
  const plots = [loss, metric, rate, norm];
  const numbers = h("div"), trouble = h("div");
  const save = h("button", { type: "button", onclick: async () => {
    trouble.replaceChildren();
    save.disabled = true;
    try {
      saveText(csv(await askAll()), `${name}-metrics.csv`, "text/csv");
    } catch (error) {
      trouble.replaceChildren(errorBox(error));
    } finally {
      save.disabled = false;
    }
  } }, "All steps as CSV");
  const details = h("details", { ontoggle: () => details.open && drawNumbers() },
    h("summary", {}, "Evaluations as a table"), numbers, save, trouble);
  const empty = h("p", { class: "empty" }, "Curves appear with the first step.");
  const content = h("div", { hidden: true }, h("div", { class: "plots" }, plots.map((p) => p.element)), details);
  let rows = [];
  const range = () => [rows[0].step, rows.at(-1).step];

  function drawNumbers() {
    const found = rows.filter(isEvaluation);
    const names = numberColumns.filter((column) => found.some((row) => row[column] !== undefined));
    numbers.replaceChildren(found.length
      ? table("Evaluations", names.map(words), found.map((row) => h("tr", {}, names.map((column) =>
        h("td", {}, column === "step" ? count(row[column]) : number(row[column]))))), { class: "numbers" })
      : h("p", { class: "muted" }, "No evaluation yet."));
  }

  function drawMetric(job) {
    const baseline = job.result?.majority_baseline;
    metric.show([
      ...evaluated.map((column) => ({ label: words(column), points: pointsOf(rows, column) }))
        .filter((set) => set.points.length > 0)
        .map((set, i) => ({ ...set, colour: `--series-${1 + i}`, dash: dashes[i], dots: marks[i] })),
      ...(typeof baseline === "number" && rows.length ? [{ label: "always the most frequent label", colour: "--muted",
        points: [{ x: rows[0].step, y: baseline }, { x: rows.at(-1).step, y: baseline }], dash: [1, 3], width: 1 }] : [])], range());
  }

  return {
    element: h("div", {}, empty, content),
    show(all, job) {
      rows = all;
      empty.hidden = rows.length > 0;
      content.hidden = rows.length === 0;
      if (!rows.length) return;
      const losses = pointsOf(rows, "train_loss");
      loss.show([
        { label: "training, smoothed", points: smooth(losses), colour: "--series-1" },
        { label: "training", points: losses, colour: "--series-faint", width: 1 },
        { label: "validation", points: pointsOf(rows, "valid_loss"), colour: "--series-2", dash: [5, 3], dots: "rectRot" }]
        .filter((set) => set.points.length > 0), range());
      drawMetric(job);
      rate.show([{ label: "learning rate", points: pointsOf(rows, "learning_rate"), colour: "--series-1" }], range());
      norm.show([{ label: "gradient norm", points: pointsOf(rows, "grad_norm"), colour: "--series-1", width: 1 }], range());
      if (details.open) drawNumbers();
    },
    destroy: () => plots.forEach((p) => p.destroy()),
  };
}
