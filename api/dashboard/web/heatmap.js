// heatmap.js - layers x maps as a table whose cells are coloured by one number, through all prunings.

import { plot } from "./curves.js";
import { h, keyed, newId, setAttribute, setText, table } from "./dom.js";
import { clock, count, number, percent, words } from "./format.js";

/** What a cell can show. `top` fixes the scale's end; else it is the greatest of all prunings. */
export const measures = {
  rank: { word: "rank", value: (map) => map.rank, text: (v) => count(v) },
  sparsity: { word: "sparsity", value: (map) => map.sparsity, text: (v) => percent(v, 0), top: 1 },
  n_nonzero: { word: "non-zeros of A", value: (map) => map.n_nonzero, text: (v) => count(v) },
  update_norm: { word: "update norm", value: (map) => map.update_norm, text: (v) => figures(v) },
  churn: { word: "churn", value: (map) => map.churn, text: (v) => percent(v, 1) },
};

/** Three figures, so that columns line up. */
const figures = (v) => (v >= 0.001 && v < 1000 ? v.toPrecision(3) : number(v, 3));

const shortNames = { attention_output: "attn out", intermediate: "ff in", output: "ff out",
  feed_forward_in: "ff in", feed_forward_out: "ff out", ffn_in: "ff in", ffn_out: "ff out" };
const shortName = (map) => shortNames[map] ?? words(map);

const columns = [
  ["layer", (m) => count(m.layer + 1)], ["map", (m) => words(m.map)], ["rank", (m) => count(m.rank)],
  ["scale", (m) => number(m.scale)], ["in", (m) => count(m.in_features)], ["out", (m) => count(m.out_features)],
  ["parameters", (m) => count(m.n_parameters)], ["entries of A", (m) => count(m.n_prunable)],
  ["non-zeros", (m) => count(m.n_nonzero)], ["sparsity", (m) => percent(m.sparsity)],
  ["norm of A", (m) => number(m.a_norm)], ["norm of B", (m) => number(m.b_norm)],
  ["update norm", (m) => number(m.update_norm)],
  ["input, least", (m) => number(m.input_min)], ["mean", (m) => number(m.input_mean)],
  ["greatest", (m) => number(m.input_max)], ["prunings", (m) => count(m.n_prunings)],
  ["last at step", (m) => count(m.last_pruning_step)], ["newly zero", (m) => count(m.last_pruned)],
  ["churn", (m) => percent(m.churn)],
];

