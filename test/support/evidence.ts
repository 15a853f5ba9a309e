/** One run of `megagate load` against a test's gateway, and the evidence that it left. */
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Evidence } from "../../load/evidence.js";
import { cli, type Exit, type Gateway, type Run } from "./gateway.js";

export const evidencePath = (): string => join(mkdtempSync(join(tmpdir(), "megagate-load-")), "evidence.json");
export const readEvidence = (path: string): Evidence => JSON.parse(readFileSync(path, "utf8")) as Evidence;

export function startLoad(gateway: Gateway, report: string, ...args: string[]): Run {
  const target = ["--target", gateway.url, "--admin-url", `http://127.0.0.1:${gateway.adminPort}`];
  return cli(["load", ...target, "--report", report, ...args]);
}

export async function load(gateway: Gateway, ...args: string[]): Promise<{ exit: Exit; evidence: Evidence }> {
  const report = evidencePath();
  const exit = await startLoad(gateway, report, ...args).ended;
  return { exit, evidence: readEvidence(report) };
}
