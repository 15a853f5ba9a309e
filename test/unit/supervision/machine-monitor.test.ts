/** What the supervisor makes of its machine: lines of the log, and news for the hub when there are any. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { LoadSample, MachineNews } from "../../../src/supervision/control-channel.js";
import { MachineMonitor, type MachineProbe } from "../../../src/supervision/machine-monitor.js";

const PRESENT: LoadSample = {
  connections: 70,
  workers: 2,
  workersListening: 2,
  refusedFull: 0,
  lagSeconds: 0,
  cap: { connections: 200, limit: "descriptors" },
};
const NOTHING: ReturnType<MachineProbe["sample"]> = { began: [], over: [] };

interface Fake {
  machine: MachineProbe;
  look: MachineProbe["sample"];
  events: Record<string, number>;
  surveys: number[];
  said: string[];
  news: MachineNews[];
}

function watched(): { fake: Fake; watching: MachineMonitor } {
  const fake: Omit<Fake, "machine"> = {
    look: () => NOTHING,
    events: { conntrack: 0 },
    surveys: [],
    said: [],
    news: [],
  };
  const machine: MachineProbe = {
    cpus: 2,
    memoryBytes: 8e9,
    first: undefined,
    ceilings: (open) => {
      fake.surveys.push(open);
      return { memory: 5000 };
    },
    sample: (present) => fake.look(present),
    get limitEvents() {
      return { ...fake.events };
    },
  };
  const log = (level: string, message: string, fields: object = {}): void => {
    fake.said.push(`${level} ${message} ${JSON.stringify(fields)}`);
  };
  const watching = new MachineMonitor(machine, log, (news) => fake.news.push(news));
  return { fake: Object.assign(fake, { machine }), watching };
}

describe("the supervisor's watch", () => {
  it("tells the hub ceilings and events when they have changed, and all of it again when the hub is new", () => {
    const { fake, watching } = watched();
    watching.update(PRESENT);
    watching.update(PRESENT);
    const first: MachineNews = { type: "machine", ceilings: { memory: 5000 }, limitEvents: { conntrack: 0 } };
    assert.deepEqual(fake.news, [first]);
    fake.events = { conntrack: 1 };
    watching.update(PRESENT);
    const second = { ...first, limitEvents: { conntrack: 1 } };
    assert.deepEqual(fake.news, [first, second]);
    watching.renew();
    watching.update(PRESENT);
    assert.deepEqual(fake.news, [first, second, second]);
  });

  it("surveys the machine now and then, and only when it is known how many connections are open", () => {
    const { fake, watching } = watched();
    watching.update({ ...PRESENT, workers: 0, connections: 0 });
    assert.deepEqual(fake.surveys, []);
    for (let i = 0; i < 10; i++) watching.update(PRESENT);
    assert.deepEqual(fake.surveys, [70]);
  });

  it("says in one line what stops the gateway, without numbers that nobody knows, and in another that it is over", () => {
    const { fake, watching } = watched();
    const cause = {
      id: "conntrack",
      title: "the table is full",
      numbers: { dropped: 9, limit: null },
      remedy: "raise it",
    };
    fake.look = () => ({ began: [cause], over: [{ id: "cpu", seconds: 7 }] });
    watching.update(PRESENT);
    assert.deepEqual(fake.said, [
      'warn the table is full (dropped 9); remedy: raise it {"limit":"conntrack","connections":70}',
      'info no sign of cpu any more {"limit":"cpu","seconds":7}',
    ]);
  });

  it("outlives a machine that cannot be sampled, and says so once", () => {
    const { fake, watching } = watched();
    fake.look = () => {
      throw new Error("no /proc");
    };
    for (let i = 0; i < 3; i++) watching.update(PRESENT);
    assert.deepEqual(fake.said, ['error this machine could not be sampled {"error":"Error: no /proc"}']);
  });
});
