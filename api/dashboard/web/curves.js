// curves.js - lines over steps, by Chart.js, in the colours of the style sheet.

import { h, newId, setText } from "./dom.js";
import { number } from "./format.js";

const MOST_POINTS = 600;
const theme = window.matchMedia("(prefers-color-scheme: dark)");
const alive = new Set();

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function paint(chart) {
  const scales = chart.options.scales;
  for (const axis of [scales.x, scales.y]) {
    axis.grid.color = colour("--line");
    axis.ticks.color = colour("--muted");
    axis.title.color = colour("--muted");
  }
  chart.options.plugins.legend.labels.color = colour("--text");
  for (const set of chart.data.datasets) {
    set.borderColor = colour(set.colour);
    set.pointBackgroundColor = set.pointBorderColor = colour(set.colour);
  }
  chart.update("none");
}
theme.addEventListener("change", () => alive.forEach(paint));

/** [{x, y}] thinned to what can be seen: of each stretch the least and the greatest stay. */
export function thin(points, most = MOST_POINTS) {
  if (points.length <= most) return points;
  const size = Math.ceil((2 * points.length) / most);
  const out = [];
  for (let i = 0; i < points.length; i += size) {
    const part = points.slice(i, i + size);
    const low = part.reduce((a, b) => (b.y < a.y ? b : a));
    const high = part.reduce((a, b) => (b.y > a.y ? b : a));
    out.push(...(low === high ? [low] : low.x < high.x ? [low, high] : [high, low]));
  }
  return out;
}

/** Exponential moving average over steps without the bias of its beginning. */
export function smooth(points, keep = 0.95) {
  let sum = 0, weight = 0, last = null;
  return points.map(({ x, y }) => {
    const kept = keep ** (last === null ? 1 : x - last);
    last = x;
    sum = kept * sum + (1 - kept) * y;
    weight = kept * weight + (1 - kept);
    return { x, y: sum / weight };
  });
}

const isWide = () => window.matchMedia("(min-width: 40rem)").matches;

/**
 * A plot: {element, show(sets), destroy()}. A set is {label, points, colour, dash, width, dots}.
 * Beside the picture stands a sentence that says the same to who does not see it.
 */
export function plot(title, { xTitle = "step", fromZero = false } = {}) {
  const canvas = h("canvas", { role: "img" });
  const head = newId("plot");
  const element = h("figure", { class: "plot", "aria-labelledby": head },
    h("figcaption", { id: head }, title), h("div", { class: "plot-area" }, canvas));
  let chart = null;

  function make() {
    const axis = (text) => ({
      type: "linear", title: { display: Boolean(text), text }, grid: {},
      ticks: { maxTicksLimit: 6, maxRotation: 0, callback: (v) => number(v, 3) },
    });
    chart = new window.Chart(canvas, {
      type: "line",
      data: { datasets: [] },
      options: {
        animation: false, parsing: false, normalized: true, responsive: true, maintainAspectRatio: false,
        interaction: { mode: "nearest", axis: "x", intersect: false },
        scales: { x: axis(xTitle), y: { ...axis(""), beginAtZero: fromZero } },
        plugins: {
          legend: { display: true, position: "top", align: "start",
            labels: { boxWidth: 18, boxHeight: 1, padding: 8, usePointStyle: false, font: { size: 11 } } },
          tooltip: { callbacks: {
            title: (items) => `${xTitle} ${items[0]?.parsed.x ?? ""}`,
            label: (item) => `${item.dataset.label}: ${number(item.parsed.y)}` } },
        },
      },
    });
    window.Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    alive.add(chart);
  }

  function describe(sets) {
    const texts = sets.filter((set) => set.points.length > 0).map((set) => {
      const values = set.points.map((p) => p.y);
      const low = values.reduce((a, b) => Math.min(a, b)), high = values.reduce((a, b) => Math.max(a, b));
      return `${set.label}: last ${number(values.at(-1))}, between ${number(low)} and ${number(high)}`;
    });
    return `${title}. ${texts.length ? texts.join("; ") : "No values yet"}.`;
  }

  return {
    element,
    /** `range`: the first and the last step, where several plots have them in common. */
    show(sets, range) {
      if (!chart) make();
      chart.data.datasets = sets.map((set) => ({
        label: set.label, data: thin(set.points), colour: set.colour,
        borderWidth: set.width ?? 2, borderDash: set.dash ?? [], tension: 0,
        pointRadius: set.dots || set.points.length === 1 ? (isWide() ? 3 : 2) : 0, pointStyle: set.dots || "circle",
        pointHitRadius: 8,
      }));
      chart.options.plugins.legend.display = sets.length > 1;
      const steps = sets.flatMap((set) => [set.points[0]?.x, set.points.at(-1)?.x]).filter((x) => x !== undefined);
      const [low, high] = range ?? [Math.min(...steps), Math.max(...steps)];
      chart.options.scales.x.min = low < high ? low : undefined;
      chart.options.scales.x.max = low < high ? high : undefined;
      canvas.setAttribute("aria-label", describe(sets));
      paint(chart);
    },
    rename: (text) => setText(element.firstChild, text),
    destroy() {
      if (!chart) return;
      alive.delete(chart);
      chart.destroy();
      chart = null;
    },
  };
}
