/**
 * How small a gateway for trying out is: `--dev` sizes it for a few clients on a laptop, where the defaults are those of a
 * million (53 worker processes under a descriptor limit of 20,000). Pure; runs in the command line, before the processes start.
 */
import type { SERVE_OPTIONS } from "./options.js";
import type { Resolved } from "./resolve.js";

export const DEV_CONNECTIONS = 1000;
/** More than one, so that what a restart of the workers does can be seen. */
export const DEV_WORKERS = 2;

type ServeOptions = typeof SERVE_OPTIONS;

/** The options with the size that suits --dev, where none was given. */
export function withDevSize({ config, sources }: Resolved<ServeOptions>): Resolved<ServeOptions> {
  if (!config.dev) return { config, sources };
  const connections = sources.connections === "default" ? DEV_CONNECTIONS : config.connections;
  const isSmall = sources.workers === "default" && connections === DEV_CONNECTIONS;
  const workers = isSmall ? DEV_WORKERS : config.workers;
  return { config: Object.freeze({ ...config, connections, workers }), sources };
}
