// support.mjs - a real prilorad, a real Chromium, and cases that print TAP one after another.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

import { Daemon, root } from "../support/daemon.mjs";

export { root };
export const pictures = join(root, "build/browser");
mkdirSync(pictures, { recursive: true });

// ---- cases ----

const cases = [];
export const test = (name, run) => cases.push({ name, run });
export class Skip extends Error {}

export async function runAll() {
  let failed = 0;
  console.log(`1..${cases.length}`);
  for (const [i, { name, run }] of cases.entries()) {
    const start = Date.now();
    try {
      await run();
      console.log(`ok ${i + 1} - ${name}`);
      console.log(`# ${((Date.now() - start) / 1000).toFixed(1)} s`);
    } catch (error) {
      if (error instanceof Skip) {
        console.log(`ok ${i + 1} # SKIP ${name}: ${error.message}`);
        continue;
      }
      failed += 1;
      console.log(`not ok ${i + 1} - ${name}`);
      console.log(String(error.stack ?? error).replace(/^/gm, "# "));
    }
  }
  return failed;
}

/** Asks again and again until `look` gives something true. */
export async function until(what, look, timeoutMs = 120000) {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert.ok(Date.now() < end, `still waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

// ---- the daemon ----

export async function startDaemon() {
  const daemon = await new Daemon(["--training.threads=1"]).start();
  const base = `${daemon.url}/`;

  async function json(path, options) {
    const response = await fetch(base + path, options);
    return { status: response.status, body: await response.json().catch(() => null) };
  }
  return {
    base,
    get: async (path) => {
      const { status, body } = await json(path);
      assert.equal(status, 200, `${path}: ${JSON.stringify(body)}`);
      return body;
    },
    post: (path, body) => json(path, { method: "POST", body: JSON.stringify(body),
      headers: { "Content-Type": "application/json" } }),
    bytes: async (path) => Buffer.from(await (await fetch(base + path)).arrayBuffer()),
    /** Whether a route is there: GET on it is answered with "not this method", not with "nothing is here". */
    async hasPost(path) {
      return (await json(path)).body?.error?.code !== "unknown_url";
    },
    async upload(name, text) {
      const form = new FormData();
      form.append("purpose", "fine-tune");
      form.append("file", new Blob([text]), name);
      return (await json("v1/files", { method: "POST", body: form })).body.id;
    },
    async stop() {
      await daemon.stop();
      daemon.remove();
    },
  };
}

// ---- the browser ----

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export async function startBrowser(base) {
  const executablePath = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find(existsSync);
  const args = process.getuid() === 0 ? ["--no-sandbox"] : [];
  const browser = await chromium.launch({ executablePath, args });
  const complaints = [], foreign = [];

  /** A page that keeps what goes wrong in it; `expected`: console text that is meant to come. */
  async function open(hash = "", { expected, ...options } = {}) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, acceptDownloads: true, ...options });
    const page = await context.newPage();
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type()) && !expected?.test(message.text()))
        complaints.push(`${hash}: ${message.text()} ${message.location().url}`);
    });
    page.on("pageerror", (error) => complaints.push(`${hash}: ${error.stack}`));
    page.on("request", (request) => {
      if (!request.url().startsWith(base) && !/^(data|blob):/.test(request.url())) foreign.push(request.url());
    });
    page.setDefaultTimeout(60000);
    await page.goto(base + hash);
    return page;
  }

  /** Violations that axe-core calls serious or critical. */
  async function violations(page) {
    await page.evaluate(`${axe}; undefined`);
    const { violations: found } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
    return found.filter((v) => ["serious", "critical"].includes(v.impact))
      .map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => `${n.target} ${n.failureSummary}`).join(" | ")}`);
  }

  return { open, violations, complaints, foreign, close: () => browser.close() };
}
