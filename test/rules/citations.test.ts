/**
 * A text that is cited can be read: no comment and no document of the repository names a `*.md` that is not in it.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { it } from "node:test";
import { trackedFiles } from "../support/repository.js";

/** Texts that this file itself names. */
const HERE = "test/rules/citations.test.ts";

it("no file cites a *.md that git does not track", () => {
  const files = trackedFiles();
  const texts = files.filter((path) => path.endsWith(".md"));
  const known = (name: string): boolean => texts.some((path) => path === name || path.endsWith(`/${name}`));
  const cited = new Map<string, string[]>();
  for (const path of files) {
    if (path === HERE || path === "package-lock.json") continue;
    for (const [index, line] of readFileSync(path, "utf8").split("\n").entries())
      for (const [name] of line.matchAll(/[\w.-]*[\w-]\.md\b/g))
        if (!known(name)) cited.set(name, [...(cited.get(name) ?? []), `${path}:${index + 1}`]);
  }
  const faults = [...cited].map(([name, places]) => `${name}, cited in ${places.join(", ")}`);
  assert.deepEqual(faults, [], "say there what it says, or cite a text that is tracked");
});
