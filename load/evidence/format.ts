/**
 * Numbers, sizes and times as text for a person: reports, progress and plans use it. Rounds for reading; evidence files keep
 * the exact figures. Pure; runs in the coordinator and in the command line.
 */

export const grouped = (n: number): string => n.toLocaleString("en-US", { maximumFractionDigits: 0 });

/** "12.3 MB", decimal units. */
export function size(bytes: number): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? String(value) : value.toPrecision(3)} ${units[unit]!}`;
}

/** "0.84 ms", "12.3 s"; a dash for nothing. */
export function time(ms: number | null): string {
  if (ms === null) return "—";
  return ms < 1000 ? `${Number(ms.toPrecision(3))} ms` : `${Number((ms / 1000).toPrecision(3))} s`;
}
