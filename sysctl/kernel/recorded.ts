/**
 * A recorded host: doctor and tune read and write below --root DIR, a folder that `doctor --record DIR` made on another host
 * (doctor/record.ts). Whether connections are tracked cannot be tried on files: --tracked or the recording says it. Runs in the
 * command line.
 */
import { join } from "node:path";
import { z } from "zod";
import { choice, text } from "../../src/config/table.js";
import { GatewayError } from "../../src/errors.js";
import { Tree } from "./tree.js";

/** The one file of a recording that is no file of its host: what was found out on that host by trying. */
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

/** Tests replace this machine's root folder and the probe. */
interface ThisMachine {
  readonly root?: string;
  readonly tracks: () => Promise<boolean | null>;
}

interface RecordedOptions {
  readonly root: string;
  readonly tracked: "probe" | "yes" | "no";
}

export interface SurveyedHost {
  readonly root: string;
  /** Whether connections made on the host are tracked; null where it could not be tried. */
  tracks(): Promise<boolean | null>;
}

/** The host that the options name. Throws `config` where --root holds no recorded host. */
export function chooseHost({ root, tracked }: RecordedOptions, thisMachine: ThisMachine): SurveyedHost {
  const isRecorded = root !== "/";
  if (isRecorded && new Tree(root).text("proc/sys/kernel/osrelease") === undefined) {
    const remedy = "name a folder that `megagate doctor --record` made";
    throw new GatewayError(
      "config",
      `--root: ${root} holds no proc/sys/kernel/osrelease, so it is not a recorded host: ${remedy}`,
    );
  }
  const probe = isRecorded ? () => Promise.resolve(recordedAnswer(root)) : thisMachine.tracks;
  return {
    root: isRecorded ? root : (thisMachine.root ?? "/"),
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
export const within = ({ root }: SurveyedHost, path: string): string => join(root, path);
