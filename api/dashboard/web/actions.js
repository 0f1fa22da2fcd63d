// actions.js - what can be done to a job: stop, pause, delete it, put it first, write on it.

import { jobPath, post, remove } from "./api.js";
import { announce, errorBox, explain, h, newId, setText } from "./dom.js";
import { numberOrText } from "./fields.js";
import { isOver } from "./jobs.js";

const steps = {
  pause: { word: "Pause", hint: "Keeps its checkpoint and frees its worker",
    when: (job) => ["running", "queued", "validating_files"].includes(job.status)
      && !job.cancel_requested && !job.pause_requested },
  resume: { word: "Resume", hint: "Puts it back into the queue", when: (job) => job.status === "paused" },
  cancel: { word: "Cancel", hint: "Stops it for good", when: (job) => !isOver(job) && !job.cancel_requested,
    ask: "Cancel this job? Its best adapter so far is kept, but it cannot go on later. (Pausing it can.)",
    yes: "Cancel the job", no: "Keep it running" },
  delete: { word: "Delete", hint: "Removes the job and its adapter", when: isOver,
    ask: "Delete this job with its adapter, curves and events? This cannot be undone.",
    yes: "Delete the job", no: "Keep it" },
};

/** Asks in a dialog of the page; resolves to whether the answer was yes. */
export function askFirst({ word, ask, yes, no }) {
  return new Promise((resolve) => {
    const dialog = h("dialog", { "aria-label": word },
      h("p", {}, ask),
      h("div", { class: "row end" },
        h("button", { type: "button", class: "quiet", onclick: () => dialog.close("") }, no),
        h("button", { type: "button", class: "danger", onclick: () => dialog.close("yes") }, yes)));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** The buttons for what its state allows: {element, update(job)}. */
export function actions(id, onJob) {
  const trouble = h("div");
  const onward = h("a", { class: "button", hidden: true }, "Train further");

  async function act(name, button) {
    if (steps[name].ask && !(await askFirst(steps[name]))) return;
    trouble.replaceChildren();
    button.disabled = true;
    try {
      if (name === "delete") {
        await remove(jobPath(id));
        announce("The job was deleted");
        location.hash = "#/jobs";
        return;
      }
      onJob(await post(jobPath(id, `/${name}`)));
    } catch (error) {
      trouble.replaceChildren(errorBox(error));
    } finally {
      button.disabled = false;
    }
  }

  const buttons = Object.entries(steps).map(([name, { word, hint }]) => {
    const button = h("button", { type: "button", hidden: true, title: hint, class: name === "delete" ? "danger" : "" }, word);
    button.addEventListener("click", () => act(name, button));
    return [name, button];
  });
  return {
    element: h("div", { class: "actions" },
      h("div", { class: "row" }, onward, buttons.map(([, button]) => button)), trouble),
    update(job) {
      onward.hidden = !job.fine_tuned_model || !job.adapter;
      onward.href = `#/new?model=${encodeURIComponent(job.fine_tuned_model ?? "")}`;
      onward.title = "A new job that begins with this adapter";
      buttons.forEach(([name, button]) => { button.hidden = !steps[name].when(job); });
    },
  };
}

/** A form in a line whose answer is the changed job. */
function changeForm(properties, children, body, onJob, done) {
  const said = h("p", { class: "hint", role: "status" });
  const button = h("button", { type: "submit" }, "Set");
  return h("form", { ...properties, onsubmit: async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      onJob(await post(jobPath(properties["data-job"]), body()));
      setText(said, done);
    } catch (error) {
      setText(said, explain(error));
    } finally {
      button.disabled = false;
    }
  } }, children, button, said);
}

/** Whoever waits can be moved forward. */
export function priorityForm(id, onJob) {
  const input = h("input", { id: newId("priority"), class: "short", inputmode: "numeric", autocomplete: "off" });
  const form = changeForm({ class: "field inline", "data-job": id }, [h("label", { for: input.id }, "Priority"), input],
    () => ({ priority: numberOrText(input.value) }), onJob, "Set. Of the jobs that wait the highest goes first.");
  let shown = null;
  return {
    element: form,
    update(job) {
      form.hidden = isOver(job) || job.status === "running";
      if (shown !== job.priority) input.value = job.priority;
      shown = job.priority;
    },
  };
}

/** Lines of "name = value" as an object; undefined: none. */
export function parsePairs(text) {
  const pairs = {};
  for (const line of text.split("\n").filter((l) => l.trim())) {
    const at = line.indexOf("=");
    pairs[(at < 0 ? line : line.slice(0, at)).trim()] = at < 0 ? "" : line.slice(at + 1).trim();
  }
  return Object.keys(pairs).length ? pairs : undefined;
}

const pairText = (pairs) => Object.entries(pairs ?? {}).map(([name, value]) => `${name} = ${value}`).join("\n");

export function metadataForm(id, onJob) {
  const input = h("textarea", { id: newId("metadata"), rows: 3, spellcheck: "false" });
  const form = changeForm({ class: "field narrow", "data-job": id }, [h("label", { for: input.id }, "Metadata, one name = value a line"), input],
    () => ({ metadata: parsePairs(input.value) ?? {} }), onJob, "Set.");
  const details = h("details", {}, h("summary", {}, "Edit the metadata"), form);
  let shown = null;
  return {
    element: details,
    update(job) {
      const text = pairText(job.metadata);
      if (shown !== text) input.value = text;
      shown = text;
    },
  };
}
