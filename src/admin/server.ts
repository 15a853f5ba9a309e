/**
 * The private HTTP listener of the hub process: publish, metrics, health, readiness, processes. Thin: each route asks
 * the room that owns the matter. Answers are JSON (metrics: Prometheus text); faults are the rows of errors.ts.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { GatewayError } from "../errors.js";
import type { AdminRefuseReason } from "../metrics/reasons.js";
import { type Answer, type AnswerLimits, Answers } from "./answers.js";
import { RefusedRequest, refuseForeign } from "./guard.js";
import type { AdminKeys, RouteScope } from "./keys.js";

/** Another method than those of its path: the answer names them (RFC 9110 §15.5.6). */
class BadMethod extends GatewayError {
  readonly allow: string;

  constructor(routes: readonly string[]) {
    super("badMethod", `use ${routes.join(" or ")}`);
    const methods = routes.map((route) => route.split(" ", 1)[0]!);
    // GET brings HEAD with it.
    this.allow = methods.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method])).join(", ");
  }
}

/** `name` is what stands in the place of `{name}`, decoded; empty where the route has none. */
export interface Route {
  /** What a key must be for; no route is open to everybody by omission. */
  readonly scope: RouteScope;
  readonly answer: (request: IncomingMessage, name: string) => Promise<Answer> | Answer;
}
/** "GET /metrics", "GET /topics/{name}" → what answers it. */
export type Routes = Readonly<Record<string, Route>>;

export interface AdminLimits extends AnswerLimits {
  /** Connections at a time. */
  readonly connections: number;
  /** For the head of a request. */
  readonly headSeconds: number;
  /** Names under which it is reached, in addition to addresses and `localhost`. */
  readonly hostnames: ReadonlySet<string>;
  readonly keys: Pick<AdminKeys, "admit">;
}

export function createAdmin(routes: Routes, limits: AdminLimits): Server {
  // How often Node looks for late heads: usually every 30 s.
  const options = { keepAlive: true, connectionsCheckingInterval: 1000 };
  const answers = new Answers(limits);
  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    // Node goes on parsing what it had read when the connection ended; an answer to that, before one to an earlier request
    // of the pipeline, ends the process with an assertion (found by fuzzing).
    if (!request.socket.destroyed && !request.socket.writableEnded)
      void answers.inTurn(request, response, () => respond({ routes, limits, answers, request, response }));
  };
  const server = createServer(options, onRequest);
  // `Expect: 100-continue`: Node would ask for the body before anybody has looked at the head.
  server.on("checkContinue", onRequest);
  server.once("close", () => answers.close());
  // A scraper that stalls must not hold a connection for ever; publishers keep theirs between requests, and a stream of
  // lines may last for days and be quiet for hours: only a request's head is limited, dead peers are found by TCP.
  server.headersTimeout = limits.headSeconds * 1000;
  server.requestTimeout = 0;
  server.keepAliveTimeout = 75_000;
  const refuse = (socket: Socket, reason: keyof typeof STATUS): void => {
    if (!socket.writable) {
      socket.destroy();
      return;
    }
    limits.onRefused(reason);
    socket.end(`HTTP/1.1 ${STATUS[reason]}\r\nConnection: close\r\n\r\n`, () => socket.destroy());
  };
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Socket) => {
    if (error.code === "ECONNRESET") socket.destroy();
    else refuse(socket, FAULTS[error.code ?? ""] ?? "malformed");
  });
  let open = 0;
  server.on("connection", (socket: Socket) => {
    open += 1;
    socket.once("close", () => {
      open -= 1;
    });
    if (open > limits.connections) {
      server.closeIdleConnections();
      refuse(socket, "connections");
    }
  });
  return server;
}

const STATUS = {
  connections: "503 Service Unavailable\r\nRetry-After: 1",
  malformed: "400 Bad Request",
  head_too_big: "431 Request Header Fields Too Large",
  too_slow: "408 Request Timeout",
} as const satisfies Partial<Record<AdminRefuseReason, string>>;
/** Node's codes for what its parser refuses; any other is a malformed request. */
const FAULTS: Readonly<Record<string, keyof typeof STATUS>> = {
  HPE_HEADER_OVERFLOW: "head_too_big",
  ERR_HTTP_REQUEST_TIMEOUT: "too_slow",
};

