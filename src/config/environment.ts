/**
 * The MEGAGATE_* names: which option each one sets, and which are not ours at all. An option of `serve` is
 * MEGAGATE_<OPTION>; one of any other command carries the command, MEGAGATE_<COMMAND>_<OPTION>, because the same word has
 * other limits there. A row that means the same to every command names its variable itself (`Option.env`).
 * Command line only; reads nothing but what it is given.
 */
import { nearest } from "./nearest.js";

export type Environment = Readonly<Record<string, string | undefined>>;

const capitals = (words: string): string => words.replace(/-|(?=[A-Z])/g, "_").toUpperCase();

/** idleTimeoutSeconds → MEGAGATE_IDLE_TIMEOUT_SECONDS; connections of tune → MEGAGATE_TUNE_CONNECTIONS. */
export function envName(key: string, command = "serve", own?: string): string {
  if (own !== undefined) return own;
  return command === "serve" ? `MEGAGATE_${capitals(key)}` : `MEGAGATE_${capitals(command)}_${capitals(key)}`;
}

/** The value of an option's variable; undefined where the kubelet has put the address of a Service there. */
export function given(env: Environment, name: string): string | undefined {
  const value = env[name];
  return value === undefined || isServiceLink(name, value) ? undefined : value;
}

/** A Service named `megagate` gives every pod of its namespace MEGAGATE_PORT=tcp://10.96.0.17:8080. Docker's links too. */
function isServiceLink(name: string, value: string): boolean {
  return name.endsWith("_PORT") && /^(?:tcp|udp|sctp):\/\//i.test(value);
}

/** What comes with such a link: MEGAGATE_SERVICE_HOST, MEGAGATE_PORT_8080_TCP_ADDR, MEGAGATE_ADMIN_SERVICE_PORT_HTTP, … */
const OF_A_SERVICE =
  /_(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)$/;

/** The names that exist: of the command that runs, and of all. */
export interface KnownNames {
  readonly command: string;
  readonly own: ReadonlySet<string>;
  readonly all: ReadonlySet<string>;
}

/** What the person who set these variables should know, one sentence each: nothing of them is ignored quietly. */
export function noticesOf(env: Environment, known: KnownNames): string[] {
  const names = Object.keys(env).filter((name) => name.startsWith("MEGAGATE_"));
  const links = names.filter((name) => known.all.has(name) && isServiceLink(name, env[name] ?? ""));
  const strange = names.filter(
    (name) => !known.all.has(name) && !OF_A_SERVICE.test(name) && !isServiceLink(name, env[name] ?? ""),
  );
  const meantFor = names.flatMap((name) => {
    const ours = name.replace("MEGAGATE_", `MEGAGATE_${capitals(known.command)}_`);
    return known.all.has(name) && !known.own.has(name) && known.own.has(ours) ? [{ name, ours }] : [];
  });
  return [
    ...(links.length === 0
      ? []
      : [`${links.join(", ")}: the address of a Service, set by Kubernetes and not by you; ignored`]),
    ...strange.map((name) => `${name} is no option of any command, and does nothing${meant(name, known)}`),
    ...meantFor.map(({ name, ours }) => `${name} is an option of serve; for ${known.command} set ${ours}`),
  ];
}

/** Those that differ by the command alone, then those that are nearly it; of the command that runs first. */
function meant(name: string, { own, all }: KnownNames): string {
  const word = name.replace("MEGAGATE_", "");
  const words = (names: ReadonlySet<string>): string[] => [...names].map((each) => each.replace("MEGAGATE_", ""));
  const endsSo = (names: ReadonlySet<string>): string | undefined =>
    words(names).find((each) => each.endsWith(`_${word}`));
  const found = endsSo(own) ?? nearest(word, words(own)) ?? endsSo(all) ?? nearest(word, words(all));
  return found === undefined ? "" : ` (did you mean MEGAGATE_${found}?)`;
}
