/**
 * The few files that the public port serves: the client SDK as one browser file, and in development mode the example
 * page. Each worker reads them once at its start (16 KB); `npm run build` writes them to dist/browser.
 */
import { readFileSync } from "node:fs";
import type { ServeConfig } from "../config/options.js";

export interface StaticPage {
  readonly path: string;
  readonly contentType: string;
  readonly body: string;
}

const read = (name: string): string => readFileSync(new URL(`../../browser/${name}`, import.meta.url), "utf8");

export type PageConfig = Pick<ServeConfig, "dev" | "adminHost" | "adminPort" | "adminKeysFile">;

/** Where the example page names the admin port, of which a browser cannot know. */
const ADMIN_URL = "{{admin-url}}";
/** Where its command has a key, if the port asks for one. */
const KEY_HEADER = "{{key-header}}";

export function loadPages(config: PageConfig): StaticPage[] {
  const sdk = { path: "/megagate.js", contentType: "text/javascript; charset=utf-8", body: read("megagate.js") };
  if (!config.dev) return [sdk];
  const key = config.adminKeysFile === "" ? "" : "-H 'Authorization: Bearer KEY' ";
  const body = read("extensions.html").replaceAll(ADMIN_URL, adminUrl(config)).replaceAll(KEY_HEADER, key);
  return [sdk, { path: "/", contentType: "text/html; charset=utf-8", body }];
}

/** As a person at this machine reaches it: every interface is also loopback. */
function adminUrl({ adminHost, adminPort }: PageConfig): string {
  return `http://${adminHost === "0.0.0.0" ? "127.0.0.1" : adminHost}:${adminPort}`;
}
