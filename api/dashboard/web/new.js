// new.js - a new job: a file is uploaded and looked at, settings chosen, time and memory forecast.

import { parsePairs } from "./actions.js";
import { ApiError, all, get, jobPath, JOBS, post } from "./api.js";
import { announce, errorBox, fact, h, newId, section, setText } from "./dom.js";
import { field, numberOrText, settingField } from "./fields.js";
import { bytes, count, duration, words } from "./format.js";
import { settingsOf } from "./jobs.js";
import { filePicker } from "./picker.js";

const FORECAST_DELAY_MS = 500;
const first = ["n_epochs", "batch_size", "learning_rate", "rank_start", "rank_end", "prune_ratio"];

const groups = { Job: null, Training: null, Pruning: /^prune_/,
  Adapters: /^(r|ranks|rank_.*|lora_.*|scaling|target_modules)$/ };
const groupOf = (name) => Object.keys(groups).find((group) => groups[group]?.test(name)) ?? "Training";

const glueTasks = { cola: "CoLA", sst2: "SST-2", mrpc: "MRPC", stsb: "STS-B", qqp: "QQP", mnli: "MNLI", qnli: "QNLI",
  rte: "RTE", wnli: "WNLI" };

// ---- the forecast -------------------------------------------------------------------------------

function rankStrip(ranks) {
  const most = Math.max(...ranks);
  return h("div", { class: "ranks" }, h("p", { class: "muted" }, `rank of each layer: ${ranks.join(" ")}`),
    h("div", { class: "rank-strip", "aria-hidden": "true" }, ranks.map((rank) => {
      const bar = h("span");
      bar.style.setProperty("--part", (rank / most).toFixed(3));
      return bar;
    })));
}

function forecastBox() {
  const facts = { time: fact("Time"), memory: fact("Memory"), steps: fact("Steps"),
    parameters: fact("Parameters trained"), data: fact("Training data"), cut: fact("Texts cut off") };
  const note = h("p", { class: "muted" }, "Time, memory and ranks appear here as soon as a file and a model are chosen.");
  const ranks = h("div");
  const list = h("dl", { class: "facts", hidden: true }, Object.values(facts).map((f) => f.element));
  const element = h("section", { class: "card sticky", "aria-label": "Forecast" },
    h("h2", {}, "Forecast"), h("div", { "aria-live": "polite" }, note, list, ranks));
  return {
    element,
    say(text) {
      setText(note, text);
      note.hidden = !text;
      element.classList.toggle("stale", Boolean(text));
    },
    show(f) {
      this.say(f.seconds === null ? "How long it takes is known after the first job on this machine." : "");
      list.hidden = false;
      facts.time.set(f.seconds === null ? "–" : `about ${duration(f.seconds)}`);
      facts.memory.set(bytes(f.memory_bytes));
      facts.steps.set(count(f.total_steps));
      facts.parameters.set(count(f.n_trainable));
      facts.parameters.note(`${count(f.n_adapter)} in adapters`);
      const questions = f.training.n_questions;
      facts.data.set(questions === undefined ? `${count(f.n_examples)} examples` : `${count(questions)} questions`);
      facts.data.note(`${questions === undefined ? "" : `${count(f.n_examples)} windows, `}${count(f.n_tokens)} tokens`);
      facts.cut.set(f.training.n_truncated ? `${count(f.training.n_truncated)} examples` : "none");
      facts.cut.note(f.training.n_truncated ? `longest: ${count(f.training.longest)} tokens` : "");
      ranks.replaceChildren(...(f.ranks.length ? [rankStrip(f.ranks)] : []));
    },
  };
}

// ---- the form -----------------------------------------------------------------------------------

function radios(name, legend, options, onChange) {
  const group = newId("radio");
  const element = h("fieldset", { class: "field choices", "data-param": name }, h("legend", {}, legend),
    options.map(([value, label, hint], i) => h("label", {},
      h("input", { type: "radio", name: group, value, checked: i === 0, onchange: onChange }),
      h("span", {}, h("strong", {}, label), " ", h("span", { class: "hint" }, hint)))));
  return {
    element,
    value: () => element.querySelector("input:checked").value,
    set: (value) => { element.querySelector(`input[value=${value}]`).checked = true; },
  };
}

