/**
 * A hub without a process: alone, or with a log in files of its own that outlive it. `LoggedHub.start` kills the hub and starts the
 * next one on the same files.
 */
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monotonicMs } from "../../src/clock.js";
import { Hub, type HubOptions } from "../../src/hub/hub.js";
import type { Peer } from "../../src/hub/topic-table.js";
import { LogFile } from "../../src/hub/wal/file.js";
import { newGeneration, openWal } from "../../src/hub/wal/open.js";
import type { Wal } from "../../src/hub/wal/wal.js";
import { type Frame, FrameReader } from "../../src/hub/wire.js";
import { TopicRules } from "../../src/topics/rules.js";

export const RULE = {
  historyCount: 10,
  historyBytes: 10_000,
  historySeconds: 60,
  stateKeys: 10,
  slowReaders: "disconnect",
} as const;

export function makeHub(options: Partial<HubOptions> = {}): Hub {
  const hub = new Hub({
    rules: new TopicRules(RULE, ""),
    generation: "e",
    memoryBytes: 1e9,
    lingerMs: 0,
    idempotencyBytes: 1e6,
    now: monotonicMs,
    ...options,
  });
  hub.table.mayForget = true;
  return hub;
}

/** A worker's end of a link, which keeps the frames that it gets. */
export class FakePeer implements Peer {
  readonly frames: Frame[] = [];
  readonly requests = new Map<string, number>();
  readonly #reader = new FrameReader();

  write(frame: Buffer): void {
    this.frames.push(...this.#reader.read(Buffer.from(frame)));
  }

  answer(frame: Buffer): void {
    this.write(frame);
  }

  requestOf(topic: string): number {
    return this.requests.get(topic) ?? 0;
  }
}

export const follow = (topic: string, request = 1, position?: { epoch: string; offset: number }) =>
  ({ type: "follow", topic, request, ...position }) as const;

/** A file of the log whose hub can be killed: its later writes have no effect. */
export class MortalFile extends LogFile {
  isDead = false;
  /** Free space of the disk: an append beyond it fails with ENOSPC. */
  bytesFree = Infinity;

  override append(block: Uint8Array): void {
    if (this.isDead) return;
    if (block.length > this.bytesFree) throw Object.assign(new Error("ENOSPC: no space left"), { code: "ENOSPC" });
    this.bytesFree -= block.length;
    super.append(block);
  }

  override empty(): void {
    if (!this.isDead) super.empty();
  }

  override markStale(isStale: boolean): void {
    if (!this.isDead) super.markStale(isStale);
  }
}

/** Hubs, one after the other, that share the files of a log. */
export class LoggedHub implements Disposable {
  readonly #options: Partial<HubOptions>;
  readonly #kinds: readonly LogFile["kind"][];
  hub!: Hub;
  wal!: Wal;
  files: MortalFile[] = [];
  /** What was reported to the supervisor about the log. */
  readonly states: string[] = [];
  readonly lines: string[] = [];
  readonly #dir = mkdtempSync(join(tmpdir(), "megagate-log-"));
  readonly #fds: number[];
  #held: (() => void)[] = [];

  constructor(options: Partial<HubOptions> = {}, kinds: readonly LogFile["kind"][] = ["memory", "memory"]) {
    this.#options = options;
    this.#kinds = kinds;
    this.#fds = kinds.map((_, i) => openSync(join(this.#dir, String(i)), "w+"));
    this.start();
  }

  /** Kills the present hub, with the frames that wait and what it had not written, and starts the next one. */
  start(): void {
    for (const file of this.files) file.isDead = true;
    this.#held = [];
    this.hub = makeHub({ ...this.#options, generation: newGeneration() });
    this.files = this.#kinds.map((kind, i) => new MortalFile(this.#fds[i]!, kind));
    const { files } = this;
    this.wal = openWal(this.hub, {
      files,
      isWhole: true,
      sync: "none",
      log: (_level, message) => void this.lines.push(message),
      onWritten: () => {
        if (!files[0]!.isDead) this.#release();
      },
      onState: (state) => {
        this.states.push(state);
        return Promise.resolve();
      },
    });
  }

  /** Calls `release` when this turn is in the log. */
  hold(release: () => void): void {
    this.#held.push(release);
    this.wal.schedule();
  }

  #release(): void {
    const held = this.#held;
    this.#held = [];
    for (const release of held) release();
  }

  async flushed(): Promise<void> {
    await this.wal.flushed();
  }

  [Symbol.dispose](): void {
    for (const file of this.files) file.isDead = true;
    for (const fd of this.#fds) closeSync(fd);
    rmSync(this.#dir, { recursive: true });
  }
}
