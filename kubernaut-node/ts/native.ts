/* The native module: one file a platform, in a package of its own, or beside this one. */

import { existsSync } from "node:fs";
import { join } from "node:path";

import { ERRORS, KubernautError } from "./errors.js";

export interface NativeCancellation {
  cancel(): void;
}

export interface NativeEngine {
  call(operation: string, params: string, options: string, cancellation: NativeCancellation): Promise<string>;
}

export interface NativeSuite {
  run(kind: string, factory: number): Promise<string>;
  call(world: number, operation: string, params: string): Promise<string>;
}

export interface Native {
  Cancellation: new () => NativeCancellation;
  Engine: { new (config: string, workers: boolean, plugins: string, dispatch: (message: string) => void): NativeEngine; library(): NativeEngine };
  Suite: new (dispatch: (message: string) => void) => NativeSuite;
  reply(call: number, ok: boolean, answer: string): void;
  interfaceDescription(): string;
}

function platform(): string {
  const name = `${process.platform}-${process.arch}`;
  if (process.platform !== "linux") return name;
  const report = process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined;
  return report?.header?.glibcVersionRuntime ? `${name}-gnu` : `${name}-musl`;
}

function load(): Native {
  const own = join(__dirname, "..", `kubernaut.${platform()}.node`);
  if (existsSync(own)) return require(own);
  try {
    return require(`@kubernaut/${platform()}`);
  } catch (cause) {
    throw new KubernautError(`there is no native module for ${platform()}; install @kubernaut/${platform()}, or build it`, { cause });
  }
}

export const native: Native = load();

/** The error of what the native module reports. */
export function fromNative(thrown: unknown): unknown {
  const text = thrown instanceof Error ? thrown.message : "";
  if (!text.startsWith("{")) return thrown;
  const body = JSON.parse(text);
  const Made = ERRORS[body.kind] ?? KubernautError;
  return new Made(body.message, body);
}
