// hub.mjs - a hub that has one model, examples/prilora-mini-en, and sends its weights slowly.

import { createHash } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { root } from "./support.mjs";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const PIECE = 256 * 1024, PAUSE_MS = 60;

export async function startHub(name) {
  const folder = join(root, "examples/prilora-mini-en");
  const files = new Map(readdirSync(folder).map((file) => [file, readFileSync(join(folder, file))]));
  const siblings = [...files].map(([rfilename, data]) => ({ rfilename, size: data.length,
    lfs: { size: data.length, sha256: createHash("sha256").update(data).digest("hex") } }));

  async function send(response, data) {
    for (let at = 0; at < data.length && !response.destroyed; at += PIECE) {
      response.write(data.subarray(at, at + PIECE));
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    response.end();
  }

  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://hub");
    if (pathname.startsWith(`/api/models/${name}/`)) return response.end(JSON.stringify({ sha: COMMIT, siblings }));
    const data = pathname.startsWith(`/${name}/resolve/${COMMIT}/`) ? files.get(pathname.split("/").at(-1)) : undefined;
    response.writeHead(data ? 200 : 404, data ? { "Content-Length": data.length } : {});
    return data ? send(response, data) : response.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    endpoint: `http://127.0.0.1:${server.address().port}`,
    stop: () => { server.closeAllConnections(); server.close(); },
  };
}
