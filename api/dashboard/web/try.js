// try.js - a box to try a finished adapter: one text, or one on each line, and what it says of them;
// or a question and a context, and where in it the answer stands.

import { post } from "./api.js";
import { errorBox, h, newId } from "./dom.js";
import { count, number, percent } from "./format.js";

const MOST_LABELS = 10, MOST_TEXTS = 200, MOST_ANSWERS = 5;
const AROUND = 1000; // characters of a long context that are shown before and behind an answer

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

/** The fields, a button, and what comes of it: ask() gives what is said at once, and what is only shown below. */
function tryForm(fields, label, ask, signal) {
  const out = h("div", { "aria-live": "polite" }), below = h("div");
  const button = h("button", { type: "submit", class: "primary" }, label);

  return h("form", { class: "try", onsubmit: async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      const { said, shown } = await ask();
      out.replaceChildren(said);
      below.replaceChildren(...(shown ?? []));
    } catch (error) {
      if (signal.aborted) return;
      out.replaceChildren(errorBox(error));
      below.replaceChildren();
    } finally {
      button.disabled = false;
    }
  } }, fields, button, out, below);
}

const labelled = (label, control) => h("div", { class: "field" }, h("label", { for: control.id }, label), control);

function textBox(model, signal) {
  const text = h("textarea", { id: newId("text"), rows: 3, required: true });
  const pair = h("input", { id: newId("pair"), autocomplete: "off" });
  const each = h("input", { type: "checkbox", id: newId("each") });

  async function predict() {
    const lines = text.value.split("\n").map((line) => line.trim()).filter(Boolean).slice(0, MOST_TEXTS);
    const one = pair.value ? { text: text.value, text_pair: pair.value } : text.value;
    const isMany = each.checked && !pair.value && lines.length > 1;
    const { data } = await post("v1/predictions",
      { model, input: isMany ? lines : [one], top_k: isMany ? 1 : MOST_LABELS }, signal);
    return { said: isMany
      ? h("ul", { class: "answers", "aria-label": `${count(data.length)} texts` }, data.map((item, i) => answerLine(lines[i], item)))
      : answer(data[0]) };
  }

  return tryForm([labelled("Text", text),
    h("label", { class: "check", for: each.id }, each, "Each line is a text of its own"),
    h("details", {}, h("summary", {}, "Second text, for tasks on pairs"), labelled("Second text", pair))], "Predict", predict, signal);
}

// ---- questions ----------------------------------------------------------------------------------

/** The context with the answer marked; places count code points, which JavaScript's do not. */
function marked(context, { start, end }) {
  const points = [...context], first = Math.max(0, start - AROUND), last = Math.min(points.length, end + AROUND);
  const piece = (from, to) => points.slice(from, to).join("");
  return h("div", { class: "context", tabindex: "0", role: "region", "aria-label": "Context" }, first > 0 ? "… " : "", piece(first, start),
    h("mark", {}, piece(start, end)), piece(end, last), last < points.length ? " …" : "");
}

const place = ({ start, end }) => `characters ${count(start + 1)} to ${count(end)}`;

const verdictOn = (item) => h("div", { class: "answer" },
  h("p", { class: "verdict" }, item.answer || "No answer stands there"),
  h("p", { class: "muted" }, `${percent(item.score)}${item.answer ? `, ${place(item)}` : ""}`),
  item.truncated ? h("p", { class: "hint" }, "Only the beginning of the question was read: it is too long.") : null);

const otherAnswers = (others) => h("ul", { class: "answers", "aria-label": "Other answers" }, others.map((one) =>
  h("li", {}, h("strong", { class: "wrap" }, one.answer || "no answer"), h("span", { class: "num muted" }, percent(one.score)),
    h("span", {}, one.answer ? place(one) : ""))));

function questionBox(model, signal) {
  const question = h("input", { id: newId("question"), autocomplete: "off", required: true });
  const context = h("textarea", { id: newId("context"), rows: 6, required: true });

  async function answerIt() {
    const input = { question: question.value, context: context.value };
    const { data } = await post("v1/predictions", { model, input, top_k: MOST_ANSWERS }, signal);
    const [item] = data, others = item.answers.slice(1);
    return { said: verdictOn(item), shown: [...(item.answer ? [marked(input.context, item)] : []),
      ...(others.length ? [otherAnswers(others)] : [])] };
  }

  return tryForm([labelled("Question", question), labelled("Context", context)], "Answer", answerIt, signal);
}

// ---- either -------------------------------------------------------------------------------------

/** `task` is what the adapter has learned, as its job says it. */
export const tryBox = (model, task, signal) => (task === "question_answering" ? questionBox : textBox)(model, signal);
