// heatmap.js - layers x maps as a table whose cells are coloured by one number, through all prunings.

import { plot } from "./curves.js";
import { errorBox, h, keyed, newId, setAttribute, setText, table } from "./dom.js";
import { clock, count, number, percent, words } from "./format.js";

/** What a cell can show: a member of a map. `top` fixes the scale's end; else it is the greatest of all prunings. */
export const measures = {
  update_norm: { word: "update norm", text: (v) => figures(v) },
  rank: { word: "rank", text: (v) => count(v) },
  sparsity: { word: "sparsity of A", text: (v) => percent(v, 0), top: 1 },
  n_nonzero: { word: "non-zeros of A", text: (v) => count(v) },
  churn: { word: "churn", text: (v) => percent(v, 1) },
};

const meanings = {
  rank: "How many directions the map's update has; PRILoRA gives more to the later layers.",
  sparsity: "The part of A that is zero.",
  n_nonzero: "The entries of A that are not zero.",
  update_norm: "The length of s\u00B7B\u00B7A: how far the adapter moves this map from its base.",
  churn: "The part of the zeros that the last pruning has newly chosen; near 0 % the choice has settled.",
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

/**
 * {element, show(record, current), destroy}: record.js's frames, and behind them `current`, a frame
 * between two prunings. ask(step) gives all numbers of the maps at a step, current ones without it.
 */
export function heatmap(ask) {
  let frames = [], maps = [], at = -1, measure = "update_norm", chosen = 0, followsLast = true;

  const select = h("select", { id: newId("measure"), onchange: () => { measure = select.value; draw(); } },
    Object.entries(measures).map(([id, m]) => h("option", { value: id }, m.word)));
  const slider = h("input", { type: "range", id: newId("pruning"), min: 0, max: 0, value: 0, step: 1,
    oninput: () => go(Number(slider.value)) });
  const place = h("output", { for: slider.id, class: "num" });
  const meaning = h("p", { class: "hint" });
  const head = h("tr"), body = h("tbody");
  const caption = h("caption", { class: "unseen" });
  const low = h("span", { class: "num" }), high = h("span", { class: "num" });
  const line = plot("Over the prunings", { fromZero: true });
  const all = h("div");
  const details = h("details", { ontoggle: () => details.open && drawAll() },
    h("summary", {}, "All numbers as a table"), all);
  const empty = h("p", { class: "empty" },
    "Ranks, pruning and update norm of every adapted map appear here as soon as training has begun.");
  const content = h("div", { hidden: true },
    h("div", { class: "controls" },
      h("div", { class: "field inline" }, h("label", { for: select.id }, "Colour and number"), select),
      h("div", { class: "field inline wide" }, h("label", { for: slider.id }, "Pruning"), slider, place)),
    meaning,
    h("div", { class: "heat-and-line" },
      h("div", {},
        h("div", { class: "scroll heat-scroll", tabindex: "0", role: "region", "aria-label": "Heat map" },
          h("table", { class: "heat" }, caption, h("thead", {}, head), body)),
        h("div", { class: "legend", "aria-hidden": "true" }, low, h("span", { class: "ramp" }), high)),
      line.element),
    details);
  const element = h("div", {}, empty, content);

  const nameOf = (map) => `layer ${map.layer + 1}, ${words(map.map)}`;
  const valueOf = (frame, map) => frame.values[measure][map] ?? NaN;

  function go(index) {
    at = index;
    followsLast = at === frames.length - 1;
    draw();
  }

  function scaleTop() {
    const { top } = measures[measure];
    if (top !== undefined) return top;
    let most = 0;
    for (const frame of frames) for (const value of frame.values[measure]) if (value > most) most = value;
    return most || 1;
  }

  function createCell({ map }) {
    return h("td", {}, h("button", { type: "button", class: "cell", onclick: () => {
      chosen = map;
      draw();
    } }));
  }

  function updateCell(cell, { map, value, top }) {
    const part = Number.isFinite(value) ? Math.min(1, Math.max(0, value / top)) : 0;
    const button = cell.firstChild;
    setText(button, Number.isFinite(value) ? measures[measure].text(value) : "–");
    setAttribute(button, "aria-label", `${nameOf(maps[map])}: ${measures[measure].word} ${button.textContent}`);
    setAttribute(button, "aria-pressed", String(map === chosen));
    const shade = part.toFixed(3);
    if (button.style.getPropertyValue("--part") !== shade) button.style.setProperty("--part", shade);
    button.classList.toggle("middle", part > 0.536);
    button.classList.toggle("strong", part > 0.683);
  }

  function drawRows(frame, top) {
    const names = [...new Set(maps.map((m) => m.map))];
    const layers = [...new Set(maps.map((m) => m.layer))].sort((a, b) => b - a);
    const find = new Map(maps.map((m, i) => [`${m.layer}/${m.map}`, i]));
    keyed(head, ["layer", ...names], (name) => name,
      (name) => h("th", { scope: "col" },
        name === "layer" ? "layer" : h("abbr", { title: words(name) }, shortName(name))),
      () => {});
    keyed(body, layers, (layer) => layer,
      (layer) => h("tr", {}, h("th", { scope: "row", "data-key": "head" }, layer + 1)),
      (row, layer) => {
        const cells = names.map((name) => ({ name, map: find.get(`${layer}/${name}`) }));
        keyed(row, [{ name: "head" }, ...cells], (cell) => cell.name,
          (cell) => (cell.map === undefined ? h("td", {}, "–") : createCell(cell)),
          (td, cell) => {
            if (cell.map !== undefined) updateCell(td, { ...cell, value: valueOf(frame, cell.map), top });
          });
      });
  }

  function drawLine() {
    const points = frames.map((frame) => ({ x: frame.step, y: valueOf(frame, chosen) }))
      .filter((p) => Number.isFinite(p.y));
    line.rename(`${nameOf(maps[chosen])}: ${measures[measure].word} over the prunings`);
    line.show([{ label: measures[measure].word, points, colour: "--series-1", dots: points.length <= 60 && "circle" }]);
  }

  let asked = null;
  async function drawAll() {
    const frame = frames[at];
    const mine = asked = {};
    try {
      const layers = await ask(frame.isNow ? undefined : frame.step);
      if (mine !== asked) return;
      all.replaceChildren(table(`Every adapted map at step ${frame.step}`, columns.map(([name]) => name),
        layers.map((map) => h("tr", {}, columns.map(([, text]) => h("td", {}, text(map))))), { class: "numbers" }));
    } catch (error) {
      if (mine === asked) all.replaceChildren(errorBox(error));
    }
  }

  let drawnFrame = null;
  function draw() {
    const frame = frames[at];
    if (!frame) return;
    const top = scaleTop();
    slider.max = frames.length - 1;
    slider.value = at;
    slider.disabled = frames.length < 2;
    setText(place, `${frame.isNow ? "now" : `${at + 1} of ${frames.length}`}, step ${count(frame.step)}`);
    setAttribute(slider, "aria-valuetext", place.textContent);
    if (frame.time) place.title = clock(frame.time);
    setText(meaning, meanings[measure]);
    setText(caption, `${measures[measure].word} of every adapted map at step ${frame.step}; `
      + "layer 1 is nearest the input");
    setText(low, measures[measure].text(0));
    setText(high, measures[measure].text(top));
    drawRows(frame, top);
    drawLine();
    if (details.open && drawnFrame !== frame) drawAll();
    drawnFrame = frame;
  }

  return {
    element,
    show(record, current) {
      ({ maps } = record);
      frames = current && current.step > (record.frames.at(-1)?.step ?? -1)
        ? [...record.frames, { ...current, isNow: true }] : record.frames.slice();
      empty.hidden = frames.length > 0;
      content.hidden = frames.length === 0;
      if (followsLast || at >= frames.length) at = frames.length - 1;
      draw();
    },
    destroy: () => line.destroy(),
  };
}
