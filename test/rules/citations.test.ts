/**
 * A text that is cited can be read: no comment and no document of the repository names a `*.md` that is not in it. What is
 * cited today and not in it is allowed by count, which may only shrink.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { it } from "node:test";
import { trackedFiles } from "../support/repository.js";

/** Citations left, by name of the text. Lower the number when you take one out, and remove the line with the last. */
const ALLOWED: Readonly<Record<string, number>> = { "KERNEL.md": 13 };

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
  for (const [name, places] of cited)
    assert.ok(
      places.length <= (ALLOWED[name] ?? 0),
      `${name} is not in the repository, and these ${places.length} places cite it (allowed: ${ALLOWED[name] ?? 0}): ` +
        `say there what it says, or cite a text that is tracked\n  ${places.join("\n  ")}`,
    );
  for (const name of Object.keys(ALLOWED))
    assert.ok(cited.has(name), `nothing cites ${name} any more: take its line out of ${HERE}`);
});
