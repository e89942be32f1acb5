// What the tests share. `kubernaut` is the installed package.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = process.env.KUBERNAUT_ROOT ?? join(dirname(fileURLToPath(import.meta.url)), "..", "..");
export const BUNDLE = join(ROOT, "examples", "bundles", "crashing-release");
export const TARGET = "Deployment/ferry-terminal/departures";

export const quiet = () => ({ ledger: { memory: true }, cluster: { bundle: BUNDLE } });
export const acting = () => ({ ...quiet(), mode: "auto", processor: { verification: { window_s: 3 } } });

export function attributed(value, treated_as, confidence) {
  return { value, treated_as, basis: "policy", detail: "inventory", confidence };
}

export function classification(environment = attributed("production", "production", 1.0)) {
  return { environment, priority: "P1", business: { team: "shop" } };
}
