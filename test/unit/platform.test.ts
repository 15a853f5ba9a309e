import assert from "node:assert/strict";
import { it } from "node:test";
import { type Machine, thisMachine, unsupported } from "../../src/platform.js";

const good: Machine = { platform: "linux", arch: "x64", node: "20.20.2", glibc: "2.36" };

it("a machine that cannot run the gateway gets one plain sentence", () => {
  const cases: [Partial<Record<keyof Machine, string | undefined>>, RegExp][] = [
    [{ node: "18.19.0" }, /^Megagate needs Node 20 .*this is Node 18.19.0\.$/],
    [{ node: "22.1.0" }, /this is Node 22.1.0/],
    [{ arch: "riscv64" }, /^Megagate needs an x64 or arm64 processor; this is riscv64\.$/],
    [{ platform: "darwin" }, /^Megagate runs on Linux only; this is darwin\.$/],
    [{ glibc: undefined }, /needs glibc; this system uses another C library/],
    [{ glibc: "2.26" }, /^Megagate needs glibc 2.27 or newer; this is 2.26\.$/],
  ];
  for (const [change, sentence] of cases) assert.match(unsupported({ ...good, ...change } as Machine) ?? "", sentence);
});

it("this machine and its equals can", () => {
  assert.equal(unsupported(thisMachine()), undefined);
  for (const change of [{}, { arch: "arm64" }, { glibc: "2.27" }, { glibc: "3.0" }]) {
    assert.equal(unsupported({ ...good, ...change }), undefined);
  }
});
