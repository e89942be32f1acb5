// Parts in JavaScript that pass the behaviour suites.
import { createHash } from "node:crypto";
import * as kubernaut from "kubernaut";
import { attributed, classification } from "./shared.mjs";

export const short = (ref) => [ref.kind, ref.namespace, ref.name].filter(Boolean).join("/");

export class Inventory extends kubernaut.Classifier {
  classify(_ctx, request) {
    if (!request.target.name) throw new kubernaut.InvalidInputError("the target has no name");
    const known = request.target.namespace === "labelled";
    return classification(known ? attributed("staging", "staging", 1.0) : attributed("unknown", "production", 0.1));
  }
}

export class Looker extends kubernaut.Analyzer {
  constructor(cluster) {
    super();
    this.cluster = cluster;
  }

  async analyze(_ctx, { target }) {
    const gaps = [];
    const read = async (what) => {
      try {
        return await what();
      } catch (error) {
        if (!(error instanceof kubernaut.ForbiddenError)) throw error;
        gaps.push(error.message);
        return null;
      }
    };
    const found = await read(() => this.cluster.cluster_get({ target }));
    const sets = (await read(() => this.cluster.cluster_list({ kind: "ReplicaSet", namespace: target.namespace }))) ?? [];
    const missing = found?.status?.unavailableReplicas ?? 0;
    const fact = { object: target, source: "status", text: `${missing} unavailable, ${sets.length} replica sets` };
    const cause = { category: "unknown", object: target, confidence: 0.3, summary: "replicas are missing", evidence: [fact] };
    return {
      target, candidates: missing ? [cause] : [], actions: [], no_action: !missing, gaps,
      engine: "looker", latency_ms: 1, tokens: { input: 0, output: 0 },
    };
  }
}

export class Memory extends kubernaut.ContextStore {
  entries = [];

  remember(ctx, entry) {
    if (entry.incident_id) this.forget(ctx, entry);
    this.entries.push({ ...entry, tenant: ctx.tenant });
  }

  own(ctx) {
    return this.entries.filter((e) => (e.tenant ?? "") === ctx.tenant);
  }

  forget(ctx, { incident_id }) {
    this.entries = this.entries.filter((e) => e.incident_id !== incident_id || e.tenant !== ctx.tenant);
  }

  outcome(ctx, update) {
    const number = this.entries.findIndex((e) => e.incident_id === update.incident_id && e.tenant === ctx.tenant);
    if (number < 0) throw new kubernaut.NotFoundError("it was never remembered");
    this.entries[number] = { ...this.entries[number], ...update };
  }

  recall(ctx, query) {
    const folded = (text) => text.toUpperCase();
    const words = [...new Set((query.text ?? "").split(/\s+/).filter((w) => /[\p{L}\p{N}]/u.test(w)).map(folded))];
    const filtered = query.fingerprint != null || query.category != null;
    const found = [];
    for (const entry of this.own(ctx).filter((e) => admits(query, e))) {
      const matched = words.filter((w) => folded(entry.text ?? "").includes(w)).sort();
      if (words.length && !matched.length && !filtered) continue;
      const score = query.fingerprint ? 1 : (0.9 * matched.length) / Math.max(1, words.length);
      found.push({ entry, score, why: query.fingerprint ? "same fingerprint" : `words: ${matched.join(" ")}` });
    }
    found.sort((a, b) => b.score - a.score || Date.parse(b.entry.opened_at) - Date.parse(a.entry.opened_at));
    return found.slice(0, Math.min(query.limit ?? 10, 100));
  }

  history(ctx, { resource, since }) {
    const last = (e) => Math.max(Date.parse(e.opened_at), e.closed_at ? Date.parse(e.closed_at) : 0);
    const same = this.own(ctx).filter((e) => short(e.resource) === short(resource) && last(e) >= Date.parse(since));
    return same.sort((a, b) => Date.parse(b.opened_at) - Date.parse(a.opened_at));
  }
}

