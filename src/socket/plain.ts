/**
 * Plain HTTP on the public port: writes answers and reads request headers. Worker only; server.ts decides which path
 * answers what. Every plain answer closes its connection, because this port is for WebSockets; after HEAD and 204
 * uWebSockets leaves the close to the client, or to its own timeout of 10 s.
 */
import type { HttpRequest, HttpResponse } from "./native.js";

const STATUS: Readonly<Record<number, string>> = {
  200: "200 OK",
  204: "204 No Content",
  400: "400 Bad Request",
  401: "401 Unauthorized",
  403: "403 Forbidden",
  404: "404 Not Found",
  405: "405 Method Not Allowed",
  426: "426 Upgrade Required",
  429: "429 Too Many Requests",
  503: "503 Service Unavailable",
};

type Headers = Readonly<Record<string, string>>;

export interface PlainAnswer {
  readonly status: number;
  readonly body: string;
  readonly headers?: Headers | undefined;
}

/** The methods of a path that answers GET, for `Allow`. */
export const READ_METHODS = "GET, HEAD, OPTIONS";

/** How long a browser may cache the answer to a preflight. */
const PREFLIGHT_SECONDS = "7200";

export interface AnswerTo {
  /** HEAD gets the same head without the body (RFC 9110 §9.3.2). */
  readonly isHead: boolean;
  /** Which pages may read the answer. */
  readonly cors: Headers;
}

export function writeAnswer(res: HttpResponse, answer: PlainAnswer, { isHead, cors }: AnswerTo): void {
  const { status, body } = answer;
  const headers = withCors(answer.headers ?? {}, cors);
  res.cork(() => {
    res.writeStatus(STATUS[status] ?? String(status));
    if (body !== "" && headers["Content-Type"] === undefined) res.writeHeader("Content-Type", "application/json");
    for (const [name, value] of Object.entries(headers)) res.writeHeader(name, value);
    if (status === 204) {
      // RFC 9110 §8.6 forbids Content-Length here, and `end` would write it.
      res.writeHeader("Connection", "close");
      res.endWithoutBody();
    } else if (isHead && body !== "") {
      res.writeHeader("Connection", "close");
      // `tryEnd` writes the Content-Length of a body that never comes, and `end` finishes the response; `endWithoutBody`
      // with a length leaves it unfinished in this binary.
      const [, isOver] = res.tryEnd("", Buffer.byteLength(body));
      if (!isOver) res.end();
    } else {
      res.end(body, true);
    }
  });
}

function withCors(headers: Headers, cors: Headers): Headers {
  const vary = [headers.Vary, cors.Vary].filter((name) => name !== undefined).join(", ");
  return { ...cors, ...headers, ...(vary !== "" && { Vary: vary }) };
}

/**
 * The answer to a CORS preflight. It allows all header names that the page's HTTP library asks for, each by its name, since
 * `*` does not cover Authorization (the Fetch standard, §3.3.5). None of these headers changes our answer.
 */
export function preflight(requestedHeaders: string): PlainAnswer {
  const names = requestedHeaders.split(",").map((name) => name.trim());
  const allowed = names.filter((name) => /^[\w!#$%&'*+.^`|~-]{1,128}$/.test(name));
  return {
    status: 204,
    body: "",
    headers: {
      Allow: READ_METHODS,
      "Access-Control-Allow-Methods": "GET, HEAD",
      ...(allowed.length > 0 && { "Access-Control-Allow-Headers": allowed.join(", ") }),
      "Access-Control-Max-Age": PREFLIGHT_SECONDS,
      Vary: "Access-Control-Request-Headers",
    },
  };
}

/** All lines of a header, joined as in RFC 9110 §5.3; `getHeader` returns the first line only. `name` is in lower case. */
export const headerLines = (req: HttpRequest, name: string): string => headerIfSent(req, name) ?? "";

/** The same; undefined where the header is missing, which is not the same as an empty one. */
export function headerIfSent(req: HttpRequest, name: string): string | undefined {
  const lines: string[] = [];
  req.forEach((key, value) => {
    if (key === name) lines.push(value);
  });
  return lines.length === 0 ? undefined : lines.join(", ");
}
