// ranks.js - what the directions of a finished adapter carry, and the ranks that this suggests for a
// next job. Working it out takes the server a while, so it is asked when somebody opens the box.

import { get, jobPath } from "./api.js";
import { errorBox, h, table } from "./dom.js";
import { count, number, percent, words } from "./format.js";

const layerColumns = [
  ["layer", (a) => count(a.layer + 1)], ["rank", (a) => count(a.before)], ["suggested", (a) => count(a.rank)],
  ["of all update", (a) => percent(a.energy)], ["lower half", (a) => percent(a.lower_share)], ["kept", (a) => percent(a.held)],
  ["why", (a) => a.reason],
];

const mapColumns = [
  ["layer", (m) => count(m.layer + 1)], ["map", (m) => words(m.map)], ["rank", (m) => count(m.rank)],
  ["of the weight", (m) => percent(m.update.relative)], ["lower half", (m) => percent(m.update.lower_share)],
  ["effective rank", (m) => number(m.update.effective_rank, 3)], ["holds 90 %", (m) => count(m.update.rank_90)],
  ["99 %", (m) => count(m.update.rank_99)],
  ["by inputs: of the weight", (m) => percent(m.output?.relative)], ["lower half", (m) => percent(m.output?.lower_share)],
  ["effective rank", (m) => number(m.output?.effective_rank, 3)], ["holds 99 %", (m) => count(m.output?.rank_99)],
  ["mean input", (m) => number(m.input?.mean, 3)],
];

const rowsOf = (columns, list, Cell) => list.map((one) => h("tr", {}, columns.map(([name, text]) => Cell(name, text(one)))));
const cell = (_name, text) => h("td", {}, text);
const layerCell = (name, text) => h("td", { class: name === "why" ? "text" : "num" }, text);
const heads = (columns) => columns.map(([name]) => name);

function show(jobId, { suggestion, reason, maps }) {
  const every = h("details", {}, h("summary", {}, "Every map"),
    h("p", { class: "hint" }, "Shares are of the energy, the squared singular values, of s·B·A; by inputs, of s·B·A·diag(x̄): "
      + "weighted by the norms of the input's columns as pruning has accumulated them."),
    table("What every map's directions carry", heads(mapColumns), rowsOf(mapColumns, maps, cell), { class: "numbers" }));
  if (!suggestion) return [h("p", {}, reason), every];
  return [
    h("p", {}, suggestion.reason),
    table("Ranks by layer, as they were and as suggested", heads(layerColumns),
      rowsOf(layerColumns, suggestion.layers, layerCell), { class: "rows" }),
    h("p", {}, h("a", { class: "button", href: `#/new?ranks_from=${encodeURIComponent(jobId)}` }, "Use these ranks"), " ",
      h("span", { class: "hint" }, `in a new job with this one's settings: ${suggestion.ranks.join(", ")}; `
        + `${count(suggestion.parameters_after)} adapter parameters instead of ${count(suggestion.parameters_before)}`)),
    every];
}

/** A closed box that asks when it is opened. */
export function ranksBox(jobId, signal) {
  const content = h("div", { "aria-live": "polite" });
  let isAsked = false;
  return h("details", { ontoggle: async () => {
    if (isAsked) return;
    isAsked = true;
    content.replaceChildren(h("p", { class: "muted" }, "Taking the singular values of every map …"));
    try {
      content.replaceChildren(...show(jobId, await get(jobPath(jobId, "/ranks"), signal)));
    } catch (error) {
      isAsked = false; // opened again it asks again
      if (!signal.aborted) content.replaceChildren(errorBox(error));
    }
  } }, h("summary", {}, "What the ranks carry, and ranks for a next job"), content);
}
