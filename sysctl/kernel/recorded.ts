/**
 * Another host than this one, as files: doctor and tune read and write below --root DIR, which `doctor --record DIR` makes of a
 * host (doctor/record.ts). What cannot be tried there, whether connections are tracked, is told by --tracked or by the
 * recording. Runs in the command line.
 */
import { join } from "node:path";
import { z } from "zod";
import { choice, text } from "../../src/config/table.js";
import { GatewayError } from "../../src/errors.js";
import { Tree } from "./tree.js";

/** What is not a file of the recorded host but was found out there. */
export const RECORDING = "megagate-recording.json";
export const Recording = z.object({
  schema: z.literal("megagate.recording.v1"),
  recordedAt: z.string(),
  /** The probe's answer; null where it could not be tried. */
  tracked: z.boolean().nullable(),
});

export const RECORDED_OPTIONS = {
  root: text({
    default: "/",
    unit: "path",
    range: "a folder",
    pattern: /./,
    explanation:
      "A recorded host in place of this one: a folder with its /proc, /sys and /etc, as doctor --record makes it",
  }),
  tracked: choice({
    default: "probe",
    choices: ["probe", "yes", "no"],
    explanation:
      "Whether connections are tracked there; probe opens some on loopback to find out or, with --root, takes the recording's answer",
  }),
} as const;

interface Lent {
  /** In tests: where the host is, and in place of the probe. */
  readonly root?: string;
  readonly tracks: () => Promise<boolean | null>;
}

interface Wish {
  readonly root: string;
  readonly tracked: "probe" | "yes" | "no";
}

export interface Place {
  readonly root: string;
  /** Null: could not be tried. */
  tracks(): Promise<boolean | null>;
}

/** Throws `config` where --root is no host. */
export function placeOf({ root, tracked }: Wish, lent: Lent): Place {
  const isRecorded = root !== "/";
  if (isRecorded && new Tree(root).text("proc/sys/kernel/osrelease") === undefined) {
    const remedy = "name a folder that `megagate doctor --record` made";
    throw new GatewayError("config", `--root: ${root} holds no proc/sys/kernel/osrelease, so it is no host: ${remedy}`);
  }
  const probe = isRecorded ? () => Promise.resolve(recordedAnswer(root)) : lent.tracks;
  return {
    root: isRecorded ? root : (lent.root ?? "/"),
    tracks: () => (tracked === "probe" ? probe() : Promise.resolve(tracked === "yes")),
  };
}

function recordedAnswer(root: string): boolean | null {
  try {
    return Recording.parse(JSON.parse(new Tree(root).text(RECORDING) ?? "null")).tracked;
  } catch {
    return null;
  }
}

/** A path of that host, such as the default of --state. */
export const within = ({ root }: Place, path: string): string => join(root, path);
