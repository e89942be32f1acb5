// The bots against fake receivers over HTTP.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { bundle } from "kubernaut";
import { notifier_suite } from "kubernaut/testing";

const BUNDLE = `${process.env.KUBERNAUT_ROOT}/examples/bundles/crashing-release`;
const config = { mode: "auto", ledger: { memory: true }, cluster: { bundle: BUNDLE }, processor: { verification: { window_s: 3 } } };

/** A server that keeps what it is sent, as [path, body]. */
async function receiver(answer) {
  const got = [];
  const waiting = [];
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (chunk) => (text += chunk));
    request.on("end", () => {
      const form = request.headers["content-type"]?.startsWith("application/x-www-form-urlencoded");
      const body = form ? Object.fromEntries(new URLSearchParams(text)) : text ? JSON.parse(text) : {};
      got.push([request.url, body]);
      const [status, reply] = answer(request.url, body, got);
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(reply));
      waiting.splice(0).forEach((wake) => wake());
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const until = async (look) => {
    for (;;) {
      const found = got.find(([url, body]) => look(url, body));
      if (found) return found[1];
      await new Promise((resolve) => waiting.push(resolve));
    }
  };
  return { got, until, url: `http://127.0.0.1:${server.address().port}`, close: () => (server.close(), server.closeAllConnections()) };
}

test("Slack: posted with evidence and diff, approved by a person, edited to its end", async () => {
  const slack = await receiver((url) => [200, { ok: true, ts: "1.1", channel: "C1", user_id: "U0", bot_id: "B0", url }]);
  const port = 20000 + Math.floor(Math.random() * 20000);
  Object.assign(process.env, { SLACK_API_URL: `${slack.url}/api/`, SLACK_BOT_TOKEN: "xoxb-test", SLACK_SIGNING_SECRET: "s3cret", SLACK_CHANNEL: "C1", PORT: String(port) });
  const { start } = await import("./slack-bot.mjs");
  const { engine, stop } = await start(config);
  await engine.ingest({ body: (await bundle({ path: BUNDLE })).alert });

  const asks = (url, body) => /chat\.(postMessage|update)/.test(url) && body.blocks.includes('"approve"');
  const blocks = JSON.parse((await slack.until(asks)).blocks);
  const shown = JSON.stringify(blocks);
  assert.match(shown, /bad_release/);
  assert.match(shown, /rollback_deployment/);
  assert.match(shown, /\\n- .*\\n\+ /, "the diff is shown");
  const press = async (action_id) => {
    const { value } = blocks.find((b) => b.type === "actions").elements.find((e) => e.action_id === action_id);
    const payload = { type: "block_actions", user: { id: "U7", username: "ann" }, team: { id: "T1" }, channel: { id: "C1" }, api_app_id: "A1",
      response_url: `${slack.url}/response`, actions: [{ type: "button", block_id: "b", action_id, value }] };
    const body = new URLSearchParams({ payload: JSON.stringify(payload) }).toString();
    const at = String(Math.floor(Date.now() / 1000));
    const signature = `v0=${createHmac("sha256", "s3cret").update(`v0:${at}:${body}`).digest("hex")}`;
    const headers = { "content-type": "application/x-www-form-urlencoded", "x-slack-request-timestamp": at, "x-slack-signature": signature };
    return fetch(`http://127.0.0.1:${port}/slack/events`, { method: "POST", headers, body });
  };
  assert.equal((await press("approve")).status, 200);
  await slack.until((url, body) => url.includes("chat.update") && body.text?.includes("is resolved"));
  const [approval] = await engine.approvals();
  assert.equal(approval.decided_by, "slack:U7 ann");
  assert.equal(slack.got.filter(([url]) => url.includes("chat.postMessage")).length, 1, "one message, edited");
  assert.equal((await press("reject")).status, 200);
  assert.match((await slack.until((url) => url === "/response")).text, /quicker|too late/);
  const forged = await fetch(`http://127.0.0.1:${port}/slack/events`, { method: "POST", body: "payload={}", headers: { "content-type": "application/x-www-form-urlencoded" } });
  assert.equal(forged.status, 401);
  await stop();
  slack.close();
});

test("Discord and Teams: incidents are told, refusals for now are tried again, addresses stay secret", async () => {
  const { Discord, Teams, start } = await import("./webhook-bot.mjs");
  for (const Kind of [Discord, Teams]) {
    const good = await receiver(() => [200, {}]);
    const busy = await receiver(() => [503, {}]);
    await notifier_suite(() => new Kind(`${good.url}/t0ken`), () => ({ notifier: new Kind(`${busy.url}/t0ken`), secrets: ["t0ken"] }));
    good.got.splice(0);
    const engine = start(config, new Kind(good.url));
    await engine.ingest({ body: (await bundle({ path: BUNDLE })).alert });
    const told = JSON.stringify(await good.until(() => true));
    assert.match(told, /departures/);
    await engine.close();
    good.close();
    busy.close();
  }
});
