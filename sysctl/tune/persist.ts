/**
 * The files that keep a plan over a boot: plans, writes, verifies and restores them. Runs in the command line.
 * The rollback file must hold the former state of each of them before the first is written.
 */
import { GatewayError } from "../../src/errors.js";
import type { KernelPlan } from "../plan.js";
import {
  DROP_IN_PATH,
  dropIn,
  LIMITS_PATH,
  limitsFile,
  MODULES_PATH,
  modulesFile,
  SYSCTL_PATH,
  sysctlFile,
} from "../remedies/files.js";
import { headOf, needsOf, type RenderTarget } from "../remedies/render.js";
import type { Etc } from "./etc.js";
import { parseSysctlFile, settingKey } from "./leftovers.js";
import type { RememberedFile, Rollback } from "./rollback.js";

/** What happened to one file: a row of the report. */
export interface FileRow {
  readonly path: string;
  readonly status: "written" | "enough" | "restored" | "removed" | "unchanged" | "refused";
  readonly reason?: string;
}

/** The files that persist will write, with their present state, in the order of writing: fs.nr_open's before the limits. */
export function plannedFiles(plan: KernelPlan, target: RenderTarget, etc: Etc): RememberedFile[] {
  const needs = needsOf(plan, target);
  const head = `${headOf(plan, target)}\nWritten by \`megagate tune --persist\`; \`megagate untune\` removes it.`;
  const modules = modulesFile(needs, head);
  const texts = [
    ...(modules === undefined ? [] : [[MODULES_PATH, modules] as const]),
    [SYSCTL_PATH, sysctlFile(needs, head)],
    [LIMITS_PATH, limitsFile(needs, head)],
    [DROP_IN_PATH, dropIn(needs, head)],
  ] as const;
  return texts.map(([path, text]) => ({
    path,
    before: etc.state(path),
    folders: etc.missingFolders(path),
    ours: [Buffer.from(text, "utf8").toString("latin1")],
  }));
}

export function writeFiles(files: readonly RememberedFile[], etc: Etc): FileRow[] {
  return files.map(({ path, before, ours }) =>
    orRefused(path, () => {
      const text = ours.at(-1)!;
      if (before?.text === text) return { path, status: "enough" };
      etc.write(path, { text, mode: 0o644, uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 });
      return { path, status: "written" };
    }),
  );
}

/** A file that cannot be read or written becomes a row of the report, so that the other files and the kernel values go on. */
function orRefused(path: string, action: () => FileRow): FileRow {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    return { path, status: "refused", reason: error.detail };
  }
}

/** For verify: whether each file is still as persist wrote it. */
export function verifyFiles(files: readonly RememberedFile[], etc: Etc): FileRow[] {
  return files.map(({ path, ours }) =>
    orRefused(path, () => {
      const now = etc.state(path);
      if (now?.text === ours.at(-1)) return { path, status: "enough" };
      const reason = now === null ? "is gone" : "is not as `megagate tune --persist` wrote it";
      return { path, status: "refused", reason: `${reason}: run \`megagate tune --persist\` again` };
    }),
  );
}

/** In reverse order. A file that was edited since stays as it is, and its row says so. */
export function restoreFiles(files: readonly RememberedFile[], etc: Etc): FileRow[] {
  return files.toReversed().map((file) => orRefused(file.path, () => restoreFile(file, etc)));
}

function restoreFile({ path, before, folders, ours }: RememberedFile, etc: Etc): FileRow {
  const now = etc.state(path);
  if (now !== null && now.text !== before?.text && !ours.includes(now.text)) {
    const remedy =
      before === null ? "delete it yourself" : "put its former text back yourself (it is in the rollback file)";
    return { path, status: "refused", reason: `was edited since: ${remedy}, then run \`megagate untune\` again` };
  }
  if (before === null) {
    etc.remove(path, folders);
    return { path, status: now === null ? "unchanged" : "removed" };
  }
  etc.write(path, before);
  return { path, status: now?.text === before.text ? "unchanged" : "restored" };
}

/** Whether the persisted sysctl.d file gave a setting its present value, as it does after a boot. */
export function setByOurFile(rollback: Rollback, key: string, now: string): boolean {
  const texts = rollback.files.filter(({ path }) => path === SYSCTL_PATH).flatMap(({ ours }) => ours);
  const normal = now.replace(/\s+/g, " ");
  return texts
    .flatMap((text) => parseSysctlFile(SYSCTL_PATH, text))
    .some((line) => settingKey(line.key) === key && line.value === normal);
}
