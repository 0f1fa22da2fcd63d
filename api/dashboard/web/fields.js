// fields.js - form fields that carry a name of the interface, a hint, and the error that belongs to it.

import { h, newId, setText } from "./dom.js";
import { sentence, words } from "./format.js";

/** Puts label, hint and error around a control: {name, element, control, setError(text)}. */
export function field(name, label, control, hint = "") {
  const id = newId("field");
  const wrong = h("p", { class: "field-error", id: `${id}-error`, hidden: true });
  const tip = h("p", { class: "hint", id: `${id}-hint` }, hint);
  control.id = id;
  control.setAttribute("aria-describedby", `${id}-error ${id}-hint`);
  return {
    name, control,
    element: h("div", { class: "field", "data-param": name }, h("label", { for: id }, label), control, wrong, tip),
    hint: (text) => setText(tip, text),
    setError(text) {
      setText(wrong, text);
      wrong.hidden = !text;
      if (text) control.setAttribute("aria-invalid", "true");
      else control.removeAttribute("aria-invalid");
    },
  };
}

const labels = { n_epochs: "Epochs", r: "Rank (r)", ranks: "Ranks", rank_start: "Rank of the first layer",
  rank_end: "Rank of the last layer", adam_beta1: "Adam beta 1", adam_beta2: "Adam beta 2", lora_alpha: "LoRA alpha",
  lora_dropout: "LoRA dropout", lr_scheduler_type: "Learning rate schedule" };

const limit = (n) => (Math.abs(n) >= 1e6 ? n.toExponential().replace("+", "") : String(n));
const range = (s) => (s.minimum === null ? "" : `${limit(s.minimum)} to ${limit(s.maximum)}`);

function standardText(s) {
  if (s.default === null) return s.type === "ranks" ? "" : "auto";
  return s.type === "boolean" ? (s.default ? "true" : "false") : String(s.default);
}

function controlOf(s) {
  const options = s.type === "boolean" ? ["true", "false"] : s.choices;
  if (!options)
    return h("input", { placeholder: standardText(s), autocomplete: "off", spellcheck: "false",
      inputmode: ["integer", "number"].includes(s.type) ? "decimal" : "text" });
  return h("select", {}, h("option", { value: "" }, `${standardText(s)} (default)`),
    options.filter((word) => word !== standardText(s)).map((word) => h("option", { value: word }, word)));
}

/** Numbers as numbers; what is none goes to the server as it is, which says what is wrong with it. */
export function numberOrText(text) {
  const value = Number(text);
  return text.trim() !== "" && Number.isFinite(value) ? value : text;
}

const readers = {
  boolean: (text) => text === "true",
  choice: (text) => text,
  ranks: (text) => text.split(/[\s,]+/).filter(Boolean).map(numberOrText),
  targets: (text) => (text.includes(",") ? text.split(",").map((part) => part.trim()).filter(Boolean) : text.trim()),
};

/** A hyperparameter's field; value() is undefined where nothing was entered. */
export function settingField(s) {
  const hint = [s.description, range(s)].filter(Boolean).join("; ");
  const made = field(s.name, labels[s.name] ?? sentence(words(s.name)), controlOf(s), hint);
  const read = readers[s.type] ?? numberOrText;
  return {
    ...made, setting: s,
    value: () => (made.control.value.trim() === "" ? undefined : read(made.control.value)),
    /** Enters a value as the interface gives it, but for the one that holds without. */
    fill(value) {
      if (value !== undefined && value !== null && String(value) !== standardText(s)) made.control.value = String(value);
    },
    /** What stands there while nothing is entered; without a text what the server says. */
    setStandard(text) {
      if (made.control.tagName === "SELECT")
        setText(made.control.options[0], text === undefined ? `${standardText(s)} (default)` : `${text} (the adapter's)`);
      else made.control.placeholder = text ?? standardText(s);
    },
  };
}
