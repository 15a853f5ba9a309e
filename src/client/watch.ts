/**
 * `megagate watch TOPIC`: prints a topic for a person at a terminal: the state at the start, a line for each push with
 * time, offset, key and data, and what happens to the connection. Ends by the given signal (Ctrl-C) or when
 * the gateway closes for good. Writes only through `write`; the command decides where to.
 */
import { MegagateClient } from "./client.js";
import type { ClientEvents } from "./events.js";
import { plain } from "./plain.js";
import type { ClientOptions } from "./settings.js";
import type { Push, TopicState } from "./subscription.js";

export interface WatchOptions extends Omit<ClientOptions, "url"> {
  readonly url: string;
  readonly topic: string;
  write(text: string): void;
  /** Ends the watching; an `AbortSignal` fits. */
  readonly signal?: { readonly aborted: boolean; addEventListener(type: "abort", listener: () => void): void };
  /**
   * Called when an attempt failed and none has succeeded before: whether there is a gateway, which only refuses for the
   * moment. By default the client goes on trying.
   */
  isReachable?(): boolean;
  /** What time it is, for the lines. */
  readonly date?: () => Date;
}

/** Why it ended by itself: the gateway ended it, or no gateway ever answered. */
export interface WatchEnd {
  readonly type: "ended" | "unreachable";
  readonly text: string;
}

/** Resolves with the reason when it has ended; undefined if the signal ended it. */
export function watchTopic(options: WatchOptions): Promise<WatchEnd | undefined> {
  const { topic, signal, date = () => new Date() } = options;
  const line = (text: string): void => options.write(`${time(date())}  ${text}\n`);
  const client = new MegagateClient(options);
  return new Promise((resolve) => {
    const end = (why?: WatchEnd): void => {
      client.close();
      resolve(why);
    };
    const ended = (text: string): void => end({ type: "ended", text });
    let wasOpen = false;
    client.on("state", (change) => {
      wasOpen ||= change.to === "open";
      if (change.to === "waiting" && !wasOpen && options.isReachable?.() === false) {
        end({ type: "unreachable", text: plain(change.reason ?? "") || `closed with ${change.code ?? "no code"}` });
        return;
      }
      const text = describeChange(change, options.url);
      if (text !== undefined) line(text);
    });
    client.on("goodbye", ({ reason }) => line(`the gateway says goodbye (${plain(reason)})`));
    client.on("degraded", () => line("the gateway has lost its bus; pushes may be late"));
    client.on("restored", () => line("the gateway has its bus again"));
    client.on("error", (event) =>
      line(`error${event.code === undefined ? "" : ` ${event.code}`}: ${plain(event.error)}`),
    );
    client.on("stopped", ({ code, reason }) =>
      ended(`the gateway closed for good: ${code} ${plain(reason)}`.trimEnd()),
    );
    if (signal?.aborted) {
      end();
      return;
    }
    signal?.addEventListener("abort", () => end());
    client.subscribe(topic, {
      snapshot: true,
      onState: (state) => describeState(state).forEach(line),
      onPush: (push) => line(describePush(push)),
      onGap: ({ from, to }) => line(`missed ${range(from, to)}; asking the gateway`),
      onReset: ({ because }) => line(because === "missed" ? "pushes were missed for good" : "numbering began again"),
      onRefused: ({ code, error }) => ended(`the gateway refused the topic: ${code} ${plain(error)}`),
    });
  });
}

function describeChange(change: ClientEvents["state"], url: string): string | undefined {
  const { from, to, delayMs, offline, code, reason } = change;
  if (to === "connecting" && from === "idle") return `connecting to ${plain(url)}`;
  if (to === "open") return "connected";
  if (to !== "waiting") return undefined;
  const why = [code, reason && plain(reason)].filter(Boolean).join(" ");
  const lost = from === "open" ? "connection lost" : "no connection";
  const next = `${offline ? "offline, " : ""}trying again in ${((delayMs ?? 0) / 1000).toFixed(1)} s`;
  return `${lost} (${why}); ${next}`;
}

function describeState({ topic, epoch, offset, entries }: TopicState): string[] {
  const keys = entries.size === 1 ? "1 key" : `${entries.size} keys`;
  const head = `${plain(topic)} stands at offset ${offset} of epoch ${plain(epoch)}, ${keys}`;
  return [head, ...[...entries].map(([key, data]) => `  ${columns(key, data)}`)];
}

function describePush({ offset, key, data }: Push): string {
  if (key !== undefined && data === null) return `${offset}  ${plain(key)}  deleted`;
  return `${offset}  ${columns(key, data)}`;
}

const columns = (key: string | undefined, data: unknown): string =>
  `${key === undefined ? "-" : plain(key)}  ${plain(JSON.stringify(data ?? null))}`;

const range = (from: number, to: number): string => (from === to ? `push ${from}` : `pushes ${from} to ${to}`);

const time = (date: Date): string =>
  `${date.toTimeString().slice(0, 8)}.${String(date.getMilliseconds()).padStart(3, "0")}`;
