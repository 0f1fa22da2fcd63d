// try.js - a box to try a finished adapter: one text, or one on each line, and what it says of them.

import { post } from "./api.js";
import { errorBox, h, newId } from "./dom.js";
import { count, number, percent } from "./format.js";

const MOST_LABELS = 10, MOST_TEXTS = 200;

function bars(probabilities) {
  return h("ul", { class: "bars" }, probabilities.map(({ label, probability }) => {
    const bar = h("span", { class: "bar", "aria-hidden": "true" });
    bar.style.setProperty("--part", Math.min(1, Math.max(0, probability)).toFixed(3));
    return h("li", {}, h("span", { class: "bar-name" }, label), bar, h("span", { class: "num" }, percent(probability)));
  }));
}

/** A line of each word with its tag. */
function tags(words) {
  return h("ul", { class: "answers", "aria-label": "Tags" }, words.map(({ word, tag, score }) =>
    h("li", {}, h("strong", {}, tag ?? "not read"),
      typeof score === "number" ? h("span", { class: "num muted" }, percent(score)) : null,
      h("span", { class: "wrap" }, word))));
}

/** What was predicted, in a sentence: a label, several, a number, or entities. */
function verdict(item) {
  if (typeof item.value === "number") return number(item.value);
  if (Array.isArray(item.entities))
    return item.entities.length ? item.entities.map((e) => `${e.text} (${e.label})`).join(", ") : "no entities";
  if (Array.isArray(item.labels))
    return item.labels.length ? item.labels.map((l) => l.label ?? l).join(", ") : "none of the labels";
  return item.label;
}

/** One text: its verdict and every label; many: a line each. */
function answer(item) {
  const sorted = [...(item.probabilities ?? [])].sort((a, b) => b.probability - a.probability);
  return h("div", { class: "answer" }, h("p", { class: "verdict" }, verdict(item)),
    item.truncated ? h("p", { class: "hint" }, "Only the beginning of the text was read: it is longer than the adapter's max_length.") : null,
    sorted.length ? bars(sorted) : null, item.words ? tags(item.words) : null);
}

function answerLine(text, item) {
  return h("li", {}, h("strong", {}, verdict(item)),
    typeof item.score === "number" ? h("span", { class: "num muted" }, percent(item.score)) : null,
    h("span", { class: "wrap" }, text));
}

export function tryBox(model, signal) {
  const text = h("textarea", { id: newId("text"), rows: 3, required: true });
  const pair = h("input", { id: newId("pair"), autocomplete: "off" });
  const each = h("input", { type: "checkbox", id: newId("each") });
  const out = h("div", { "aria-live": "polite" });
  const button = h("button", { type: "submit", class: "primary" }, "Predict");

  async function predict() {
    const lines = text.value.split("\n").map((line) => line.trim()).filter(Boolean).slice(0, MOST_TEXTS);
    const one = pair.value ? { text: text.value, text_pair: pair.value } : text.value;
    const isMany = each.checked && !pair.value && lines.length > 1;
    const { data } = await post("v1/predictions",
      { model, input: isMany ? lines : [one], top_k: isMany ? 1 : MOST_LABELS }, signal);
    out.replaceChildren(isMany
      ? h("ul", { class: "answers", "aria-label": `${count(data.length)} texts` }, data.map((item, i) => answerLine(lines[i], item)))
      : answer(data[0]));
  }

  return h("form", { class: "try", onsubmit: async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      await predict();
    } catch (error) {
      if (!signal.aborted) out.replaceChildren(errorBox(error));
    } finally {
      button.disabled = false;
    }
  } },
  h("div", { class: "field" }, h("label", { for: text.id }, "Text"), text),
  h("label", { class: "check", for: each.id }, each, "Each line is a text of its own"),
  h("details", {}, h("summary", {}, "Second text, for tasks on pairs"),
    h("div", { class: "field" }, h("label", { for: pair.id }, "Second text"), pair)),
  button, out);
}
