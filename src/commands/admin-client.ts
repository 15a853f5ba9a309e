/**
 * The admin port of a running gateway, as the commands that ask it see it (publish, watch, drain, restart-workers): JSON,
 * or a sentence why not. What answers there may be anything that speaks HTTP; only a gateway's answer is taken for one.
 * Runs in the command line only.
 */
import { plain } from "../client/plain.js";
import { type AdminAccess, authorization, whyNotAdmitted } from "../config/admin-access.js";
import { ERRORS, GatewayError } from "../errors.js";

const ANSWER_MS = 10_000;
/** Of an answer that is none, so much is shown. */
const SHOWN_CHARACTERS = 100;

interface Question {
  readonly path: string;
  readonly method?: "GET" | "POST";
  /** A field by which the gateway's answer is known. */
  readonly has: string;
}

/** Throws `unreachable` when no gateway answers, `failed` when it refuses, `config` without a usable key file. */
export async function ask(access: AdminAccess, { path, method = "GET", has }: Question): Promise<unknown> {
  const signal = AbortSignal.timeout(ANSWER_MS);
  return (await exchange(access, { path, has, init: { method, signal } })).answer;
}

interface Exchange extends Pick<Question, "path" | "has"> {
  readonly init: Omit<RequestInit, "headers"> & {
    readonly headers?: Readonly<Record<string, string>>;
    readonly duplex?: "half";
  };
}

/**
 * One request, and the answer parsed and as text in which nothing commands a terminal, whatever answers there; throws as `ask` does.
 * A body that is a stream has no time limit.
 */
export async function exchange(
  access: AdminAccess,
  { path, has, init }: Exchange,
): Promise<{ readonly answer: object; readonly text: string }> {
  const { adminUrl } = access;
  const headers = { ...init.headers, ...authorization(access) };
  let response: Response;
  let text: string;
  try {
    response = await fetch(new URL(path, adminUrl), { ...init, headers });
    text = (await response.text()).trim();
  } catch (error) {
    throw noGateway(adminUrl, inWords(error));
  }
  const answer = parsed(plain(text));
  if (response.ok && answer !== undefined && has in answer) return { answer, text: plain(text) };
  if (response.ok || answer?.code === undefined) {
    const shown = plain(text.slice(0, SHOWN_CHARACTERS).replaceAll(/\s+/g, " "));
    throw noGateway(
      adminUrl,
      `status ${response.status} ${JSON.stringify(shown)} is no answer of a gateway's admin port`,
    );
  }
  const { code, error } = answer;
  const why = whyNotAdmitted({ status: response.status, code, error }, access);
  if (why !== undefined) throw new GatewayError("failed", plain(why));
  const isElsewhere = answer.code === ERRORS.notFound.code && !text.includes(path);
  const hint = isElsewhere ? ". Is that its admin port? --admin-url names it" : "";
  throw new GatewayError("failed", `the gateway refused: ${plain(text)}${hint}`);
}

function parsed(text: string): { readonly [field: string]: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

export function noGateway(url: string, why: string): GatewayError {
  return new GatewayError("unreachable", `no gateway answers at ${url}: ${why}. Is \`megagate serve\` running?`);
}

/** The operating system's word is the cause of fetch's; where several addresses were tried, there is only a code. */
export function inWords(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return "no answer in time";
  const { cause } = error;
  if (cause instanceof Error) return inWords(cause);
  if (error.message === "bad port")
    return "HTTP clients do not connect to this port (it is another protocol's by the fetch standard)";
  const { code } = error as NodeJS.ErrnoException;
  return error.message || code || error.name;
}
