/** A host as files: doctor --record, and --root with --tracked for doctor, tune and untune. sysctl/kernel/recorded.ts, doctor/record.ts. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { Command } from "commander";
import { addDoctorCommand } from "../../../../sysctl/doctor/command.js";
import { addTuneCommands } from "../../../../sysctl/tune/command.js";
import { ALL_HOSTS, type AnyHost, onHost } from "../doctor/variants.js";

interface Deps {
  /** Where "this" host is. */
  readonly root?: string;
  readonly tracks?: () => Promise<boolean | null>;
}

const noProbe = (): Promise<never> => Promise.reject(new Error("the probe must not run"));

/** A command line as a person types it; the text, and the error that ended it. */
async function run(args: readonly string[], deps: Deps = {}): Promise<{ text: string; error: unknown }> {
  const printed: string[] = [];
  const program = new Command("megagate").exitOverride();
  const all = { env: {}, stdout: { write: (text: string) => printed.push(text) }, tracks: noProbe, ...deps };
  addDoctorCommand(program, all);
  addTuneCommands(program, all);
  let error: unknown;
  await program.parseAsync(["node", "megagate", ...args]).catch((caught: unknown) => (error = caught));
  return { text: printed.join(""), error };
}

/** Runs `action` with the host and a new folder for its recording. */
const recordedOf = <T>(host: AnyHost, action: (root: string, folder: string) => Promise<T>): Promise<T> =>
  onHost(host, async (root) => {
    const above = mkdtempSync(join(tmpdir(), "megagate-record-"));
    try {
      return await action(root, join(above, "new"));
    } finally {
      rmSync(above, { recursive: true });
    }
  });

