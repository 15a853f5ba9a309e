/** --host with IPv6: workers share the port with their accept queue, every command finds it, and addresses are limited by /64. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Attempt, attempt, outcomes } from "../support/attempts.js";
import { Client } from "../support/client.js";
import { cli, Gateway } from "../support/gateway.js";
import { needsIpv6 } from "../support/needs.js";

interface Told {
  readonly clients: string;
}

const attempts = (port: number, host: string, count: number): Promise<Attempt[]> =>
  Promise.all(Array.from({ length: count }, () => attempt(port, { host })));

const clientsUrl = async (gateway: Gateway): Promise<string> =>
  ((await (await gateway.admin("/processes")).json()) as Told).clients;

describe("a gateway on IPv6", { skip: needsIpv6() }, () => {
  it("serves on ::1 with several workers, says so, and load finds it", async () => {
    await using gateway = await Gateway.start("--workers", "2", "--host", "::1");
    const url = `ws://[::1]:${gateway.port}/ws`;
    assert.equal((JSON.parse(gateway.run.stdout) as Told).clients, url);
    assert.equal(await clientsUrl(gateway), url);
    assert.doesNotMatch(gateway.run.stderr, /accept queue/, "the descriptor of the IPv6 socket was found");
    const client = await Client.open(`${url}?topics=t`);
    await client.find("the answer", (message) => message.reqtype === "Subscribe");
    await gateway.publish("t", { n: 1 });
    await client.find("the push", (message) => message.topic === "t" && message.offset === 1);
    await client.end();
    const address = await (await fetch(`http://[::1]:${gateway.port}/bcall/url`)).json();
    assert.deepEqual(address, { data: url });
    const [one] = await attempts(gateway.port, "127.0.0.1", 1);
    assert.equal(one!.outcome, "ECONNREFUSED", "IPv4 is another address");
    const admin = `http://127.0.0.1:${gateway.adminPort}`;
    const sizes = ["--connections", "50", "--generators", "1", "--hold-seconds", "1", "--report", "/dev/null"];
    const load = await cli(["load", "--target", url, "--admin-url", admin, ...sizes]).ended;
    assert.equal(load.code, 0, load.stdout + load.stderr);
  });

  it("serves on :: for both families, and limits an IPv4 client by its own address and IPv6 by /64", async () => {
    await using gateway = await Gateway.start(
      "--workers",
      "1",
      "--host",
      "::",
      "--allow-anonymous",
      "--connections-per-address",
      "2",
    );
    assert.equal(await clientsUrl(gateway), `ws://[::]:${gateway.port}/ws`);
    const six = await attempts(gateway.port, "::1", 4);
    const four = await attempts(gateway.port, "127.0.0.1", 4);
    const other = await attempt(gateway.port, { localAddress: "127.0.0.77" });
    assert.deepEqual(outcomes(six), { "101": 2, "429": 2 });
    assert.deepEqual(outcomes(four), { "101": 2, "429": 2 });
    assert.equal(other.outcome, "101", "another IPv4 address within the same mapped prefix");
    for (const one of [...six, ...four, other]) one.end();
  });

  it("a proxy of --trusted-proxies is known by its IPv4 address at a socket of both families", async () => {
    const options = ["--connections-per-address", "1", "--trusted-proxies", "127.0.0.1"];
    await using gateway = await Gateway.start("--workers", "1", "--host", "::", "--allow-anonymous", ...options);
    const from = (client: string): Promise<Attempt> => attempt(gateway.port, { lines: [`X-Forwarded-For: ${client}`] });
    const all = [
      await from("2001:db8:0:1::1"),
      await from("2001:db8:0:1:ffff::9"),
      await from("2001:db8:0:2::1"),
      await from("203.0.113.9"),
      await from("::ffff:203.0.113.9"),
    ];
    assert.deepEqual(
      all.map(({ outcome }) => outcome),
      ["101", "429", "101", "101", "429"],
    );
    for (const one of all) one.end();
  });
});
