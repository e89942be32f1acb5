// The behaviour suites of the engine pass on parts in JavaScript, and notice those that break a rule.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as kubernaut from "kubernaut";
import * as testing from "kubernaut/testing";
import { EngineOfMine } from "./engine_of_mine.mjs";
import { Busy, Inventory, Lines, Looker, Memory, shelf } from "./parts.mjs";
import { attributed, classification } from "./shared.mjs";

test("classifier", () => testing.classifier_suite(() => new Inventory()));
test("analyzer", () => testing.analyzer_suite((cluster) => new Looker(cluster)));
test("context store", () => testing.context_store_suite(() => new Memory()));
test("notifier", () => testing.notifier_suite(() => new Lines(), () => ({ notifier: new Busy(), secrets: ["s3cret"] })));
test("executor", () => testing.executor_suite(shelf));
test("workflow engine", () => testing.workflow_engine_suite((world) => new EngineOfMine(world)));

test("a broken rule is named", async () => {
  class Lax extends kubernaut.Classifier {
    classify() {
      return classification(attributed("production", "development", 1.0));
    }
  }
  await assert.rejects(testing.classifier_suite(() => new Lax()), /never treated laxer/);
});
