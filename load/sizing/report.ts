/**
 * A plan as text: the answer first, then the sums, then the origin of the constants. Pure; runs in the command line, for a
 * terminal, and gives the same rows as Markdown for the README.
 */
import { grouped, size } from "../evidence/format.js";
import type { Bound, Resource } from "./bounds.js";
import { number, sectionsOf } from "./lines.js";
import type { SizingPlan } from "./plan.js";

const NAMES: Readonly<Record<Resource, string>> = {
  memory: "memory",
  cpu: "CPU",
  hub: "the hub process",
  nic: "the network card",
  workers: "worker processes",
  tasks: "processes and threads of the control group",
};

export function renderPlan(plan: SizingPlan, explain: boolean): string {
  const sections = sectionsOf(plan);
  const rows = sections.flatMap(({ lines }) => lines);
  const nameWidth = Math.max(...rows.map(({ name }) => name.length));
  const valueWidth = Math.max(...rows.map(({ value }) => value.length));
  const body = sections.map(({ title, lines }) =>
    [
      title,
      ...lines.map(({ name, value, sum }) =>
        explain
          ? `  ${name.padEnd(nameWidth)}  ${value.padEnd(valueWidth)}  = ${sum}`
          : `  ${name.padEnd(nameWidth)}  ${value}`,
      ),
    ].join("\n"),
  );
  const blocks = [headOf(plan), ...body, boundLines(plan), constantLines(plan, explain), noteLines(plan)];
  return `${blocks.join("\n\n")}\n`;
}

/** The rows of a worked plan for the README. */
export function renderPlanMarkdown(plan: SizingPlan): string {
  const rows = sectionsOf(plan).flatMap(({ lines }) => lines);
  const cells = [
    ["asked", askedOf(plan)],
    ["each server", machineOf(plan)],
    ["servers", serversOf(plan)],
    ...rows.map(({ name, value }) => [name, value]),
    ["bounds first", describeBound(plan.bounds[0]!)],
  ];
  return ["| what | figure |", "| --- | --- |", ...cells.map((row) => `| ${row.join(" | ")} |`)].join("\n");
}

/** The bounds that do not fit, for the error that ends the command; undefined when all fit. */
export function shortageOf(plan: SizingPlan): string | undefined {
  const short = plan.bounds
    .filter((bound) => !bound.fits)
    .map((bound) => `${describeNeed(bound)}: ${REMEDIES[bound.resource]}`);
  return short.length === 0 ? undefined : `the plan does not fit a server of this kind\n${short.join("\n")}`;
}

const REMEDIES: Readonly<Record<Resource, string>> = {
  memory: "take more memory, more --servers (0 computes them), or fewer --connections",
  cpu: "take more cores, more --servers (0 computes them), or send less often",
  hub: "publish less often; each server's hub takes every publication, so more servers do not help, arrays of publications do",
  nic: "take a faster card, more --servers (0 computes them), or smaller messages",
  workers: "raise the descriptor limit of a process (--nofile), so that fewer workers do",
  tasks:
    "raise the control group's pids.max (TasksMax= of a service, --pids-limit of docker run, podPidsLimit of the kubelet)",
};

function headOf(plan: SizingPlan): string {
  return [`Plan: ${askedOf(plan)}`, `Each server: ${machineOf(plan)}`, `Servers: ${serversOf(plan)}`].join("\n");
}

function askedOf({ demand: d }: SizingPlan): string {
  const topics = `${grouped(d.topics)} topic${d.topics === 1 ? "" : "s"}, ${d.subscriptions} each`;
  const beat = d.heartbeatSeconds === 0 ? "" : `, a heartbeat every ${d.heartbeatSeconds} s`;
  const rate = `${d.messageBytes} bytes ${grouped(d.perMinute)} time${d.perMinute === 1 ? "" : "s"} a minute to each`;
  return `${grouped(d.connections)} connections, ${topics}, ${rate}${beat}${d.tls ? ", TLS" : ""}${d.clientsHere ? ", clients on the same machine" : ""}`;
}

const machineOf = ({ machine: m }: SizingPlan): string =>
  `${number(m.cores)} core${m.cores === 1 ? "" : "s"}, ${size(m.memoryBytes)}, ${m.nicGbit} Gbit/s, ${grouped(m.nofile)} descriptors a process`;

function serversOf({ servers, spare, fits }: SizingPlan): string {
  if (servers === null) return "no number of them is enough";
  const down = spare === 0 ? "" : `, of which ${grouped(spare)} may be down`;
  return `${grouped(servers)}${down}${fits ? "" : ", which is NOT ENOUGH"}`;
}

function boundLines({ bounds }: SizingPlan): string {
  const rows = bounds.map((bound) => `  ${bound.fits ? "" : "DOES NOT FIT: "}${describeBound(bound)}`);
  return ["What bounds a server, first things first", ...rows].join("\n");
}

function describeBound(bound: Bound): string {
  const { connections } = bound;
  const where = connections === null ? "never, however many connections" : `beyond ${grouped(connections)} connections`;
  return `${NAMES[bound.resource]}, ${where} (${describeUse(bound)})`;
}

const describeNeed = (bound: Bound): string => `${NAMES[bound.resource]}: ${describeUse(bound)}`;

function describeUse({ unit, needed, there }: Bound): string {
  const shown = (value: number): string => (unit === "bytes" ? size(value) : `${number(value)} ${unit}`);
  return `${shown(needed)} needed, ${shown(there)} may be used`;
}

function constantLines({ constants, evidence }: SizingPlan, explain: boolean): string {
  const own = constants.filter(({ from }) => from === "evidence");
  const from =
    evidence === null
      ? "no evidence file: all are the shipped ones"
      : `from ${evidence.path} where it has a plausible value`;
  const width = Math.max(...constants.map(({ name }) => name.length));
  const rows = constants.map(({ name, value, unit, from, means, source }) => {
    const head = `  ${name.padEnd(width)}  ${`${grouped1(value)} ${unit}`.padEnd(16)}  ${from}`;
    return explain ? `${head}: ${means}; ${source}` : head;
  });
  const verdict =
    evidence?.verdict && evidence.verdict !== "held" ? `; that run's verdict was: ${evidence.verdict}` : "";
  return [`Constants: ${from} (${own.length} of ${constants.length})${verdict}`, ...rows].join("\n");
}

const grouped1 = (value: number): string => value.toLocaleString("en-US", { maximumFractionDigits: 3 });

function noteLines({ demand, servers, perServer }: SizingPlan): string {
  const notes = [
    "Measured on 2 cores shared by gateway and clients: memory to about 15 %, times to a factor of two. Not measured: whether work spreads evenly over more cores, and the network card.",
    ...(demand.tls ? ["TLS was measured with uWebSockets.js alone: `megagate serve` does not terminate TLS yet."] : []),
    ...(servers !== null && servers > 1
      ? [
          "Megagate is one machine today: publish everything to each server's admin port; offsets are each server's own.",
        ]
      : []),
    ...(perServer.processes.fullest > 20_000
      ? ["No worker with more than 20,000 connections was measured: try one of this size before you buy."]
      : []),
  ];
  return notes.map((note) => `note: ${note}`).join("\n");
}
