/** The types that cross every room. A publication's bytes are the push exactly as clients receive it. */

/** Where a topic's numbering stands: `epoch` names one run of numbering, `offset` its last publication (0: none yet). */
export interface Position {
  readonly epoch: string;
  readonly offset: number;
}

export interface Publication {
  readonly topic: string;
  readonly offset: number;
  /** `{"topic":…,"offset":…,"data":…}` as UTF-8, encoded once by the hub and sent unchanged to every subscriber. */
  readonly push: Uint8Array;
}

/** The push as JSON text; `data` is already JSON. */
export function pushText(topic: string, offset: number, data: string): string {
  return `{"topic":"${topic}","offset":${offset},"data":${data}}`;
}
