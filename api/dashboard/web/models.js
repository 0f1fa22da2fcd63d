// models.js - the base models and finished adapters, and a box to try one of those.

import { get, post } from "./api.js";
import { errorBox, h, newId, section } from "./dom.js";
import { number, percent, time } from "./format.js";

function bars(probabilities) {
  return h("ul", { class: "bars" }, probabilities.map(({ label, probability }) => {
    const bar = h("span", { class: "bar", "aria-hidden": "true" });
    bar.style.setProperty("--part", Math.min(1, Math.max(0, probability)).toFixed(3));
    return h("li", {}, h("span", { class: "bar-name" }, label), bar, h("span", { class: "num" }, percent(probability)));
  }));
}

/** What was predicted, in a sentence: a label, several, or a number. */
function verdict(item) {
  if (typeof item.value === "number") return number(item.value);
  if (Array.isArray(item.labels))
    return item.labels.length ? item.labels.map((l) => l.label ?? l).join(", ") : "none of the labels";
  return item.label;
}

function answer(item) {
  const sorted = [...(item.probabilities ?? [])].sort((a, b) => b.probability - a.probability);
  return h("div", { class: "answer" }, h("p", { class: "verdict" }, verdict(item)), sorted.length ? bars(sorted) : null);
}

export function tryBox(model, signal) {
  const text = h("textarea", { id: newId("text"), rows: 3, required: true });
  const pair = h("input", { id: newId("pair"), autocomplete: "off" });
  const out = h("div", { "aria-live": "polite" });
  const button = h("button", { type: "submit" }, "Predict");
  return h("form", { class: "try", onsubmit: async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      const input = pair.value ? { text: text.value, text_pair: pair.value } : text.value;
      const reply = await post("v1/predictions", { model, input: [input] }, signal);
      out.replaceChildren(...reply.data.map(answer));
    } catch (error) {
      if (!signal.aborted) out.replaceChildren(errorBox(error));
    } finally {
      button.disabled = false;
    }
  } },
  h("div", { class: "field" }, h("label", { for: text.id }, "Text"), text),
  h("details", {}, h("summary", {}, "Second text, for tasks on pairs"),
    h("div", { class: "field" }, h("label", { for: pair.id }, "Second text"), pair)),
  button, out);
}

export async function showModels(main, signal) {
  main.append(h("h1", {}, "Models"));
  const { data } = await get("v1/models", signal);
  if (signal.aborted) return;
  const bases = data.filter((model) => model.owned_by === "base");
  const adapters = data.filter((model) => model.owned_by !== "base");
  const select = h("select", { id: newId("model") }, adapters.map((m) => h("option", { value: m.id }, m.id)));
  const box = h("div");
  const fill = () => box.replaceChildren(adapters.length ? tryBox(select.value, signal) : "");
  select.addEventListener("change", fill);

  main.append(h("div", { class: "page two" },
    section("Base models", bases.length
      ? h("ul", { class: "plain" }, bases.map((m) => h("li", {}, h("strong", { class: "wrap" }, m.id),
        h("span", { class: "muted" }, ` since ${time(m.created)}`))))
      : h("p", { class: "empty" }, "There is none in the folders of storage.models_dirs.")),
    section("Finished adapters", adapters.length
      ? h("ul", { class: "plain" }, adapters.map((m) => h("li", {},
        h("a", { class: "wrap", href: `#/jobs/${encodeURIComponent(m.fine_tuning_job_id)}` }, m.id),
        h("span", { class: "muted" }, ` on ${m.base_model}, ${time(m.created)}`))))
      : h("p", { class: "empty" }, "None yet: they come from jobs that succeed.")),
    adapters.length ? section("Try an adapter",
      h("div", { class: "field" }, h("label", { for: select.id }, "Adapter"), select), box) : null));
  fill();
}
