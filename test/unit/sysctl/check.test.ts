/** Findings and the sentences of their remedies: sysctl/check.ts. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assess, type Finding, refusedReason } from "../../../sysctl/check.js";
import type { Reading } from "../../../sysctl/kernel/proc-sys.js";
import { MILLION } from "../../../sysctl/remedies/render.js";
import { SETTINGS } from "../../../sysctl/settings.js";
import { assertHas } from "./fixture.js";

const finding = (key: string, reading: Reading, plan = MILLION): Finding =>
  assess(SETTINGS.find((setting) => setting.key === key)!, plan, reading);
const reasonOf = (found: Finding): string => ("reason" in found ? found.reason : "");

describe("a finding", () => {
  it("is low with the value to write, or enough", () => {
    assertHas(finding("net.core.somaxconn", { text: "4096" }), { verdict: "low", next: "65535" });
    assert.equal(finding("net.core.somaxconn", { text: "70000" }).verdict, "enough");
  });

  it("says that a host-wide network setting is hidden in a namespace, and that this matters", () => {
    const found = finding("net.core.netdev_max_backlog", { code: "ENOENT" });
    assertHas(found, { verdict: "missing", matters: true });
    assert.match(reasonOf(found), /on the host itself/);
  });

  it("says which kernel first had a setting, and does not hold its absence against this one", () => {
    const found = finding("net.ipv4.tcp_migrate_req", { code: "ENOENT" });
    assertHas(found, { verdict: "missing", matters: false });
    assert.match(reasonOf(found), /Linux 5\.14/);
  });

  it("does not need connection-tracking values where nothing is tracked, whatever they read", () => {
    for (const reading of [{ text: "1" }, { code: "ENOENT" }, { code: "EACCES" }]) {
      assert.equal(finding("net.netfilter.nf_conntrack_max", reading).verdict, "notNeeded");
    }
    const live = { ...MILLION, conntrackLive: true };
    assertHas(finding("net.netfilter.nf_conntrack_max", { text: "262144" }, live), {
      verdict: "low",
      next: "1200000",
    });
  });

  it("does not need client ports where the clients are elsewhere", () => {
    const found = finding("net.ipv4.ip_local_port_range", { text: "32768\t60999" }, { ...MILLION, coLocated: false });
    assert.equal(found.verdict, "notNeeded");
  });

  it("does not touch a value that it cannot read or understand", () => {
    assert.match(reasonOf(finding("net.core.somaxconn", { text: "many" })), /"many"/);
    assert.match(reasonOf(finding("net.core.somaxconn", { code: "EACCES" })), /sudo/);
  });
});

describe("a refused write", () => {
  it("is explained by the user's rights and the scope of the setting", () => {
    assert.match(refusedReason({ scope: "host" }, "EACCES", false), /needs root.*sudo/);
    assert.match(refusedReason({ scope: "host" }, "EACCES", true), /host-wide, and read-only in this namespace/);
    assert.match(refusedReason({ scope: "namespace" }, "EPERM", true), /read-only even for root/);
    assert.match(refusedReason({ scope: "namespace" }, "EROFS", true), /containers/);
    assert.match(refusedReason({ scope: "namespace" }, "EINVAL", true), /does not accept/);
    assert.match(refusedReason({ scope: "namespace" }, "EIO", true), /EIO/);
  });
});
