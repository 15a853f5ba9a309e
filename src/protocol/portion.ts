/** Bytes of one portion of missed pushes, and of one fragment of a large answer. */
export const PORTION_BYTES = 16_384;
