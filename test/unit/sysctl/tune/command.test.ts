/** The commands as a user sees them: options, output, errors. sysctl/tune/command.ts and sysctl/tune/report.ts. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { Command } from "commander";
import { addTuneCommands } from "../../../../sysctl/tune/command.js";
import { openEtc } from "../../../../sysctl/tune/etc.js";
import { type Fixture, inFixture, type KernelFaults, procSysOf, STOCK } from "../fixture.js";

interface Trial {
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly isTTY?: boolean;
  readonly faults?: KernelFaults;
  /** The probe's answer; null where it could not be tried. */
  readonly isTracked?: boolean | null;
}

/** Runs one command line over a fixture; the printed text also when it throws, in `printed`. */
async function run(fixture: Fixture, trial: Trial, printed: string[] = []): Promise<string> {
  const program = new Command("megagate").exitOverride();
  const stdout = { write: (text: string) => printed.push(text), isTTY: trial.isTTY };
  addTuneCommands(program, {
    env: trial.env ?? {},
    stdout,
    procSys: procSysOf(fixture, trial.faults),
    etc: openEtc(fixture.root),
    root: fixture.root,
    tracks: () => Promise.resolve(trial.isTracked ?? false),
  });
  await program.parseAsync(["node", "megagate", ...trial.args, "--state", fixture.statePath]);
  return printed.join("");
}

