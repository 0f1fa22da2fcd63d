// pulls.js - bringing base models from a hub: a form, and how far those are that come.

import { get, post } from "./api.js";
import { announce, errorBox, h, keyed, setText } from "./dom.js";
import { field } from "./fields.js";
import { bytes, duration } from "./format.js";
import { progressBar } from "./jobs.js";

const BUSY_MS = 1000, IDLE_MS = 10000;
const isRunning = (pull) => pull.status === "running";

const parts = new WeakMap();

function createRow(pull, onCancel) {
  const bar = progressBar(`Progress of ${pull.model}`);
  const where = h("span", { class: "num muted", role: "status" });
  const trouble = h("div");
  const cancel = h("button", { type: "button", "aria-label": `Stop bringing ${pull.model}`,
    onclick: () => onCancel(pull.id).catch((error) => trouble.replaceChildren(errorBox(error))) }, "Stop");
  const element = h("li", { class: "pull" },
    h("div", { class: "row between" }, h("strong", { class: "wrap" }, pull.model), cancel), bar.element, where, trouble);
  parts.set(element, { bar, where, cancel, trouble });
  return element;
}

function placeOf(pull) {
  const rest = pull.total_bytes && pull.bytes_per_second ? (pull.total_bytes - pull.bytes) / pull.bytes_per_second : null;
  if (isRunning(pull) && !pull.total_bytes) return "asking the hub …";
  if (isRunning(pull)) {
    const speed = pull.bytes_per_second ? `, ${bytes(pull.bytes_per_second)}/s` : "";
    return `${bytes(pull.bytes)} of ${bytes(pull.total_bytes)}${speed}`
      + (rest === null ? "" : `, ${duration(rest)} left`);
  }
  if (pull.status === "succeeded") return pull.was_there ? "was there already" : `here, ${bytes(pull.total_bytes)}`;
  return pull.status === "cancelled" ? "stopped; asked for again, it goes on where it was" : "";
}

function updateRow(element, pull) {
  const { bar, where, cancel, trouble } = parts.get(element);
  bar.update(pull.status === "succeeded" ? 100 : pull.total_bytes ? (100 * pull.bytes) / pull.total_bytes : 0, pull.status);
  setText(where, placeOf(pull));
  cancel.hidden = !isRunning(pull);
  if (pull.error && !trouble.firstChild) trouble.replaceChildren(errorBox(pull.error));
}

function pullForm(onStarted) {
  const model = field("model", "Model", h("input", { autocomplete: "off", spellcheck: "false",
    placeholder: "microsoft/deberta-v3-base" }), "as the hub names it: owner/name");
  const revision = field("revision", "Revision", h("input", { autocomplete: "off", spellcheck: "false", placeholder: "main" }),
    "a branch, a tag or a commit");
  const token = field("token", "Token", h("input", { type: "password", autocomplete: "off" }),
    "only for models that are not for everybody; not kept");
  const fields = [model, revision, token];
  const trouble = h("div");
  const button = h("button", { type: "submit", class: "primary" }, "Bring it");

  async function submit(event) {
    event.preventDefault();
    fields.forEach((f) => f.setError(""));
    trouble.replaceChildren();
    button.disabled = true;
    try {
      const body = Object.fromEntries(fields.map((f) => [f.name, f.control.value.trim()]).filter(([, value]) => value));
      onStarted(await post("v1/models", body));
      token.control.value = "";
    } catch (error) {
      const found = fields.find((f) => f.name === error.param);
      if (found) found.setError(error.message);
      else trouble.replaceChildren(errorBox(error));
      found?.control.focus();
    } finally {
      button.disabled = false;
    }
  }
  return h("form", { class: "pull-form", novalidate: true, onsubmit: submit },
    h("div", { class: "fields" }, fields.map((f) => f.element)), trouble, button);
}

/** {element, look(signal)}: look resolves to how long to wait for the next; onHere when one has come. */
export function pullBox(onHere) {
  const list = h("ul", { class: "plain", "aria-label": "Models being brought" });
  const known = new Map();
  let signalNow = null;

  async function look(signal) {
    signalNow = signal;
    const { data } = await get("v1/pulls?limit=10", signal);
    if (signal.aborted) return false;
    let hasCome = false;
    for (const pull of data) {
      const before = known.get(pull.id);
      if (before === "running" && pull.status === "succeeded") {
        hasCome = true;
        announce(`${pull.model} is here`);
      }
      known.set(pull.id, pull.status);
    }
    keyed(list, data, (pull) => pull.id, (pull) => createRow(pull, cancel), updateRow);
    if (hasCome) await onHere();
    return data.some(isRunning) ? BUSY_MS : IDLE_MS;
  }

  async function cancel(id) {
    await post(`v1/pulls/${encodeURIComponent(id)}/cancel`);
    await look(signalNow);
  }

  /** The list is asked seldom while nothing comes; now something does. */
  async function started(pull) {
    known.set(pull.id, pull.status);
    announce(`${pull.model} is being brought`);
    while (!signalNow.aborted && (await look(signalNow)) === BUSY_MS)
      await new Promise((resolve) => setTimeout(resolve, BUSY_MS));
  }

  const element = h("details", {}, h("summary", {}, "Bring a model from a hub"),
    pullForm((pull) => started(pull).catch(() => {})));
  return { element: h("div", {}, list, element), look };
}
