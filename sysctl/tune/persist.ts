/**
 * The files that make a plan last over a boot: what is to be written, writing it, looking after it and taking it away.
 * Runs in the command line. The rollback file knows each of them before the first is touched.
 */
import { GatewayError } from "../../src/errors.js";
import type { Plan } from "../plan.js";
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
import { headOf, needsOf, type Place } from "../remedies/render.js";
import type { Etc } from "./etc.js";
import { parseSysctlFile, settingKey } from "./leftovers.js";
import type { RememberedFile, Rollback } from "./rollback.js";

/** One file: as a row of a report. */
export interface FileRow {
  readonly path: string;
  readonly status: "written" | "enough" | "restored" | "removed" | "unchanged" | "refused";
  readonly reason?: string;
}

/** What persist is about to write, with what is there now. In the order of writing: nr_open's file before the limits. */
export function plannedFiles(plan: Plan, place: Place, etc: Etc): RememberedFile[] {
  const needs = needsOf(plan, place);
  const head = `${headOf(plan, place)}\nWritten by \`megagate tune --persist\`; \`megagate untune\` takes it away.`;
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

/** A file that cannot be read or written is a row of the report: the others and the kernel's values go on. */
function orRefused(path: string, act: () => FileRow): FileRow {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    return { path, status: "refused", reason: error.detail };
  }
}

/** For verify: is each file as persist left it? */
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

/** Last first. A file that somebody edited since is left alone and said so. */
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

/** Whether the persisted sysctl.d file is what gave a setting its present value, as after a boot. */
export function setByOurFile(rollback: Rollback, key: string, now: string): boolean {
  const texts = rollback.files.filter(({ path }) => path === SYSCTL_PATH).flatMap(({ ours }) => ours);
  const normal = now.replace(/\s+/g, " ");
  return texts
    .flatMap((text) => parseSysctlFile(SYSCTL_PATH, text))
    .some((line) => settingKey(line.key) === key && line.value === normal);
}