/** {element, show(history, current), destroy}: history is rows of {step, layers}, current {step, data}. */
export function heatmap() {
  let frames = [], at = -1, measure = "rank", chosen = null, followsLast = true;

  const choose = () => {
    measure = select.value;
    draw();
  };
  const select = h("select", { id: newId("measure"), onchange: choose },
    Object.entries(measures).map(([id, m]) => h("option", { value: id }, m.word)));
  const slider = h("input", { type: "range", id: newId("pruning"), min: 0, max: 0, value: 0, step: 1,
    oninput: () => go(Number(slider.value)) });
  const place = h("output", { for: slider.id, class: "num" });
  const head = h("tr");
  const body = h("tbody");
  const caption = h("caption", { class: "unseen" });
  const low = h("span", { class: "num" }), high = h("span", { class: "num" });
  const line = plot("Over the prunings", { fromZero: true });
  const all = h("div");
  const details = h("details", { ontoggle: () => details.open && drawAll() },
    h("summary", {}, "All numbers as a table"), all);
  const empty = h("p", { class: "empty" },
    "Shown from the first pruning on, or half a second after training has begun.");
  const content = h("div", { hidden: true },
    h("div", { class: "controls" },
      h("div", { class: "field inline" }, h("label", { for: select.id }, "Colour and number"), select),
      h("div", { class: "field inline wide" }, h("label", { for: slider.id }, "Pruning"), slider, place)),
    h("div", { class: "heat-and-line" },
      h("div", {},
        h("div", { class: "scroll heat-scroll", tabindex: "0", role: "region", "aria-label": "Heat map" },
          h("table", { class: "heat" }, caption, h("thead", {}, head), body)),
        h("div", { class: "legend", "aria-hidden": "true" }, low, h("span", { class: "ramp" }), high)),
      line.element),
    details);
  const element = h("div", {}, empty, content);

  const nameOf = (map) => `layer ${map.layer + 1}, ${words(map.map)}`;
  const valueOf = (map) => measures[measure].value(map);

  function go(index) {
    at = index;
    followsLast = at === frames.length - 1;
    draw();
  }

  function scaleTop() {
    const { top } = measures[measure];
    if (top !== undefined) return top;
    let most = 0;
    for (const frame of frames) for (const map of frame.layers) most = Math.max(most, valueOf(map));
    return most || 1;
  }

  function createCell({ map }) {
    const button = h("button", { type: "button", class: "cell", onclick: () => {
      chosen = map.module;
      draw();
    } });
    return h("td", {}, button);
  }

  function updateCell(cell, { map, top }) {
    const value = valueOf(map), part = Math.min(1, Math.max(0, value / top));
    const button = cell.firstChild;
    setText(button, measures[measure].text(value));
    setAttribute(button, "aria-label", `${nameOf(map)}: ${measures[measure].word} ${button.textContent}`);
    setAttribute(button, "aria-pressed", String(map.module === chosen));
    button.style.setProperty("--part", part.toFixed(3));
    button.classList.toggle("middle", part > 0.53);
    button.classList.toggle("strong", part > 0.67);
  }

  function drawRows(frame, top) {
    const maps = [...new Set(frame.layers.map((m) => m.map))];
    const layers = [...new Set(frame.layers.map((m) => m.layer))].sort((a, b) => b - a);
    const find = new Map(frame.layers.map((m) => [`${m.layer}/${m.map}`, m]));
    keyed(head, ["layer", ...maps], (name) => name,
      (name) => h("th", { scope: "col" },
        name === "layer" ? "layer" : h("abbr", { title: words(name) }, shortName(name))),
      () => {});
    keyed(body, layers, (layer) => layer,
      (layer) => h("tr", {}, h("th", { scope: "row", "data-key": "head" }, layer + 1)),
      (row, layer) => {
        const cells = maps.map((name) => ({ name, map: find.get(`${layer}/${name}`), top }));
        keyed(row, [{ name: "head" }, ...cells], (cell) => cell.name,
          (cell) => (cell.map ? createCell(cell) : h("td", {}, "–")),
          (td, cell) => { if (cell.map) updateCell(td, cell); });
      });
  }

  function drawLine(frame) {
    const map = frame.layers.find((m) => m.module === chosen) ?? frame.layers[0];
    const points = frames.map((f) => ({ x: f.step, map: f.layers.find((m) => m.module === map?.module) }))
      .filter((p) => p.map && valueOf(p.map) !== null).map((p) => ({ x: p.x, y: valueOf(p.map) }));
    line.rename(`${nameOf(map)}: ${measures[measure].word} over the prunings`);
    line.show([{ label: measures[measure].word, points, colour: "--series-1", dots: "circle" }]);
  }

  function drawAll() {
    const frame = frames[at];
    all.replaceChildren(table(`Every adapted map at step ${frame.step}`, columns.map(([name]) => name),
      frame.layers.map((map) => h("tr", {}, columns.map(([, text]) => h("td", {}, text(map))))), { class: "numbers" }));
  }

  function draw() {
    const frame = frames[at];
    if (!frame) return;
    const top = scaleTop();
    chosen ??= frame.layers[0]?.module;
    slider.max = frames.length - 1;
    slider.value = at;
    setText(place, `${frame.isNow ? "now" : `${at + 1} of ${frames.length}`}, step ${count(frame.step)}`);
    setAttribute(slider, "aria-valuetext", place.textContent);
    if (frame.time) place.title = clock(frame.time);
    setText(caption, `${measures[measure].word} of every adapted map at step ${frame.step}; `
      + "layer 1 is nearest the input");
    setText(low, measures[measure].text(0));
    setText(high, measures[measure].text(top));
    drawRows(frame, top);
    drawLine(frame);
    if (details.open) drawAll();
  }

  return {
    element,
    show(history, current) {
      frames = history.map((row) => ({ step: row.step, time: row.created_at, layers: row.layers }));
      if (current?.data.length && current.step > (frames.at(-1)?.step ?? -1))
        frames.push({ step: current.step, layers: current.data, isNow: true });
      empty.hidden = frames.length > 0;
      content.hidden = frames.length === 0;
      if (followsLast || at >= frames.length) at = frames.length - 1;
      draw();
    },
    destroy: () => line.destroy(),
  };
}