const optionsOf = (options) => options.map(([value, label]) => h("option", { value }, label));
const choice = (options, groups = {}) => h("select", {}, optionsOf(options),
  Object.entries(groups).map(([label, members]) => h("optgroup", { label }, optionsOf(members))));

function otherFields() {
  const text = (name, label, hint, read = (value) => value) => {
    const made = field(name, label, h("input", { autocomplete: "off", spellcheck: "false" }), hint);
    return { ...made, value: () => (made.control.value.trim() === "" ? undefined : read(made.control.value.trim())) };
  };
  const pick = (name, label, options, hint, groups) => {
    const made = field(name, label, choice(options, groups), hint);
    return { ...made, value: () => made.control.value || undefined };
  };
  const metadata = field("metadata", "Metadata", h("textarea", { rows: 2, spellcheck: "false" }), "one name = value a line");
  return {
    suffix: text("suffix", "Name", "stands in the adapter's name; 1 to 64 characters"),
    seed: text("seed", "Seed", "the same seed gives the same adapter; empty: a random one", numberOrText),
    priority: text("priority", "Priority", "-100 to 100; higher goes first", numberOrText),
    task: pick("task", "Task", [["", "auto (from the labels)"], ["classification", "classification"],
      ["regression", "regression"], ["multi_label", "multi-label"],
      ["token_classification", "token classification"], ["question_answering", "question answering"]],
    "what is learned; GLUE's files go in as they were published",
      { GLUE: Object.entries(glueTasks) }),
    metric: pick("task.metric", "Metric", [["", "auto"], ...["accuracy", "f1", "exact_match", "matthews", "pearson",
      "spearman", "loss"].map((word) => [word, words(word)])], "which evaluation is the best"),
    stride: text("task.doc_stride", "Tokens that two windows share", "a long context is read in windows; 1 to 4096, empty: auto", numberOrText),
    longest: text("task.max_answer_length", "Tokens of the longest answer", "1 to 512, empty: 30", numberOrText),
    metadata: { ...metadata, value: () => parsePairs(metadata.control.value) },
  };
}

/** The field that an error's param names: the same name, its last part, or the longest that begins it. */
function findField(fields, param) {
  if (!param) return undefined;
  const parts = param.replace(/^method\.\w+\.hyperparameters\./, "").replace(/^hyperparameters\./, "");
  return fields.filter((f) => f.name === parts || parts.startsWith(`${f.name}.`) || parts.startsWith(`${f.name}[`))
    .sort((a, b) => b.name.length - a.name.length)[0];
}

/** What a job takes over from the adapter that it begins with, unless it is given. */
const inherited = /^(r|ranks|rank_.*|lora_alpha|scaling|target_modules)$/;

