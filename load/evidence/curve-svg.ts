/**
 * The ramp of a kept run as a picture: open connections over seconds, drawn from its evidence file alone. The same evidence
 * always gives the same bytes, so that a test can compare the committed SVG with it (`make docs` writes it again).
 * For runs with both ends of each connection on one machine. Pure; runs when the documentation is made, never in a run.
 */
import type { Evidence } from "./evidence.js";
import { grouped } from "./format.js";

export type CurveEvidence = Pick<Evidence, "target" | "open" | "rampSeconds" | "ramp" | "plan" | "host">;

const WIDTH = 760;
const HEIGHT = 400;
/** The plot within the picture; the rest is for title, labels and the source. */
const PLOT = { left: 92, right: 730, top: 62, bottom: 312 } as const;
const MAX_TICKS = 8;
/** Where nf_conntrack_max ends an untuned machine, and the exercise that this project answers (26w is 260,000 in Chinese). */
const DEFAULT_CONNTRACK = 262_144;

/** A browser chooses the second set where its user prefers dark pages. Contrast of text and line is above 4.5:1 in both. */
const STYLE = `
    .ground { fill: #ffffff; stroke: #d0d7de }
    text { fill: #1f2328; font: 13px system-ui, sans-serif }
    .title { font-size: 16px; font-weight: 600 }
    .quiet { fill: #59636e }
    .source { font-size: 12px }
    .grid { stroke: #d8dee4 }
    .axis { stroke: #59636e }
    .line { fill: none; stroke: #0969da; stroke-width: 2.5; stroke-linejoin: round }
    .area { fill: #0969da; fill-opacity: 0.12 }
    .end { fill: #0969da }
    .limit { stroke: #bc4c00; stroke-dasharray: 6 4 }
    .limit-label { fill: #bc4c00 }
    @media (prefers-color-scheme: dark) {
      .ground { fill: #0d1117; stroke: #3d444d }
      text { fill: #f0f6fc }
      .quiet { fill: #9198a1 }
      .grid { stroke: #2a313a }
      .axis { stroke: #9198a1 }
      .line { stroke: #4493f8 }
      .area { fill: #4493f8; fill-opacity: 0.18 }
      .end { fill: #4493f8 }
      .limit { stroke: #f0883e }
      .limit-label { fill: #f0883e }
    }`;

/** The picture in words, for those who do not see it: the SVG's own description, and the alt text of a page that shows it. */
export function describeCurve({ open, rampSeconds, ramp, plan, host }: CurveEvidence): string {
  const half = ramp.find(([, connections]) => connections >= open / 2)?.[0] ?? rampSeconds;
  const workers = plan.workers === null ? "" : ` to ${plan.workers} workers`;
  return (
    `A line that rises from 0 to ${grouped(open)} open connections in ${rampSeconds.toFixed(1)} seconds; ` +
    `${grouped(open / 2)} are open after ${half.toFixed(1)} seconds. ` +
    `${plan.generators} generators connect${workers} on one machine with ${host.cores} cores.`
  );
}

