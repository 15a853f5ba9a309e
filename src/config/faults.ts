/**
 * What no single option of serve shows: values that do not go together, and whether clients need a token. Pure; the supervisor
 * and the command line only.
 */
import { isLoopback, overlap } from "./host-address.js";
import type { ServeConfig } from "./options.js";
import { flagName } from "./table.js";

type Related = Pick<
  ServeConfig,
  | "host"
  | "port"
  | "adminHost"
  | "adminPort"
  | "adminKeysFile"
  | "allowAnonymous"
  | "authSecretFile"
  | "authPublicKeyFile"
  | "authJwksFile"
  | "authIssuer"
  | "authAudience"
  | "authAlgorithms"
  | "authDefaultTopics"
>;

/** What no single option shows: values that do not go together, a sentence each. */
export function faultsOf(config: Related): string[] {
  return [...portFaults(config), ...authFaults(config)];
}

/** Both ports on one address. */
export function portFaults({
  host,
  port,
  adminHost,
  adminPort,
  adminKeysFile,
}: Pick<ServeConfig, "host" | "port" | "adminHost" | "adminPort" | "adminKeysFile">): string[] {
  const isOpen = !isLoopback(adminHost) && adminKeysFile === "";
  const open = `--admin-host: ${adminHost} is not loopback, and whoever reaches it could publish, read everything and restart workers; name a file of keys with --admin-keys-file, or leave the port on 127.0.0.1`;
  const isSamePort = port !== 0 && port === adminPort && overlap(host, adminHost);
  const same = `--admin-port: ${adminPort} is the public port (--port) too; give each its own`;
  return [...(isOpen ? [open] : []), ...(isSamePort ? [same] : [])];
}

/** Whether clients need a token. */
export const isAuthenticated = (
  config: Pick<ServeConfig, "authSecretFile" | "authPublicKeyFile" | "authJwksFile">,
): boolean => config.authSecretFile !== "" || config.authPublicKeyFile !== "" || config.authJwksFile !== "";

const KEY_FILES = "--auth-secret-file, --auth-public-key-file or --auth-jwks-file";

function authFaults(config: Related): string[] {
  const { host, allowAnonymous } = config;
  if (isAuthenticated(config)) {
    return allowAnonymous ? ["--allow-anonymous: clients need a token here; leave out this option, or the keys"] : [];
  }
  const needsKeys = ["authIssuer", "authAudience", "authAlgorithms", "authDefaultTopics"] as const;
  const faults = needsKeys
    .filter((key) => config[key] !== "")
    .map((key) => `--${flagName(key)}: says which tokens are accepted, and without a key none is: give ${KEY_FILES}`);
  if (!isLoopback(host) && !allowAnonymous) {
    const who = `whoever reaches ${host} could follow every topic`;
    faults.push(
      `--host: ${who}; give keys to authenticate clients (${KEY_FILES}), or --allow-anonymous if that is meant`,
    );
  }
  return faults;
}
