/* Calls plug-ins for the engine. Whatever a plug-in does, the native module gets exactly one answer. */

import { InvalidInputError, PluginFailedError } from "./errors.js";
import { native } from "./native.js";
import { METHODS } from "./plugins.js";

interface Spec {
  object: number;
  name: string;
  methods: string[];
  timeout_ms?: number;
  max_answer_bytes?: number;
  max_concurrency?: number;
}

/** What was thrown, as the engine wants to know it. */
function description(thrown: unknown): string {
  const error = thrown as { kind?: unknown; name?: unknown; message?: unknown } | undefined;
  const text = (value: unknown, otherwise: string) => (typeof value === "string" ? value : otherwise);
  return JSON.stringify({ kind: error?.kind, name: text(error?.name, "Error"), message: text(error?.message, String(thrown)) });
}

/** Knows plug-ins by numbers. */
export class Dispatcher {
  readonly #objects = new Map<number, { kind: string; target: any }>();
  readonly #running = new Map<number, AbortController>();

  /** What the native module calls. */
  readonly dispatch = (message: string): void => {
    const call = JSON.parse(message);
    if (call.cancel !== undefined) {
      this.#running.get(call.cancel)?.abort();
      return;
    }
    void this.#invoke(call.call, call.object, call.method, call.payload);
  };

  /** Takes a plug-in and tells the engine what it is. */
  add(kind: string, target: any): Spec {
    const known = METHODS[kind];
    if (known === undefined) throw new InvalidInputError(`no such part: ${kind}; there are ${Object.keys(METHODS).join(", ")}`);
    const object = this.addRaw(target, kind);
    const methods = Object.keys(known).filter((name) => typeof target[name] === "function");
    const limits: Partial<Spec> = {};
    for (const name of ["timeout_ms", "max_answer_bytes", "max_concurrency"] as const) {
      if (typeof target[name] === "number") limits[name] = target[name];
    }
    return { object, name: target.constructor?.name ?? "plug-in", methods, ...limits };
  }

  /** Takes an object whose methods get nothing but the request, as factories of suites do. */
  addRaw(target: any, kind = ""): number {
    const object = this.#objects.size + 1;
    this.#objects.set(object, { kind, target });
    return object;
  }

  /** The plug-ins of an engine. */
  describe(plugins: Record<string, any>): string {
    const given = Object.entries(plugins).filter(([, target]) => target !== undefined && target !== null);
    return JSON.stringify(Object.fromEntries(given.map(([kind, target]) => [kind, this.add(kind, target)])));
  }

  async #invoke(call: number, object: number, method: string, payload: any): Promise<void> {
    const controller = new AbortController();
    this.#running.set(call, controller);
    try {
      const { kind, target } = this.#objects.get(object)!;
      const context = { ...payload.context, signal: controller.signal };
      const answer = kind ? await target[method](context, payload.request) : await target[method](payload.request);
      native.reply(call, true, this.#text(answer, target, method));
    } catch (thrown) {
      native.reply(call, false, description(thrown));
    } finally {
      this.#running.delete(call);
    }
  }

  #text(answer: unknown, target: any, method: string): string {
    try {
      return JSON.stringify(answer === undefined ? null : answer) ?? "null";
    } catch (cause) {
      const name = target.constructor?.name ?? "plug-in";
      throw new PluginFailedError(`${name}.${method} answered with something that is no JSON value: ${String(cause)}`, { cause });
    }
  }
}
