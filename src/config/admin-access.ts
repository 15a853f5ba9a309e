/**
 * How a command gets into the admin port of a running gateway: the key in the file of `--admin-key-file`, as a header, and in
 * words why the gateway did not take it. The key itself goes nowhere else: no fault and no option quotes it. Runs in the
 * command line and in the load's coordinator.
 */
import { ERRORS } from "../errors.js";
import { KEY, MIN_KEY_CHARACTERS } from "./admin-keys.js";
import { publicKeys, readSecretFile, type SecretFile, unusable } from "./secret-file.js";

/** A gateway's admin port and the file with a key for it, as options name them; "" where the port needs none. */
export interface AdminAccess {
  readonly adminUrl: string;
  readonly adminKeyFile: string;
}

/** The header that shows the key; none without a file. Throws `config` where the file does not hold one key. */
export function authorization({ adminKeyFile: path }: Pick<AdminAccess, "adminKeyFile">): Record<string, string> {
  if (path === "") return {};
  const file: SecretFile = { option: "--admin-key-file", path };
  const { text, isPublic } = readSecretFile(file);
  const key = text.trim();
  if (/\s/.test(key))
    throw unusable(file, "it must hold one key and nothing else: the third word of a line of --admin-keys-file");
  if (key.startsWith("sha256:")) throw unusable(file, "it must hold the key itself, not its digest");
  if (key.length < MIN_KEY_CHARACTERS || !KEY.test(key))
    throw unusable(file, `it must hold one key, of at least ${MIN_KEY_CHARACTERS} letters, digits and ._~+/-`);
  if (isPublic) throw publicKeys(file);
  return { authorization: `Bearer ${key}` };
}

/** The gateway's answer, as far as it says why. */
export interface Refusal {
  readonly status: number;
  /** `code` of the body. */
  readonly code: unknown;
  /** `error` of the body. */
  readonly error: unknown;
}

/** Why the key, or its absence, was refused, and the remedy; undefined for any other answer. */
export function whyNotAdmitted({ status, code, error }: Refusal, access: AdminAccess): string | undefined {
  const { adminUrl, adminKeyFile } = access;
  if (status === 401 && adminKeyFile === "")
    return `the admin port at ${adminUrl} asks for a key: name a file that holds one with --admin-key-file or MEGAGATE_ADMIN_KEY_FILE`;
  if (status === 401)
    return `the admin port at ${adminUrl} does not know the key in ${adminKeyFile}: take one that is in its --admin-keys-file`;
  if (status === 403 && code === ERRORS.keyLacksScope.code)
    return `the key in ${adminKeyFile} does not suffice at ${adminUrl}: ${String(error)}`;
  return undefined;
}
