// From an alert to a verified fix, from JavaScript.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Kubernaut, Classifier, bundle, evaluate } from "kubernaut";
import { Lines } from "./parts.mjs";
import { BUNDLE, ROOT, TARGET, acting, classification, quiet } from "./shared.mjs";
import { join } from "node:path";

class Production extends Classifier {
  classify() {
    return classification();
  }
}

test("an alert becomes a verified fix with the agreement of a person", async () => {
  const lines = new Lines();
  const engine = new Kubernaut(acting(), { classifier: new Production(), notifier: lines });
  const received = await engine.ingest({ body: (await bundle({ path: BUNDLE })).alert });
  assert.equal(received.results[0].outcome, "created");
  const seen = [];
  let incident;
  for await (const event of engine.events()) {
    seen.push(event.seq);
    if (event.type === "approval.requested") {
      const [waiting] = await engine.approvals({ pending_only: true });
      const answered = await engine.approve({ approval_id: waiting.id, by: "ann@example.org", digest: waiting.digest });
      assert.deepEqual([answered.state, answered.decided_by], ["approved", "ann@example.org"]);
    }
    incident = await engine.incident({ incident_id: event.incident_id });
    if (incident.phase === "resolved") break;
  }
  assert.equal(incident.classification.environment.detail, "inventory");
  const timeline = (await engine.timeline({ incident_id: incident.id })).map((e) => e.seq);
  assert.deepEqual(seen, timeline.slice(0, seen.length), "in order, none missing");
  const [run] = await engine.runs({ incident_id: incident.id });
  assert.equal(run.state, "succeeded");
  await engine.close();
});

test("a signal ends a wait for events, and closing ends the loop", async () => {
  const engine = new Kubernaut(quiet(), { workers: false });
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 50);
  for await (const _ of engine.events({}, { signal: controller.signal })) assert.fail("there are no events");
  const loop = (async () => {
    for await (const _ of engine.events()) assert.fail("there are no events");
  })();
  await engine.stats();
  await engine.close();
  await loop;
});

test("plug-ins may ask the engine's own services", async () => {
  const made = [];
  class Refined extends Classifier {
    async classify(ctx, request) {
      const found = await made[0].classify(request);
      assert.equal((await made[0].cluster.cluster_get({ target: request.target })).kind, "Deployment");
      return { ...found, priority: "P0" };
    }
  }
  made.push(new Kubernaut(quiet(), { workers: false, classifier: new Refined() }));
  assert.equal((await made[0].analyze({ target: TARGET })).actions[0].action, "rollback_deployment");
});

test("evaluation reads a folder of bundles", async () => {
  const found = await evaluate({ cases: join(ROOT, "examples", "bundles") });
  assert.ok(found.predictions.length >= 1 && found.left_out.length === 0);
});
