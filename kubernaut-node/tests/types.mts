// How the compiler sees a program that uses the package; checked, never run.
import { type CallContext, type Classification, type ClassifyRequest, Classifier, Kubernaut, KubernautError, type Phase } from "kubernaut";
import { classifier_suite } from "kubernaut/testing";

class Inventory extends Classifier {
  async classify(ctx: CallContext & { signal: AbortSignal }, request: ClassifyRequest): Promise<Classification> {
    const namespace: string | null | undefined = request.target.namespace;
    ctx.signal.throwIfAborted();
    return {
      environment: { value: "staging", treated_as: "staging", basis: "policy", detail: String(namespace), confidence: 1 },
      priority: "P2",
    };
  }
}

export async function program(): Promise<Phase[]> {
  await classifier_suite(() => new Inventory());
  const engine = new Kubernaut({ mode: "approve" }, { classifier: new Inventory() });
  try {
    for await (const event of engine.events({ after: 3 })) console.log(event.type, event.seq + 1);
    return (await engine.incidents({ open: true, limit: 5 })).map((incident) => incident.phase);
  } catch (error) {
    if (error instanceof KubernautError && error.transient) return [];
    throw error;
  } finally {
    await engine.close();
  }
}
