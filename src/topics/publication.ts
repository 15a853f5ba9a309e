/**
 * Publications and positions, the types that hub, topics, sessions and protocol share. The bytes of a publication are the
 * push exactly as clients receive it: encoded once by the hub, kept in histories and sent to every subscriber unchanged.
 * Pure.
 */

/** `epoch` names one run of a topic's numbering, `offset` a publication in it (0: before the first). */
export interface Position {
  readonly epoch: string;
  readonly offset: number;
}

export interface Publication {
  readonly topic: string;
  readonly offset: number;
  /** The key whose value this publication replaces in the topic's keyed state; `null` as data deletes the key. */
  readonly key?: string | undefined;
  /** `{"topic":…,"offset":…,"key"?:…,"data":…}` as UTF-8. */
  readonly push: Uint8Array;
}

/** The JSON text of a push's data, cut out without parsing: the bytes before it are known. */
export function dataOf({ topic, offset, key, push }: Publication): string {
  const head = Buffer.byteLength(pushHead(topic, offset, key));
  return Buffer.from(push.buffer, push.byteOffset, push.byteLength).toString("utf8", head, push.length - 1);
}

/** The text of a push before its data. */
export function pushHead(topic: string, offset: number, key: string | undefined): string {
  const keyed = key === undefined ? "" : `"key":${JSON.stringify(key)},`;
  return `{"topic":"${topic}","offset":${offset},${keyed}"data":`;
}

/** The same push for a receiver that was not sent its predecessor: `"prev"` names the last offset that it was sent. */
export function encodeAfter(
  prev: number,
  { topic, offset, push }: Pick<Publication, "topic" | "offset" | "push">,
): Buffer {
  const head = `{"topic":"${topic}","offset":${offset},`;
  return Buffer.concat([Buffer.from(`${head}"prev":${prev},`), push.subarray(head.length)]);
}
