/** Whose option a MEGAGATE_* name is, and what a person is told of those that are nobody's. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { MILLION_OPTIONS } from "../../../load/million.js";
import { LOAD_AND_SCENARIO_OPTIONS } from "../../../load/scenarios/options.js";
import { PLAN_OPTIONS } from "../../../load/sizing/options.js";
import { DRAIN_OPTIONS } from "../../../src/commands/drain.js";
import { envName, noticesOf } from "../../../src/config/environment.js";
import { ADMIN_URL, CLIENT_URL } from "../../../src/config/gateway-address.js";
import { SERVE_OPTIONS } from "../../../src/config/options.js";
import { resolve } from "../../../src/config/resolve.js";
import type { OptionTable } from "../../../src/config/table.js";
import { DOCTOR_OPTIONS } from "../../../sysctl/doctor/command.js";
import { TUNE_OPTIONS, UNTUNE_OPTIONS } from "../../../sysctl/tune/command.js";

const TABLES: Readonly<Record<string, OptionTable>> = {
  serve: SERVE_OPTIONS,
  load: LOAD_AND_SCENARIO_OPTIONS,
  million: MILLION_OPTIONS,
  plan: PLAN_OPTIONS,
  tune: TUNE_OPTIONS,
  untune: UNTUNE_OPTIONS,
  doctor: DOCTOR_OPTIONS,
  drain: DRAIN_OPTIONS,
};
const namesOf = (command: string): string[] =>
  Object.entries(TABLES[command]!).map(([key, { env }]) => envName(key, command, env));
const all = new Set(Object.keys(TABLES).flatMap(namesOf));
const told = (command: string, env: Record<string, string>): string[] =>
  noticesOf(env, { command, own: new Set(namesOf(command)), all });

describe("the name of a variable", () => {
  it("is that of one option, unless it means the same to several commands and says so", () => {
    const owners = new Map<string, string[]>();
    for (const command of Object.keys(TABLES)) {
      for (const name of namesOf(command)) owners.set(name, [...(owners.get(name) ?? []), command]);
    }
    const shared = [...owners].filter(([, commands]) => commands.length > 1).map(([name]) => name);
    assert.deepEqual(shared.sort(), [
      "MEGAGATE_ADMIN_KEY_FILE",
      "MEGAGATE_ADMIN_PORT",
      "MEGAGATE_ADMIN_URL",
      "MEGAGATE_PORT",
      "MEGAGATE_TUNE_STATE",
    ]);
  });

  it("carries its command: what is right for serve does not stop tune", () => {
    const env = { MEGAGATE_CONNECTIONS: "60000000", MEGAGATE_TUNE_CONNECTIONS: "5000" };
    assert.equal(resolve(SERVE_OPTIONS, { flags: {}, env }).config.connections, 60_000_000);
    assert.equal(resolve(TUNE_OPTIONS, { command: "tune", flags: {}, env }).config.connections, 5000);
    assert.equal(resolve(DOCTOR_OPTIONS, { command: "doctor", flags: {}, env }).config.connections, 1_000_000);
  });

  it("may be one that Kubernetes gave to a Service: then it is no option", () => {
    for (const link of ["tcp://10.96.0.17:8080", "udp://10.96.0.17:53", "tcp://[fd00::1]:8080", "sctp://10.0.0.1:1"]) {
      const env = { MEGAGATE_PORT: link, MEGAGATE_ADMIN_PORT: link };
      const { config, sources } = resolve(SERVE_OPTIONS, { flags: {}, env });
      assert.deepEqual([config.port, config.adminPort, sources.port], [8080, 8081, "default"]);
      const million = resolve(MILLION_OPTIONS, { command: "million", flags: {}, env });
      assert.equal(million.config.port, 8080);
    }
  });
});

describe("what is said of variables", () => {
  it("of a Service: one line for those that would have been options, none for the rest that comes with it", () => {
    const env = {
      MEGAGATE_PORT: "tcp://10.96.0.17:8080",
      MEGAGATE_PORT_8080_TCP: "tcp://10.96.0.17:8080",
      MEGAGATE_PORT_8080_TCP_PROTO: "tcp",
      MEGAGATE_PORT_8080_TCP_PORT: "8080",
      MEGAGATE_PORT_8080_TCP_ADDR: "10.96.0.17",
      MEGAGATE_SERVICE_HOST: "10.96.0.17",
      MEGAGATE_SERVICE_PORT: "8080",
      MEGAGATE_SERVICE_PORT_HTTP: "8080",
      MEGAGATE_ADMIN_PORT: "tcp://10.96.0.18:8081",
      MEGAGATE_REDIS_CACHE_SERVICE_HOST: "10.96.0.19",
      MEGAGATE_REDIS_CACHE_PORT: "tcp://10.96.0.19:6379",
    };
    const [line, ...more] = told("serve", env);
    assert.match(line ?? "", /^MEGAGATE_PORT, MEGAGATE_ADMIN_PORT: the address of a Service, .*; ignored$/);
    assert.deepEqual(more, []);
  });

  it("of one that nobody reads: its name, and what was meant", () => {
    for (const [command, name, meant] of [
      ["serve", "MEGAGATE_WORKRES", "MEGAGATE_WORKERS"],
      ["serve", "MEGAGATE_IDLE_TIMEOUT", "MEGAGATE_IDLE_TIMEOUT_SECONDS"],
      ["load", "MEGAGATE_TARGET", "MEGAGATE_LOAD_TARGET"],
      ["serve", "MEGAGATE_TARGET", "MEGAGATE_LOAD_TARGET"],
      ["plan", "MEGAGATE_NOFILE", "MEGAGATE_PLAN_NOFILE"],
      ["tune", "MEGAGATE_TUNE_CONECTIONS", "MEGAGATE_TUNE_CONNECTIONS"],
    ] as const) {
      const sentence = `${name} is no option of any command, and does nothing (did you mean ${meant}?)`;
      assert.deepEqual(told(command, { [name]: "1" }), [sentence]);
    }
    assert.deepEqual(told("serve", { MEGAGATE_IMAGE: "x" }), [
      "MEGAGATE_IMAGE is no option of any command, and does nothing",
    ]);
  });

  it("of one of serve that this command has too: its own name; of others, and of names that are not ours, nothing", () => {
    assert.deepEqual(told("tune", { MEGAGATE_CONNECTIONS: "5", MEGAGATE_LOG_LEVEL: "warn", PATH: "/bin" }), [
      "MEGAGATE_CONNECTIONS is an option of serve; for tune set MEGAGATE_TUNE_CONNECTIONS",
    ]);
  });
});

describe("where a gateway is", () => {
  const table = { url: CLIENT_URL, adminUrl: ADMIN_URL };
  const found = (env: Record<string, string>, flags: object = {}): unknown =>
    Object.values(resolve(table, { command: "watch", flags: { ...flags }, env }).config);
  const usual = "ws://127.0.0.1:8080/ws";

  it("is said by its own variables, where nobody names it; and they never win over a name", () => {
    assert.deepEqual(found({}), [usual, "http://127.0.0.1:8081"]);
    assert.deepEqual(found({ MEGAGATE_ADMIN_PORT: "9001" }), [usual, "http://127.0.0.1:9001"]);
    assert.deepEqual(found({ MEGAGATE_ADMIN_HOST: "10.0.0.5" }), [usual, "http://10.0.0.5:8081"]);
    const both = { MEGAGATE_PORT: "9000", MEGAGATE_ADMIN_HOST: "0.0.0.0", MEGAGATE_ADMIN_PORT: "9001" };
    assert.deepEqual(found(both), ["ws://127.0.0.1:9000/ws", "http://127.0.0.1:9001"]);
    assert.deepEqual(found({ MEGAGATE_ADMIN_PORT: "9001", MEGAGATE_ADMIN_URL: "http://h:1" }), [usual, "http://h:1"]);
    assert.deepEqual(found({ MEGAGATE_ADMIN_URL: "http://h:1" }, { adminUrl: "http://g:2" }), [usual, "http://g:2"]);
    const link = { MEGAGATE_ADMIN_PORT: "tcp://10.96.0.18:8081" };
    assert.deepEqual(found(link), [usual, "http://127.0.0.1:8081"]);
    assert.deepEqual(found({ MEGAGATE_ADMIN_PORT: "0" }), [usual, "http://127.0.0.1:8081"], "nobody knows which");
  });

  it("is said by its configuration file", () => {
    const folder = mkdtempSync(join(tmpdir(), "megagate-address-"));
    try {
      const path = join(folder, "gateway.yaml");
      writeFileSync(path, "port: 9000\nadminPort: 9001\nadminHost: 10.0.0.5\n");
      assert.deepEqual(found({ MEGAGATE_CONFIG: path }), ["ws://127.0.0.1:9000/ws", "http://10.0.0.5:9001"]);
      const env = { MEGAGATE_CONFIG: path, MEGAGATE_ADMIN_PORT: "9002" };
      assert.deepEqual(found(env), ["ws://127.0.0.1:9000/ws", "http://10.0.0.5:9002"]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
