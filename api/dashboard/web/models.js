// models.js - the base models, how to bring more of them, and the finished adapters.

import { askFirst } from "./actions.js";
import { get, jobPath, poll, remove } from "./api.js";
import { errorBox, h, idTag, keyed, momentTag, newId, section } from "./dom.js";
import { pullBox } from "./pulls.js";
import { tryBox } from "./try.js";

const modelPath = (id) => `v1/models/${encodeURIComponent(id)}`;

function baseList(bases) {
  if (!bases.length)
    return h("p", { class: "empty" }, "There is none yet. Bring one from a hub by the form below, or put its folder into one of storage.models_dirs.");
  return h("ul", { class: "plain" }, bases.map((m) => h("li", { class: "model" },
    h("strong", { class: "wrap" }, m.id), h("span", { class: "muted" }, "added ", momentTag(m.created)),
    h("a", { href: `#/new?model=${encodeURIComponent(m.id)}` }, "Train on it"))));
}

function adapterRow(m, onDeleted) {
  const trouble = h("div");
  const button = h("button", { type: "button", class: "quiet", "aria-label": `Delete ${m.id}`, onclick: async () => {
    if (!(await askFirst({ word: "Delete", yes: "Delete the adapter", no: "Keep it",
      ask: `Delete the adapter ${m.id}? Its job, curves and events stay. This cannot be undone.` }))) return;
    try {
      await remove(modelPath(m.id));
      onDeleted();
    } catch (error) {
      trouble.replaceChildren(errorBox(error));
    }
  } }, "Delete");
  return h("li", { class: "model" },
    h("a", { class: "wrap", href: `#/jobs/${encodeURIComponent(m.fine_tuning_job_id)}` }, m.id),
    h("span", { class: "muted" }, `on ${m.base_model}, `, momentTag(m.created)),
    h("span", { class: "row" }, h("a", { href: `#/new?model=${encodeURIComponent(m.id)}` }, "Train further"), button), trouble);
}

export async function showModels(main, signal) {
  const bases = h("div"), list = h("ul", { class: "plain" });
  const empty = h("p", { class: "empty", hidden: true },
    "None yet: they come from jobs that succeed. ", h("a", { href: "#/new" }, "Start one"));
  const select = h("select", { id: newId("model") });
  const box = h("div");
  const trySection = section("Try an adapter",
    h("div", { class: "field" }, h("label", { for: select.id }, "Adapter"), select), box);
  let shown = "", tried = "", jobs = new Map();

  /** What an adapter is asked depends on its job's task. */
  async function fill() {
    const model = select.value;
    if (!model || model === tried) return;
    tried = model;
    box.replaceChildren();
    const job = await get(jobPath(jobs.get(model)), signal).catch(() => null);
    if (!signal.aborted && model === tried) box.replaceChildren(tryBox(model, job?.task?.type, signal));
  }

  function showAdapters(adapters) {
    keyed(list, adapters, (m) => m.id, (m) => adapterRow(m, look), () => {});
    empty.hidden = adapters.length > 0;
    trySection.hidden = adapters.length === 0;
    const chosen = select.value;
    jobs = new Map(adapters.map((m) => [m.id, m.fine_tuning_job_id]));
    select.replaceChildren(...adapters.map((m) => h("option", { value: m.id, selected: m.id === chosen }, m.id)));
    fill();
  }

  async function look() {
    const { data } = await get("v1/models", signal);
    const text = JSON.stringify(data);
    if (signal.aborted || text === shown) return;
    shown = text;
    bases.replaceChildren(baseList(data.filter((model) => model.owned_by === "base")));
    showAdapters(data.filter((model) => model.owned_by !== "base"));
  }

  main.append(h("h1", {}, "Models"));
  await look();
  if (signal.aborted) return;
  select.addEventListener("change", fill);
  const pulls = pullBox(() => look());
  main.append(h("div", { class: "page" },
    section("Base models", bases, pulls.element),
    section("Finished adapters", list, empty), trySection));
  await poll(() => pulls.look(signal), signal);
}
