// Parts that do what they should not: a clear error, never a crash, a hang or a lost incident.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as kubernaut from "kubernaut";
import { BUNDLE, TARGET, acting, classification, quiet } from "./shared.mjs";

class Part extends kubernaut.Classifier {
  timeout_ms = 500;
  max_answer_bytes = 100_000;

  constructor(answer) {
    super();
    this.classify = answer;
  }
}

const fail = (error) => () => {
  throw error;
};

const circle = {};
circle.circle = circle;

const CASES = {
  "an error": [fail(new TypeError("boom")), kubernaut.PluginFailedError, /TypeError: boom/],
  "a rejected promise": [() => Promise.reject(new Error("later")), kubernaut.PluginFailedError, /Error: later/],
  "something that is no error": [fail("text"), kubernaut.PluginFailedError, /text/],
  "one of ours": [fail(new kubernaut.UnavailableError("cmdb is away")), kubernaut.UnavailableError, /cmdb is away/],
  "nothing": [() => undefined, kubernaut.PluginFailedError, /wrong shape/],
  "a number, and no promise": [() => 42, kubernaut.PluginFailedError, /wrong shape/],
  "a circle": [() => circle, kubernaut.PluginFailedError, /no JSON value/],
  "a function": [() => () => 1, kubernaut.PluginFailedError, /wrong shape/],
  "a wrong field": [() => ({ ...classification(), priority: "P9" }), kubernaut.PluginFailedError, /field=priority/],
  "a huge answer": [() => ({ ...classification(), business: { x: "y".repeat(200_000) } }), kubernaut.PluginFailedError, /too large/],
  "a promise that never settles": [() => new Promise(() => {}), kubernaut.DeadlineError, /did not answer in time/],
};

for (const [name, [answer, kind, text]] of Object.entries(CASES)) {
  test(`${name} is a clear error`, async () => {
    const engine = new kubernaut.Kubernaut(quiet(), { workers: false, classifier: new Part(answer) });
    await assert.rejects(engine.analyze({ target: TARGET }), (error) => {
      assert.ok(error instanceof kind, String(error.stack));
      assert.match(error.message, text);
      assert.match(error.code, /^ERR_KUBERNAUT_/);
      return true;
    });
    assert.equal((await engine.stats()).open_incidents, 0, "the engine goes on");
  });
}

test("a caller that gives up aborts the part's signal", async () => {
  let aborted;
  const gone = new Promise((resolve) => (aborted = resolve));
  const began = Promise.withResolvers?.() ?? deferred();
  const part = new Part((ctx) => {
    began.resolve();
    return new Promise(() => ctx.signal.addEventListener("abort", aborted));
  });
  part.timeout_ms = 30_000;
  const engine = new kubernaut.Kubernaut(quiet(), { workers: false, classifier: part });
  const controller = new AbortController();
  const call = engine.analyze({ target: TARGET }, { signal: controller.signal });
  await began.promise;
  controller.abort();
  await assert.rejects(call, kubernaut.CancelledError);
  await gone;
});

function deferred() {
  const made = {};
  made.promise = new Promise((resolve) => (made.resolve = resolve));
  return made;
}

test("no incident is lost to a part that fails", async () => {
  const engine = new kubernaut.Kubernaut(acting(), { classifier: new Part(fail(new Error("broken part"))) });
  const { results } = await engine.ingest({ body: (await kubernaut.bundle({ path: BUNDLE })).alert });
  for await (const event of engine.events()) {
    const incident = await engine.incident({ incident_id: event.incident_id });
    if (JSON.stringify([event, incident]).includes("broken part")) break;
  }
  assert.equal((await engine.incidents())[0].id, results[0].incident_id);
  await engine.close();
});

test("a part without a required method, and a mistake in the configuration, are refused at once", () => {
  assert.throws(() => new kubernaut.Kubernaut({}, { context_store: { recall: () => [] } }), /method=remember/);
  assert.throws(() => new kubernaut.Kubernaut({ gate: { no_such: 1 } }), (e) => e instanceof kubernaut.InvalidInputError && /field=gate/.test(e.message));
});
