/** One run of `megagate load` against a test's gateway, and the evidence that it left. */
import { chmodSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Evidence } from "../../load/evidence/evidence.js";
import { cli, type Exit, type Gateway, type Run, type RunEnvironment } from "./gateway.js";

/** In a folder of its own, where other users may write too. */
export function evidencePath(): string {
  const folder = mkdtempSync(join(tmpdir(), "megagate-load-"));
  chmodSync(folder, 0o777);
  return join(folder, "evidence.json");
}
export const readEvidence = (path: string): Evidence => JSON.parse(readFileSync(path, "utf8")) as Evidence;

function loadArgs(gateway: Gateway, report: string, args: readonly string[]): string[] {
  const target = ["--target", gateway.url, "--admin-url", `http://127.0.0.1:${gateway.adminPort}`];
  return ["load", ...target, "--report", report, ...args];
}

export const startLoad = (gateway: Gateway, report: string, ...args: string[]): Run =>
  cli(loadArgs(gateway, report, args));

export interface Loaded {
  readonly exit: Exit;
  readonly evidence: Evidence;
}

export const load = (gateway: Gateway, ...args: string[]): Promise<Loaded> => loadIn({}, gateway, ...args);

export async function loadIn(environment: RunEnvironment, gateway: Gateway, ...args: string[]): Promise<Loaded> {
  const report = evidencePath();
  const exit = await cli(loadArgs(gateway, report, args), {}, environment).ended;
  return { exit, evidence: readEvidence(report) };
}
