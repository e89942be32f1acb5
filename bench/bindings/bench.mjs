// The part of the bench in JavaScript: bench.mjs BUNDLE LEDGER.
import assert from "node:assert/strict";
import { performance } from "node:perf_hooks";

const began = performance.now();
const { Kubernaut, ContextStore } = await import("kubernaut");
console.log(`node:   import                         ${(performance.now() - began).toFixed(0)} ms`);

const [bundle, ledger] = process.argv.slice(2);
const config = (more = {}) => ({ ledger: { memory: true }, cluster: { bundle }, ...more });

const alerts = (first) =>
  JSON.stringify({
    version: "4",
    status: "firing",
    alerts: Array.from({ length: 100 }, (_, n) => ({
      status: "firing",
      labels: { alertname: "Down", namespace: "shop", deployment: `web-${first + n}`, severity: "warning" },
      annotations: {},
      startsAt: "2026-01-01T00:00:00Z",
    })),
  });

class Part extends ContextStore {
  remember() {}
  history() {
    return [];
  }
  recall() {
    return [];
  }
}

async function timed(call, count = 3000) {
  for (let i = 0; i < 200; i++) await call();
  const times = [];
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    await call();
    times.push((performance.now() - start) * 1000);
  }
  times.sort((a, b) => a - b);
  return times;
}
const shown = (times) => `p50 ${times[times.length >> 1].toFixed(0)} µs, p99 ${times[Math.floor(times.length * 0.99)].toFixed(0)} µs`;

const plain = new Kubernaut(config(), { workers: false });
const bare = await timed(() => plain.stopped());
console.log(`node:   call without a part            ${shown(bare)}`);
const engine = new Kubernaut(config(), { workers: false, context_store: new Part() });
const whole = await timed(() => engine.recall());
const share = whole[whole.length >> 1] - bare[bare.length >> 1];
console.log(`node:   call with a part               ${shown(whole)}; the part's share ${share.toFixed(0)} µs`);

const intake = new Kubernaut(config({ ledger: { path: ledger } }), { workers: false });
await intake.stats();
const bodies = Array.from({ length: 100 }, (_, n) => alerts(n * 100));
const start = performance.now();
for (const body of bodies) await intake.ingest({ body });
console.log(`node:   ingest of 10,000 alerts        ${((performance.now() - start) / 1000).toFixed(2)} s`);

let seen = 0;
let early = 0;
while (seen < 1_000_000) {
  for await (const event of intake.events({ after: (seen / 1000) % 1000 })) {
    assert.ok(event.seq);
    if (++seen % 1000 === 0) break;
  }
  if (seen === 100_000) early = (global.gc(), process.memoryUsage.rss());
}
global.gc();
const mib = (bytes) => (bytes / 1048576).toFixed(0);
console.log(`node:   1,000,000 events               memory ${mib(early)} MiB after 100,000, ${mib(process.memoryUsage.rss())} MiB at the end`);
