// The end of the process, worker threads, both kinds of modules, names.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import * as kubernaut from "kubernaut";
import { BUNDLE, ROOT, TARGET } from "./shared.mjs";

const require = createRequire(import.meta.url);
const run = promisify(execFile);
const node = (program) => run(process.execPath, ["-e", program, BUNDLE], { timeout: 60_000, cwd: import.meta.dirname ?? process.cwd() });

test("a program that forgets to close still ends", async () => {
  const program = `
    const { Kubernaut, Classifier, bundle } = require("kubernaut");
    class Mine extends Classifier { classify() { return new Promise(() => {}); } }
    (async () => {
      const engine = new Kubernaut({ ledger: { memory: true }, cluster: { bundle: process.argv[1] }, mode: "auto" }, { classifier: new Mine() });
      await engine.ingest({ body: (await bundle({ path: process.argv[1] })).alert });
      console.log("done");
    })();`;
  const { stdout, stderr } = await node(program);
  assert.deepEqual([stdout, stderr], ["done\n", ""]);
});

test("both kinds of modules are one package", () => {
  assert.equal(require("kubernaut").KubernautError, kubernaut.KubernautError);
});

test("worker threads have engines of their own, and may be ended in the middle", async () => {
  const program = `
    const { parentPort, workerData } = require("node:worker_threads");
    const { Kubernaut, Classifier } = require("kubernaut");
    class Mine extends Classifier { classify() { parentPort.postMessage("asked"); return new Promise(() => {}); } }
    const config = { ledger: { memory: true }, cluster: { bundle: workerData.bundle } };
    new Kubernaut(config, { workers: false }).analyze({ target: workerData.target }).then((r) => parentPort.postMessage(r.decision));
    if (workerData.hang) new Kubernaut(config, { workers: false, classifier: new Mine() }).analyze({ target: workerData.target });`;
  for (const hang of [false, true]) {
    const worker = new Worker(program, { eval: true, workerData: { bundle: BUNDLE, target: TARGET, hang } });
    const said = new Set();
    await new Promise((resolve, reject) => {
      worker.on("error", reject);
      worker.on("message", (message) => {
        said.add(message);
        if (said.size === (hang ? 2 : 1)) resolve();
      });
    });
    await worker.terminate();
    assert.ok(said.has("approve") || said.has("act") || said.has("escalate"), [...said].join());
  }
});

test("every error of the table has its class", () => {
  for (const row of JSON.parse(readFileSync(join(ROOT, "tests", "vectors", "errors.json"), "utf8"))) {
    const made = new kubernaut[row.python]("text");
    assert.deepEqual([made.kind, made.code, made.http_status, made.name], [row.kind, row.node, row.http, row.python]);
    assert.ok(made instanceof kubernaut.KubernautError);
  }
});

test("the package is that of its native module", () => {
  const { native } = require(join(require.resolve("kubernaut"), "..", "native.js"));
  const own = JSON.parse(native.interfaceDescription());
  assert.deepEqual(own, JSON.parse(readFileSync(join(ROOT, "kubernaut", "schemas", "interface.json"), "utf8")));
  const engine = new kubernaut.Kubernaut({}, { workers: false });
  const owners = { engine, cluster: engine.cluster, library: kubernaut.library };
  const renamed = { events: "page_of_events", shutdown: "end" };
  for (const { name, scope } of own.operations) assert.equal(typeof owners[scope][renamed[name] ?? name], "function", name);
});
