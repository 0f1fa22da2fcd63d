// app.js - which page is shown, and what all of them share: the key and the state of the connection.

import { hasKey, isNoAnswer, keepTrue, onConnection, onKeyNeeded, setKey, currentKey } from "./api.js";
import { errorBox, h, setText } from "./dom.js";
import { sentence } from "./format.js";
import { showExperiment, showExperiments } from "./experiments.js";
import { showJobs } from "./jobs.js";
import { showJob } from "./job.js";
import { showModels } from "./models.js";
import { showNew } from "./new.js";

const pages = [
  { pattern: /^\/jobs$/, show: showJobs, title: "Jobs", nav: "#/jobs" },
  { pattern: /^\/jobs\/([^/]+)$/, show: showJob, title: "Job", nav: "#/jobs" },
  { pattern: /^\/experiments$/, show: showExperiments, title: "Experiments", nav: "#/experiments" },
  { pattern: /^\/experiments\/([^/]+)$/, show: showExperiment, title: "Experiment", nav: "#/experiments" },
  { pattern: /^\/new$/, show: showNew, title: "New job", nav: "#/new" },
  { pattern: /^\/models$/, show: showModels, title: "Models", nav: "#/models" },
];

const main = document.getElementById("main");
let leaving = new AbortController();
let isFirst = true;

function markNavigation(nav) {
  for (const link of document.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === nav) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

async function showPage() {
  const [path, query] = (location.hash.slice(1) || "/jobs").split("?");
  if (path === "main") return; // the skip link
  const page = pages.find((p) => p.pattern.test(path)) ?? pages[0];
  const part = page.pattern.exec(path)?.[1];
  const moveFocus = !isFirst;
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  isFirst = false;
  markNavigation(page.nav);
  document.title = `${page.title} · prilorad`;
  main.replaceChildren();
  window.scrollTo({ top: 0, behavior: "instant" });
  const focusTitle = () => moveFocus && !signal.aborted && main.focus({ preventScroll: true });
  focusTitle();
  try {
    await page.show(main, signal, part && decodeURIComponent(part), new URLSearchParams(query));
  } catch (error) {
    if (signal.aborted) return;
    if (!main.firstChild) main.append(h("h1", {}, page.title));
    main.append(errorBox(error));
    if (error.status === undefined && !isNoAnswer(error)) console.error(error);
  }
}

// ---- the key ------------------------------------------------------------------------------------

const dialog = document.getElementById("key-dialog");
const input = document.getElementById("key-input");
let answered = null; // while the dialog is open: a promise of whether there is a new key

function openKeyDialog(reason) {
  answered ??= new Promise((resolve) => {
    document.getElementById("key-reason").textContent = reason;
    input.value = currentKey();
    dialog.returnValue = "";
    dialog.showModal();
    input.select();
    dialog.addEventListener("close", () => {
      answered = null;
      setText(document.getElementById("key-button"), hasKey() ? "API key: set" : "API key");
      resolve(dialog.returnValue === "use");
    }, { once: true });
  });
  return answered;
}

document.getElementById("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setKey(input.value);
  dialog.close("use");
});
document.getElementById("key-cancel").addEventListener("click", () => dialog.close(""));
async function changeKey() {
  if (await openKeyDialog("Needed where the server asks for one. Its administrator makes keys: prilora keys create.")) showPage();
}
document.getElementById("key-button").addEventListener("click", changeKey);
document.addEventListener("key-wanted", changeKey);
setText(document.getElementById("key-button"), hasKey() ? "API key: set" : "API key");
onKeyNeeded((message) => openKeyDialog(hasKey() ? `This key does not do: ${message}.` : `${sentence(message)}.`));

// ---- the connection -----------------------------------------------------------------------------

const connection = document.getElementById("connection");
const connectionWords = { up: "connected", live: "live", down: "no connection, trying again" };
const connectionTitles = { up: "The server answers", live: "The server tells of each change at once", down: "" };
onConnection((state) => {
  setText(connection, connectionWords[state]);
  connection.title = connectionTitles[state];
  connection.classList.toggle("down", state === "down");
  connection.classList.toggle("up", state !== "down");
});
keepTrue(new AbortController().signal);

window.addEventListener("hashchange", showPage);
showPage();
