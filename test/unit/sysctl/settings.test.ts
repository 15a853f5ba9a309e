/** The table of kernel settings as data: order, completeness and wanted values. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MILLION } from "../../../sysctl/remedies/render.js";
import { plainValue } from "../../../sysctl/rules.js";
import { SETTINGS } from "../../../sysctl/settings.js";

const indexOf = (key: string): number => {
  const index = SETTINGS.findIndex((setting) => setting.key === key);
  assert.ok(index >= 0, `${key} is not in the table`);
  return index;
};

describe("the settings table", () => {
  it("names each setting once and says why in one sentence", () => {
    assert.equal(new Set(SETTINGS.map((setting) => setting.key)).size, SETTINGS.length);
    for (const { key, why } of SETTINGS) assert.match(why, /^["A-Z].*[^.]\.$/, key);
  });

  it("marks exactly the settings whose rule may lower a value", () => {
    for (const setting of SETTINGS) {
      const mayLower = ["atMost", "lastAtMost"].includes(setting.wants(MILLION).rule);
      assert.equal(
        setting.lowers !== undefined,
        mayLower,
        `${setting.key}: mark it with "lowers", or ask for a minimum`,
      );
    }
  });

  it("is in an order that is safe to stop in", () => {
    assert.equal(indexOf("fs.nr_open"), 0);
    assert.ok(indexOf("net.ipv4.ip_local_reserved_ports") < indexOf("net.ipv4.ip_local_port_range"));
    assert.ok(indexOf("module.nf_conntrack.hashsize") < indexOf("net.netfilter.nf_conntrack_max"));
  });

  it("wants the values that a million connections on one host were measured with", () => {
    const wanted = Object.fromEntries(SETTINGS.map((setting) => [setting.key, plainValue(setting.wants(MILLION))]));
    assert.deepEqual(wanted, {
      "fs.nr_open": "1048576",
      "fs.file-max": "2200000",
      "fs.epoll.max_user_watches": "2200000",
      "net.core.somaxconn": "65535",
      "net.ipv4.tcp_max_syn_backlog": "65535",
      "net.core.netdev_max_backlog": "65536",
      "net.ipv4.tcp_migrate_req": "1",
      "net.ipv4.tcp_notsent_lowat": "16384",
      "net.ipv4.tcp_wmem": "4096 16384 262144",
      "net.ipv4.ip_local_reserved_ports": "8080-8081",
      "net.ipv4.ip_local_port_range": "10000 65535",
      "net.ipv4.tcp_tw_reuse": "2",
      "net.ipv4.tcp_max_orphans": "1000000",
      "net.ipv4.tcp_mem": "177002 236002 354004",
      "module.nf_conntrack.hashsize": "300000",
      "net.netfilter.nf_conntrack_max": "1200000",
    });
  });
});
