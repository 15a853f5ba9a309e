/** sysctl/99-megagate.conf is what the table renders, to the byte. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { it } from "node:test";
import { MILLION, renderSysctlFile } from "../../sysctl/remedies/render.js";

const PATH = "sysctl/99-megagate.conf";
const REGENERATE =
  "npm run build && node -e 'import(\"./dist/sysctl/render.js\").then((m) => process.stdout.write(m.renderSysctlFile(m.MILLION)))'" +
  ` > /tmp/99-megagate.conf && mv /tmp/99-megagate.conf ${PATH}`;

it("sysctl/99-megagate.conf is rendered from the settings table", () => {
  let committed = "";
  try {
    committed = readFileSync(PATH, "utf8");
  } catch (error) {
    assert.fail(
      `${PATH} cannot be read (${(error as Error).message}); run from the repository root, or make it: ${REGENERATE}`,
    );
  }
  assert.equal(committed, renderSysctlFile(MILLION), `${PATH} differs from sysctl/settings.ts; run: ${REGENERATE}`);
});
