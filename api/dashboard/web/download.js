// download.js - saving files. Without a key by a plain link; with one by fetch, since links send none
// and a key does not belong in an address: small files by way of a Blob, large ones, where the browser
// can, straight into the file that its user chooses.

import { ApiError, bodyOf, headers, withKey } from "./api.js";
import { h } from "./dom.js";

const LARGE_BYTES = 64e6;

function click(href, name) {
  const link = h("a", { href, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}

export function saveBlob(blob, name) {
  const href = URL.createObjectURL(blob);
  click(href, name);
  setTimeout(() => URL.revokeObjectURL(href), 60000);
}

export const saveText = (text, name, type) => saveBlob(new Blob([text], { type }), name);

async function request(path, method) {
  const response = await fetch(path, { method, headers: headers(), cache: "no-store" });
  if (!response.ok) throw new ApiError(response.status, method === "HEAD" ? null : await bodyOf(response));
  return response;
}

/** The answer's bytes as they pass, counted. */
function counted(response, onProgress) {
  let n = 0;
  return response.body.pipeThrough(new TransformStream({
    transform(piece, controller) {
      n += piece.byteLength;
      onProgress(n);
      controller.enqueue(piece);
    },
  }));
}

/** Where a large file goes: null if this browser cannot say, undefined if its user does not want it. */
async function chooseFile(name) {
  if (!("showSaveFilePicker" in window)) return null;
  try {
    return await window.showSaveFilePicker({ suggestedName: name });
  } catch (error) {
    if (error.name === "AbortError") return undefined;
    return null; // asked too long after the click
  }
}

/** Saves what is at `path`; onProgress(bytes so far) where this page does the reading. */
export async function download(path, name, { size = 0, onProgress = () => {} } = {}) {
  if (!headers().has("Authorization")) {
    const head = await fetch(path, { method: "HEAD", cache: "no-store" });
    if (head.ok) return click(path, name);
  }
  // an answer to HEAD says no reason: GET tells it, and asks for a key
  const file = size >= LARGE_BYTES ? await chooseFile(name) : null;
  if (file === undefined) return undefined;
  const response = await withKey(() => request(path, "GET"));
  const stream = counted(response, onProgress);
  if (file) return stream.pipeTo(await file.createWritable());
  return saveBlob(await new Response(stream).blob(), name);
}
