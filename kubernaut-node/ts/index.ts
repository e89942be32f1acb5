/* Kubernaut: from a Kubernetes alert to a verified fix. */

// Older releases of Node 20 lack the symbol of `await using`.
(Symbol as any).asyncDispose ??= Symbol.for("nodejs.asyncDispose");

export * from "./models.js";
export * from "./errors.js";
export { Analyzer, Classifier, ContextStore, Executor, Notifier, WorkflowEngine } from "./plugins.js";
export type { Context, Limits, MaybePromise, Plugins } from "./plugins.js";
export type * from "./operations.js";
export { Kubernaut, analyze_bundle, bundle, evaluate, library, type Options } from "./engine.js";
