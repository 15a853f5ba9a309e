/**
 * What an orderly stop leaves in `--state-dir`, and what the next start takes from it, so that epochs and offsets go on.
 * One topic a line, JSON. The file is written whole and then put in place, and removed once it has been read: after a
 * crash it would be older than what clients have seen, and numbers would be given out twice. Hub process only.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import type { Hub } from "./hub.js";
import type { TopicImage } from "./wire.js";

const file = (dir: string): string => join(dir, "topics.ndjson");

/** Returns the number of topics written. Throws what the file system throws. */
export function saveTopics(hub: Hub, dir: string): number {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const fd = openSync(`${file(dir)}.new`, "w", 0o600);
  let topics = 0;
  for (const image of hub.images()) {
    // A topic that nobody ever published to has nothing to go on with.
    if (image.offset === 0) continue;
    writeSync(fd, `${JSON.stringify(image)}\n`);
    topics += 1;
  }
  fsyncSync(fd);
  closeSync(fd);
  renameSync(`${file(dir)}.new`, file(dir));
  return topics;
}

/** Returns the number of topics taken over; 0 where there is no file. Throws when it is not what was written. */
export function loadTopics(hub: Hub, dir: string): number {
  if (!existsSync(file(dir))) return 0;
  const lines = readFileSync(file(dir), "utf8")
    .split("\n")
    .filter((line) => line !== "");
  for (const line of lines) hub.adopt(JSON.parse(line) as TopicImage);
  rmSync(file(dir));
  return lines.length;
}
