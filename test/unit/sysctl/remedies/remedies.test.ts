/** Needs in each format: sysctl/remedies/. A reader of each format parses them. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, it } from "node:test";
import { parseAllDocuments } from "yaml";
import { DIALECTS, type Need, remedyLines, renderProfile } from "../../../../sysctl/remedies/remedies.js";
import { inFixture } from "../fixture.js";

const SOMAXCONN: Need = {
  kind: "sysctl",
  key: "net.core.somaxconn",
  value: "65535",
  scope: "namespace",
  why: "Queue.",
};
const WMEM: Need = { kind: "sysctl", key: "net.ipv4.tcp_wmem", value: "4096 16384 262144", scope: "namespace" };
const FILE_MAX: Need = { kind: "sysctl", key: "fs.file-max", value: "2200000", scope: "host", why: "Files." };
const TCP_MEM: Need = { kind: "sysctl", key: "net.ipv4.tcp_mem", value: "3 4 5", scope: "host", leftOut: "not here" };
const NOFILE: Need = { kind: "nofile", value: 20_000 };
const TASKS: Need = { kind: "tasks", value: 900 };
const MEMORY: Need = { kind: "memory", bytes: 5_000_000_000 };
const ALL = [SOMAXCONN, WMEM, FILE_MAX, TCP_MEM, NOFILE, TASKS, MEMORY];
const text = (lines: readonly string[]): string => lines.join("\n");

describe("the remedy for one need", () => {
  it("is a line of the file that it belongs into, named above it", () => {
    assert.deepEqual(remedyLines("sysctl", SOMAXCONN), [
      "# /etc/sysctl.d/99-megagate.conf, then: sysctl --system",
      "net.core.somaxconn = 65535",
    ]);
    assert.match(text(remedyLines("sysctl", NOFILE)), /limits\.d.*\n\* hard nofile 20000\nroot hard nofile 20000$/);
    assert.deepEqual(remedyLines("systemd", NOFILE).slice(1), ["[Service]", "LimitNOFILE=20000"]);
    assert.deepEqual(remedyLines("systemd", TASKS).slice(1), ["[Service]", "TasksMax=900"]);
    assert.deepEqual(remedyLines("systemd", MEMORY).slice(1), ["[Service]", "MemoryMax=5000000000"]);
  });

  it("is a flag of docker run, and a command for the host where no container can set it", () => {
    assert.deepEqual(remedyLines("docker", SOMAXCONN).at(-1), "--sysctl net.core.somaxconn=65535");
    assert.deepEqual(remedyLines("docker", WMEM).at(-1), "--sysctl 'net.ipv4.tcp_wmem=4096 16384 262144'");
    assert.deepEqual(remedyLines("docker", NOFILE).at(-1), "--ulimit nofile=20000:20000");
    assert.match(text(remedyLines("docker", FILE_MAX)), /on the host.*\nsysctl -w fs\.file-max=2200000$/);
  });

  it("says what Kubernetes counts as safe, what its kubelet must allow and what belongs to the node", () => {
    assert.match(text(remedyLines("kubernetes", WMEM)), /safe since Kubernetes 1\.32/);
    assert.match(text(remedyLines("kubernetes", SOMAXCONN)), /allowedUnsafeSysctls: \["net\.core\.somaxconn"\]/);
    assert.match(text(remedyLines("kubernetes", FILE_MAX)), /on every node.*\nsysctl -w/);
    assert.match(text(remedyLines("kubernetes", NOFILE)), /container runtime/);
  });

  it("exists for every kind in every dialect", () => {
    for (const dialect of DIALECTS) {
      for (const need of ALL) assert.ok(remedyLines(dialect, need).length >= 2, `${dialect} ${need.kind}`);
    }
  });
});

describe("a whole profile", () => {
  it("as sysctl.d has only comments, values and empty lines, and what is left out stays a comment", () => {
    const profile = renderProfile("sysctl", ALL, "Two\nlines");
    for (const line of profile.split("\n")) assert.match(line, /^(#.*|[a-z0-9_.-]+ = \S.*)?$/);
    assert.match(profile, /^# Two\n# lines\n/);
    assert.match(profile, /^# Left out: not here\.\n# net\.ipv4\.tcp_mem = 3 4 5$/m);
    assert.doesNotMatch(profile, /^net\.ipv4\.tcp_mem/m);
  });

  it("for systemd is the sysctl.d file and the unit's drop-in", () => {
    assert.match(
      renderProfile("systemd", ALL, "x"),
      /somaxconn = 65535[\s\S]*\[Service\]\nLimitNOFILE=20000\nTasksMax=900\n/,
    );
  });

  it("for docker is a command that a shell takes for one word after another", () => {
    const profile = renderProfile("docker", ALL, "x");
    const args = execFileSync("sh", ["-c", `docker() { printf '%s\\n' "$@"; }\n${profile}`], { encoding: "utf8" });
    assert.deepEqual(args.trim().split("\n"), [
      "run",
      "--sysctl",
      "net.core.somaxconn=65535",
      "--sysctl",
      "net.ipv4.tcp_wmem=4096 16384 262144",
      "--ulimit",
      "nofile=20000:20000",
      "--pids-limit",
      "900",
      "--memory",
      "5000000000b",
      "IMAGE",
      "serve",
    ]);
    assert.match(profile, /^# Files\.\n# {3}sysctl -w fs\.file-max=2200000$/m);
  });

  it("for Kubernetes is YAML: node values in a DaemonSet, the kubelet's leave for unsafe ones, the pod's own", () => {
    const documents = parseAllDocuments(renderProfile("kubernetes", ALL, "x")).map((document) => {
      assert.ok("errors" in document && document.errors.length === 0);
      return document.toJS() as Record<string, unknown>;
    });
    assert.deepEqual(
      documents.map((document) => document.kind),
      ["DaemonSet", "KubeletConfiguration", "Pod"],
    );
    assert.deepEqual(documents[1]?.allowedUnsafeSysctls, ["net.core.somaxconn"]);
    assert.equal(documents[1].podPidsLimit, 900);
    const spec = documents[2]?.spec as { securityContext: { sysctls: unknown }; containers: { resources: unknown }[] };
    assert.deepEqual(spec.securityContext.sysctls, [
      { name: "net.core.somaxconn", value: "65535" },
      { name: "net.ipv4.tcp_wmem", value: "4096 16384 262144" },
    ]);
    assert.deepEqual(spec.containers[0]?.resources, { limits: { memory: "5000000000" } });
  });

  it("for Kubernetes raises on a node what is lower, and nothing else", () =>
    inFixture({ "fs.file-max": "9223372036854775807", "net.core.netdev_max_backlog": "1000" }, (fixture) => {
      const backlog: Need = { kind: "sysctl", key: "net.core.netdev_max_backlog", value: "65536", scope: "host" };
      const absent: Need = { kind: "sysctl", key: "net.netfilter.nf_conntrack_max", value: "5", scope: "host" };
      const mem: Need = { kind: "sysctl", key: "net.ipv4.tcp_mem", value: "3 4 5", scope: "host" };
      fixture.set("net.ipv4.tcp_mem", "1\t2\t3");
      const [daemonSet] = parseAllDocuments(renderProfile("kubernetes", [FILE_MAX, backlog, absent, mem], "x"));
      const path = ["spec", "template", "spec", "initContainers", 0, "command", 2];
      assert.ok(daemonSet !== undefined && "getIn" in daemonSet);
      const script = String(daemonSet.getIn(path)).replaceAll("/proc/sys", `${fixture.root}/proc/sys`);
      const said = execFileSync("sh", ["-ec", script], { encoding: "utf8" });
      assert.equal(said, "net.netfilter.nf_conntrack_max: not on this node\n");
      assert.equal(fixture.get("net.core.netdev_max_backlog"), "65536");
      assert.equal(fixture.get("net.ipv4.tcp_mem"), "3 4 5");
      assert.equal(fixture.get("fs.file-max"), "9223372036854775807");
    }));
});
