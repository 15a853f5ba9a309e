/** `megagate doctor` as a person and a pipeline meet it: text, JSON, colour, exit by error. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { Command } from "commander";
import { z } from "zod";
import { addDoctorCommand } from "../../../../sysctl/doctor/command.js";
import { renderSchema } from "../../../../sysctl/doctor/json.js";
import { HOSTS, type HostName, rootOf, tracksAt } from "./hosts.js";

interface Trial {
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly isTTY?: boolean;
}

/** Runs one command line over a recorded host; the printed text and the error that ended it. */
async function run(
  host: HostName,
  { args = [], env = {}, isTTY }: Trial = {},
): Promise<{ text: string; error: unknown }> {
  const printed: string[] = [];
  const program = new Command("megagate").exitOverride();
  const stdout = { write: (text: string) => printed.push(text), isTTY };
  const tracks = (): Promise<boolean> => Promise.resolve(tracksAt(host));
  addDoctorCommand(program, { env, stdout, root: rootOf(host), tracks });
  let error: unknown;
  await program.parseAsync(["node", "megagate", "doctor", ...args]).catch((caught: unknown) => (error = caught));
  return { text: printed.join(""), error };
}

const SCHEMA = "sysctl/doctor/doctor.v1.schema.json";
const REGENERATE = `npm run build && node -e 'import("./dist/sysctl/doctor/json.js").then((m) => process.stdout.write(m.renderSchema()))' > ${SCHEMA}`;

describe("megagate doctor", () => {
  it("says the first ceiling in one sentence, and holds where every known one is above the plan", async () => {
    const { text, error } = await run("debian-vm");
    assert.match(text, /^Ceilings for 1,000,000 connections, the gateway's ends on this machine\n2 cores, 25\.3 GB/);
    assert.match(
      text,
      /^First ceiling: memory, at 4,3\d\d,\d{3} connections\. All known ceilings are above 1,000,000\.$/m,
    );
    assert.match(text, /^epoll-watches +ok +5,491,533 +5,491,533$/m);
    assert.match(text, /^accept-queue +NOT AS WANTED +4096$/m);
    assert.match(
      text,
      /`megagate tune --connections 1000000 --ports 8080,8081 --co-located false --allow-lowering` sets them/,
    );
    assert.equal(error, undefined);
  });

  it("prints reasons, symptoms and remedies, and then fails naming the limits that are too low", async () => {
    const { text, error } = await run("host-4gib");
    assert.match(text, /^First ceiling: file-max, at 400,169 connections\. That is below 1,000,000\.$/m);
    assert.match(text, /^file-max: Open files of the whole machine\.\n {2}When it is hit: accept\(\).*ENFILE/m);
    assert.match(text, /^ {4}fs\.file-max = 1101120$/m);
    assert.match(text, /^memory: .*\n.*\n {4}Free 5\.\d GB, take a bigger machine/m);
    assert.deepEqual((error as { kind?: string }).kind, "failed");
    assert.match(String(error), /below 1000000 connections: file-max, memory, epoll-watches; the remedies are above/);
  });

  it("holds for a smaller plan on the same machine", async () => {
    assert.equal((await run("host-4gib", { args: ["--connections", "300_000"] })).error, undefined);
  });

  it("shows unknown ceilings, which fail with --strict only", async () => {
    const args = ["--connections", "100000"];
    const { text, error } = await run("docker-container", { args });
    assert.match(text, /Unknown: conntrack\.$/m);
    assert.match(text, /^conntrack +UNKNOWN +\? +262,144, 0 of them used$/m);
    assert.equal(error, undefined);
    const strict = await run("docker-container", { args: [...args, "--strict"] });
    assert.match(String(strict.error), /unknown ceilings: conntrack; the reasons are above/);
  });

  it("takes its options from flags and environment, and names every bad one", async () => {
    const { text } = await run("debian-vm", {
      env: { MEGAGATE_DOCTOR_SIDE: "both" },
      args: ["--connections", "5000"],
    });
    assert.match(text, /^Ceilings for 5,000 connections, both ends on this machine/);
    const { error } = await run("debian-vm", { args: ["--side", "left", "--ports", "0"] });
    assert.match(String(error), /--side: must be one of server \| client \| both.*\n--ports: must be port numbers/);
    assert.match(String((await run("debian-vm", { args: ["--full"] })).error), /--full goes with --prove/);
  });

  it("is coloured for a terminal only, and not where NO_COLOR is set", async () => {
    assert.equal((await run("debian-vm")).text.includes("\u001b["), false);
    assert.equal((await run("debian-vm", { isTTY: true })).text.includes("\u001b["), true);
    assert.equal((await run("debian-vm", { isTTY: true, env: { NO_COLOR: "1" } })).text.includes("\u001b["), false);
  });

  it("gives a pod its remedies whole, each manifest part by itself", async () => {
    const { text } = await run("kubernetes-pod");
    assert.match(text, /^ {4}resources:\n {6}limits:\n {8}memory: "\d+"$/m);
    assert.match(text, /--format kubernetes` prints them/);
    assert.match(text, /securityContext:\n {6}sysctls:\n {8}- name: net\.core\.somaxconn.*\n {10}value: "65535"$/m);
  });
});

describe("megagate doctor --json", () => {
  const published: unknown = JSON.parse(readFileSync(SCHEMA, "utf8"));
  const validator = z.fromJSONSchema(published as Parameters<typeof z.fromJSONSchema>[0]);

  it("has its schema published, as rendered from the code", () => {
    assert.equal(readFileSync(SCHEMA, "utf8"), renderSchema(), `${SCHEMA} differs from json.ts; run: ${REGENERATE}`);
  });

  for (const host of HOSTS) {
    it(`validates against the published schema: ${host}`, async () => {
      for (const side of ["server", "client", "both"]) {
        const { text } = await run(host, { args: ["--json", "--side", side] });
        const report: unknown = JSON.parse(text);
        const parsed = validator.safeParse(report);
        assert.ok(parsed.success, parsed.error?.message);
      }
    });
  }

  it("is refused by the schema where a field is missing, has another type, or is unknown", async () => {
    const report = JSON.parse((await run("host-4gib", { args: ["--json"] })).text) as Record<string, unknown>;
    for (const broken of [{ first: undefined }, { verdict: "fine" }, { extra: 1 }, { ceilings: [{}] }]) {
      const document: unknown = JSON.parse(JSON.stringify({ ...report, ...broken }));
      assert.equal(validator.safeParse(document).success, false, JSON.stringify(broken));
    }
  });

  it("gives programs the first ceiling, the verdict, and the need apart from any format", async () => {
    const { text, error } = await run("systemd-service", { args: ["--json"] });
    const report = JSON.parse(text) as {
      verdict: string;
      dialect: string;
      first: object;
      ceilings: { need: object }[];
    };
    assert.deepEqual(
      [report.verdict, report.dialect, report.first],
      ["low", "systemd", { limit: "pids", connections: 158_763 }],
    );
    assert.deepEqual(report.ceilings[0]?.need, { kind: "tasks", value: 3315 });
    assert.equal((error as { kind?: string }).kind, "failed");
  });
});
