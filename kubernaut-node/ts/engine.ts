/* The engine. */

import { Dispatcher } from "./dispatch.js";
import { CancelledError } from "./errors.js";
import type { Event } from "./models.js";
import { fromNative, native, type NativeEngine } from "./native.js";
import { type CallOptions, EngineOperations, LibraryOperations, ClusterOperations } from "./operations.js";
import type { Plugins } from "./plugins.js";

/** How an engine is made. */
export interface Options extends Plugins {
  /** Whether the engine works on incidents, or is only asked. Default: it works. */
  workers?: boolean;
}

async function invoke(engine: NativeEngine, operation: string, params: unknown, options: CallOptions = {}): Promise<any> {
  const { signal, ...rest } = options;
  if (signal?.aborted) throw new CancelledError(`${operation}: the caller cancelled`, { operation, cause: signal.reason });
  const cancellation = new native.Cancellation();
  const cancel = () => cancellation.cancel();
  signal?.addEventListener("abort", cancel, { once: true });
  try {
    return JSON.parse(await engine.call(operation, JSON.stringify(params ?? {}), JSON.stringify(rest), cancellation));
  } catch (thrown) {
    throw fromNative(thrown);
  } finally {
    signal?.removeEventListener("abort", cancel);
  }
}

/** An engine: takes alerts, diagnoses, asks, acts behind the gate, verifies. It opens ledger and cluster at the first call. */
export class Kubernaut extends EngineOperations {
  readonly #engine: NativeEngine;
  /** The cluster, read only. */
  readonly cluster: ClusterOperations;

  /** Checks configuration and parts. `config` is what `kubernaut schema` describes; defaults are harmless. */
  constructor(config: object = {}, { workers = true, ...plugins }: Options = {}) {
    super();
    const dispatcher = new Dispatcher();
    try {
      this.#engine = new native.Engine(JSON.stringify(config), workers, dispatcher.describe(plugins), dispatcher.dispatch);
    } catch (thrown) {
      throw fromNative(thrown);
    }
    this.cluster = new Cluster(this.#engine);
  }

  protected override invoke(operation: string, params: unknown, options?: CallOptions): Promise<any> {
    return invoke(this.#engine, operation, params, options);
  }

  /** Events in order, none left out, until the engine shuts down, `signal` fires or the loop is left; waits for the next. */
  async *events(from: { after?: number; incident_id?: string } = {}, options: CallOptions = {}): AsyncGenerator<Event, void, undefined> {
    let after = from.after ?? 0;
    for (;;) {
      let page;
      try {
        page = await this.page_of_events({ ...from, after, wait_ms: 30_000 }, options);
      } catch (thrown) {
        if (options.signal?.aborted) return;
        throw thrown;
      }
      for (const event of page.events) {
        yield event;
        if (options.signal?.aborted) return;
      }
      after = page.next;
      if (page.ended) return;
    }
  }

  /** Stops the workers at their next safe point; what they did not finish is taken up at the next start. */
  async close({ limit_ms = 10_000 }: { limit_ms?: number } = {}): Promise<void> {
    await this.end({ limit_ms });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

class Cluster extends ClusterOperations {
  readonly #engine: NativeEngine;

  constructor(engine: NativeEngine) {
    super();
    this.#engine = engine;
  }

  protected override invoke(operation: string, params: unknown, options?: CallOptions): Promise<any> {
    return invoke(this.#engine, operation, params, options);
  }
}

class Library extends LibraryOperations {
  readonly #engine = native.Engine.library();

  protected override invoke(operation: string, params: unknown, options?: CallOptions): Promise<any> {
    return invoke(this.#engine, operation, params, options);
  }
}

/** Operations that need no engine. */
export const library: LibraryOperations = new Library();

/** Analyses a recorded incident with the default services. */
export const analyze_bundle: LibraryOperations["analyze_bundle"] = (params, options) => library.analyze_bundle(params, options);

/** Analyses a folder of recorded incidents, and grades the answers where the truth is given. */
export const evaluate: LibraryOperations["evaluate"] = (params, options) => library.evaluate(params, options);

/** Opens a recorded incident. */
export const bundle: LibraryOperations["bundle"] = (params, options) => library.bundle(params, options);
