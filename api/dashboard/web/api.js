// api.js - the server's JSON interface: errors, the key, entity tags, polling.

const STORED_KEY = "prilorad.key";
let key = sessionStorage.getItem(STORED_KEY) ?? "";

export const hasKey = () => key !== "";
export const currentKey = () => key;
export function setKey(value) {
  key = value.trim();
  if (key) sessionStorage.setItem(STORED_KEY, key);
  else sessionStorage.removeItem(STORED_KEY);
  seen.clear();
}

/** Set by app.js: asks for a key; resolves to whether there is a new one. */
let askForKey = async () => false;
export function onKeyNeeded(ask) {
  askForKey = ask;
}

/** Set by app.js: told whether the server answers. */
let tellConnection = () => {};
export function onConnection(tell) {
  tellConnection = tell;
}

export class ApiError extends Error {
  constructor(status, body) {
    const error = body?.error ?? {};
    super(error.message ?? `the server answered ${status}`);
    this.status = status;
    this.code = error.code ?? null;
    this.param = error.param ?? null;
  }
}

const seen = new Map(); // path -> {etag, data}
const MOST_SEEN = 200;

function headers(extra) {
  const all = new Headers(extra);
  if (key) all.set("Authorization", `Bearer ${key}`);
  return all;
}

async function bodyOf(response) {
  const text = await response.text();
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}

function remember(path, response, data) {
  const etag = response.headers.get("ETag");
  if (!etag) return;
  if (seen.size >= MOST_SEEN) seen.delete(seen.keys().next().value);
  seen.set(path, { etag, data });
}

async function once(method, path, { body, signal } = {}) {
  const known = method === "GET" ? seen.get(path) : undefined;
  const response = await fetch(path, {
    method,
    signal,
    cache: "no-store",
    headers: headers({
      Accept: "application/json",
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      ...(known ? { "If-None-Match": known.etag } : {}),
    }),
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (response.status === 304 && known) return known.data;
  const data = await bodyOf(response);
  if (!response.ok) throw new ApiError(response.status, data);
  if (method === "GET") remember(path, response, data);
  return data;
}

async function call(method, path, options) {
  for (;;) {
    try {
      const data = await once(method, path, options);
      tellConnection(true);
      return data;
    } catch (error) {
      if (error.status !== 401 || !(await askForKey(error.message))) throw error;
    }
  }
}

/** The same object again, if the server says that nothing has changed. */
export const get = (path, signal) => call("GET", path, { signal });
export const post = (path, body, signal) => call("POST", path, { body, signal });
export const remove = (path) => call("DELETE", path);

export const JOBS = "v1/fine_tuning/jobs";
export const jobPath = (id, rest = "") => `${JOBS}/${encodeURIComponent(id)}${rest}`;

/** The rows of a list (a path with a query) behind the cursor `after`; `next` gives a row's cursor. */
export async function all(path, next, signal, after) {
  const rows = [];
  for (;;) {
    const page = await get(after === undefined ? path : `${path}&after=${encodeURIComponent(after)}`, signal);
    rows.push(...page.data);
    if (!page.has_more || page.data.length === 0) return rows;
    after = next(page.data.at(-1));
  }
}

/** Uploads a file; onProgress gets a part from 0 to 1. (fetch does not tell how far it is.) */
export function upload(file, onProgress) {
  const form = new FormData();
  form.append("purpose", "fine-tune");
  form.append("file", file, file.name);
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    xhr.open("POST", "v1/files");
    if (key) xhr.setRequestHeader("Authorization", `Bearer ${key}`);
    xhr.responseType = "json";
    xhr.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    xhr.onload = () =>
      xhr.status === 200 ? resolve(xhr.response) : reject(new ApiError(xhr.status, xhr.response));
    xhr.onerror = () => reject(new Error("the upload was cut off"));
    xhr.send(form);
  });
}

/** Saves what is at `path`: a plain link, or with a key by way of memory, since links carry none. */
export async function download(path, name) {
  let href = path;
  const head = await fetch(path, { method: "HEAD", headers: headers(), cache: "no-store" });
  if (key || !head.ok) {
    const response = await fetch(path, { headers: headers(), cache: "no-store" });
    if (!response.ok) throw new ApiError(response.status, await bodyOf(response));
    href = URL.createObjectURL(await response.blob());
  }
  const link = document.createElement("a");
  link.href = href;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  if (key) setTimeout(() => URL.revokeObjectURL(href), 60000);
}

// ---- polling --------------------------------------------------------------------------------------

const visible = (signal) =>
  new Promise((resolve) => {
    if (!document.hidden || signal.aborted) return resolve();
    const done = () => {
      document.removeEventListener("visibilitychange", done);
      resolve();
    };
    document.addEventListener("visibilitychange", done);
    signal.addEventListener("abort", done, { once: true });
  });

const sleep = (ms, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });

const WAIT_MS = 1500, LONGEST_WAIT_MS = 15000;

/**
 * Calls `look` again and again while the page is seen, until the signal or until it returns false.
 * Trouble makes it wait longer; a fault of the request (4xx) ends it and is thrown.
 */
export async function poll(look, signal) {
  let wait = WAIT_MS;
  while (!signal.aborted) {
    try {
      if ((await look()) === false) return;
      wait = WAIT_MS;
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.status < 500 && error.status !== 429) throw error;
      if (!(error instanceof ApiError || error instanceof TypeError)) throw error;
      wait = Math.min(2 * wait, LONGEST_WAIT_MS);
      tellConnection(false);
    }
    await sleep(wait, signal);
    await visible(signal);
  }
}
