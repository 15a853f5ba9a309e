/**
 * What users install works where nothing of this repository is at hand: both packages are packed, installed in clean folders
 * and used by Node, by TypeScript in three module modes, and by a browser through a bundler. The gateway that they talk to is the
 * installed one. `npm ci` has put every dependency into npm's cache, so the registry is asked only where that was emptied.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { Gateway } from "../support/gateway.js";
import { needsPrograms } from "../support/needs.js";

interface Packed {
  readonly tarball: string;
  readonly files: readonly string[];
  readonly bytes: number;
}
interface Manifest {
  readonly version: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly os?: readonly string[];
  readonly files?: readonly string[];
}

const root = mkdtempSync(join(tmpdir(), "megagate-packages-"));
const run = promisify(execFile);
const manifestOf = (folder: string): Manifest =>
  JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest;

/** Installs tarballs and packages of the registry in a folder with nothing else in it. */
async function cleanFolder(name: string, ...packages: readonly string[]): Promise<string> {
  const folder = join(root, name);
  mkdirSync(folder);
  writeFileSync(join(folder, "package.json"), '{"private":true}');
  const quiet = ["--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"];
  await run("npm", ["install", ...quiet, "--prefix", folder, ...packages], { cwd: folder });
  return folder;
}

async function pack(...args: readonly string[]): Promise<Packed> {
  const { stdout } = await run("npm", ["pack", "--silent", "--json", "--pack-destination", root, ...args]);
  const [report] = Object.values(
    JSON.parse(stdout) as Record<string, { filename: string; files: { path: string }[]; unpackedSize: number }>,
  );
  const { filename, files, unpackedSize } = report!;
  return { tarball: join(root, filename), files: files.map(({ path }) => path), bytes: unpackedSize };
}

/** Fails with what the program printed. */
async function succeeds(program: string, args: readonly string[], cwd: string): Promise<string> {
  try {
    return (await run(program, [...args], { cwd, timeout: 60_000 })).stdout;
  } catch (error) {
    const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
    throw new Error(`${program} ${args.join(" ")}\n${stdout}${stderr}`, { cause: error });
  }
}

const TYPED = `
  interface Call { readonly status: string }
  class NoSocket { readyState = 0; onopen = null; onmessage = null; onclose = null; onerror = null; send(): void {} close(): void {} }
  const client = new MegagateClient({ url: "ws://127.0.0.1/ws", WebSocket: NoSocket });
  const onPush = ({ data }: Push<Call>): string | undefined => data?.status;
  const calls = client.subscribe<Call>("exts", { snapshot: true, onPush });
  const first: Call | undefined = calls.state.get("8001");
  // @ts-expect-error a call is no number
  const wrong: ReadonlyMap<string, number> = calls.state;
  // @ts-expect-error what has no type is looked at first
  client.subscribe("exts", { onPush: ({ data }) => data.status });
  if (first === undefined && wrong.size === 0) console.log(client.state);
  client.close();`;
const IMPORT = 'import { MegagateClient, type Push } from "megagate-client";';
const DYNAMIC = `import type { Push } from "megagate-client" with { "resolution-mode": "import" };
async function main(): Promise<void> {
  const { MegagateClient } = await import("megagate-client");${TYPED}
}
void main();`;
const MODES = [
  { module: "nodenext", moduleResolution: "nodenext", file: "main.mts", source: IMPORT + TYPED, runs: "main.mjs" },
  { module: "esnext", moduleResolution: "bundler", file: "main.ts", source: IMPORT + TYPED },
  { module: "node16", moduleResolution: "node16", file: "main.cts", source: DYNAMIC, runs: "main.cjs" },
];

/** Compiles sources in a folder of their own, checking the package's declarations too; returns the folder. */
async function compiled(
  place: string,
  sources: Readonly<Record<string, string>>,
  { module, moduleResolution }: { readonly module: string; readonly moduleResolution: string },
): Promise<string> {
  mkdirSync(place);
  for (const [file, source] of Object.entries(sources)) writeFileSync(join(place, file), source);
  const checks = { strict: true, skipLibCheck: false, lib: ["es2022", "dom"], types: [] };
  const compilerOptions = { module, moduleResolution, target: "es2022", ...checks };
  writeFileSync(join(place, "tsconfig.json"), JSON.stringify({ compilerOptions, files: Object.keys(sources) }));
  await succeeds(process.execPath, ["node_modules/typescript/bin/tsc", "--project", place], ".");
  return place;
}

const CONNECT = `import { MegagateClient } from "megagate-client";
import WebSocket from "ws";
const [url, admin] = process.argv.slice(2);
const client = new MegagateClient({ url, WebSocket });
const publish = () => fetch(admin + "/publish", { method: "POST", body: '{"topic":"news","data":{"hello":"world"}}' });
client.subscribe("news", {
  onState: publish,
  onPush: ({ data, offset }) => {
    console.log(JSON.stringify({ data, offset }));
    client.close();
  },
});`;

const PAGE = `import { MegagateClient } from "megagate-client";
const client = new MegagateClient({ url: location.origin.replace("http", "ws") + "/ws" });
client.subscribe("page", { onState: () => (document.title = "open"), onPush: ({ data }) => (document.title = String(data)) });`;

const CHROMIUM = "/usr/bin/chromium";

async function bundle(folder: string, source: string): Promise<string> {
  const entry = join(folder, "entry.js");
  writeFileSync(entry, source);
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    minify: true,
    format: "esm",
    write: false,
  });
  return outputFiles[0]!.text;
}

