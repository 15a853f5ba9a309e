/**
 * How each test file is run: by its kind, which is its folder below test/, and by the rows of EXCEPTIONS, each with its reason.
 * test/run.ts runs what this plans. Pure: nothing here looks at a disk or starts a process.
 */

export interface Kind {
  /** Many files of the kind share one process: a process for each would cost more than its tests. */
  readonly isBatched: boolean;
  /** Part of `make test`; everything is part of `make check`. */
  readonly isUsual: boolean;
  /** A file that takes longer is ended, and has failed. */
  readonly limitSeconds: number;
}

/** In the order in which they run. */
export const KINDS: Readonly<Record<string, Kind>> = {
  unit: { isBatched: true, isUsual: true, limitSeconds: 300 },
  rules: { isBatched: true, isUsual: true, limitSeconds: 300 },
  integration: { isBatched: false, isUsual: true, limitSeconds: 400 },
  browser: { isBatched: false, isUsual: true, limitSeconds: 200 },
  fuzz: { isBatched: false, isUsual: false, limitSeconds: 900 },
  scale: { isBatched: false, isUsual: false, limitSeconds: 900 },
};

export interface Exception {
  readonly file: string;
  /** Why no other file may run at the same time. */
  readonly alone?: string;
  /** Why it is left to `make check`. */
  readonly checkOnly?: string;
  /** About so long, on two quiet cores: the longest begin first, so that none is left over at the end. */
  readonly seconds?: number;
}

const at = (name: string): string => `test/integration/${name}.test.ts`;

export const EXCEPTIONS: readonly Exception[] = [
  {
    file: at("load-scenarios"),
    checkOnly: "twelve scenarios with hundreds of clients take a minute and a half of a whole core; load-command stays",
    seconds: 90,
  },
  {
    file: at("packages"),
    checkOnly: "it installs both packages in clean folders, for which npm may have to ask its registry",
    seconds: 60,
  },
  { file: at("hostile-handshakes"), seconds: 46 },
  { file: at("rolling-restart"), seconds: 43 },
  { file: at("state-dir"), seconds: 42 },
  { file: at("bad-input"), seconds: 38 },
  { file: at("broken-output"), seconds: 28 },
  { file: at("hung-processes"), seconds: 28 },
  { file: at("load-command"), seconds: 27 },
  { file: at("stalled-readers"), seconds: 24 },
  { file: at("admission"), seconds: 21 },
  { file: at("hostile-frames"), seconds: 18 },
  { file: at("slow-readers"), seconds: 17 },
  { file: at("processes-survive"), seconds: 17 },
  { file: at("stop"), seconds: 15 },
  {
    file: at("doctor-proves"),
    alone: "it lowers the connection-tracking table of the whole machine, and asks that nobody else is tracked",
    seconds: 31,
  },
  {
    file: at("hostile-publishers"),
    alone: "it bounds how long honest clients wait, while its own process makes a body of 120 MB",
    seconds: 23,
  },
  { file: at("full-and-dead"), alone: "it bounds in milliseconds how long a dead worker is answered for", seconds: 8 },
];

/** Files with one thought about each other's timing or load: nothing else runs at the same time as a file of these kinds. */
const ALONE_KINDS: Readonly<Record<string, string>> = {
  browser: "a browser and 500 publications a second keep both cores busy",
  fuzz: "attacks at a given pace keep both cores busy",
  scale: "tens of thousands of sockets, and memory and latency are measured",
};

/** Unit files go into so many processes: more than the cores of a small machine, because some files wait. */
export const BATCHES = 4;

export interface Job {
  readonly title: string;
  readonly files: readonly string[];
  readonly alone: string | undefined;
  readonly limitSeconds: number;
}

export interface Wanted {
  /** Kinds, folders and files; none: all. */
  readonly names: readonly string[];
  /** With what only `make check` runs. */
  readonly everything: boolean;
}

const kindName = (file: string): string => file.split("/")[1] ?? "";
const exceptionOf = (file: string): Exception | undefined => EXCEPTIONS.find((row) => row.file === file);

/** The files that were asked for. Throws for a name that no file has. */
export function choose(files: readonly string[], { names, everything }: Wanted): string[] {
  const isUsual = (file: string): boolean =>
    everything || (KINDS[kindName(file)]?.isUsual === true && exceptionOf(file)?.checkOnly === undefined);
  if (names.length === 0) return files.filter(isUsual);
  const chosen = names.flatMap((given) => {
    const name = given
      .replace(/^\.\//, "")
      .replace(/^dist\/(.*)\.js$/, "$1.ts")
      .replace(/\/$/, "");
    // A file that is named by its path is always run.
    if (files.includes(name)) return [name];
    const folder = name in KINDS ? `test/${name}/` : `${name}/`;
    const inside = files.filter((file) => file.startsWith(folder));
    if (inside.length === 0)
      throw new Error(
        `there is no test ${given}: give a kind (${Object.keys(KINDS).join(", ")}), a folder or a file, such as test/unit/flow.test.ts`,
      );
    const usual = inside.filter(isUsual);
    return usual.length > 0 ? usual : inside;
  });
  return [...new Set(chosen)];
}

/** In the order in which they begin: batches, then files that share the machine, the longest first, then those that run alone. */
export function jobsOf(files: readonly string[]): Job[] {
  const batched = files.filter((file) => KINDS[kindName(file)]?.isBatched === true);
  const single = files.filter((file) => !batched.includes(file));
  const few = batched.length <= BATCHES;
  const batches = few ? batched.map((file) => [file]) : dealt(batched, BATCHES);
  const jobs = batches.map(
    (members, i): Job => ({
      title: few ? members[0]! : `${namesOf(members)}, part ${i + 1} of ${BATCHES}: ${members.length} files`,
      files: members,
      alone: undefined,
      limitSeconds: limitOf(members[0]!),
    }),
  );
  const length = (file: string): number => exceptionOf(file)?.seconds ?? 0;
  const singles = [...single].sort((a, b) => length(b) - length(a)).map(jobOf);
  return [
    ...jobs,
    ...singles.filter(({ alone }) => alone === undefined),
    ...singles.filter(({ alone }) => alone !== undefined),
  ];
}

export const jobOf = (file: string): Job => ({
  title: file,
  files: [file],
  alone: exceptionOf(file)?.alone ?? ALONE_KINDS[kindName(file)],
  limitSeconds: limitOf(file),
});

const limitOf = (file: string): number => KINDS[kindName(file)]?.limitSeconds ?? 300;
const namesOf = (files: readonly string[]): string => [...new Set(files.map(kindName))].join(" and ");

/** As cards are dealt: files that lie side by side in a folder, and are alike, go to different hands. */
function dealt(files: readonly string[], hands: number): string[][] {
  return Array.from({ length: hands }, (_, hand) => files.filter((_file, i) => i % hands === hand));
}
