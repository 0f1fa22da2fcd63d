// app.js - which page is shown, and what all of them share: the key and the state of the connection.

import { hasKey, onConnection, onKeyNeeded, setKey, currentKey } from "./api.js";
import { errorBox, h, setText } from "./dom.js";
import { showJobs } from "./jobs.js";
import { showJob } from "./job.js";
import { showModels } from "./models.js";
import { showNew } from "./new.js";

const pages = [
  { pattern: /^\/jobs$/, show: showJobs, title: "Jobs", nav: "#/jobs" },
  { pattern: /^\/jobs\/([^/]+)$/, show: showJob, title: "Job", nav: "#/jobs" },
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
  const path = location.hash.slice(1) || "/jobs";
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
  window.scrollTo(0, 0);
  const focusTitle = () => moveFocus && !signal.aborted && main.focus({ preventScroll: true });
  focusTitle();
  try {
    await page.show(main, signal, part && decodeURIComponent(part));
  } catch (error) {
    if (signal.aborted) return;
    if (!main.firstChild) main.append(h("h1", {}, page.title));
    main.append(errorBox(error));
    if (!(error instanceof Error) || error.status === undefined) console.error(error);
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
document.getElementById("key-button").addEventListener("click", async () => {
  if (await openKeyDialog("The server asks for a key when it is reached from other machines.")) showPage();
});
setText(document.getElementById("key-button"), hasKey() ? "API key: set" : "API key");
onKeyNeeded((message) => openKeyDialog(`The server asks for a key: ${message}`));

// ---- the connection -----------------------------------------------------------------------------

const connection = document.getElementById("connection");
onConnection((isUp) => {
  setText(connection, isUp ? "connected" : "no connection, trying again");
  connection.classList.toggle("down", !isUp);
  connection.classList.toggle("up", isUp);
});

window.addEventListener("hashchange", showPage);
showPage();
