/**
 * The user's own last evidence file (megagate.evidence.v1), as far as a plan needs it. Fields that a plan does not use may be
 * missing or of any shape; those that it uses are checked, and the error names the field and the remedy.
 * Runs in the command line.
 */
import { readFileSync } from "node:fs";
import { z } from "zod";
import { GatewayError } from "../../src/errors.js";

const figure = z.number().nullish();

const MEASURED = z.object({
  schema: z.literal("megagate.evidence.v1", { error: "must be megagate.evidence.v1" }),
  startedAt: z.string().optional(),
  url: z.string().optional(),
  host: z.object({ cores: z.number().int().min(1) }).optional(),
  plan: z.object({ workers: figure }).optional(),
  open: z.number().int().min(0),
  connectPerSecond: figure,
  broadcasts: z.array(z.object({ delivered: z.number(), lastSubscriberMs: figure })).optional(),
  memory: z
    .object({
      userBytesPerConnection: figure,
      kernelBytesPerConnection: figure,
      generatorBytesPerConnection: figure,
      baseBytes: figure,
    })
    .optional(),
  verdict: z.string().optional(),
});

export type Measured = z.infer<typeof MEASURED>;

export interface MeasuredFile {
  readonly path: string;
  readonly measured: Measured;
}

/**
 * Reads an evidence file. Undefined where there is none and `needed` is false; throws `config` where it cannot be
 * read, is no JSON, or is no evidence.
 */
export function readMeasured(path: string, needed: boolean): MeasuredFile | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (!needed && (error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw fault(path, `cannot be read (${(error as Error).message})`);
  }
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    throw fault(path, `is not JSON (${(error as Error).message})`);
  }
  const parsed = MEASURED.safeParse(content);
  if (parsed.success) return { path, measured: parsed.data };
  const issues = parsed.error.issues.map(({ path: at, message }) => `${at.join(".") || "the whole"}: ${message}`);
  throw fault(path, `is no evidence of \`megagate load\`: ${issues.join("; ")}`);
}

function fault(path: string, what: string): GatewayError {
  return new GatewayError(
    "config",
    `--evidence: ${path} ${what}. Remedy: name a file that \`megagate load --report\` wrote, or --evidence shipped`,
  );
}
