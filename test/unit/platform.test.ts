/** Whether the gateway can run on a machine: src/platform.ts, and the Makefile's check before anything is compiled. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { type Machine, thisMachine, unsupported } from "../../src/platform.js";

const good: Machine = { platform: "linux", arch: "x64", node: "20.20.2", glibc: "2.36" };

it("a machine that cannot run the gateway gets one plain sentence with the remedy", () => {
  const cases: [Partial<Record<keyof Machine, string | undefined>>, RegExp][] = [
    [
      { node: "18.19.0" },
      /^Megagate needs Node 20, 22 or 24 \(.*each of them\); this is Node 18\.19\.0\. Install Node 20\.$/,
    ],
    [{ node: "23.1.0", glibc: "2.41" }, /this is Node 23\.1\.0\. Install Node 24\.$/],
    [{ node: "25.1.0", glibc: "2.38" }, /this is Node 25\.1\.0\. Install Node 24\.$/],
    [
      { node: "22.1.0" },
      /^Megagate on Node 22 needs glibc 2\.38 or newer .*; this is glibc 2\.36\. Install Node 20, or use a newer system \(Debian 13, Ubuntu 24\.04 or newer\)\.$/,
    ],
    [{ node: "24.21.0", glibc: "2.37" }, /^Megagate on Node 24 needs glibc 2\.38 or newer .*; this is glibc 2\.37\./],
    [{ arch: "riscv64" }, /^Megagate needs an x64 or arm64 processor; this is riscv64\.$/],
    [{ platform: "darwin" }, /^Megagate runs on Linux only; this is darwin\.$/],
    [{ glibc: undefined }, /needs glibc; this system uses another C library/],
    [
      { glibc: "2.26" },
      /^Megagate on Node 20 needs glibc 2\.27 or newer .*; this is glibc 2\.26\. Use a newer system\.$/,
    ],
  ];
  for (const [change, sentence] of cases) assert.match(unsupported({ ...good, ...change } as Machine) ?? "", sentence);
});

it("this machine and its equals can", () => {
  assert.equal(unsupported(thisMachine()), undefined);
  for (const change of [
    {},
    { arch: "arm64" },
    { glibc: "2.27" },
    { glibc: "3.0" },
    { node: "22.12.0", glibc: "2.38" },
    { node: "24.21.0", glibc: "2.41" },
  ]) {
    assert.equal(unsupported({ ...good, ...change }), undefined);
  }
});

it("the engine's package has a binary for each Node that is named, and package.json names no other", () => {
  const manifest = JSON.parse(readFileSync("package.json", "utf8")) as {
    engines: { node: string };
    config: { glibcOfNode: Record<string, string> };
  };
  const named = Object.keys(manifest.config.glibcOfNode);
  assert.deepEqual(
    [...manifest.engines.node.matchAll(/>=(\d+)/g)].map(([, major]) => major),
    named,
  );
  const abis: Readonly<Record<string, number>> = { 20: 115, 22: 127, 24: 137 };
  for (const major of named) {
    for (const arch of ["x64", "arm64"]) {
      const binary = readFileSync(`node_modules/uWebSockets.js/uws_linux_${arch}_${abis[major]}.node`, "latin1");
      const versions = [...binary.matchAll(/GLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor));
      assert.equal(`2.${Math.max(...versions)}`, manifest.config.glibcOfNode[major], `Node ${major}, ${arch}`);
    }
  }
});

it("make says the same before it installs anything", () => {
  const folder = mkdtempSync(join(tmpdir(), "megagate-node-"));
  try {
    const check = (node: string, glibc: string | undefined): string => {
      // A node of another version: it runs the Makefile's program with other facts.
      const facts = `Object.defineProperty(process,"versions",{value:{node:${JSON.stringify(node)}}});process.report.getReport=()=>({header:${JSON.stringify({ glibcVersionRuntime: glibc })}});`;
      writeFileSync(join(folder, "facts.cjs"), facts);
      writeFileSync(join(folder, "node"), `#!/bin/sh\nexec ${process.execPath} -r ${folder}/facts.cjs "$@"\n`);
      chmodSync(join(folder, "node"), 0o755);
      const env = { ...process.env, PATH: `${folder}:${process.env.PATH}` };
      return spawnSync("make", ["-s", "node-check"], { env, encoding: "utf8" }).stderr;
    };
    assert.equal(check("20.20.2", "2.36"), "");
    assert.equal(check("24.21.0", "2.41"), "");
    assert.match(check("18.1.0", "2.36"), /^Megagate needs Node 20, 22 or 24 .*; this is Node 18\.1\.0\.$/m);
    assert.match(
      check("24.1.0", "2.36"),
      /^Megagate on Node 24 needs glibc 2\.38 or newer; this is glibc 2\.36: install Node 20/m,
    );
    assert.match(
      check("22.1.0", undefined),
      /^Megagate on Node 22 needs glibc 2\.38 or newer; this is another C library/m,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});