describe("the packages, installed in clean folders", { timeout: 240_000 }, () => {
  let client: Packed;
  let server: Packed;
  let folder: string;
  let gateway: Gateway;

  before(async () => {
    client = await pack("--workspace", "megagate-client");
    server = await pack();
    const { version } = manifestOf("node_modules/ws");
    folder = await cleanFolder("client", client.tarball, `ws@${version}`);
    const installed = await cleanFolder("gateway", server.tarball);
    const program = join(installed, "node_modules/.bin/megagate");
    gateway = await Gateway.startIn({ program }, "--workers", "1", "--connections", "100");
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    rmSync(root, { recursive: true, force: true });
  });

  it("have one version, and the client neither a dependency nor a system that it needs", () => {
    const installed = manifestOf(join(folder, "node_modules/megagate-client"));
    assert.equal(installed.version, manifestOf(".").version);
    assert.deepEqual([installed.dependencies, installed.os], [undefined, undefined]);
  });

  it("hold what is run and nothing else", () => {
    const odd = (files: readonly string[], expected: RegExp): string[] => files.filter((path) => !expected.test(path));
    assert.deepEqual(odd(client.files, /^(dist\/[\w-]+\.(js|js\.map|d\.ts)|package\.json|README\.md|LICENSE)$/), []);
    for (const path of ["README.md", "LICENSE", "dist/client.js"]) assert.ok(client.files.includes(path), path);
    const parts =
      /^(dist\/(src|load|sysctl|browser)|sysctl|dashboards|src)\/|^(package\.json|(load\/[\w/-]*)?README[\w.-]*\.md|LICENSE)$/;
    assert.deepEqual(odd(server.files, parts), []);
    assert.deepEqual(
      server.files.filter((path) => /\.test\.js$|\.map$/.test(path)),
      [],
    );
    // npm says nothing of a file that it was told to pack and that is not there.
    for (const path of manifestOf(".").files ?? [])
      assert.ok(path.includes("*") || existsSync(path), `package.json packs ${path}, which is not there`);
    assert.ok(server.files.includes("dist/browser/megagate.js"), "not built: npm run build");
    const stale = server.files.filter(
      (path) =>
        /^dist\/(src|load|sysctl)\//.test(path) &&
        !existsSync(path.replace("dist/", "").replace(/\.js$|\.d\.ts$/, ".ts")),
    );
    assert.deepEqual(stale, [], "built from sources that are gone: rm -rf dist and build again");
    assert.ok(server.files.length < 500 && server.bytes < 3e6, `${server.files.length} files, ${server.bytes} bytes`);
  });

  it("please publint and are-the-types-wrong", async () => {
    for (const { tarball } of [client, server]) await succeeds("npm", ["run", "publint", "--", tarball], ".");
    await succeeds("npm", ["run", "attw", "--", client.tarball], ".");
  });

  it("the client is as small as its README and the others say", async () => {
    const bytes = gzipSync(await bundle(folder, 'export * from "megagate-client";'), { level: 9 }).length;
    for (const path of ["src/client/README.md", "README.md", "README.zh-CN.md", "CHANGELOG.md"]) {
      const [, english, chinese] = /([\d.]+) kB gzipped|gzip 后 ([\d.]+) kB/.exec(readFileSync(path, "utf8")) ?? [];
      const said = english ?? chinese;
      if (said === undefined && path !== "src/client/README.md") continue;
      assert.ok(Math.abs(bytes / 1000 - Number(said)) < 0.15, `${bytes} bytes, and ${path} says ${said} kB`);
    }
  });

  it("in Node: connects, publishes, receives, and leaves nothing that keeps the process", async () => {
    writeFileSync(join(folder, "connect.mjs"), CONNECT);
    const admin = `http://127.0.0.1:${gateway.adminPort}`;
    const said = await succeeds(process.execPath, ["connect.mjs", gateway.url, admin], folder);
    assert.deepEqual(JSON.parse(said), { data: { hello: "world" }, offset: 1 });
  });

  for (const { file, source, runs, ...mode } of MODES)
    it(`in TypeScript, module ${mode.module}, resolution ${mode.moduleResolution}`, async () => {
      const place = await compiled(join(folder, mode.moduleResolution), { [file]: source }, mode);
      if (runs) assert.equal(await succeeds(process.execPath, [runs], place), "connecting\n");
    });

  it("in TypeScript, as its README shows", async () => {
    const [, example = ""] = /```ts\n([\s\S]*?)```/.exec(readFileSync("src/client/README.md", "utf8")) ?? [];
    await compiled(join(folder, "readme"), { "example.mts": example }, MODES[0]!);
  });

  it("in a browser, through a bundler", { skip: needsPrograms(CHROMIUM) }, async () => {
    const script = await bundle(folder, PAGE);
    const flags = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"];
    const browser = await chromium.launch({ executablePath: CHROMIUM, args: flags });
    try {
      const page = await browser.newPage();
      await page.goto(`http://127.0.0.1:${gateway.port}/megagate.js`);
      await page.setContent("<title>loading</title>");
      await page.addScriptTag({ content: script, type: "module" });
      await page.waitForFunction('document.title === "open"', undefined, { timeout: 20_000 });
      await gateway.publish("page", "pushed");
      await page.waitForFunction('document.title === "pushed"', undefined, { timeout: 20_000 });
    } finally {
      await browser.close();
    }
  });
});
