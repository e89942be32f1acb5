// A Slack bot (Bolt): posts an incident with its evidence and diff, takes Approve and Reject with the user's identity, and edits the message as
// the incident moves on.
//
//   SLACK_BOT_TOKEN=… SLACK_SIGNING_SECRET=… SLACK_CHANNEL=C… node slack-bot.mjs           requests over HTTP
//   SLACK_BOT_TOKEN=… SLACK_APP_TOKEN=… SLACK_CHANNEL=C… node slack-bot.mjs --socket       socket mode
//
// KUBERNAUT_CONFIG is a JSON file with the engine's configuration; SLACK_API_URL another address of the API, as tests have it.
import bolt from "@slack/bolt";
import { readFileSync } from "node:fs";
import { ConflictError, Kubernaut, KubernautError } from "kubernaut";

const env = process.env;
const socket = process.argv.includes("--socket");

const short = (ref) => [ref.kind, ref.namespace, ref.name].filter(Boolean).join("/");
const clip = (text, limit = 2900) => (text.length > limit ? `${text.slice(0, limit - 1)}…` : text);
// Slack reads these three characters; text from alerts and logs must not become links or mentions.
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const section = (text) => ({ type: "section", text: { type: "mrkdwn", text: clip(text) } });

function diff(changes) {
  const value = (v) => (v === undefined || v === null ? "(none)" : typeof v === "string" ? v : JSON.stringify(v));
  return changes.map((c) => `${c.path}\n- ${value(c.before)}\n+ ${value(c.after)}`).join("\n");
}

/** The message of an incident as it stands. */
export function message(incident, approval) {
  const cause = incident.analysis?.candidates[0];
  const blocks = [section(`*${plain(short(incident.target))}* is *${incident.phase.replaceAll("_", " ")}*${incident.message ? `: ${plain(incident.message)}` : ""}`)];
  if (cause) {
    const facts = cause.evidence.slice(0, 5).map((fact) => `• \`${plain(short(fact.object))}\` ${plain(fact.text)}`);
    blocks.push(section(`*${cause.category}* (${Math.round(cause.confidence * 100)}%) ${plain(cause.summary)}\n${facts.join("\n")}`));
  }
  if (approval) {
    const asked = `*${approval.request.action}* on \`${plain(short(approval.request.target))}\` would change:\n\`\`\`${plain(clip(diff(approval.changes), 2500))}\`\`\``;
    blocks.push(section(`${asked}\n${approval.reasons.map((r) => `_${plain(r)}_`).join("\n")}`));
    const value = JSON.stringify({ id: approval.id, digest: approval.digest });
    const button = (action_id, text, style) => ({ type: "button", action_id, style, value, text: { type: "plain_text", text } });
    if (approval.state === "pending") {
      blocks.push({ type: "actions", elements: [button("approve", "Approve", "primary"), button("reject", "Reject", "danger")] });
    } else {
      blocks.push(section(`${approval.state} by ${plain(approval.decided_by ?? "nobody")}`));
    }
  }
  return { text: `${short(incident.target)} is ${incident.phase}`, blocks };
}

/** Starts the bot; gives the engine, the app and a way to end both. */
export async function start(config) {
  const engine = new Kubernaut(config);
  const app = new bolt.App({
    token: env.SLACK_BOT_TOKEN,
    signingSecret: env.SLACK_SIGNING_SECRET,
    appToken: env.SLACK_APP_TOKEN,
    socketMode: socket,
    logLevel: bolt.LogLevel.WARN,
    clientOptions: env.SLACK_API_URL ? { slackApiUrl: env.SLACK_API_URL } : {},
  });

  for (const answer of ["approve", "reject"]) {
    app.action(answer, async ({ ack, action, body, respond }) => {
      await ack();
      const { id, digest } = JSON.parse(action.value);
      try {
        await engine[answer]({ approval_id: id, digest, by: `slack:${body.user.id} ${body.user.username ?? body.user.name ?? ""}`.trim() });
      } catch (error) {
        if (!(error instanceof KubernautError)) throw error;
        const late = error instanceof ConflictError ? "Somebody was quicker, or it is too late." : error.message;
        await respond({ response_type: "ephemeral", replace_original: false, text: late });
      }
    });
  }

  await app.start(Number(env.PORT ?? 3000));
  const controller = new AbortController();
  const following = follow(engine, app.client, controller.signal);
  const stop = async () => {
    controller.abort();
    await following;
    await app.stop();
    await engine.close();
  };
  return { engine, app, stop };
}

/** One message an incident, edited at every event. */
async function follow(engine, slack, signal) {
  const posted = new Map();
  const channel = env.SLACK_CHANNEL;
  for await (const event of engine.events({}, { signal })) {
    const incident = await engine.incident({ incident_id: event.incident_id });
    const approval = (await engine.approvals()).find((a) => a.incident_id === incident.id);
    const now = message(incident, approval);
    const ts = posted.get(incident.id);
    try {
      if (ts) await slack.chat.update({ channel, ts, ...now });
      else posted.set(incident.id, (await slack.chat.postMessage({ channel, ...now })).ts);
    } catch (error) {
      console.error(`could not tell Slack about ${incident.id}: ${error.message}`);
    }
  }
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const { stop } = await start(env.KUBERNAUT_CONFIG ? JSON.parse(readFileSync(env.KUBERNAUT_CONFIG, "utf8")) : {});
  console.log("the bot is at work");
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, stop);
}
