/**
 * The few files that the public port serves: the client SDK as one browser file, and in development mode the example
 * page. Each worker reads them once at its start (16 KB); `npm run build` writes them to dist/browser.
 */
import { readFileSync } from "node:fs";

export interface Page {
  readonly path: string;
  readonly contentType: string;
  readonly body: string;
}

const read = (name: string): string => readFileSync(new URL(`../../browser/${name}`, import.meta.url), "utf8");

export function loadPages(dev: boolean): Page[] {
  const sdk = { path: "/megagate.js", contentType: "text/javascript; charset=utf-8", body: read("megagate.js") };
  const example = { path: "/", contentType: "text/html; charset=utf-8" };
  return dev ? [sdk, { ...example, body: read("extensions.html") }] : [sdk];
}
