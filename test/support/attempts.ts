/** Handshakes that are tried once each, and their outcome: the answer's status, or the kernel's error. */
import { connect } from "node:net";
import { HANDSHAKE } from "./client.js";

export interface Attempt {
  /** When it began, and when it was answered; milliseconds of performance.now(). */
  readonly beganMs: number;
  readonly endedMs: number;
  /** "101", "503", …, or "ECONNREFUSED", "ECONNRESET", "silence". */
  readonly outcome: string;
  readonly retryAfter: boolean;
  /** Ends the connection if it is still open. */
  end(): void;
}

const SILENCE_MS = 8000;

export interface AttemptFrom {
  readonly localAddress?: string;
  readonly host?: string;
  /** Further header lines. */
  readonly lines?: readonly string[];
  /** Called when the connection ends, after an upgrade. */
  readonly onEnd?: () => void;
}

export function attempt(
  port: number,
  { localAddress, host = "127.0.0.1", lines = [], onEnd }: AttemptFrom = {},
): Promise<Attempt> {
  const beganMs = performance.now();
  const socket = connect({ port, host, ...(localAddress && { localAddress }) });
  const handshake = HANDSHAKE.replace("\r\n\r\n", `\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`);
  let text = "";
  return new Promise((resolve) => {
    const done = (outcome: string): void => {
      clearTimeout(timer);
      const retryAfter = /\r\nRetry-After: \d+\r\n/.test(text);
      resolve({ beganMs, endedMs: performance.now(), outcome, retryAfter, end: () => socket.destroy() });
    };
    const timer = setTimeout(() => done("silence"), SILENCE_MS);
    socket.on("connect", () => socket.write(handshake));
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      if (text.includes("\r\n\r\n")) done(text.slice(9, 12));
    });
    socket.on("error", (error: NodeJS.ErrnoException) => done(error.code ?? "error"));
    socket.on("close", () => {
      done("ended");
      onEnd?.();
    });
  });
}

/** How often each outcome came. */
export function outcomes(attempts: readonly Attempt[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { outcome } of attempts) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
}
