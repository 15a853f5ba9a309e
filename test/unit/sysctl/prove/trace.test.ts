/** The trace file of a proof: when it counts, its sentence, and how the value is restored. The host is a fixture folder. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { openProcSys } from "../../../../sysctl/kernel/proc-sys.js";
import {
  closeTrace,
  leftover,
  openTrace,
  putBack,
  readTrace,
  TRACE_PATH,
  type Trace,
  writeTrace,
} from "../../../../sysctl/prove/trace.js";

/** No process has so high a number. */
const DEAD = 2 ** 31 - 1;
const TRACE: Trace = { version: 1, bootId: "this-boot", keeper: DEAD, before: "262144", during: "5000" };

function machine(maximum: string, trace?: Trace): { root: string; path: string; maximum: () => string } {
  const root = mkdtempSync(join(tmpdir(), "megagate-prove-"));
  const at = (path: string): string => join(root, path);
  for (const folder of ["proc/sys/net/netfilter", "proc/sys/kernel/random", "proc/self/ns"]) {
    mkdirSync(at(folder), { recursive: true });
  }
  writeFileSync(at("proc/sys/net/netfilter/nf_conntrack_max"), `${maximum}\n`);
  writeFileSync(at("proc/sys/kernel/random/boot_id"), "this-boot\n");
  symlinkSync("net:[1]", at("proc/self/ns/net"));
  const path = at(TRACE_PATH);
  if (trace) {
    const descriptor = openTrace(path);
    writeTrace(descriptor, { ...trace, during: "1" });
    writeTrace(descriptor, trace);
    closeTrace(descriptor);
  }
  return { root, path, maximum: () => readFileSync(at("proc/sys/net/netfilter/nf_conntrack_max"), "utf8").trim() };
}

describe("the trace", () => {
  it("that cannot be written is a refusal with the remedy", () => {
    const { root } = machine("5000");
    writeFileSync(join(root, "file"), "");
    assert.throws(
      () => openTrace(join(root, "file/prove.json")),
      /must be kept in .*file\/prove\.json.*ENOTDIR|EEXIST/,
    );
  });

  it("of a proof that was killed with its keeper is named with the remedy", () => {
    const { root } = machine("5000", TRACE);
    assert.match(
      leftover(root)!,
      /nf_conntrack_max is 5000 .* it was 262144.*sysctl -w net\.netfilter\.nf_conntrack_max=262144/,
    );
  });

  it("means nothing after a boot, once somebody has set the value, while nothing is written yet, or where there is none", () => {
    assert.equal(leftover(machine("5000", { ...TRACE, bootId: "another" }).root), undefined);
    assert.equal(leftover(machine("100000", TRACE).root), undefined);
    assert.equal(leftover(machine("5000").root), undefined);
    assert.equal(leftover(machine("262144", { ...TRACE, during: "262144" }).root), undefined);
    const { root, path } = machine("5000");
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, "");
    assert.equal(leftover(root), undefined);
  });

  it("that is something else is not touched", () => {
    const { root, path } = machine("5000", TRACE);
    writeFileSync(path, '{"before":"; reboot"}');
    assert.throws(() => readTrace(openProcSys(root), path), /is not a trace/);
    assert.ok(existsSync(path));
  });

  it("goes away when the value is back", () => {
    const { root, path, maximum } = machine("5000", TRACE);
    assert.equal(putBack(openProcSys(root), path, TRACE), undefined);
    assert.equal(maximum(), "262144");
    assert.equal(existsSync(path), false);
    assert.equal(putBack(openProcSys(root), path, TRACE), undefined, "repeatable");
  });

  it("does not undo what somebody else has set meanwhile", () => {
    const { root, path, maximum } = machine("1000000", TRACE);
    assert.equal(putBack(openProcSys(root), path, TRACE), undefined);
    assert.equal(maximum(), "1000000");
  });
});
