/**
 * What fuzzing has found, kept: the bytes as they were sent, and what the peer did afterwards. Each is replayed by
 * found-cases.test.ts. A new find is cut down to what matters and becomes a row, with what went wrong.
 */
import type { Target } from "./attack.js";

export interface Case {
  readonly name: string;
  readonly target: Target;
  /** Sent with a millisecond after each. */
  readonly pieces: readonly string[];
  readonly end: "reset" | "close";
  /** How often it is tried: some need a race. */
  readonly times: number;
}

const post = (headers: string, body: string): string =>
  `POST /publish HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n\r\n${body}`;

export const CASES: readonly Case[] = [
  {
    name: "seed 1521398869: a pipeline behind a refused request, reset while it is answered, ended the hub process",
    target: "admin",
    pieces: [
      [
        post(
          "Content-Type: application/json\r\nIdempotency-Key: k\r\nContent-Encoding: gzip\r\nContent-Length: 36",
          '{"__proto__":{"topic":"a"},"data":1}',
        ),
        post("Content-Type: \r\nContent-Length: 61", '{"topic":"fuzz","data":1}\n{"topic":"fuzz","data":2,"id":"i"}\n'),
        post("Content-Type: text/html\r\nContent-Length: 81", '{"__proto__":{"topic":"a"},"data":1}'),
        post("Content-Type: \r\nTransfer-Encoding: chunked", '42\r\n[{"topic":"fuzz","data":1}]\r\n0\r\n\r\n'),
      ].join(""),
    ],
    end: "reset",
    times: 40,
  },
];
