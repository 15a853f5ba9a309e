/**
 * Which workers go on listening at their caps, to answer 503 instead of nobody: those beside which no other has room.
 * A worker is told before it is full, so that the last one with room does not close its listener first and ask then. One
 * that is dead, starting or leaving has no room to offer. Pure. Supervisor only.
 */
export interface Place {
  /** It listens: ready, and not dead since. */
  readonly up: boolean;
  readonly full: boolean;
  readonly leaving: boolean;
}

const hasRoom = ({ up, full, leaving }: Place): boolean => up && !full && !leaving;

/** Those of `places` that are to listen beyond their caps once they are full. */
export function withoutHelp<P extends Place>(places: readonly P[]): ReadonlySet<P> {
  const roomy = places.filter(hasRoom);
  if (roomy.length === 0) return new Set(places);
  return new Set(roomy.length === 1 ? roomy : []);
}

/** Whether whoever comes now is refused; undefined while there is nobody to say so. */
export function isFull(places: readonly Place[]): boolean | undefined {
  const serving = places.filter(({ up, leaving }) => up && !leaving);
  return serving.length === 0 ? undefined : !serving.some(hasRoom);
}