describe("megagate tune", () => {
  it("prints before and after, and what the plan means for descriptors", () =>
    inFixture(STOCK, async (fixture) => {
      const text = await run(fixture, { args: ["tune"] });
      assert.match(text, /^net\.core\.somaxconn +4096 +65535 +set$/m);
      assert.match(text, /^fs\.nr_open +1048576 += +already enough$/m);
      assert.match(text, /nf_conntrack_max: connection tracking is not live here/);
      assert.match(text, /20,000 for each process.*1,000,000 connections need \d\d workers.*by itself/);
      assert.match(text, /^Memory: about 10\.\d GB of 25\.3 GB/m);
    }));

  it("takes connections, ports and where the clients are from flags and environment", () =>
    inFixture(STOCK, async (fixture) => {
      await run(fixture, {
        args: ["tune", "--connections", "3_000_000", "--co-located", "false"],
        env: { MEGAGATE_TUNE_PORTS: "9000, 9001" },
      });
      assert.equal(fixture.get("net.ipv4.ip_local_reserved_ports"), "9000-9001");
      assert.equal(fixture.get("net.ipv4.tcp_max_orphans"), "3000000");
      assert.equal(fixture.get("net.ipv4.ip_local_port_range"), "32768\t60999");
    }));

  it("names every bad option with its allowed range, and changes nothing", () =>
    inFixture(STOCK, async (fixture) => {
      await assert.rejects(run(fixture, { args: ["tune", "--connections", "many", "--ports", "0,8080"] }), {
        kind: "config",
        message: /--connections: must be a whole number.*\n--ports: must be port numbers \(1–65,535/,
      });
      assert.deepEqual(fixture.all(), STOCK);
    }));

  it("is coloured for a terminal only, and not where NO_COLOR is set", () =>
    inFixture(STOCK, async (fixture) => {
      assert.equal((await run(fixture, { args: ["tune"] })).includes("\u001b["), false);
      assert.equal((await run(fixture, { args: ["tune"], isTTY: true })).includes("\u001b["), true);
      assert.equal(
        (await run(fixture, { args: ["tune"], isTTY: true, env: { NO_COLOR: "1" } })).includes("\u001b["),
        false,
      );
    }));

  it("prints the table and then fails, naming the settings, when one that matters could not be set", () =>
    inFixture(STOCK, async (fixture) => {
      const printed: string[] = [];
      const faults = { denied: { "net.core.netdev_max_backlog": "EROFS" } };
      await assert.rejects(run(fixture, { args: ["tune"], faults }, printed), {
        kind: "failed",
        message: /net\.core\.netdev_max_backlog/,
      });
      assert.match(printed.join(""), /netdev_max_backlog +1000 += +COULD NOT BE SET$/m);
      assert.match(printed.join(""), /^net\.core\.netdev_max_backlog: read-only file system \(EROFS\)/m);
    }));

  it("says when the plan does not fit this host's memory", () =>
    inFixture(STOCK, async (fixture) => {
      assert.match(await run(fixture, { args: ["tune", "--connections", "9000000"] }), /too little for the plan/);
    }));

  it("keeps higher values unless --allow-lowering is given, and reports both", () =>
    inFixture(STOCK, async (fixture) => {
      assert.match(await run(fixture, { args: ["tune"] }), /^net\.ipv4\.tcp_wmem .* kept, higher than wanted$/m);
      assert.equal(fixture.get("net.ipv4.tcp_wmem"), STOCK["net.ipv4.tcp_wmem"]);
      const text = await run(fixture, { args: ["tune", "--allow-lowering"] });
      assert.match(text, /^net\.ipv4\.tcp_wmem .* set, lower than before$/m);
      assert.match(text, /^net\.ipv4\.tcp_wmem: no TCP connection.*slower/m);
    }));

  it("does one action at a time", () =>
    inFixture(STOCK, async (fixture) => {
      await assert.rejects(run(fixture, { args: ["tune", "--diff", "--format", "docker"] }), {
        kind: "usage",
        message: /^--diff and --format docker are 2 actions/,
      });
      assert.deepEqual(fixture.all(), STOCK);
    }));

  it("shows changes with --diff, fails with --verify until all is set, restores with --rollback", () =>
    inFixture(STOCK, async (fixture) => {
      const verify = { args: ["tune", "--verify"] };
      assert.match(
        await run(fixture, { args: ["tune", "--diff"] }),
        /^net\.core\.somaxconn +4096 +65535 +would be set$/m,
      );
      assert.deepEqual(fixture.all(), STOCK);
      await assert.rejects(run(fixture, verify), { kind: "failed", message: /net\.core\.somaxconn, / });
      await run(fixture, { args: ["tune", "--apply"] });
      assert.match(await run(fixture, verify), /^net\.core\.somaxconn +65535 += +already enough$/m);
      await run(fixture, { args: ["tune", "--rollback"] });
      assert.deepEqual(fixture.all(), STOCK);
    }));

  it("with --format prints the profile in each format and changes nothing", () =>
    inFixture(STOCK, async (fixture) => {
      const print = (dialect: string): Promise<string> => run(fixture, { args: ["tune", "--format", dialect] });
      assert.match(await print("sysctl"), /^net\.core\.somaxconn = 65535$/m);
      assert.match(await print("systemd"), /^\[Service\]\nLimitNOFILE=524288\nTasksMax=4915$/m);
      assert.match(await print("docker"), /^ {2}--ulimit nofile=524288:524288 \\$/m);
      assert.match(await print("kubernetes"), /^kind: KubeletConfiguration$/m);
      assert.deepEqual(fixture.all(), STOCK);
    }));

  it("writes files with --persist, removes them with --rollback, and names a missing one with --verify", () =>
    inFixture(STOCK, async (fixture) => {
      const limits = "/etc/security/limits.d/99-megagate.conf";
      const text = await run(fixture, { args: ["tune", "--persist"] });
      assert.match(text, new RegExp(`^${limits}: written\\.$`, "m"));
      assert.match(text, /^The files count from the next boot/m);
      rmSync(join(fixture.root, limits));
      await assert.rejects(run(fixture, { args: ["tune", "--verify"] }), {
        kind: "failed",
        message: /: \/etc\/security/,
      });
      assert.match(
        await run(fixture, { args: ["tune", "--rollback"] }),
        /^\/etc\/sysctl\.d\/99-megagate\.conf: removed\.$/m,
      );
      assert.equal(existsSync(join(fixture.root, "etc")), false);
      assert.deepEqual(fixture.all(), STOCK);
    }));

  it("warns of lines in the host's own files, by file and line, and fails for none of them", () =>
    inFixture(STOCK, async (fixture) => {
      mkdirSync(join(fixture.root, "etc"));
      writeFileSync(join(fixture.root, "etc/sysctl.conf"), "net.ipv4.tcp_tw_recycle = 1\n");
      for (const args of [["tune", "--diff"], ["tune"], ["tune", "--verify"]]) {
        assert.match(
          await run(fixture, { args }),
          /^\/etc\/sysctl\.conf:1: net\.ipv4\.tcp_tw_recycle does nothing: Linux 4\.12/m,
        );
      }
    }));

  it("refuses a plan that contradicts itself before anything is written, all reasons together", () =>
    inFixture(STOCK, async (fixture) => {
      const args = ["tune", "--connections", "40000000", "--nofile", "2000000"];
      const faults = { denied: { "fs.nr_open": "EACCES" } };
      await assert.rejects(run(fixture, { args, faults }), {
        kind: "refused",
        message:
          /^--nofile: 2,000,000 .*above fs\.nr_open \(1,048,576\).*\nnet\.ipv4\.tcp_mem: .*\nNothing was changed$/,
      });
      assert.deepEqual(fixture.all(), STOCK);
    }));
});

describe("megagate untune", () => {
  it("says so in a sentence where there is nothing to restore", () =>
    inFixture(STOCK, async (fixture) => {
      assert.match(
        await run(fixture, { args: ["untune"] }),
        /^Nothing to restore: there is no rollback file at \S+\.\n$/,
      );
    }));

  it("prints what it restored", () =>
    inFixture(STOCK, async (fixture) => {
      await run(fixture, { args: ["tune"] });
      const text = await run(fixture, { args: ["untune"] });
      assert.match(text, /^net\.core\.somaxconn +65535 +4096 +restored$/m);
      assert.match(text, /^All restored; \S+ is deleted\.$/m);
      assert.deepEqual(fixture.all(), STOCK);
    }));

  it("fails, keeping the file, when something could not be restored", () =>
    inFixture(STOCK, async (fixture) => {
      await run(fixture, { args: ["tune"] });
      const faults = { failing: { "net.core.somaxconn": "EACCES" }, isRoot: false };
      await assert.rejects(run(fixture, { args: ["untune"], faults }), { kind: "failed", message: /somaxconn/ });
      assert.match(readFileSync(fixture.statePath, "utf8"), /"net\.core\.somaxconn"/);
    }));
});
