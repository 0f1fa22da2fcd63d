// scale.test.mjs - much of everything: the page stays quick, asks for pages, and does not grow.

import assert from "node:assert/strict";
import { LAYERS, N_JOBS, N_PRUNINGS, N_STEPS, startCrowd } from "./crowd.mjs";
import { startBrowser, test, until } from "./support.mjs";

let crowd = null, browser = null;

/** What Chromium counts of a page: seconds of scripts, the heap after a collection, the longest task. */
async function meter(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable");
  return async () => {
    await session.send("HeapProfiler.collectGarbage");
    const { metrics } = await session.send("Performance.getMetrics");
    const found = Object.fromEntries(metrics.map((m) => [m.name, m.value]));
    return { scriptS: found.ScriptDuration, taskS: found.TaskDuration, heapMb: found.JSHeapUsedSize / 1e6,
      nodes: found.Nodes, longestMs: await page.evaluate(() => window.longest ?? 0) };
  };
}

/** A page on which the longest task is noted from its beginning. */
async function openMeasured(hash) {
  const page = await browser.open("livez", { expected: /404/ });
  await page.addInitScript(() => {
    window.longest = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) window.longest = Math.max(window.longest, entry.duration);
    }).observe({ type: "longtask", buffered: true });
  });
  await page.goto(crowd.base + hash);
  return page;
}

const say = (what, m) => console.log(`# ${what}: ${m.scriptS.toFixed(2)} s of scripts, ${m.taskS.toFixed(2)} s of tasks, `
  + `longest ${Math.round(m.longestMs)} ms, heap ${m.heapMb.toFixed(1)} MB, ${m.nodes} nodes`);

test("of 2,000 jobs one page is asked for and shown at a time", async () => {
  crowd = await startCrowd();
  browser = await startBrowser(crowd.base);
  const page = await openMeasured("#/jobs");
  const measure = await meter(page);
  const lists = () => crowd.asked.filter((url) => url.startsWith("/v1/fine_tuning/jobs?"));
  await page.getByText(`job ${N_JOBS - 1}`, { exact: true }).waitFor();
  assert.equal(await page.locator(".job").count(), 20);
  await page.getByRole("button", { name: "Older" }).click();
  await page.getByText(`job ${N_JOBS - 21}`, { exact: true }).waitFor();
  await page.getByLabel("failed").check({ force: true });
  await page.getByText(`job ${N_JOBS - 2}`, { exact: true }).waitFor();
  assert.equal(await page.locator(".job .chip", { hasText: "failed" }).count(), 20);
  assert.ok(lists().every((url) => url.includes("limit=20")));
  assert.ok(lists().some((url) => /after=ftjob-/.test(url)) && lists().some((url) => url.includes("status=failed")));
  await page.getByRole("button", { name: "Older" }).click();
  await page.getByText(`job ${N_JOBS - 2 - 80}`, { exact: true }).waitFor(); // every fourth has failed
  await page.locator(".job a").first().click();
  await page.goBack();
  await page.getByText(`job ${N_JOBS - 2 - 80}`, { exact: true }).waitFor();
  await page.getByText("page 2").waitFor();
  const m = await measure();
  say("2,000 jobs", m);
  assert.ok(m.longestMs < 1000 && m.heapMb < 20, JSON.stringify(m)); // a second: the machine is shared
});

test("20,000 steps and 500 prunings of a large base are read in pages and stay light", async () => {
  const page = await openMeasured(`#/jobs/${crowd.finished}`);
  const measure = await meter(page);
  await page.locator("output", { hasText: `${N_PRUNINGS} of ${N_PRUNINGS}` }).waitFor();
  assert.equal(await page.locator(".cell").count(), LAYERS * 6);
  const m = await measure();
  say("20,000 steps", m);
  // 500 prunings of 144 maps are 33 MB of text; five numbers of each make 2.9 MB
  assert.ok(m.longestMs < 1500 && m.heapMb < 25, JSON.stringify(m));
  const started = Date.now();
  await page.getByLabel("Pruning", { exact: true }).focus();
  for (let i = 0; i < 20; i += 1) await page.keyboard.press("ArrowLeft");
  await page.locator("output", { hasText: `${N_PRUNINGS - 20} of ${N_PRUNINGS}` }).waitFor();
  console.log(`# 20 prunings back by the slider: ${Date.now() - started} ms`);
  await page.getByText("All numbers as a table").click();
  await page.locator("table.numbers tbody tr").nth(LAYERS * 6 - 1).waitFor();
  assert.match(crowd.asked.filter((url) => url.includes("/layers?")).at(-1), new RegExp(`history=1&limit=1&after=${(N_PRUNINGS - 20) * 40 - 1}$`));
});

test("a page that watches a job does not grow with it", async () => {
  const page = await openMeasured(`#/jobs/${crowd.running}`);
  const measure = await meter(page);
  await until("the stream", () => crowd.streams.length > 0);
  const shown = (step) => page.locator(".bar-row .num", { hasText: `Step ${step.toLocaleString("en")} of` }).waitFor();
  await crowd.stream(1, N_STEPS, true);
  await shown(N_STEPS);
  const before = await measure();
  say("stream of 20,000 steps, 500 prunings", before);
  await crowd.stream(N_STEPS + 1, 4 * N_STEPS, false);
  await shown(4 * N_STEPS);
  const after = await measure();
  say("60,000 steps more", after);
  assert.ok(after.heapMb - before.heapMb < 3, `${before.heapMb} MB, then ${after.heapMb} MB`);
  assert.ok(after.nodes - before.nodes < 200, `${before.nodes} nodes, then ${after.nodes}`);
  assert.ok(after.longestMs < 1500, JSON.stringify(after));
});

test("nothing was wrong in all that", async () => {
  assert.deepEqual(browser.complaints, []);
  await browser.close();
  crowd.stop();
});
