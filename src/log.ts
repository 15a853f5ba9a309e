/**
 * Log lines. Only the supervisor writes (pino, to stderr); hub and workers hand their lines to it over their control
 * channel, so that lines never interleave and a worker loads no logger (56 of them would pay for it).
 * Nothing is logged per message or per connection.
 */
import type { Logger } from "pino";

export type Level = "debug" | "info" | "warn" | "error";
export type Fields = Readonly<Record<string, string | number | boolean | undefined>>;

/** What every room logs through. */
export type Log = (level: Level, message: string, fields?: Fields) => void;

/** A message for the supervisor's log, as it travels over the control channel. */
export interface LogMessage {
  readonly type: "log";
  readonly level: Level;
  readonly message: string;
  readonly fields: Fields;
}

/** The log of a child process: forwards to the supervisor, or is silent once that is gone. */
export function forwardedLog(from: Fields): Log {
  return (level, message, fields) => {
    if (!process.connected) return;
    const line: LogMessage = { type: "log", level, message, fields: { ...from, ...fields } };
    process.send?.(line, undefined, undefined, () => undefined);
  };
}

/** The supervisor's log. `text` is for a person at a terminal, `json` for everything else. */
export async function stderrLog(level: Level | "silent", format: "auto" | "text" | "json"): Promise<Log> {
  const { pino } = await import("pino");
  const asText = format === "text" || (format === "auto" && process.stderr.isTTY);
  const destination = { write: (line: string) => void process.stderr.write(asText ? textLine(line) : line) };
  // A reader of our stderr that goes away must not take the gateway with it.
  process.stderr.on("error", () => undefined);
  const logger: Logger = pino(
    { level, base: { name: "megagate" }, formatters: { level: (label) => ({ level: label }) } },
    destination,
  );
  return (at, message, fields) => logger[at](fields ?? {}, message);
}

function textLine(json: string): string {
  const { level, time, name: _, msg, ...fields } = JSON.parse(json) as Record<string, string | number>;
  const clock = new Date(Number(time)).toTimeString().slice(0, 8);
  const tail = Object.entries(fields).map(([key, value]) => ` ${key}=${value}`);
  return `${clock} ${String(level).padEnd(5)} ${msg ?? ""}${tail.join("")}\n`;
}
