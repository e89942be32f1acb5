// A workflow engine in JavaScript: one loop a run, everything in memory.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import * as kubernaut from "kubernaut";
import { short } from "./parts.mjs";

const ENDED = new Set(["succeeded", "failed", "rolled_back", "rejected", "cancelled", "unknown"]);

function check(steps) {
  const names = new Set(steps.map((s) => s.id));
  const unknown = steps.some((s) => (s.depends_on ?? []).some((d) => !names.has(d)));
  if (!steps.length || names.size !== steps.length || unknown) throw new kubernaut.InvalidInputError("a plan has steps, each with a name of its own");
  const done = new Set();
  while (done.size < steps.length) {
    const ready = steps.filter((s) => !done.has(s.id) && (s.depends_on ?? []).every((d) => done.has(d)));
    if (!ready.length) throw new kubernaut.InvalidInputError("the steps rest on each other in a circle");
    ready.forEach((s) => done.add(s.id));
  }
}

export class EngineOfMine extends kubernaut.WorkflowEngine {
  runs = new Map();
  asked = new Map();
  held = new Map();

  constructor(world) {
    super();
    this.world = world;
  }

  async start(_ctx, request) {
    const known = this.runs.get(request.run_id);
    if (known) return known;
    check(request.plan.steps);
    const now = await this.world.now();
    const steps = request.plan.steps.map((s) => ({ id: s.id, state: "pending", attempts: 0, key: `${request.run_id}/${s.id}` }));
    const run = { schema: 1, id: request.run_id, incident_id: request.incident_id, attempt: request.attempt, state: "running",
      plan: request.plan, mode: request.mode, steps, created_at: now, updated_at: now };
    this.runs.set(run.id, run);
    void this.drive(run);
    return run;
  }

  get(_ctx, { run_id }) {
    const run = this.runs.get(run_id);
    if (!run) throw new kubernaut.NotFoundError(`no such run: ${run_id}`);
    return run;
  }

  list(_ctx, filter) {
    const wanted = (r) => (!filter.incident_id || r.incident_id === filter.incident_id) && (!filter.state || r.state === filter.state);
    return [...this.runs.values()].filter(wanted).reverse().slice(0, filter.limit ?? 100);
  }

  cancel(ctx, request) {
    const run = this.get(ctx, request);
    if (!ENDED.has(run.state)) run.cancel_requested = true;
    return run;
  }

  async signal(ctx, request) {
    const run = this.get(ctx, request);
    const { signal } = request;
    if (signal.signal === "rollback") {
      run.rollback_requested = true;
      if (ENDED.has(run.state)) void this.take_back(run);
    } else if (signal.signal === "decide") {
      const now = Date.parse(await this.world.now());
      const ask = this.asked.get(signal.approval_id);
      if (!ask) throw new kubernaut.NotFoundError("no such request for approval");
      if (ENDED.has(run.state) || ask.answer !== undefined || now >= ask.expires) throw new kubernaut.ConflictError("answered before, or too late");
      if (signal.decision.digest && signal.decision.digest !== ask.digest) throw new kubernaut.DigestChangedError("about another effect");
      ask.answer = signal.decision.approve;
    } else if (ENDED.has(run.state)) {
      throw new kubernaut.ConflictError(`the run has ended ${run.state}`);
    } else if (signal.signal === "cancel") {
      run.cancel_requested = true;
    }
    return run;
  }

  async drive(run) {
    while (!ENDED.has(run.state)) if (!(await this.step(run))) await sleep(2);
    this.free(run);
  }

  free(run) {
    for (const [target, by] of this.held) if (by === run.id) this.held.delete(target);
  }

  end(run, state) {
    for (const step of run.steps) if (["pending", "awaiting_approval"].includes(step.state)) step.state = "skipped";
    this.free(run);
    run.state = state;
  }

  async step(run) {
    if (run.cancel_requested) return this.end(run, "cancelled"), true;
    const done = new Set(run.steps.filter((s) => s.state === "completed").map((s) => s.id));
    if (done.size === run.steps.length) return this.end(run, "succeeded"), true;
    const number = run.steps.findIndex(
      (s, i) => ["pending", "awaiting_approval"].includes(s.state) && (run.plan.steps[i].depends_on ?? []).every((d) => done.has(d)),
    );
    const [plan, step] = [run.plan.steps[number], run.steps[number]];
    if (step.state === "awaiting_approval" && !(await this.answered(run, step))) return false;
    const target = short(plan.target);
    if (!this.held.has(target)) this.held.set(target, run.id);
    if (this.held.get(target) !== run.id) return false;
    await this.carry_out(run, plan, step);
    return true;
  }

  async answered(run, step) {
    const ask = this.asked.get(step.approval_id);
    const late = Date.parse(await this.world.now()) >= ask.expires;
    if (run.cancel_requested) return false;
    if (ask.answer === false || (ask.answer === undefined && late)) return this.end(run, "rejected"), false;
    if (!ask.answer) return false;
    Object.assign(step, { state: "pending", approved_digest: ask.digest });
    run.state = "running";
    return true;
  }

  async ask(run, step, digest) {
    const expires = Date.parse(await this.world.now()) + run.plan.approval_timeout_s * 1000;
    const number = randomUUID();
    this.asked.set(number, { digest, expires, answer: undefined });
    Object.assign(step, { state: "awaiting_approval", approval_id: number });
    this.free(run);
    run.state = "awaiting_approval";
  }

  async carry_out(run, plan, step) {
    const request = { action: plan.action, target: plan.target, params: plan.params, key: step.key };
    const agreed = step.approved_digest;
    try {
      if (!agreed) {
        const dry = await this.world.dry_run(request);
        const outcomes = new Set(dry.report.checks.map((c) => c.outcome));
        if (outcomes.has("fail")) throw new kubernaut.RefusedError("a check refused");
        if (outcomes.has("ask") || plan.requires_approval) return await this.ask(run, step, dry.digest);
      }
      const done = await this.world.execute({ request, incident_id: run.incident_id, approved_digest: agreed ?? null, approved_by_person: !!agreed });
      if (done.outcome === "needs_approval") return await this.ask(run, step, done.digest);
      if (done.outcome === "refused") throw new kubernaut.RefusedError(done.message);
      Object.assign(step, { state: "completed", execution: done });
      this.free(run);
    } catch (error) {
      step.attempts += 1;
      if (error.transient && step.attempts < plan.retry.max_attempts) return;
      Object.assign(step, { state: "failed", error: String(error.message) });
      this.end(run, "failed");
    }
  }

  async take_back(run) {
    for (let i = run.steps.length - 1; i >= 0; i--) {
      const [plan, step] = [run.plan.steps[i], run.steps[i]];
      if (step.state !== "completed") continue;
      const request = { action: plan.action, target: plan.target, params: plan.params, key: step.key };
      await this.world.undo({ request, incident_id: run.incident_id, execution: step.execution, key: `${step.key}/undo` });
      step.state = "compensated";
    }
    run.state = "rolled_back";
  }
}
