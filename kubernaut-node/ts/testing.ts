/* Behaviour suites for parts of your own. */

import { Dispatcher } from "./dispatch.js";
import { fromNative, native, type NativeSuite } from "./native.js";
import { ClusterOperations } from "./operations.js";
import type { ActionRequest, DryRun, Execution, ExecuteRequest, Observation, UndoRequest } from "./models.js";
import type { Analyzer, Classifier, ContextStore, Executor, Notifier, WorkflowEngine } from "./plugins.js";

/** The cluster that a classifier or analyzer under test looks at. */
export class ClusterWorld extends ClusterOperations {
  readonly #call: (operation: string, params: unknown) => Promise<any>;

  /** @internal */
  constructor(suite: NativeSuite, world: number) {
    super();
    this.#call = caller(suite, world);
  }

  protected override invoke(operation: string, params: unknown): Promise<any> {
    return this.#call(operation, params ?? {});
  }
}

/** What a workflow engine under test acts through, and its clock. */
export class EngineWorld {
  readonly #call: (operation: string, params: unknown) => Promise<any>;

  /** @internal */
  constructor(suite: NativeSuite, world: number) {
    this.#call = caller(suite, world);
  }

  /** The time to go by; look at it every few milliseconds. */
  now(): Promise<string> {
    return this.#call("now", {});
  }

  dry_run(request: ActionRequest): Promise<DryRun> {
    return this.#call("executor_dry_run", request);
  }

  execute(request: ExecuteRequest): Promise<Execution> {
    return this.#call("executor_execute", request);
  }

  observe(request: ActionRequest): Promise<Observation> {
    return this.#call("executor_observe", request);
  }

  undo(request: UndoRequest): Promise<Execution> {
    return this.#call("executor_undo", request);
  }
}

function caller(suite: NativeSuite, world: number): (operation: string, params: unknown) => Promise<any> {
  return async (operation, params) => {
    try {
      return JSON.parse(await suite.call(world, operation, JSON.stringify(params)));
    } catch (thrown) {
      throw fromNative(thrown);
    }
  };
}

/** An executor over a small world that the suite may change. */
export interface ExecutorFixture {
  executor: Executor;
  /** An action that changes something and can be taken back; two calls give the same action on the same object. */
  request(key: string): ActionRequest;
  /** The whole world that actions could change. */
  state(): unknown;
  /** Somebody else changes the very field that the action writes. */
  disturb(): void;
}

async function run(kind: string, make: (suite: NativeSuite, dispatcher: Dispatcher, world: number, scenario: string) => unknown): Promise<void> {
  const dispatcher = new Dispatcher();
  const suite: NativeSuite = new native.Suite(dispatcher.dispatch);
  const factory = dispatcher.addRaw({
    make: (asked: { world: number; scenario: string }) => make(suite, dispatcher, asked.world, asked.scenario),
  });
  try {
    await suite.run(kind, factory);
  } catch (thrown) {
    throw fromNative(thrown);
  }
}

/** Checks a classifier; throws with the rule that does not hold. */
export function classifier_suite(make: (cluster: ClusterWorld) => Classifier): Promise<void> {
  return run("classifier", (suite, dispatcher, world) => ({ plugin: dispatcher.add("classifier", make(new ClusterWorld(suite, world))) }));
}

/** Checks an analyzer; throws with the rule that does not hold. */
export function analyzer_suite(make: (cluster: ClusterWorld) => Analyzer): Promise<void> {
  return run("analyzer", (suite, dispatcher, world) => ({ plugin: dispatcher.add("analyzer", make(new ClusterWorld(suite, world))) }));
}

/** Checks a context store; `make` gives a new, empty one. */
export function context_store_suite(make: () => ContextStore): Promise<void> {
  return run("context_store", (_suite, dispatcher) => ({ plugin: dispatcher.add("context_store", make()) }));
}

/** Checks a notifier whose receivers accept everything, and one whose receivers refuse for now, with the credentials it was given. */
export function notifier_suite(make: () => Notifier, failing?: () => { notifier: Notifier; secrets: string[] }): Promise<void> {
  return run("notifier", (_suite, dispatcher, _world, scenario) => {
    if (scenario === "working") return { plugin: dispatcher.add("notifier", make()) };
    const made = failing?.();
    return made === undefined ? null : { plugin: dispatcher.add("notifier", made.notifier), secrets: made.secrets };
  });
}

/** Checks an executor; `make` gives a new one over a world of its own. */
export function executor_suite(make: () => ExecutorFixture): Promise<void> {
  return run("executor", (_suite, dispatcher) => {
    const made = make();
    const fixture = dispatcher.addRaw({ request: (key: string) => made.request(key), state: () => made.state(), disturb: () => made.disturb() });
    return { plugin: dispatcher.add("executor", made.executor), fixture };
  });
}

/** Checks a workflow engine; `make` gives a new one that acts through the world. */
export function workflow_engine_suite(make: (world: EngineWorld) => WorkflowEngine): Promise<void> {
  return run("workflow_engine", (suite, dispatcher, world) => ({
    plugin: dispatcher.add("workflow_engine", make(new EngineWorld(suite, world))),
  }));
}
