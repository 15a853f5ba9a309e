/** The table as a sysctl.d file: sysctl/remedies/render.ts. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { renderProfile } from "../../../../sysctl/remedies/remedies.js";
import { headOf, MILLION, needsOf, type RenderTarget, renderSysctlFile } from "../../../../sysctl/remedies/render.js";
import { SETTINGS } from "../../../../sysctl/settings.js";
import { STOCK } from "../fixture.js";

function forThisHost(values: Readonly<Record<string, string>>, plan = MILLION, allowLowering = true): string {
  const target: RenderTarget = { type: "thisHost", read: (key) => values[key], allowLowering };
  return renderProfile("sysctl", needsOf(plan, target), headOf(plan, target));
}

describe("the sysctl.d file", () => {
  it("has for any host no line that could lower a bigger machine's own value, nor one for tracking", () => {
    const text = renderSysctlFile(MILLION);
    for (const key of ["fs.nr_open", "fs.file-max", "fs.epoll.max_user_watches", "net.ipv4.tcp_mem"]) {
      assert.match(text, new RegExp(`^# ${key} = \\d`, "m"), key);
    }
    assert.match(text, /is live.*\n# net\.netfilter\.nf_conntrack_max = 1200000$/m);
    assert.match(text, /^net\.core\.somaxconn = 65535$/m);
  });

  it("keeps for a known host what is higher already, and merges port lists", () => {
    const text = forThisHost({ ...STOCK, "net.core.somaxconn": "99999", "net.ipv4.ip_local_reserved_ports": "22" });
    assert.match(text, /^net\.core\.somaxconn = 99999$/m);
    assert.match(text, /^net\.ipv4\.ip_local_reserved_ports = 22,8080-8081$/m);
    assert.match(text, /^fs\.epoll\.max_user_watches = 5491533$/m);
    assert.match(text, /^net\.ipv4\.tcp_mem = 287901 383869 575802$/m);
  });

  it("names the buckets as sysctl.d can set them, once tracking is live", () => {
    const text = forThisHost(STOCK, { ...MILLION, conntrackLive: true });
    assert.match(text, /^net\.netfilter\.nf_conntrack_buckets = 300000$/m);
    assert.match(text, /^net\.netfilter\.nf_conntrack_max = 1200000$/m);
  });

  it("leaves out for a known host what would lower a value, unless it may", () => {
    assert.match(forThisHost(STOCK), /^net\.ipv4\.tcp_wmem = 4096 16384 262144$/m);
    const kept = forThisHost(STOCK, MILLION, false);
    assert.match(kept, /this host has 4096 16384 4194304.*--allow-lowering\.\n# net\.ipv4\.tcp_wmem = /);
    assert.doesNotMatch(kept, /^net\.ipv4\.tcp_(wmem|notsent_lowat) =/m);
  });

  it("gives every setting its reason, and a file in which every line is a comment, a value or empty", () => {
    const text = renderSysctlFile(MILLION);
    for (const { why } of SETTINGS) assert.ok(text.includes(`# ${why}\n`), why);
    for (const line of text.split("\n")) assert.match(line, /^(#.*|[a-z0-9_.-]+ = \S.*)?$/);
  });
});

describe("the needs of a container", () => {
  const needs = needsOf(MILLION, { type: "container" });

  it("include connection tracking, since a container's network is behind NAT", () => {
    const keys = needs.flatMap((need) => (need.kind === "sysctl" ? [need.key] : []));
    assert.ok(keys.includes("net.netfilter.nf_conntrack_max"));
    assert.ok(keys.includes("net.netfilter.nf_conntrack_buckets"));
    assert.ok(needs.every((need) => need.leftOut === undefined));
  });

  it("have descriptors for one worker a core, or as many as the operator says", () => {
    assert.equal(needs.find((need) => need.kind === "nofile")?.value, 524_288);
    const chosen = needsOf({ ...MILLION, nofileWanted: 30_000 }, { type: "container" });
    assert.equal(chosen.find((need) => need.kind === "nofile")?.value, 30_000);
  });
});