/** `source` names the evidence file below the plot. */
export function renderCurve(evidence: CurveEvidence, source: string): string {
  const { open, target, rampSeconds } = evidence;
  const seconds = axisOf(rampSeconds);
  const connections = axisOf(Math.max(open, target));
  const scale: Scale = {
    x: (at) => PLOT.left + (at / seconds.end) * (PLOT.right - PLOT.left),
    y: (n) => PLOT.bottom - (n / connections.end) * (PLOT.bottom - PLOT.top),
  };
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-labelledby="title description">
  <title id="title">${escaped(titleOf(evidence))}</title>
  <desc id="description">${escaped(describeCurve(evidence))}</desc>
  <style>${STYLE}
  </style>
  <rect class="ground" x="0.5" y="0.5" width="${WIDTH - 1}" height="${HEIGHT - 1}" rx="8"/>
  <text class="title" x="${PLOT.left}" y="34">${escaped(titleOf(evidence))}</text>
${[...connectionTicks(connections.ticks, scale), ...secondTicks(seconds.ticks, scale), ...limitOf(open, scale)].join("\n")}
${curveOf(evidence, scale)}
  <text x="${(PLOT.left + PLOT.right) / 2}" y="${PLOT.bottom + 42}" text-anchor="middle">seconds since the ramp began</text>
  <text transform="translate(20 ${(PLOT.top + PLOT.bottom) / 2}) rotate(-90)" text-anchor="middle">open connections</text>
  <text class="quiet source" x="24" y="${HEIGHT - 16}">${escaped(sourceOf(evidence, source))}</text>
</svg>
`;
}

interface Scale {
  readonly x: (seconds: number) => number;
  readonly y: (connections: number) => number;
}

function titleOf({ open, rampSeconds }: CurveEvidence): string {
  return `${grouped(open)} connections in ${rampSeconds.toFixed(1)} s: ${grouped(open / rampSeconds)} a second`;
}

function sourceOf({ host, plan }: CurveEvidence, source: string): string {
  const workers = plan.workers === null ? "" : `${plan.workers} workers, `;
  return `${source} · ${host.cores} cores, both ends: ${workers}${plan.generators} generators`;
}

/** Round steps of 1, 2 or 5 times a power of ten, at most MAX_TICKS of them; the axis ends at the last one. */
function axisOf(max: number): { readonly end: number; readonly ticks: readonly number[] } {
  const power = 10 ** Math.floor(Math.log10(max / MAX_TICKS));
  const step = [1, 2, 5, 10].map((n) => n * power).find((size) => Math.ceil(max / size) <= MAX_TICKS)!;
  const count = Math.ceil(max / step);
  return { end: count * step, ticks: Array.from({ length: count + 1 }, (_, i) => i * step) };
}

function connectionTicks(ticks: readonly number[], { y }: Scale): string[] {
  return ticks.map((n) => {
    const at = fixed(y(n));
    const line = `<line class="${n === 0 ? "axis" : "grid"}" x1="${PLOT.left}" y1="${at}" x2="${PLOT.right}" y2="${at}"/>`;
    return `  ${line}<text x="${PLOT.left - 8}" y="${at}" dy="0.32em" text-anchor="end">${grouped(n)}</text>`;
  });
}

function secondTicks(ticks: readonly number[], { x }: Scale): string[] {
  return ticks.map((seconds) => {
    const at = fixed(x(seconds));
    const line = `<line class="axis" x1="${at}" y1="${PLOT.bottom}" x2="${at}" y2="${PLOT.bottom + 5}"/>`;
    return `  ${line}<text x="${at}" y="${PLOT.bottom + 20}" text-anchor="middle">${grouped(seconds)}</text>`;
  });
}

/** Only where the curve passes it. */
function limitOf(open: number, { y }: Scale): string[] {
  if (open <= DEFAULT_CONNTRACK) return [];
  const at = fixed(y(DEFAULT_CONNTRACK));
  const label = `${grouped(DEFAULT_CONNTRACK)}: the default connection-tracking limit (26w)`;
  return [
    `  <line class="limit" x1="${PLOT.left}" y1="${at}" x2="${PLOT.right}" y2="${at}"/>`,
    `  <text class="limit-label" x="${PLOT.right}" y="${at}" dy="-6" text-anchor="end">${label}</text>`,
  ];
}

/** The ramp's points, and the end of the ramp where the last one came before it. */
function curveOf({ ramp, open, rampSeconds }: CurveEvidence, { x, y }: Scale): string {
  const points = ramp.filter(([seconds]) => seconds < rampSeconds);
  const path = [...points, [rampSeconds, open] as const].map(([at, n]) => `${fixed(x(at))} ${fixed(y(n))}`).join(" L ");
  const end = `cx="${fixed(x(rampSeconds))}" cy="${fixed(y(open))}"`;
  return [
    `  <path class="area" d="M ${fixed(x(0))} ${PLOT.bottom} L ${path} L ${fixed(x(rampSeconds))} ${PLOT.bottom} Z"/>`,
    `  <path class="line" d="M ${path}"/>`,
    `  <circle class="end" ${end} r="4"/>`,
  ].join("\n");
}

const fixed = (value: number): string => String(Number(value.toFixed(1)));

const escaped = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
