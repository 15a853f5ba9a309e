/**
 * The front end that this project started from, as it behaves: it GETs /bcall/url through axios (`response.data.data`),
 * opens that address, asks for all extensions on open, sends a heartbeat text of its own on a timer, takes any message as
 * a sign of life, and reconnects when none comes. It must work unmodified.
 */
import assert from "node:assert/strict";
import { it } from "node:test";
import { Client } from "../support/client.js";
import { Gateway } from "../support/gateway.js";

it("works unmodified, through a proxy too", async () => {
  await using gateway = await Gateway.start("--workers", "2", "--heartbeat-text", "hb", "--heartbeat-answer", "hb-ok");
  await gateway.admin("/publish", { method: "POST", body: '{"topic":"exts","key":"8001","data":{"status":"idle"}}' });
  const preflight = await fetch(`http://127.0.0.1:${gateway.port}/bcall/url`, { method: "OPTIONS" });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers.get("access-control-allow-origin"), "*");
  const response = {
    data: (await (await fetch(`http://127.0.0.1:${gateway.port}/bcall/url`)).json()) as { data: string },
  };
  const client = await Client.open(response.data.data);
  client.send('{"reqtype":"Query","action":"allexts"}');
  const answer = await client.find("all extensions", (m) => m.reqtype === "Query" && m.action === "allexts");
  assert.deepEqual([answer.code, answer.data], [0, [{ key: "8001", data: { status: "idle" } }]]);
  client.send("hb");
  await client.find("life", (m) => m.text === "hb-ok");
  await gateway.admin("/publish", {
    method: "POST",
    body: '{"topic":"exts","key":"8001","data":{"status":"talking"}}',
  });
  assert.deepEqual((await client.find("change", (m) => m.offset === 2)).data, { status: "talking" });
  await client.end();

  await using proxied = await Gateway.start("--workers", "1", "--public-url", "wss://push.example.org/live/ws");
  const { data } = (await (await fetch(`http://127.0.0.1:${proxied.port}/bcall/url`)).json()) as { data: string };
  assert.equal(data, "wss://push.example.org/live/ws");
});
