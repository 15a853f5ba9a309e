/** One request to the admin port of a running gateway, for the commands that ask it: JSON, or a sentence why not. */
import { GatewayError } from "../errors.js";

const ANSWER_MS = 10_000;

/** Throws `unreachable` when nobody answers, `failed` when the gateway refuses. */
export async function ask(adminUrl: string, path: string, method: "GET" | "POST" = "GET"): Promise<unknown> {
  let response: Response;
  let text: string;
  try {
    response = await fetch(new URL(path, adminUrl), { method, signal: AbortSignal.timeout(ANSWER_MS) });
    text = (await response.text()).trim();
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    const remedy = "Is `megagate serve` running?";
    throw new GatewayError("unreachable", `no gateway answers at ${adminUrl}: ${cause}. ${remedy}`);
  }
  if (response.ok) return JSON.parse(text) as unknown;
  throw new GatewayError("failed", `the gateway refused: ${text}`);
}
