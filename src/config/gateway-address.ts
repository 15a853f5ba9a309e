/**
 * Where a running gateway is, for the commands that look for one (publish, watch, load, drain, restart-workers): what its
 * own variables and its configuration file contain, when no address was given. So one environment file serves the
 * gateway and `systemctl reload`. Runs in the command line only.
 */
import { readConfigFile } from "./config-file.js";
import { type Environment, envName, given } from "./environment.js";
import { canonicalHost, isHostAddress, reachableHost, urlHost } from "./host-address.js";
import { type Derived, type Option, text, url } from "./table.js";

/** One option, from its variables or its file. */
function spoken(env: Environment, key: string): Derived | undefined {
  const name = envName(key);
  const own = given(env, name);
  if (own !== undefined) return { value: own, where: name };
  const path = env.MEGAGATE_CONFIG;
  if (path === undefined) return undefined;
  const value = readConfigFile(path).entries.get(key)?.value;
  const isWord = typeof value === "string" || typeof value === "number";
  return isWord ? { value: String(value), where: `${path} ${key}` } : undefined;
}

interface Address {
  readonly scheme: string;
  readonly hostKey: string;
  readonly portKey: string;
  readonly port: string;
  readonly path: string;
}

const derived =
  ({ scheme, hostKey, portKey, ...usual }: Address) =>
  (env: Environment): Derived | undefined => {
    const host = spoken(env, hostKey);
    const port = spoken(env, portKey);
    // For port 0 the kernel chooses: the configuration does not know which.
    if ((host ?? port) === undefined || port?.value === "0") return undefined;
    const address = host && isHostAddress(host.value) ? canonicalHost(host.value) : host?.value;
    const name = address === undefined ? "127.0.0.1" : urlHost(reachableHost(address));
    const value = `${scheme}//${name}:${port?.value ?? usual.port}${usual.path}`;
    return { value, where: (port ?? host)!.where };
  };

/** The private address. */
export const ADMIN_URL: Option<string> = {
  ...url({
    default: "http://127.0.0.1:8081",
    schemes: ["http:"],
    range: "http://HOST:PORT",
    explanation:
      "Admin address of the gateway; when not given, from MEGAGATE_ADMIN_HOST and MEGAGATE_ADMIN_PORT or the file that MEGAGATE_CONFIG names",
  }),
  env: "MEGAGATE_ADMIN_URL",
  derive: derived({ scheme: "http:", hostKey: "adminHost", portKey: "adminPort", port: "8081", path: "" }),
};

/** What lets a client of the gateway in. */
export const TOKEN_FILE: Option<string> = {
  ...text({
    default: "",
    unit: "path",
    range: "a file",
    explanation:
      "File with the token that the gateway asks its clients for, read before each connection; when not set, none is shown",
  }),
  env: "MEGAGATE_TOKEN_FILE",
};

/** What lets a command into it. */
export const ADMIN_KEY_FILE: Option<string> = {
  ...text({
    default: "",
    unit: "path",
    range: "a file with one key",
    explanation: "File with a key of the gateway's --admin-keys-file, where its admin port asks for one",
  }),
  env: "MEGAGATE_ADMIN_KEY_FILE",
};

/** The address of its clients. */
export const CLIENT_URL: Option<string> = {
  ...url({
    default: "ws://127.0.0.1:8080/ws",
    schemes: ["ws:", "wss:"],
    range: "ws://HOST[:PORT]/PATH",
    explanation: "WebSocket address of the gateway; when not given, from MEGAGATE_HOST and MEGAGATE_PORT",
  }),
  derive: derived({ scheme: "ws:", hostKey: "host", portKey: "port", port: "8080", path: "/ws" }),
};