interface Exchange {
  readonly routes: Routes;
  readonly limits: AdminLimits;
  readonly answers: Answers;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

async function respond({ routes, limits, answers, request, response }: Exchange): Promise<void> {
  const send = (answer: Answer): void => answers.send(response, answer);
  try {
    refuseForeign(request.headers, limits.hostnames);
    const found = find(routes, request);
    limits.keys.admit(request, found?.route.scope);
    if (!found) throw noSuchRoute(routes, request);
    if (request.headers.expect !== undefined && request.httpVersion === "1.1") response.writeContinue();
    send(await found.route.answer(request, found.name));
  } catch (error) {
    if (error instanceof RefusedRequest) limits.onRefused(error.reason);
    if (response.destroyed || response.headersSent) return;
    if (error instanceof GatewayError) {
      if (request.complete) send({ status: error.row.http, body: error.toJSON(), headers: headersOf(error) });
      else await refuseHalfway(request, response, error);
    } else if (request.destroyed) {
      response.destroy();
    } else {
      send({ status: 500, body: { code: 5000, error: String(error) } });
    }
  }
}

/** The path as it came, and the pattern that it may fit. Nothing is normalised: `//publish` and `/%2e/publish` are no routes. */
function pathOf({ url = "/" }: IncomingMessage): { path: string; pattern: string; last: string } {
  const path = url.split("?", 1)[0]!;
  const slash = path.lastIndexOf("/");
  return { path, pattern: `${path.slice(0, slash)}/{name}`, last: path.slice(slash + 1) };
}

function find(routes: Routes, request: IncomingMessage): { route: Route; name: string } | undefined {
  const { path, pattern, last } = pathOf(request);
  // Node leaves the body of the answer to HEAD away.
  const method = request.method === "HEAD" ? "GET" : (request.method ?? "");
  const exact = routes[`${method} ${path}`];
  if (exact) return { route: exact, name: "" };
  const named = routes[`${method} ${pattern}`];
  return named && { route: named, name: decode(last) };
}

function noSuchRoute(routes: Routes, request: IncomingMessage): GatewayError {
  const { path, pattern } = pathOf(request);
  const methods = Object.keys(routes).filter((key) => key.endsWith(` ${path}`) || key.endsWith(` ${pattern}`));
  if (methods.length > 0) return new BadMethod(methods);
  return new GatewayError("notFound", `no such path; there are ${Object.keys(routes).join(", ")}`);
}

/** What a refusal must say in its head (RFC 9110 §15.5.2, §15.5.6; RFC 6750 §3). */
function headersOf(error: GatewayError): Readonly<Record<string, string>> {
  if (error instanceof BadMethod) return { Allow: error.allow };
  if (!(error instanceof RefusedRequest)) return {};
  const challenge = CHALLENGES[error.reason];
  return challenge === undefined ? {} : { "WWW-Authenticate": challenge };
}

const CHALLENGES: Partial<Record<AdminRefuseReason, string>> = {
  no_key: 'Bearer realm="megagate"',
  wrong_key: 'Bearer realm="megagate", error="invalid_token"',
  missing_scope: 'Bearer realm="megagate", error="insufficient_scope"',
};

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const LINGER_BYTES = 64 * 1024 * 1024;
const LINGER_MS = 5000;

/**
 * A refusal while the body still comes: answered at once, but the connection closes only when the body has ended or was
 * waited for. Closing at once would reset it, and the publisher's failing write would hide our answer.
 */
async function refuseHalfway(request: IncomingMessage, response: ServerResponse, error: GatewayError): Promise<void> {
  const payload = `${JSON.stringify(error.toJSON())}\n`;
  response.writeHead(error.row.http, {
    ...headersOf(error),
    "Content-Type": "application/json",
    "Content-Length": Buffer.byteLength(payload),
    Connection: "close",
  });
  response.write(payload);
  let left = LINGER_BYTES;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, LINGER_MS);
    const done = (): void => {
      clearTimeout(timer);
      resolve();
    };
    request.on("data", (chunk: Buffer) => {
      left -= chunk.length;
      if (left < 0) done();
    });
    request.once("close", done);
    request.resume();
  });
  response.end();
}
