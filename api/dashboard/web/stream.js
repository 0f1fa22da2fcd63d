// stream.js - a job's live stream (server-sent events) by fetch, which unlike EventSource can send a
// key; it goes on behind the last message that came, however often the connection breaks.

import { ApiError, bodyOf, headers, isPassing, sleep, tellConnection, visible, withKey } from "./api.js";

const RETRY_MS = 1000, LONGEST_RETRY_MS = 15000;
const SILENCE_MS = 40000; // the server lets no more than 15 s pass without a word

/** Cuts text into messages: feed(text) calls take({type, id, data}) for each that is complete. */
export function messageReader(take) {
  let rest = "", type = "message", id = null, data = [];

  function line(text) {
    if (text === "") {
      if (data.length) take({ type, id, data: data.join("\n") });
      type = "message";
      data = [];
      return;
    }
    const at = text.indexOf(":");
    const name = at < 0 ? text : text.slice(0, at);
    const value = at < 0 ? "" : text.slice(at + (text[at + 1] === " " ? 2 : 1));
    if (name === "event") type = value;
    else if (name === "data") data.push(value);
    else if (name === "id") id = value;
  }

  return (text) => {
    const lines = (rest + text).split(/\r\n|\n|\r/);
    rest = lines.pop();
    lines.forEach(line);
  };
}

async function open(path, lastId, signal) {
  const response = await fetch(path, { signal, cache: "no-store",
    headers: headers({ Accept: "text/event-stream", ...(lastId ? { "Last-Event-ID": lastId } : {}) }) });
  if (!response.ok) throw new ApiError(response.status, await bodyOf(response));
  if (response.status === 204) return null; // it was over, and its end was told
  if (!response.headers.get("Content-Type")?.startsWith("text/event-stream"))
    throw new ApiError(502, { error: { message: "what came is no live stream" } });
  return response.body.getReader();
}

/** Reads until the answer ends. True: all was told; false: it broke, or was only left. */
async function read(path, place, take, leave) {
  const reader = await withKey(() => open(path, place.id, leave.signal));
  if (!reader) return true;
  const decoder = new TextDecoder();
  let timer = 0, isOver = false;
  const feed = messageReader((message) => {
    place.id = message.id ?? place.id;
    isOver ||= message.type === "end";
    take(message.type, JSON.parse(message.data));
  });
  tellConnection("live");
  try {
    for (;;) {
      clearTimeout(timer);
      timer = setTimeout(() => leave.abort(), SILENCE_MS);
      const { value, done } = await reader.read();
      if (done) return isOver;
      place.fails = 0;
      tellConnection("live");
      feed(decoder.decode(value, { stream: true }));
    }
  } finally {
    clearTimeout(timer);
  }
}

/** Calls `work` with a controller that is aborted with `signal`, and when nobody sees the page or the network goes. */
async function whileSeen(work, signal) {
  const leave = new AbortController();
  const go = () => leave.abort();
  const look = () => document.hidden && leave.abort();
  signal.addEventListener("abort", go);
  window.addEventListener("offline", go);
  document.addEventListener("visibilitychange", look);
  try {
    return await work(leave);
  } finally {
    signal.removeEventListener("abort", go);
    window.removeEventListener("offline", go);
    document.removeEventListener("visibilitychange", look);
  }
}

/**
 * Every message of the stream at `path`, once: take(type, data). Nobody looks: the connection is left,
 * for a browser has only six to one host, and taken up where it was. When it cannot be had, `instead`
 * is called (it may ask in another way) and the stream tried again. Ends after the last message, or
 * with the signal; what will not pass is thrown.
 */
export async function follow(path, take, instead, signal) {
  const place = { id: null, fails: 0 };
  while (!signal.aborted) {
    await visible(signal);
    try {
      if (await whileSeen((leave) => read(path, place, take, leave), signal)) return;
    } catch (error) {
      if (signal.aborted) return;
      if (!isPassing(error) && error.name !== "AbortError") throw error;
    }
    if (signal.aborted) return;
    if (document.hidden) continue;
    place.fails += 1;
    if ((await instead()) === false) return;
    await sleep(Math.min(RETRY_MS * 2 ** (place.fails - 1), LONGEST_RETRY_MS), signal);
  }
}
