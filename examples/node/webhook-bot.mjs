// Tells a Discord or Teams channel about incidents, by a notifier of its own.
//
//   DISCORD_WEBHOOK=https://… node webhook-bot.mjs        or TEAMS_WEBHOOK=https://…
//
// KUBERNAUT_CONFIG is a JSON file with the engine's configuration.
import { readFileSync } from "node:fs";
import { Kubernaut, Notifier, RefusedError, UnavailableError } from "kubernaut";

const COLOURS = { info: 0x3b82f6, warning: 0xf59e0b, critical: 0xef4444 };

export class Discord extends Notifier {
  constructor(url) {
    super();
    this.url = url;
  }

  body(n) {
    // No mentions: text from alerts must not call anybody.
    return { allowed_mentions: { parse: [] }, embeds: [{ title: n.title.slice(0, 256), description: n.body.slice(0, 4000), color: COLOURS[n.severity], timestamp: n.at }] };
  }

  async notify(ctx, notification) {
    let response;
    try {
      const headers = { "content-type": "application/json" };
      response = await fetch(this.url, { method: "POST", headers, body: JSON.stringify(this.body(notification)), signal: ctx.signal });
    } catch (cause) {
      // The address holds a secret: it is not part of the message.
      throw new UnavailableError(`${this.constructor.name} cannot be reached`, { cause });
    }
    if (response.ok) return { channels: [this.constructor.name.toLowerCase()] };
    const text = `${this.constructor.name} answered ${response.status}`;
    throw response.status === 429 || response.status >= 500 ? new UnavailableError(text) : new RefusedError(text);
  }
}

export class Teams extends Discord {
  body(n) {
    const line = (text, more) => ({ type: "TextBlock", text, wrap: true, ...more });
    const content = { type: "AdaptiveCard", version: "1.4", body: [line(n.title, { weight: "Bolder" }), line(n.body)] };
    return { type: "message", attachments: [{ contentType: "application/vnd.microsoft.card.adaptive", content }] };
  }
}

export function start(config, notifier) {
  return new Kubernaut(config, { notifier });
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const { DISCORD_WEBHOOK, TEAMS_WEBHOOK, KUBERNAUT_CONFIG } = process.env;
  const notifier = DISCORD_WEBHOOK ? new Discord(DISCORD_WEBHOOK) : new Teams(TEAMS_WEBHOOK);
  const engine = start(KUBERNAUT_CONFIG ? JSON.parse(readFileSync(KUBERNAUT_CONFIG, "utf8")) : {}, notifier);
  for await (const event of engine.events()) console.log(event.at, event.type, event.incident_id);
}
