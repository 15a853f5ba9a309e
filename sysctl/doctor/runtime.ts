/**
 * What runs this process: Kubernetes, a container, an LXC system container, a systemd service or none of these. The markers are
 * checked from the outermost inwards, because a pod is also a container. A remedy in the wrong format is worse than none, so a
 * marker that may come from elsewhere does not decide: a root file system made from an image keeps its /.dockerenv on a virtual
 * machine or under WSL2 too, and a PID namespace of its own (WSL2, unshare, a build sandbox) does not make a container.
 */
import { basename } from "node:path";
import { groupPath } from "../kernel/control-groups.js";
import type { Runtime } from "../kernel/facts.js";
import type { Tree } from "../kernel/tree.js";
import type { RemedyDialect } from "../remedies/remedies.js";

/** The number that the kernel gives to the first PID namespace at every boot (include/linux/proc_ns.h). */
const FIRST_PID_NAMESPACE = "pid:[4026531836]";

/** The format in which a remedy is printed for each. */
export const DIALECT_OF: Readonly<Record<Runtime, RemedyDialect>> = {
  host: "sysctl",
  systemd: "systemd",
  lxc: "lxc",
  docker: "docker",
  kubernetes: "kubernetes",
};

export function runtimeOf(tree: Tree): { readonly runtime: Runtime; readonly unit: string | null } {
  const groups = tree.text("proc/self/cgroup") ?? "";
  const mounts = mountsOf(tree);
  // Unreadable where /proc belongs to another PID namespace: then nothing is known about ours.
  const ownPids = (tree.link("proc/self/ns/pid") ?? FIRST_PID_NAMESPACE) !== FIRST_PID_NAMESPACE;
  const evidence = { tree, groups, mounts, ownPids };
  if (isPod(evidence)) return { runtime: "kubernetes", unit: null };
  if (isContainer(evidence)) return { runtime: "docker", unit: null };
  const unit = unitOf(tree);
  if (isLxc(evidence)) return { runtime: "lxc", unit };
  return { runtime: unit === null ? "host" : "systemd", unit };
}

/** What the kinds of containers are recognised by. */
interface Evidence {
  readonly tree: Tree;
  /** /proc/self/cgroup. */
  readonly groups: string;
  readonly mounts: readonly Mount[];
  /** A PID namespace other than the machine's first. */
  readonly ownPids: boolean;
}

interface Mount {
  /** The part of the file system that is mounted: "/" for the whole. */
  readonly root: string;
  readonly point: string;
  readonly type: string;
  readonly source: string;
  readonly options: string;
}

/** proc_pid_mountinfo(5): "36 35 98:0 /root /point rw,noatime master:1 - ext4 /dev/sda rw". */
function mountsOf(tree: Tree): readonly Mount[] {
  return (tree.text("proc/self/mountinfo") ?? "").split("\n").flatMap((line) => {
    const [before = "", after = ""] = line.split(" - ");
    const [, , , root, point] = before.split(" ");
    const [type = "", source = "", options = ""] = after.split(" ");
    return root === undefined || point === undefined ? [] : [{ root, point, type, source, options }];
  });
}

/** A shell on the node sees the mounts of pods too, but none of them over /etc/hosts. */
function isPod({ tree, groups, mounts, ownPids }: Evidence): boolean {
  if (/\/kubepods[./-]/.test(groups)) return true;
  const own = ["/etc/hosts", "/dev/termination-log"];
  if (mounts.some(({ root, point }) => own.includes(point) && /\/(?:kubelet\/)?pods\/[^/]+\//.test(root))) return true;
  return ownPids && /(?:^|\0)KUBERNETES_SERVICE_HOST=/.test(tree.text("proc/self/environ") ?? "");
}

/** Docker, Podman, containerd with nerdctl or ctr: all take the same flags. */
function isContainer({ tree, groups, mounts, ownPids }: Evidence): boolean {
  if (/\/(?:docker[/-][0-9a-f]{12}|libpod|containers?\/[0-9a-f]{12})/.test(groups) || CONTAINER_ID.test(groups))
    return true;
  if (mounts.some(isRuntimeFile) || mounts.some(isImage)) return true;
  if (!ownPids || mounts.some(isWholeDisk)) return false;
  return tree.exists(".dockerenv") || tree.exists("run/.containerenv");
}

/** nerdctl, ctr and CRI-O name a group by the container alone: "/default/ID", "nerdctl-ID.scope", "slice:cri-containerd:ID". */
const CONTAINER_ID = /[/:-][0-9a-f]{64}(?:\.scope)?(?:\/|$)/m;

/**
 * A runtime mounts files of its own over each container's /etc/hosts and /etc/hostname. `ip netns exec` mounts over them too,
 * from /etc/netns.
 */
const isRuntimeFile = ({ root, point }: Mount): boolean =>
  /^\/etc\/host(?:s|name)$/.test(point) && root !== point && !root.includes("/etc/netns/");

/** The layers of an image as the root: on the host itself they are mounted at other places. */
const isImage = ({ point, type, options }: Mount): boolean =>
  point === "/" &&
  type === "overlay" &&
  /\/(?:io\.containerd\.snapshotter|docker\/overlay2|containers\/storage\/overlay)/.test(options);

/** A container's root is layers or a folder, never a whole file system of a disk. */
const isWholeDisk = ({ root, point, source }: Mount): boolean =>
  point === "/" && root === "/" && source.startsWith("/dev/");

/** LXC, and LXD or Incus on it: whole systems in a container. lxcfs is mounted over /proc there, elsewhere on their host. */
function isLxc({ tree, groups, mounts }: Evidence): boolean {
  if (/:\/lxc(?:\.payload)?[./]|\/lxc\.payload[./]/.test(groups)) return true;
  if (mounts.some(({ point, type }) => type === "fuse.lxcfs" && point.startsWith("/proc/"))) return true;
  if (/^lxc/.test(tree.text("run/systemd/container") ?? "")) return true;
  return /(?:^|\0)container=lxc/.test(tree.text("proc/1/environ") ?? "");
}

/** A shell's group ends in .scope; a service's in the name of its unit. */
function unitOf(tree: Tree): string | null {
  const named = /:name=systemd:(.*)$/m.exec(tree.text("proc/self/cgroup") ?? "")?.[1];
  const name = basename(named ?? groupPath(tree, "").path);
  return name.endsWith(".service") ? name : null;
}
