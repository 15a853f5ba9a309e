/**
 * The report of a run for a person: one screen, the verdict last. It only formats the evidence. Pure; runs in the coordinator.
 */
import { plateauInWords } from "../attribution/plateau.js";
import { scenarioRows } from "../scenarios/report.js";
import { describeTally, type Evidence } from "./evidence.js";
import { grouped, size, time } from "./format.js";

export function renderReport(evidence: Evidence): string {
  const rows: [string, string][] = [
    ["target", `${grouped(evidence.target)} connections to ${evidence.url}`],
    ["processes", processes(evidence)],
    ["open", opening(evidence)],
    ...plateau(evidence),
    ["handshake", `p50 ${time(evidence.handshakes.p50Ms)}, p99 ${time(evidence.handshakes.p99Ms)}`],
    ["unexpected closes", closes(evidence)],
    ...heartbeats(evidence),
    ...broadcasts(evidence),
    ...gateway(evidence),
    ...(evidence.scenario ? scenarioRows(evidence.scenario) : []),
    ["memory", memory(evidence)],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  const lines = rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`);
  const notes = [...evidence.memory.notes, ...evidence.remarks].map((note) => `note: ${note}`);
  const reasons = evidence.reasons.map((reason) => `  - ${reason}`);
  return [...lines, ...notes, `verdict: ${evidence.verdict.toUpperCase()}`, ...reasons].join("\n");
}

function processes({ plan }: Evidence): string {
  const gateway = plan.workers === null ? "gateway unknown" : `${plan.workers} workers`;
  const count = plan.sourceAddresses.length;
  const from = count === 0 ? "the default address" : `${count} address${count === 1 ? "" : "es"}`;
  return `${gateway}; ${plan.generators} generators from ${from}`;
}

function opening(evidence: Evidence): string {
  const rate = `${grouped(evidence.open)} in ${evidence.rampSeconds.toFixed(1)} s, ${grouped(evidence.connectPerSecond)} a second`;
  const failed = describeTally(evidence.failed);
  return failed === "" ? rate : `${rate}; failed attempts: ${failed}; ${grouped(evidence.retries)} retried`;
}

function plateau({ plateau: flat }: Evidence): [string, string][] {
  if (!flat) return [];
  const others = flat.causes.slice(1).map(({ id, certainty }) => `${id} (${certainty})`);
  const also = others.length > 0 ? `; also seen: ${others.join(", ")}` : "";
  return [["plateau", `after ${flat.atSeconds.toFixed(1)} s ${plateauInWords(flat)}${also}`]];
}

function closes({ unexpectedCloses, unexpectedCloseReasons }: Evidence): string {
  return unexpectedCloses === 0 ? "0" : `${grouped(unexpectedCloses)}: ${describeTally(unexpectedCloseReasons)}`;
}

function heartbeats({ heartbeats: beats }: Evidence): [string, string][] {
  if (beats.asked === 0) return [];
  const shown = `${grouped(beats.answered)} of ${grouped(beats.sent)} answered, p50 ${time(beats.p50Ms)}, p99 ${time(beats.p99Ms)}`;
  return [["heartbeats", shown]];
}

function broadcasts(evidence: Evidence): [string, string][] {
  return evidence.broadcasts.map((b, i) => {
    const what = [
      b.messages > 1 ? `${grouped(b.messages)} × ${b.bytes} bytes` : `${b.bytes} bytes`,
      b.topics > 1 ? ` to each of ${grouped(b.topics)} topics` : "",
    ].join("");
    const rate = b.messages > 1 ? `, ${grouped(b.deliveriesPerSecond ?? 0)} deliveries a second` : "";
    return [
      `broadcast ${i + 1}`,
      `${what}: ${grouped(b.delivered)} of ${grouped(b.expected)} in ${time(b.lastSubscriberMs)}${rate}, ` +
        `p50 ${time(b.p50Ms)}, p99 ${time(b.p99Ms)}, ${grouped(b.duplicates)} duplicates`,
    ];
  });
}

function gateway({ gatewayCount: own }: Evidence): [string, string][] {
  if (!own) return [];
  return [
    ["gateway's count", `${grouped(own.processes)}; metrics ${grouped(own.metrics)}, scraped in ${time(own.scrapeMs)}`],
  ];
}

function memory({ memory: m }: Evidence): string {
  const shown = (bytes: number | null): string => (bytes === null ? "unknown" : size(bytes));
  const { afterBroadcasts: after } = m;
  const later = `at the end ${shown(after.userBytesPerConnection)}, ${shown(after.hubBytesPerConnection)}`;
  return [
    `a connection: ${shown(m.userBytesPerConnection)} in the gateway, ${shown(m.hubBytesPerConnection)} of it in the hub (${later})`,
    `${shown(m.generatorBytesPerConnection)} in generators`,
    `${shown(m.kernelBytesPerConnection)} in the kernel`,
    `least free ${size(m.minFreeBytes)}`,
  ].join(", ");
}
