/**
 * How the time of an orderly stop is shared: one deadline, --stop-notice-seconds and --stop-seconds after the request, for
 * workers and hub together, so that systemd, Docker or Kubernetes can be given one number.
 * Pure. Supervisor only.
 */

/** The hub's part: its last answers, what topics remember to disk. Workers that end early leave it more. */
const HUB_SHARE = 0.15;
const HUB_MAX_MS = 2000;

export interface StopDeadline {
  /** Until then everything goes on, and `/readyz` answers 503. */
  readonly noticeEndMs: number;
  /** A worker that is still there is cut. */
  readonly workersEndMs: number;
  /** So is the hub. */
  readonly endMs: number;
}

export function stopDeadline(
  askedMs: number,
  { stopNoticeSeconds, stopSeconds }: { readonly stopNoticeSeconds: number; readonly stopSeconds: number },
): StopDeadline {
  const noticeEndMs = askedMs + stopNoticeSeconds * 1000;
  const endMs = noticeEndMs + stopSeconds * 1000;
  return { noticeEndMs, workersEndMs: endMs - Math.min(HUB_MAX_MS, stopSeconds * 1000 * HUB_SHARE), endMs };
}
