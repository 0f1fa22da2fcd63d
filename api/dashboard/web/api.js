// api.js - the server's JSON interface: errors, the key, entity tags, polling. Live streams are
// stream.js's, files that are saved download.js's.

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

/** Set by app.js: told "up", "live" or "down", as every request and stream finds it. */
let tell = () => {};
let lastAnswer = 0;
export function onConnection(listener) {
  tell = listener;
}
export function tellConnection(state) {
  if (state !== "down") lastAnswer = Date.now();
  tell(state);
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

/** What fetch throws when nobody answers. */
export const isNoAnswer = (error) => error instanceof TypeError;

const seen = new Map(); // path -> {etag, data}
const MOST_SEEN = 200;

export function headers(extra) {
  const all = new Headers(extra);
  if (key) all.set("Authorization", `Bearer ${key}`);
  return all;
}

export async function bodyOf(response) {
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

async function once(method, path, { body, signal, keep = true } = {}) {
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
  if (method === "GET" && keep) remember(path, response, data);
  return data;
}

/** Does what needs a key; asks for another one as long as the server refuses it and its user does not. */
export async function withKey(work) {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (error instanceof ApiError) tellConnection("up");
      else if (isNoAnswer(error)) tellConnection("down");
      if (error.status !== 401 || !(await askForKey(error.message))) throw error;
    }
  }
}

const call = (method, path, options) => withKey(async () => {
  const data = await once(method, path, options);
  tellConnection("up");
  return data;
});

/** The same object again, if the server says that nothing has changed. */
export const get = (path, signal) => call("GET", path, { signal });
export const post = (path, body, signal) => call("POST", path, { body, signal });
export const remove = (path) => call("DELETE", path);

export const JOBS = "v1/fine_tuning/jobs";
export const jobPath = (id, rest = "") => `${JOBS}/${encodeURIComponent(id)}${rest}`;

/**
 * The rows of a list (a path with a query) behind the cursor `after`, page by page: take(rows) gets each
 * page, which is not kept. `next` gives a row's cursor.
 */
export async function pages(path, next, take, signal, after) {
  for (;;) {
    const from = after === undefined ? path : `${path}&after=${encodeURIComponent(after)}`;
    const page = await call("GET", from, { signal, keep: false });
    take(page.data);
    if (!page.has_more || page.data.length === 0) return;
    after = next(page.data.at(-1));
  }
}

export async function all(path, next, signal) {
  const rows = [];
  await pages(path, next, (page) => rows.push(...page), signal);
  return rows;
}

/** Uploads a file; onProgress gets a part from 0 to 1. (fetch does not tell how far it is.) */
export const upload = (file, onProgress) => withKey(() => send(file, onProgress));

function send(file, onProgress) {
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
    xhr.onerror = () => reject(new TypeError("The upload was cut off: the server does not answer."));
    xhr.send(form);
  });
}

// ---- polling --------------------------------------------------------------------------------------

/** Until the page is seen. */
export const visible = (signal) =>
  new Promise((resolve) => {
    if (!document.hidden || signal.aborted) return resolve();
    const done = () => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener("visibilitychange", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    document.addEventListener("visibilitychange", done);
    signal.addEventListener("abort", done);
  });

/** Some time, or until the network is back. */
export const sleep = (ms, signal) =>
  new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      window.removeEventListener("online", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    window.addEventListener("online", done);
    signal.addEventListener("abort", done);
  });

const WAIT_MS = 1500, LONGEST_WAIT_MS = 15000;

/** Whether it may be right later: nobody answered, or only for now. */
export const isPassing = (error) => isNoAnswer(error) || (error instanceof ApiError
  && (error.status >= 500 || (error.status === 429 && error.code !== "too_many_attempts")));

/**
 * Calls `look` again and again while the page is seen, until the signal or until it returns false; a
 * number is how many ms to wait for the next time. Trouble makes it wait longer; a fault of the
 * request (4xx) ends it and is thrown.
 */
export async function poll(look, signal) {
  let wait = WAIT_MS;
  while (!signal.aborted) {
    try {
      const next = await look();
      if (next === false) return;
      wait = typeof next === "number" ? next : WAIT_MS;
    } catch (error) {
      if (signal.aborted) return;
      if (!isPassing(error)) throw error;
      wait = Math.min(2 * wait, LONGEST_WAIT_MS);
    }
    await sleep(wait, signal);
    await visible(signal);
  }
}

const SILENCE_MS = 15000;

/** Asks now and then whether the server is there while a page asks nothing itself. */
export async function keepTrue(signal) {
  let wait = SILENCE_MS;
  for (;;) {
    await sleep(wait, signal);
    await visible(signal);
    if (signal.aborted) return;
    const rest = lastAnswer + SILENCE_MS - Date.now();
    wait = rest > 0 ? rest : SILENCE_MS;
    if (rest > 0) continue;
    try {
      await fetch("livez", { cache: "no-store", signal });
      tellConnection("up");
    } catch {
      if (signal.aborted) return;
      tellConnection("down");
      wait = 2 * WAIT_MS;
    }
  }
}
