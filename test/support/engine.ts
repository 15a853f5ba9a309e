/**
 * Where the binaries of uWebSockets.js answer the same bytes differently: the one for Node 20 is of early 2024, those for 22 and
 * 24 are of 2026. Each difference was seen with raw probes against a bare app, and is named here once, so that a test says what
 * it depends on. Read in the test's process, which runs the same Node as the gateways that it starts.
 */
const isOf2024 = process.versions.modules === "115";

/**
 * `megagate_closed_total{reason}` of a connection cut for a broken frame (reserved bits, unknown opcode, long or fragmented
 * control frame, lone continuation): the early binary closes with 1006 and no sentence, as if the client had vanished.
 */
export const FRAMING_FAULT = isOf2024 ? "abnormal" : "protocol";

/**
 * What a head without a complete request line is answered: 505 at once, or nothing, and it is cut with the handshake budget of
 * 10 s (seen as 12), like any other head that never ends.
 */
export const ANSWER_TO_GARBAGE: 505 | "cut" = isOf2024 ? 505 : "cut";

/** The answer to more than about a hundred headers: the early binary cuts the connection without an answer. */
export const ANSWER_TO_MANY_HEADERS = isOf2024 ? /^$/ : /^HTTP\/1\.1 431 Request Header Fields Too Large\r\n/;

/** A request line that arrives in two TCP segments (uNetworking/uWebSockets#1776, mended in between). */
export const ANSWER_TO_CUT_LINE: 505 | "open" = isOf2024 ? 505 : "open";
