/** The share of the time that a leaving worker has in which its clients are told: the rest is for last handshakes and answers. */
export const TELL_SHARE = 0.8;
export const tellWithinMs = (stopSeconds: number): number => stopSeconds * 1000 * TELL_SHARE;
