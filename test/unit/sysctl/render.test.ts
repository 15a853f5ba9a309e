/** The table as a sysctl.d file: sysctl/render.ts. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MILLION, renderSysctlFile } from "../../../sysctl/render.js";
import { SETTINGS } from "../../../sysctl/settings.js";
import { STOCK } from "./fixture.js";

const forThisHost = (values: Readonly<Record<string, string>>, plan = MILLION): string =>
  renderSysctlFile(plan, (key) => values[key]);

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

  it("gives every setting its reason, and a file in which every line is a comment, a value or empty", () => {
    const text = renderSysctlFile(MILLION);
    for (const { why } of SETTINGS) assert.ok(text.includes(`# ${why}\n`), why);
    for (const line of text.split("\n")) assert.match(line, /^(#.*|[a-z0-9_.-]+ = \S.*)?$/);
  });
});
