// The whole loop on a real cluster: an alert, a classifier of one's own, an approval from the host, a fix that kubectl sees.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Classifier, Kubernaut } from "kubernaut";
import { Lines } from "./parts.mjs";
import { classification } from "./shared.mjs";

const { KUBERNAUT_TEST_KUBECONFIG: kubeconfig, KUBERNAUT_TEST_KUBECTL: program, KUBERNAUT_TEST_REGISTRY: registry } = process.env;
const skip = kubeconfig === undefined && process.env.KUBERNAUT_REQUIRE_CLUSTER !== "1" && "no cluster; `cargo xtask bindings --cluster` brings one up";

const [namespace, name] = ["node-loop", "storefront"];
const SERVES = "echo serving; exec tail -f /dev/null";

const kubectl = (args, given) => execFileSync(program, args, { input: given && JSON.stringify(given), encoding: "utf8", stdio: ["pipe", "pipe", "pipe"] });

function deployment(script) {
  const main = { name: "main", image: `${registry}/lab/app:1`, command: ["sh", "-c", script] };
  const template = { metadata: { labels: { app: name } }, spec: { terminationGracePeriodSeconds: 1, containers: [main] } };
  const spec = { minReadySeconds: 2, replicas: 1, selector: { matchLabels: { app: name } }, template };
  return { apiVersion: "apps/v1", kind: "Deployment", metadata: { name, namespace }, spec };
}

async function fault() {
  kubectl(["apply", "-f", "-"], { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace, labels: { "kubernaut.ai/managed": "true" } } });
  kubectl(["apply", "-f", "-"], deployment(SERVES));
  kubectl(["-n", namespace, "rollout", "status", `deployment/${name}`, "--timeout=90s"]);
  kubectl(["apply", "-f", "-"], deployment("echo 'fatal: unknown option --fast' >&2; exit 2"));
  const exits = "jsonpath={.items[*].status.containerStatuses[0].lastState.terminated.exitCode}";
  while (!kubectl(["-n", namespace, "get", "pods", "-o", exits]).includes("2")) await sleep(300);
}

class Production extends Classifier {
  async classify() {
    return classification();
  }
}

test("a bad release is rolled back with an approval from JavaScript", { skip }, async () => {
  await fault();
  const config = { mode: "auto", cluster: { kubeconfig }, ledger: { memory: true }, processor: { verification: { window_s: 60 } } };
  const engine = new Kubernaut(config, { classifier: new Production(), notifier: new Lines() });
  const labels = { alertname: "KubePodCrashLooping", namespace, deployment: name, severity: "critical" };
  const alert = { status: "firing", labels, annotations: {}, startsAt: "2026-01-01T00:00:00Z" };
  const body = { version: "4", status: "firing", alerts: [alert] };
  assert.equal((await engine.ingest({ body })).status, 201);
  const seen = [];
  let incident;
  for await (const event of engine.events()) {
    seen.push(event.seq);
    if (event.type === "approval.requested") {
      const [waiting] = await engine.approvals({ pending_only: true });
      await engine.approve({ approval_id: waiting.id, by: "ann@example.org", digest: waiting.digest });
    }
    if (event.type === "step.ended") {
      await engine.ingest({ body: { ...body, status: "resolved", alerts: [{ ...alert, status: "resolved", endsAt: "2026-01-01T01:00:00Z" }] } });
    }
    incident = await engine.incident({ incident_id: event.incident_id });
    if (incident.closed_at) break;
  }
  assert.equal(incident.phase, "resolved", incident.message);
  assert.deepEqual(seen, (await engine.timeline({ incident_id: incident.id })).map((e) => e.seq).slice(0, seen.length), "in order, none missing");
  const running = JSON.parse(kubectl(["-n", namespace, "get", `deployment/${name}`, "-o", "json"]));
  assert.equal(running.spec.template.spec.containers[0].command[2], SERVES);
  kubectl(["delete", "namespace", namespace, "--wait=false"]);
  await engine.close();
});
