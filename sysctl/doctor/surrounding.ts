/**
 * What runs this process: Kubernetes, a container, a systemd service or nothing of these. The marks are looked for from
 * the outermost: a pod is also a container. A remedy in the wrong words is worse than none, so what may be left over from
 * elsewhere does not decide: a root file system made from an image keeps its /.dockerenv on a virtual machine too.
 */
import { basename } from "node:path";
import type { Dialect } from "../dialects.js";
import type { Surrounding } from "./facts.js";
import { groupPath } from "./groups.js";
import type { Tree } from "./tree.js";

/** The number that the kernel gives to the first PID namespace at every boot (include/linux/proc_ns.h). */
const FIRST_PID_NAMESPACE = "pid:[4026531836]";

/** In whose words a remedy is given there. */
export const DIALECT_OF: Readonly<Record<Surrounding, Dialect>> = {
  host: "sysctl",
  systemd: "systemd",
  docker: "docker",
  kubernetes: "kubernetes",
};

export function surroundingOf(tree: Tree): { readonly surrounding: Surrounding; readonly unit: string | null } {
  const groups = tree.text("proc/self/cgroup") ?? "";
  const mounts = tree.text("proc/self/mountinfo") ?? "";
  const contained = tree.link("proc/self/ns/pid") !== FIRST_PID_NAMESPACE;
  if (isPod(tree, groups, mounts, contained)) return { surrounding: "kubernetes", unit: null };
  if (isContainer(tree, groups, mounts, contained)) return { surrounding: "docker", unit: null };
  const unit = unitOf(tree);
  return { surrounding: unit === null ? "host" : "systemd", unit };
}

/** On a node's own shell there are mounts of pods too, but none of them over /etc/hosts. */
function isPod(tree: Tree, groups: string, mounts: string, contained: boolean): boolean {
  if (/\/kubepods[./-]/.test(groups) || /\/kubelet\/pods\/[^ ]+ \/(?:etc\/hosts|dev\/termination-log) /.test(mounts))
    return true;
  return contained && /(?:^|\0)KUBERNETES_SERVICE_HOST=/.test(tree.text("proc/self/environ") ?? "");
}

/** Docker, Podman, containerd: all take the same flags. The runtime mounts the container's own hosts and resolv.conf. */
function isContainer(tree: Tree, groups: string, mounts: string, contained: boolean): boolean {
  if (/\/(?:docker[/-]|libpod|containers?\/[0-9a-f]{12})/.test(groups)) return true;
  if (/\/(?:docker\/containers|containers\/storage\/[^ ]+)\/[^ ]* \/etc\//.test(mounts)) return true;
  return contained && (tree.exists(".dockerenv") || tree.exists("run/.containerenv"));
}

/** A shell's group ends in .scope; a service's in the name of its unit. */
function unitOf(tree: Tree): string | null {
  const named = /:name=systemd:(.*)$/m.exec(tree.text("proc/self/cgroup") ?? "")?.[1];
  const name = basename(named ?? groupPath(tree, "").path);
  return name.endsWith(".service") ? name : null;
}
