/** sysctl/99-megagate.conf equals what the settings table renders, byte for byte. `UPDATE=1` writes it instead (make docs). */

import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { it } from "node:test";
import { MILLION, renderSysctlFile } from "../../sysctl/remedies/render.js";

const PATH = "sysctl/99-megagate.conf";

it("sysctl/99-megagate.conf is rendered from the settings table", () => {
  const wanted = renderSysctlFile(MILLION);
  if (process.env.UPDATE === "1") writeFileSync(PATH, wanted);
  const committed = existsSync(PATH) ? readFileSync(PATH, "utf8") : "";
  assert.equal(committed, wanted, `${PATH} differs from sysctl/settings.ts; run: make docs`);
});
