/**
 * Renders needs as Kubernetes manifests. Pure. Three places have to act: the pod asks for its own network settings, the kubelet
 * must allow those that are not on its safe list, and a privileged DaemonSet sets what belongs to the whole node.
 * Safe list: Kubernetes documentation, "Using sysctls in a Kubernetes Cluster".
 */
import { comments, maxNeeded, type Need, remarks, type SysctlNeed, sysctlsOf } from "./need.js";

/** Settings of the safe list that Megagate may ask for → the release that added it. */
const SAFE: ReadonlyMap<string, string> = new Map([
  ["net.ipv4.ip_local_port_range", "1.4"],
  ["net.ipv4.tcp_syncookies", "1.4"],
  ["net.ipv4.ip_local_reserved_ports", "1.27"],
  ["net.ipv4.tcp_rmem", "1.32"],
  ["net.ipv4.tcp_wmem", "1.32"],
]);

/** Three YAML documents: DaemonSet for the nodes, kubelet configuration, and the pod. */
export function kubernetesProfile(needs: readonly Need[], head: string): string {
  const sysctls = sysctlsOf(needs).filter((need) => need.leftOut === undefined);
  const own = sysctls.filter((need) => need.scope === "namespace");
  const hostWide = sysctls.filter((need) => need.scope === "host");
  const documents = [
    ...(hostWide.length > 0 ? [daemonSet(hostWide)] : []),
    kubelet(own, maxNeeded(needs, "tasks")),
    pod(own, maxNeeded(needs, "memory"), maxNeeded(needs, "nofile")),
  ];
  return `${[...comments(head), ...documents.flatMap((lines) => ["---", ...lines])].join("\n")}\n`;
}

export function kubernetesLines(need: Need): string[] {
  switch (need.kind) {
    case "sysctl":
      if (need.scope === "host") {
        return [
          "# on every node, as root (or a privileged DaemonSet: `megagate tune --format kubernetes` prints one):",
          `sysctl -w ${quoted(`${need.key}=${need.value}`)}`,
        ];
      }
      return [
        ...(SAFE.has(need.key)
          ? [`# pod spec; safe since Kubernetes ${SAFE.get(need.key)!}:`]
          : [`# kubelet first: allowedUnsafeSysctls: [${quoted(need.key)}]; then the pod spec:`]),
        ...podSysctls([need]),
      ];
    case "nofile":
      return nodeNofile(need.value);
    case "tasks":
      return ["# /var/lib/kubelet/config.yaml of the node, then restart the kubelet:", `podPidsLimit: ${need.value}`];
    case "memory":
      return ["# container spec:", ...resources(need.bytes)];
  }
}

function daemonSet(needs: readonly SysctlNeed[]): string[] {
  return [
    "# 1. Host-wide values, on every node. Raises only what is lower, by the last number. hostNetwork, because most of",
    "#    the host-wide net.* settings do not exist inside a pod's own network namespace. A node forgets them at boot and",
    "#    the pod sets them again.",
    "apiVersion: apps/v1",
    "kind: DaemonSet",
    "metadata: { name: megagate-node-sysctls, namespace: kube-system }",
    "spec:",
    "  selector: { matchLabels: { app: megagate-node-sysctls } }",
    "  template:",
    "    metadata: { labels: { app: megagate-node-sysctls } }",
    "    spec:",
    "      hostNetwork: true",
    "      initContainers:",
    "        - name: sysctls",
    "          image: busybox:1.36",
    "          securityContext: { privileged: true }",
    "          command:",
    "            - sh",
    "            - -ec",
    "            - |",
    "              at_least() {",
    '                file="/proc/sys/$(echo "$1" | tr . /)"',
    '                [ -e "$file" ] || { echo "$1: not on this node"; return 0; }',
    '                now="$(awk \'{ print $NF }\' "$file")"',
    '                [ "$now" -ge "$(echo "$2" | awk \'{ print $NF }\')" ] || echo "$2" > "$file"',
    "              }",
    ...needs.flatMap((need) => [
      ...remarks(need).map((line) => `              ${line}`),
      `              at_least ${need.key} '${need.value}'`,
    ]),
    "      containers:",
    "        - name: rest",
    "          image: busybox:1.36",
    "          command: [sleep, infinity]",
  ];
}

function kubelet(own: readonly SysctlNeed[], tasks: number | undefined): string[] {
  const unsafe = own.filter((need) => !SAFE.has(need.key));
  const safe = own.filter((need) => SAFE.has(need.key)).map((need) => `${need.key} (${SAFE.get(need.key)!})`);
  return [
    "# 2. The kubelet of every node that may run the pod: merge into its configuration and restart it. A pod that asks for",
    "#    an unsafe sysctl that is not allowed there is refused with SysctlForbidden.",
    `#    Safe, and so not listed, each since the release in brackets: ${safe.join(", ") || "none"}.`,
    "apiVersion: kubelet.config.k8s.io/v1beta1",
    "kind: KubeletConfiguration",
    ...(unsafe.length === 0
      ? ["allowedUnsafeSysctls: []"]
      : ["allowedUnsafeSysctls:", ...unsafe.map((need) => `  - ${quoted(need.key)}`)]),
    ...(tasks === undefined ? [] : [`podPidsLimit: ${tasks}`]),
  ];
}

function pod(own: readonly SysctlNeed[], memory: number | undefined, nofile: number | undefined): string[] {
  const indented = (lines: readonly string[], by: number): string[] => lines.map((line) => " ".repeat(by) + line);
  return [
    "# 3. The pod. Not with hostNetwork: net.* settings are refused there, and the node's own apply.",
    "apiVersion: v1",
    "kind: Pod",
    "metadata: { name: megagate }",
    "spec:",
    ...indented(podSysctls(own), 2),
    "  containers:",
    "    - name: megagate",
    "      image: IMAGE",
    "      args: [serve]",
    ...(memory === undefined ? [] : indented(resources(memory), 6)),
    ...(nofile === undefined
      ? []
      : ["# 4. Descriptors.", ...nodeNofile(nofile).map((line) => line.replace(/^(?!#)/, "# "))]),
  ];
}

const podSysctls = (needs: readonly SysctlNeed[]): string[] => [
  "securityContext:",
  "  sysctls:",
  ...needs.flatMap((need) => [
    `    - name: ${need.key}${SAFE.has(need.key) ? "" : " # unsafe: allowed by the kubelet"}`,
    `      value: ${quoted(need.value)}`,
  ]),
];

const resources = (bytes: number): string[] => ["resources:", "  limits:", `    memory: ${quoted(String(bytes))}`];

/** A pod has no field for it: it inherits the limit of the container runtime. */
const nodeNofile = (value: number): string[] => [
  "# Pods take their descriptor limit from the container runtime of the node; there is no field for it in a pod.",
  "# /etc/systemd/system/containerd.service.d/limits.conf (or crio.service.d), then: systemctl daemon-reload, restart it",
  "[Service]",
  `LimitNOFILE=${value}`,
];

const quoted = (text: string): string => JSON.stringify(text);
