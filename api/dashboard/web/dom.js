// dom.js - making and changing elements. Text from the server only ever becomes text.

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

/** A name and a value, which change: {element, set(text), rename(text)}. */
export function fact(name) {
  const value = h("dd", {}, "–");
  const title = h("dt", {}, name);
  return { element: h("div", { class: "fact" }, title, value), set: (text) => setText(value, text),
    rename: (text) => setText(title, text) };
}

export function table(caption, heads, rows, properties = {}) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", properties,
      h("caption", { class: "unseen" }, caption),
      h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", {}, rows)));
}

export function errorBox(error) {
  return h("p", { class: "error", role: "alert" }, error.message ?? String(error));
}