describe("a recorded host", () => {
  for (const host of ALL_HOSTS) {
    it(`answers doctor and tune as ${host} does itself`, () =>
      recordedOf(host, async (root, folder) => {
        const tracks = (): Promise<boolean> => Promise.resolve(host === "host-64-cores");
        const { text, error } = await run(["doctor", "--record", folder], { root, tracks });
        assert.equal(error, undefined);
        assert.match(text, /^\d+ files of this host are recorded in \S+: `megagate doctor --root /);
        for (const args of [["doctor"], ["doctor", "--json", "--side", "both"], ["tune", "--diff"]]) {
          const itself = await run(args, { root, tracks });
          const recorded = await run([...args, "--root", folder]);
          assert.deepEqual(recorded.text, itself.text);
          assert.notEqual(recorded.text, "");
        }
      }));
  }

  it("holds no secrets of the environment", () =>
    recordedOf("kubernetes-pod", async (root, folder) => {
      writeFileSync(join(root, "proc/self/environ"), "TOKEN=secret\0KUBERNETES_SERVICE_HOST=10.0.0.1\0AWS=key\0");
      writeFileSync(join(root, "proc/self/cgroup"), "0::/\n");
      writeFileSync(join(root, "proc/self/mountinfo"), "");
      await run(["doctor", "--record", folder], { root, tracks: () => Promise.resolve(null) });
      const files = readFileSync(join(folder, "proc/self/environ"), "latin1");
      assert.equal(files, "KUBERNETES_SERVICE_HOST=10.0.0.1\0");
    }));

  it("needs a new folder; what is no host is said to be none", () =>
    recordedOf("debian-vm", async (root, folder) => {
      const deps = { root, tracks: () => Promise.resolve(false) };
      await run(["doctor", "--record", folder], deps);
      const again = await run(["doctor", "--record", folder], deps);
      assert.match(String(again.error), /--record: \S+ is not empty: name a new folder/);
      const within = await run(["doctor", "--record", "/proc/no/such"], deps);
      assert.match(String(within.error), /--record: \/proc\/no\/such cannot be made/);
      for (const command of ["doctor", "tune", "untune"]) {
        const { error } = await run([command, "--root", join(root, "etc")]);
        assert.match(String(error), /--root: \S+ holds no proc\/sys\/kernel\/osrelease, so it is not a recorded host/);
      }
    }));
});

describe("--tracked", () => {
  it("replaces the probe: a rule that is live with an empty table is low for both", () =>
    onHost("fresh-firewall", async (root) => {
      const of = async (tracked: string): Promise<string[]> => {
        const args = ["--root", root, "--tracked", tracked];
        const [doctor, tune] = [await run(["doctor", ...args]), await run(["tune", "--diff", ...args])];
        const row = (text: string, name: string): string =>
          text.split("\n").find((line) => line.startsWith(name)) ?? "";
        return [row(doctor.text, "conntrack "), row(tune.text, "net.netfilter.nf_conntrack_max")];
      };
      const [low, raised] = await of("yes");
      assert.match(low ?? "", /^conntrack +LOW +262,144/);
      assert.match(raised ?? "", / 262144 +1200000 +would be set$/);
      const [none, left] = await of("no");
      assert.match(none ?? "", /^conntrack +ok +no bound/);
      assert.match(left ?? "", / not needed$/);
    }));

  it("and no limit at all are both fine: a maximum of 0", () =>
    onHost("conntrack-without-limit", async (root) => {
      const args = ["--root", root, "--tracked", "yes"];
      assert.match(
        (await run(["doctor", ...args])).text,
        /^conntrack +ok +no bound +0 \(no limit\), 1,873 of them used$/m,
      );
      assert.match(
        (await run(["tune", "--diff", ...args])).text,
        /^net\.netfilter\.nf_conntrack_max +0 += +already enough$/m,
      );
    }));
});

describe("tune on a recorded host", () => {
  it("persists below it, the module that must be there before sysctl.d included, and untune takes all away", () =>
    onHost("conntrack-by-its-other-name", async (root) => {
      const at = ["--root", root];
      const { text } = await run(["tune", "--persist", "--tracked", "yes", ...at]);
      const modules = join(root, "etc/modules-load.d/99-megagate.conf");
      assert.match(readFileSync(modules, "utf8"), /^nf_conntrack$/m);
      assert.match(text, /^\/etc\/modules-load\.d\/99-megagate\.conf: written\.$/m);
      assert.match(
        text,
        /^\/etc\/sysctl\.conf:1: sets net\.nf_conntrack_max = 262144, which is .* by another name, after/m,
      );
      assert.ok(existsSync(join(root, "var/lib/megagate/tune-rollback.json")), "the rollback file is below it too");
      assert.match(
        (await run(["tune", "--verify", "--tracked", "yes", "--allow-lowering", ...at])).text,
        /modules-load/,
      );
      const { error } = await run(["untune", ...at]);
      assert.equal(error, undefined);
      assert.ok(!existsSync(modules));
      assert.equal(readFileSync(join(root, "proc/sys/net/netfilter/nf_conntrack_max"), "utf8").trim(), "262144");
    }));

  it("writes no module's name where nothing is tracked, and says when it would", () =>
    onHost("conntrack-by-its-other-name", async (root) => {
      const { text } = await run(["tune", "--persist", "--root", root, "--tracked", "no"]);
      assert.ok(!existsSync(join(root, "etc/modules-load.d")));
      assert.match(
        text,
        /nf_conntrack_max: connection tracking is not live here.*--persist then writes \/etc\/modules-load\.d/,
      );
      assert.match(
        text,
        /^\/etc\/sysctl\.conf:1: sets net\.nf_conntrack_max = 262144, which limits connections \(26w\)/m,
      );
    }));
});

describe("a CPU quota", () => {
  it("decides cores and workers, not the processors that are seen", () =>
    onHost("pod-with-cpu-quota", async (root) => {
      const { text } = await run(["doctor", "--root", root, "--tracked", "no"]);
      assert.match(text, /^2 cores \(a CPU quota of 2 on 64 processors\), /m);
      assert.match(text, /: 2 workers for 1,000,000/);
      const { text: tuned } = await run(["tune", "--diff", "--root", root, "--tracked", "no"]);
      assert.match(tuned, /1,000,000 connections need 2 workers, one for each core/);
    }));

  it("is reported with what control groups leave, by tune as by the doctor", () =>
    onHost("pod-with-cpu-quota", async (root) => {
      const { text } = await run(["tune", "--diff", "--root", root, "--tracked", "no"]);
      assert.match(
        text,
        /^Control group \/memory: 4\.2 GB of 4\.3 GB are left to this process, too little for the plan/m,
      );
      assert.match(text, /^Control group \/pids: 1,001 of 1,024 processes and threads are left, 48 are needed\.$/m);
    }));

  it("of version 1, and a fraction, are rounded up for processes", async () => {
    await onHost("container-with-cfs-quota", async (root) => {
      const { text } = await run(["doctor", "--root", root, "--tracked", "no"]);
      assert.match(text, /^2 cores \(a CPU quota of 1\.5 on 16 processors\), /m);
    });
    await onHost("lxc-container", async (root) => {
      const { text } = await run(["doctor", "--root", root, "--tracked", "no"]);
      assert.match(text, /^1 core \(a CPU quota of 0\.5 on 2 processors\), .* LXC container$/m);
    });
  });
});
