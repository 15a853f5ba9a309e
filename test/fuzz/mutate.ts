/** Damages valid bytes, as a broken or malicious peer would. Pure but for the given random source. */
import type { Random } from "./random.js";

type Mutation = (bytes: Buffer, random: Random) => Buffer;

/** Values at which lengths and signs turn over. */
const EDGES = [0, 1, 0x0a, 0x0d, 0x20, 0x22, 0x7b, 0x7e, 0x7f, 0x80, 0xc3, 0xed, 0xfe, 0xff];

const replaced = (bytes: Buffer, at: number, value: number): Buffer => {
  const copy = Buffer.from(bytes);
  copy[at] = value;
  return copy;
};

const MUTATIONS: readonly Mutation[] = [
  (bytes, random) => {
    const at = random.below(bytes.length);
    return replaced(bytes, at, bytes[at]! ^ (1 << random.below(8)));
  },
  (bytes, random) => replaced(bytes, random.below(bytes.length), random.pick(EDGES)),
  (bytes, random) => bytes.subarray(0, random.below(bytes.length)),
  (bytes, random) => bytes.subarray(random.below(bytes.length)),
  (bytes, random) => {
    const from = random.below(bytes.length);
    const part = bytes.subarray(from, from + 1 + random.below(64));
    return Buffer.concat([
      bytes.subarray(0, from),
      ...Array<Buffer>(2 + random.below(20)).fill(part),
      bytes.subarray(from),
    ]);
  },
  (bytes, random) => {
    const at = random.below(bytes.length);
    return Buffer.concat([bytes.subarray(0, at), random.bytes(1 + random.below(32)), bytes.subarray(at)]);
  },
  (bytes, random) => {
    const from = random.below(bytes.length);
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + 1 + random.below(16))]);
  },
];

/** `times` mutations, one after the other. */
export function mutated(bytes: Buffer, random: Random, times: number): Buffer {
  let result = bytes;
  for (let i = 0; i < times && result.length > 0; i++) result = random.pick(MUTATIONS)(result, random);
  return result;
}

/** The beginning of one and the end of another. */
export function spliced(a: Buffer, b: Buffer, random: Random): Buffer {
  return Buffer.concat([a.subarray(0, random.below(a.length + 1)), b.subarray(random.below(b.length + 1))]);
}
