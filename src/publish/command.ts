/** `megagate publish`: one publication through the admin port of a running gateway, and its answer as JSON. */
import { GatewayError } from "../errors.js";

/** Throws `unreachable` when nobody answers, `failed` when the gateway refuses. */
export async function publishOnce(given: { adminUrl: string; topic: string; data: string }): Promise<string> {
  let response: Response;
  const body = JSON.stringify({ topic: given.topic, data: asJson(given.data) });
  try {
    response = await fetch(new URL("/publish", given.adminUrl), { method: "POST", body });
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    throw new GatewayError(
      "unreachable",
      `no gateway answers at ${given.adminUrl}: ${cause}. Is \`megagate serve\` running?`,
    );
  }
  const answer = (await response.text()).trim();
  if (!response.ok) throw new GatewayError("failed", `the gateway refused: ${answer}`);
  return answer;
}

/** JSON if it is JSON, else the text itself. */
function asJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