// Whether all filters that are given hold.
function admits(query, entry) {
  const { resource } = entry;
  const pairs = [
    [query.category, entry.category],
    [query.cluster, resource.cluster],
    [query.namespace, resource.namespace],
    [query.environment, entry.environment],
  ];
  const opened = Date.parse(entry.opened_at);
  return (
    (query.fingerprint == null || (query.fingerprint !== "" && query.fingerprint === entry.fingerprint)) &&
    pairs.every(([wanted, given]) => wanted == null || wanted === given) &&
    (query.since == null || opened >= Date.parse(query.since)) &&
    (query.until == null || opened < Date.parse(query.until))
  );
}

export class Lines extends kubernaut.Notifier {
  told = [];

  async notify(_ctx, notification) {
    this.told.push(notification);
    return { channels: ["lines"] };
  }
}

export class Busy extends kubernaut.Notifier {
  notify() {
    throw new kubernaut.UnavailableError("the receiver is away");
  }
}

export class Shelf extends kubernaut.Executor {
  things = { "Deployment/shop/web": { label: "old", uid: "u1" } };
  done = new Map();

  actions() {
    const parameters = { type: "object", properties: { label: { type: "string" } }, additionalProperties: false };
    return [{ name: "put_label", aliases: ["label"], family: "shelf", summary: "puts a label on", version: 1, parameters,
      target_kinds: ["Deployment"], risk: "low", reversibility: "undo", preconditions: [], rbac: [] }];
  }

  look(request) {
    const odd = Object.keys(request.params ?? {}).some((name) => name !== "label");
    if (!["put_label", "label"].includes(request.action) || request.target.kind !== "Deployment" || odd) {
      throw new kubernaut.InvalidInputError(`no such action here: ${request.action}`);
    }
    const thing = this.things[short(request.target)];
    if (!thing || (request.target.uid && request.target.uid !== thing.uid)) throw new kubernaut.NotFoundError("no such thing");
    const change = { path: "/label", before: thing.label, after: request.params.label };
    const digest = createHash("sha256").update(JSON.stringify([request.action, short(request.target), change])).digest("hex");
    return { thing, dry: { changes: [change], digest, pre_state: { "/label": thing.label }, server_side: false } };
  }

  dry_run(_ctx, request) {
    return this.look(request).dry;
  }

  answer(outcome, dry, message) {
    return { outcome, changes: outcome === "applied" ? dry.changes : [], digest: dry.digest, pre_state: dry.pre_state, message };
  }

  execute(_ctx, { request }) {
    const { thing, dry } = this.look(request);
    if (this.done.has(request.key)) return this.answer("already_applied", dry, "done before");
    thing.label = request.params.label;
    this.done.set(request.key, this.answer("applied", dry, "put on"));
    return this.done.get(request.key);
  }

  observe(_ctx, request) {
    return this.done.has(request.key) ? "applied" : "not_applied";
  }

  undo(_ctx, { request, execution, key }) {
    const { thing } = this.look(request);
    const [change] = execution.changes;
    const dry = { changes: [{ path: "/label", before: change.after, after: change.before }], digest: "undo", pre_state: {} };
    if (this.done.has(key)) return this.answer("already_applied", dry, "taken back before");
    if (thing.label !== change.after) throw new kubernaut.ConflictError("somebody changed the label since");
    thing.label = change.before;
    this.done.set(key, this.answer("applied", dry, "taken back"));
    return this.done.get(key);
  }
}

export function shelf() {
  const executor = new Shelf();
  return {
    executor,
    request: (key) => ({ action: "put_label", target: { group: "apps", kind: "Deployment", namespace: "shop", name: "web" }, params: { label: "new" }, key }),
    state: () => structuredClone(executor.things),
    disturb: () => void (executor.things["Deployment/shop/web"].label = "theirs"),
  };
}
