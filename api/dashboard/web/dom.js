// dom.js - making and changing elements. Text from the server only ever becomes text.

import { ago, shortId, time } from "./format.js";

const asProperty = new Set(["value", "checked", "disabled", "hidden", "open", "selected", "max", "min"]);

/** An element: h("a", {href: "#/jobs", class: "x", onclick: f}, "text", child, null). */
export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (asProperty.has(name)) element[name] = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false) element.setAttribute(name, String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Text that changes often: the node is left alone when it stays the same. */
export function setText(element, text) {
  text = String(text);
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/**
 * Children of `parent` for `items`, in their order; elements of items that stay are kept, and with
 * them focus and selection. create(item) makes one, update(element, item) fills it.
 */
export function keyed(parent, items, key, create, update) {
  const old = new Map([...parent.children].map((element) => [element.dataset.key, element]));
  let at = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    let element = old.get(name);
    if (element) {
      old.delete(name);
    } else {
      element = create(item);
      element.dataset.key = name;
    }
    if (element === at) at = at.nextElementSibling;
    else parent.insertBefore(element, at);
    update(element, item);
  }
  for (const element of old.values()) element.remove();
}

let lastId = 0;
export function newId(prefix) {
  lastId += 1;
  return `${prefix}-${lastId}`;
}

/** Said to who listens instead of looking. */
export function announce(text) {
  document.getElementById("announce").textContent = text;
}

/** A titled part of a page. */
export function section(title, ...children) {
  const id = newId("section");
  return h("section", { class: "card", "aria-labelledby": id }, h("h2", { id }, title), ...children);
}

/** A name, a value and a note below it, which change: {element, set, rename, note}. */
export function fact(name) {
  const value = h("dd", {}, "–");
  const note = h("dd", { class: "note", hidden: true });
  const title = h("dt", {}, name);
  return {
    element: h("div", { class: "fact" }, title, value, note),
    set: (text) => setText(value, text),
    /** Nothing is said of it where it never will be known. */
    hide(isHidden) {
      this.element.hidden = isHidden && value.textContent === "–";
    },
    rename: (text) => setText(title, text),
    note(text) {
      setText(note, text);
      note.hidden = !text;
    },
  };
}

export function table(caption, heads, rows, properties = {}) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", properties,
      h("caption", { class: "unseen" }, caption),
      h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", {}, rows)));
}

const powers = { read: "only look", submit: "submit and change jobs", admin: "administer the server" };

/** What went wrong, in a sentence for people. */
export function explain(error) {
  if (error.code === "insufficient_scope") {
    const [, needed, has] = /scope (\w+), but .* scope (\w+)/.exec(error.message) ?? [];
    if (powers[needed] && powers[has])
      return `Your API key may ${powers[has]} (scope ${has}). This needs one that may ${powers[needed]} (scope ${needed}).`;
  }
  if (error instanceof TypeError) return "The server does not answer.";
  return error.message ?? String(error);
}

/** Heard by app.js, which asks for a key. */
const wantKey = () => document.dispatchEvent(new CustomEvent("key-wanted"));

export function errorBox(error) {
  const isKeys = error.status === 401 || ["insufficient_scope", "too_many_attempts"].includes(error.code);
  return h("div", { class: "error", role: "alert" }, h("p", {}, explain(error)),
    isKeys ? h("button", { type: "button", onclick: wantKey },
      error.code === "insufficient_scope" ? "Use another key" : "Enter a key") : null);
}

/** In an insecure context (plain HTTP from another machine) browsers give pages no clipboard. */
async function copy(text, near) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = h("textarea", { value: text, class: "unseen", "aria-hidden": "true" });
    near.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}

const SVG = "http://www.w3.org/2000/svg";

/** Two sheets, the sign for copying, which few fonts have. */
function copySign() {
  const sign = document.createElementNS(SVG, "svg");
  sign.setAttribute("viewBox", "0 0 16 16");
  sign.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", "M5.5 5.5h8v8h-8zM3 10.5h-.5v-8h8V3");
  sign.append(path);
  return sign;
}

/** An id with a button that copies it; a long one is cut in the middle, but for what is a name. */
export function idTag(id, what = "id", isName = false) {
  const sign = copySign();
  const button = h("button", { type: "button", class: "copy", "aria-label": `Copy the ${what}`, title: `Copy the ${what}` }, sign);
  const element = h("span", { class: "id" }, h("span", { title: id, class: "num" }, isName ? id : shortId(id)), button);
  button.addEventListener("click", async () => {
    const done = await copy(id, element);
    announce(done ? `The ${what} was copied` : `The ${what} could not be copied`);
    button.replaceChildren(done ? "✓" : "✕");
    setTimeout(() => button.replaceChildren(sign), 1500);
  });
  return element;
}

/** A moment as people say it, the exact one when they point at it; {element, set(seconds, text)}. */
export function moment() {
  const element = h("time");
  return {
    element,
    set(seconds, text = ago(seconds)) {
      setText(element, text);
      if (!seconds) return;
      setAttribute(element, "datetime", new Date(seconds * 1000).toISOString());
      setAttribute(element, "title", time(seconds));
    },
  };
}

export function momentTag(seconds) {
  const made = moment();
  made.set(seconds);
  return made.element;
}
