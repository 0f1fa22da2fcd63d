// picker.js - a data file is chosen or uploaded, and looked at: its first rows, labels and faults.

import { get, upload } from "./api.js";
import { explain, h, newId, table } from "./dom.js";
import { field } from "./fields.js";
import { bytes, count, cut, words } from "./format.js";

const MOST_LABELS = 30, MOST_ERRORS = 10;
const MOST_CONTEXT = 300; // characters of one in the preview

/** What each task gives a row; those of no labels have no bars of them. */
const taskWords = { classification: "one label each", regression: "a number each", multi_label: "several labels each",
  token_classification: "a tag for each word", question_answering: "a piece of the context for each question" };
const hasLabels = (task) => !["regression", "question_answering"].includes(task);

function labelBars(labels) {
  const most = Math.max(1, ...labels.map((l) => l.count));
  const shown = labels.slice(0, MOST_LABELS);
  return h("ul", { class: "bars", "aria-label": "Labels" }, shown.map((l) => {
    const bar = h("span", { class: "bar", "aria-hidden": "true" });
    bar.style.setProperty("--part", (l.count / most).toFixed(3));
    return h("li", {}, h("span", { class: "bar-name" }, l.label), bar, h("span", { class: "num" }, count(l.count)));
  }), labels.length > shown.length ? h("li", { class: "muted" }, `and ${labels.length - shown.length} more`) : null);
}

function errorRows(preview) {
  if (!preview.n_bad && !preview.problem) return null;
  const rest = preview.n_bad - Math.min(MOST_ERRORS, preview.errors.length);
  return h("div", { class: "error", role: "alert" },
    preview.problem ? h("p", {}, `This file cannot be trained on: ${preview.problem}.`) : null,
    preview.n_bad ? h("p", {}, `${count(preview.n_bad)} of ${count(preview.n_rows)} rows are wrong:`) : null,
    h("ul", {}, preview.errors.slice(0, MOST_ERRORS).map((e) => h("li", {}, `line ${e.line}: ${e.reason}`))),
    rest > 0 ? h("p", {}, `and ${count(rest)} more`) : null);
}

const columnNames = { regression: ["text", "second text", "number"], token_classification: ["text", "second text", "tags"],
  question_answering: ["question", "context", "answers"] };

function showPreview(preview) {
  const asks = preview.task === "question_answering";
  const hasPairs = asks || preview.rows.some((row) => row.text_pair !== null);
  const [first, second, last] = columnNames[preview.task] ?? ["text", "second text", "label"];
  const heads = ["line", first, ...(hasPairs ? [second] : []), last];
  const between = preview.task === "token_classification" ? " " : asks ? " / " : ", ";
  const label = (row) => (!Array.isArray(row.label) ? row.label
    : asks && !row.label.length ? h("em", {}, "no answer") : (asks ? [...new Set(row.label)] : row.label).join(between));
  const text = (t, row) => h("td", { class: "text" }, t ?? "", row.is_cut ? " …" : "");
  const context = (t, row) => (asks && t?.length > MOST_CONTEXT ? h("td", { class: "text" }, cut(t, MOST_CONTEXT), " …") : text(t, row));
  return h("div", { class: "preview" },
    h("p", {}, `${preview.is_complete ? "" : "The first "}${count(preview.n_rows)} rows, ${preview.format.toUpperCase()}; `
      + `${words(preview.task)}: ${taskWords[preview.task] ?? ""}`
      + (hasLabels(preview.task) ? `, ${count(preview.labels.length)} labels` : "")
      + (preview.n_skipped ? `; ${count(preview.n_skipped)} short rows are passed over` : "")),
    errorRows(preview),
    hasLabels(preview.task) ? labelBars(preview.labels) : null,
    preview.rows.length ? table("First rows", heads, preview.rows.map((row) => h("tr", {},
      h("td", { class: "num" }, row.line), text(row.text, row), hasPairs ? context(row.text_pair, row) : null,
      h("td", {}, label(row)))), { class: "rows" }) : null);
}

/** Choosing a file that is there or uploading one; value() is its id or undefined, taskOf() the task that it is for,
 * found() the one that its rows are of. */
export function filePicker(name, title, hint, uploaded, isOptional, onChange, taskOf, signal) {
  const select = h("select");
  const input = h("input", { type: "file", accept: ".jsonl,.ndjson,.json,.csv,.tsv,.conll,.bio,.txt", id: newId("upload") });
  const bar = h("progress", { max: 1, value: 0, hidden: true, "aria-label": "Upload" });
  const preview = h("div", { "aria-live": "polite" });
  const made = field(name, title, select, hint);
  let seen;
  const element = h("div", { class: "file-picker" },
    h("div", { class: "file-choice" }, made.element,
      h("div", { class: "field" }, h("label", { for: input.id }, "or upload one"), input,
        h("p", { class: "hint" }, "JSONL, JSON, CSV with a header, or TSV as GLUE has it: text, text_pair, label; tokens and ner_tags, or a CoNLL file; SQuAD's JSON, or question, context and answers"), bar)),
    preview);

  function fill(chosen) {
    select.replaceChildren(h("option", { value: "" }, isOptional ? "none" : uploaded.length ? "choose a file" : "none uploaded yet"),
      ...uploaded.map((file) => h("option", { value: file.id, selected: file.id === chosen },
        `${file.filename} (${bytes(file.bytes)})`)));
  }

  async function look() {
    const id = select.value;
    preview.replaceChildren();
    made.setError("");
    seen = undefined;
    onChange();
    if (!id) return;
    try {
      const task = taskOf();
      const found = await get(`v1/files/${encodeURIComponent(id)}/preview?limit=6${task ? `&task=${task}` : ""}`, signal);
      if (select.value !== id || task !== taskOf()) return;
      seen = found.task;
      preview.replaceChildren(showPreview(found));
      element.dispatchEvent(new CustomEvent("looked", { bubbles: true }));
    } catch (error) {
      if (!signal.aborted && select.value === id) made.setError(explain(error));
    }
  }

  select.addEventListener("change", look);
  input.addEventListener("change", async () => {
    const [file] = input.files;
    if (!file) return;
    bar.hidden = false;
    bar.value = 0;
    try {
      const stored = await upload(file, (part) => { bar.value = part; });
      uploaded.unshift(stored);
      element.dispatchEvent(new CustomEvent("uploaded", { bubbles: true }));
      fill(stored.id);
      await look();
    } catch (error) {
      made.setError(explain(error));
    } finally {
      bar.hidden = true;
      input.value = "";
    }
  });
  fill("");
  return { ...made, element, look, refill: () => fill(select.value), value: () => select.value || undefined, found: () => seen };
}