export async function showNew(main, signal, _part, query) {
  main.append(h("h1", {}, "New job"));
  const [models, files, settings] = await Promise.all([
    get("v1/models", signal), all("v1/files?purpose=fine-tune", (f) => f.id, signal),
    get("v1/fine_tuning/settings", signal)]);
  if (signal.aborted) return;

  const uploaded = files;
  const later = () => schedule();
  const others = otherFields();
  const glueTask = () => (others.task.value() in glueTasks ? others.task.value() : undefined);
  const picker = (name, title, hint, isOptional) => filePicker(name, title, hint, uploaded, isOptional, later, glueTask, signal);
  const training = picker("training_file", "Training file", "", false);
  const validation = picker("validation_file", "Validation file (optional)",
    "Without one, a tenth of the training data is held out.", true);
  const mismatched = picker("task.mismatched_file", "Mismatched validation file (optional)",
    "The finished adapter is measured on it, too.", true);
  const bases = models.data.filter((m) => m.owned_by === "base");
  const adapters = models.data.filter((m) => m.owned_by !== "base");
  const options = (list) => list.map((m) => h("option", { value: m.id }, m.id));
  const model = field("model", "Model", h("select", {}, h("optgroup", { label: "Base models" }, options(bases)),
    adapters.length ? h("optgroup", { label: "Go on from an adapter" }, options(adapters)) : null),
    bases.length ? "" : "There is none yet: Models tells how to bring one.");
  const method = radios("method.type", "Method", [
    ["prilora", "PRILoRA", "ranks grow from the first layer to the last, A is pruned"],
    ["lora", "LoRA", "one rank for all layers, nothing pruned"],
    ["head", "Head only", "no adapters: to compare with"]], () => { showMethod(); later(); });
  const hyper = settings.data.map(settingField);
  const fields = [training, validation, mismatched, model, ...Object.values(others), ...hyper];
  const forecast = forecastBox();
  const trouble = h("div");
  const submit = h("button", { type: "submit", class: "primary" }, "Start the job");

  const isFirst = (f) => first.includes(f.name);
  const few = hyper.filter(isFirst).sort((a, b) => first.indexOf(a.name) - first.indexOf(b.name));
  const fewBox = h("div", { class: "fields" }, few.map((f) => f.element));
  const boxes = Object.fromEntries(Object.keys(groups).map((name) => [name, h("div", { class: "fields" })]));
  boxes.Job.append(...[others.seed, others.priority, others.metric, others.metadata].map((f) => f.element));
  for (const f of hyper) if (!isFirst(f)) boxes[groupOf(f.name)].append(f.element);
  const details = h("details", {}, h("summary", {}, "All settings"),
    Object.entries(boxes).map(([name, box]) => h("div", { class: "settings-group" }, h("h3", {}, name), box)));
  const form = h("form", { class: "new-job", novalidate: true },
    h("div", { class: "page" },
      section("Data", h("div", { class: "fields" }, others.task.element, others.stride.element, others.longest.element), training.element, validation.element, mismatched.element),
      section("Model and method", h("div", { class: "fields" }, model.element, others.suffix.element), method.element),
      section("Settings", fewBox, details)),
    forecast.element,
    h("div", { class: "submit" }, trouble, submit));
  main.append(form);

  /** Only what the method knows. LoRA's one rank is what matters to it; PRILoRA has it among the rest. */
  function showMethod() {
    const chosen = method.value();
    for (const f of hyper) f.element.hidden = !f.setting.methods.includes(chosen);
    for (const name of ["Adapters", "Pruning"])
      boxes[name].parentElement.hidden = !hyper.some((f) => groupOf(f.name) === name && f.name !== "r" && !f.element.hidden);
    (chosen === "lora" ? fewBox : boxes.Adapters).append(hyper.find((f) => f.name === "r").element);
  }

  /** Chosen, or told from the rows. */
  const asks = () => (others.task.value() ?? training.found()) === "question_answering";
  function showAnswering() {
    for (const f of [others.stride, others.longest]) f.element.hidden = !asks();
  }

  /** MNLI alone has a second validation file; a GLUE task reads its files in its own way. */
  function showTask() {
    mismatched.element.hidden = glueTask() !== "mnli";
    [training, validation, mismatched].forEach((f) => f.look());
    showAnswering();
  }
  others.task.control.addEventListener("change", showTask);

  function body() {
    const chosen = method.value();
    const hyperparameters = {};
    for (const f of hyper) {
      const value = f.setting.methods.includes(chosen) ? f.value() : undefined;
      if (value !== undefined) hyperparameters[f.name] = value;
    }
    const name = glueTask(), metric = others.metric.value();
    const [doc_stride, max_answer_length] = asks() ? [others.stride.value(), others.longest.value()] : [];
    const isAsking = doc_stride !== undefined || max_answer_length !== undefined;
    const type = name ? undefined : others.task.value() ?? (isAsking ? "question_answering" : undefined);
    const mismatched_file = name === "mnli" ? mismatched.value() : undefined;
    return {
      model: model.control.value, training_file: training.value(), validation_file: validation.value(),
      suffix: others.suffix.value(), seed: others.seed.value(), priority: others.priority.value(),
      metadata: others.metadata.value(),
      task: name || type || metric ? { name, type, metric, mismatched_file, doc_stride, max_answer_length } : undefined,
      method: { type: chosen, [chosen]: { hyperparameters } },
    };
  }

  const clear = () => {
    fields.forEach((f) => f.setError(""));
    trouble.replaceChildren();
  };

  /** Beside its field if it has one, else above the button. */
  function showError(error, moveFocus) {
    const found = error instanceof ApiError ? findField(fields, error.param) : undefined;
    clear();
    if (!found) {
      trouble.replaceChildren(errorBox(error));
      return;
    }
    found.setError(error.message);
    if (details.contains(found.control)) details.open = true;
    if (moveFocus) found.control.focus();
    announce(error.message);
  }

  /** An adapter comes with its method and ranks: these fields show what is its own, and stay empty. */
  async function showModel() {
    const adapter = adapters.find((m) => m.id === model.control.value);
    model.hint(adapter ? "Ranks, alpha, scaling, maps, task and labels are the adapter's own." : "");
    const origin = adapter ? await get(jobPath(adapter.fine_tuning_job_id), signal).catch(() => null) : null;
    if (signal.aborted || adapter !== adapters.find((m) => m.id === model.control.value)) return;
    const own = origin ? settingsOf(origin) : {};
    for (const f of hyper.filter((one) => inherited.test(one.name)))
      f.setStandard(f.name in own ? String(own[f.name]) : undefined);
    if (origin) method.set(["lora", "head"].includes(origin.method.type) ? origin.method.type : "prilora");
    showMethod();
    later();
  }
  model.control.addEventListener("change", (event) => {
    event.stopPropagation();
    showModel();
  });

  /** The suggested ranks of a finished job and its other settings, model and data, where they are still there. */
  async function fillFrom(id) {
    const [job, found] = await Promise.all([get(jobPath(id), signal), get(jobPath(id, "/ranks"), signal)]).catch((error) => {
      if (!signal.aborted) trouble.replaceChildren(errorBox(error));
      return [];
    });
    if (!found?.suggestion) return;
    const choose = (control, value) => {
      if ([...control.options].some((option) => option.value === value)) control.value = value;
    };
    choose(model.control, found.base_model);
    choose(training.control, job.training_file);
    choose(validation.control, job.validation_file);
    choose(mismatched.control, job.task?.mismatched_file);
    choose(others.task.control, job.task?.name ?? job.task?.type);
    choose(others.metric.control, job.task?.metric);
    others.stride.control.value = job.task?.doc_stride ?? "";
    others.longest.control.value = job.task?.max_answer_length ?? "";
    method.set("prilora");
    for (const f of hyper) f.fill(found.suggestion.hyperparameters[f.name]);
    hyper.find((f) => f.name === "ranks").hint(`suggested by ${id}`);
    details.open = true;
    showMethod();
    showTask();
  }

  // ---- the forecast: some time after the last change, one at a time, only the latest counts
  let timer = 0, asked = 0;
  function schedule() {
    clearTimeout(timer);
    asked += 1;
    if (!training.value() || !model.control.value) return;
    forecast.say("Working it out …");
    timer = setTimeout(ask, FORECAST_DELAY_MS);
  }
  async function ask() {
    const mine = asked;
    try {
      const result = await post("v1/fine_tuning/forecasts", body(), signal);
      if (mine !== asked) return;
      clear();
      forecast.show(result);
    } catch (error) {
      if (signal.aborted || mine !== asked) return;
      forecast.say("Not known until what is marked is right.");
      showError(error, false);
    }
  }

  // not at every letter: half a number is no number
  form.addEventListener("change", (event) => event.target.type !== "file" && later());
  form.addEventListener("looked", showAnswering);
  form.addEventListener("uploaded", () => [training, validation, mismatched].forEach((f) => f.refill()));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    clearTimeout(timer);
    asked += 1;
    submit.disabled = true;
    try {
      const job = await post(JOBS, body());
      announce("The job was created");
      location.hash = `#/jobs/${encodeURIComponent(job.id)}`;
    } catch (error) {
      if (training.value()) forecast.say("Not known until what is marked is right.");
      showError(error, true);
    } finally {
      submit.disabled = false;
    }
  });
  signal.addEventListener("abort", () => clearTimeout(timer));
  const wanted = query.get("model"), origin = query.get("ranks_from");
  if (models.data.some((m) => m.id === wanted)) model.control.value = wanted;
  showMethod();
  showTask();
  if (wanted) await showModel();
  if (origin) await fillFrom(origin);
}
