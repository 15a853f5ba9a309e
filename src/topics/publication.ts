/**
 * The types that cross every room. A publication's bytes are the push exactly as clients receive it: encoded once by the
 * hub, kept in histories and sent to every subscriber unchanged.
 */

/** Where a topic's numbering stands: `epoch` names one run of numbering, `offset` its last publication (0: none yet). */
export interface Position {
  readonly epoch: string;
  readonly offset: number;
}

export interface Publication {
  readonly topic: string;
  readonly offset: number;
  /** Names the value that this publication replaces in the topic's keyed state; `null` as data deletes it. */
  readonly key?: string | undefined;
  /** `{"topic":…,"offset":…,"key"?:…,"data":…}` as UTF-8. */
  readonly push: Uint8Array;
}

/** The JSON text of a push's data, found by its place: what stands before it is known. */
export function dataOf({ topic, offset, key, push }: Publication): string {
  const head = Buffer.byteLength(pushHead(topic, offset, key));
  return Buffer.from(push.buffer, push.byteOffset, push.byteLength).toString("utf8", head, push.length - 1);
}

/** What stands before the data of a push. */
export function pushHead(topic: string, offset: number, key: string | undefined): string {
  const keyed = key === undefined ? "" : `"key":${JSON.stringify(key)},`;
  return `{"topic":"${topic}","offset":${offset},${keyed}"data":`;
}

/** The same push for a receiver that has not got its predecessor: `"prev"` says which was the last it got. */
export function encodeAfter(prev: number, topic: string, offset: number, push: Uint8Array): Buffer {
  const head = `{"topic":"${topic}","offset":${offset},`;
  return Buffer.concat([Buffer.from(`${head}"prev":${prev},`), push.subarray(head.length)]);
}
