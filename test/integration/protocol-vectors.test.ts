/** The published exchanges of megagate.v1, run against a real gateway, and read by the SDK's parser. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { parseMessage } from "../../src/client/protocol.js";
import { Client, type Message } from "../support/client.js";
import { Gateway } from "../support/gateway.js";
import { until } from "../support/wait.js";

type Step = { client: object | string } | { gateway: Message | string } | { publish: object };
interface Vectors {
  readonly exchanges: readonly { readonly name: string; readonly query?: string; readonly steps: readonly Step[] }[];
  readonly events: readonly Message[];
}
const vectors = JSON.parse(readFileSync("src/protocol/megagate.v1.vectors.json", "utf8")) as Vectors;

describe("megagate.v1 vectors", () => {
  let gateway: Gateway;
  before(async () => {
    gateway = await Gateway.start("--workers", "2");
  });
  after(() => gateway[Symbol.asyncDispose]());

  for (const { name, query = "", steps } of vectors.exchanges) {
    it(name, async () => {
      let epoch = "";
      let read = 0;
      const client = await Client.open(gateway.url + query);
      for (const step of steps) {
        if ("publish" in step) {
          const response = await gateway.admin("/publish", { method: "POST", body: JSON.stringify(step.publish) });
          assert.equal(response.status, 200, await response.text());
        } else if ("client" in step) {
          client.send(
            typeof step.client === "string" ? step.client : JSON.stringify(step.client).replaceAll("<epoch>", epoch),
          );
        } else {
          const at = read++;
          const got = (await until(
            "a message",
            () => client.messages[at],
            (message) => message !== undefined,
          ))!;
          if (typeof got.epoch === "string") epoch = got.epoch;
          const wanted = typeof step.gateway === "string" ? { text: step.gateway } : step.gateway;
          assert.deepEqual(got, JSON.parse(JSON.stringify(wanted).replaceAll("<epoch>", epoch)));
        }
      }
      assert.equal(client.messages.length, read, "no message that the vector does not name");
      await client.end();
    });
  }

  it("the SDK knows every message of them", () => {
    const sent = vectors.exchanges.flatMap(({ steps }) =>
      steps.flatMap((step) => ("gateway" in step ? [step.gateway] : [])),
    );
    for (const message of [...sent, ...vectors.events]) {
      if (typeof message === "string") continue;
      // The SDK's own ids are numbers.
      const text = JSON.stringify("id" in message ? { ...message, id: 1 } : message);
      assert.notEqual(parseMessage(text).type, "other", text);
    }
  });
});
