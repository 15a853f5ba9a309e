/**
 * The files of keys that tokens are verified with: read by the supervisor when it starts, and again before it replaces the
 * workers, which get the keys over their control channel. A file that cannot be used stops a start; later it is told in the log,
 * and the keys that were read last go on. No key is ever in an argument, the environment, a log line or an error.
 */
import { listOf } from "../admission/authentication.js";
import { type Algorithm, checkKeys, keyOfSecret, keysOfJwks, keysOfPem, type PlainKey } from "../admission/keys.js";
import { readBounded } from "../config/bounded-file.js";
import type { ServeConfig } from "../config/options.js";
import { GatewayError } from "../errors.js";
import type { Log } from "../log.js";

export type AuthFileConfig = Pick<
  ServeConfig,
  "authSecretFile" | "authPublicKeyFile" | "authJwksFile" | "authAlgorithms"
>;

/** 64 RSA keys with their certificates have about 200 KB. */
const MAX_BYTES = 1024 * 1024;

export class AuthFiles {
  readonly #config: AuthFileConfig;
  readonly #log: Log;
  #keys: readonly PlainKey[];

  /** Throws `config` where a file cannot be used. */
  constructor(config: AuthFileConfig, log: Log) {
    this.#config = config;
    this.#log = log;
    this.#keys = this.#read();
  }

  /** Empty where clients are not authenticated. */
  get keys(): readonly PlainKey[] {
    return this.#keys;
  }

  /** Reads the files again. */
  reload(): void {
    try {
      this.#keys = this.#read();
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      this.#log("error", `the keys that were read before stay in use: ${error.detail}`);
    }
  }

  #read(): readonly PlainKey[] {
    const { authSecretFile, authPublicKeyFile, authJwksFile, authAlgorithms } = this.#config;
    const keys: PlainKey[] = [];
    if (authSecretFile !== "") keys.push(keyOfSecret(authSecretFile, readFile(authSecretFile)));
    if (authPublicKeyFile !== "") keys.push(...keysOfPem(authPublicKeyFile, readFile(authPublicKeyFile)));
    if (authJwksFile !== "") {
      const { keys: named, skipped } = keysOfJwks(authJwksFile, readFile(authJwksFile));
      keys.push(...named);
      for (const notice of skipped) this.#log("info", notice);
    }
    checkKeys(keys);
    const unused = listOf(authAlgorithms).find(
      (name) => !keys.some(({ algorithm }) => algorithm === (name as Algorithm)),
    );
    if (unused !== undefined) throw new GatewayError("config", `--auth-algorithms: no key is for ${unused}`);
    return keys;
  }
}

function readFile(path: string): Buffer {
  let bytes: Buffer | undefined;
  try {
    bytes = readBounded(path, MAX_BYTES);
  } catch (error) {
    throw new GatewayError("config", `cannot read the keys in ${path}: ${(error as Error).message}`);
  }
  if (!bytes) throw new GatewayError("config", `${path}: has more than ${MAX_BYTES} bytes`);
  return bytes;
}
