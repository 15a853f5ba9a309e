/** The kernel's tables as text, and the numbers out of them. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { currentEstablished, sumOfColumn } from "../../../../sysctl/prove/counters.js";

const SNMP = `Ip: Forwarding DefaultTTL
Ip: 1 64
Tcp: RtoAlgorithm CurrEstab InSegs
Tcp: 1 10000 270
Udp: InDatagrams
Udp: 7
`;

const STATISTICS = `entries  clashres insert insert_failed drop early_drop
00001388  00000000 00000001 00000002 00000010 00000000
00001388  00000000 00000001 00000002 0000000a 00000000
`;

describe("counters", () => {
  it("finds CurrEstab by its name", () => {
    assert.equal(currentEstablished(SNMP), 10_000);
    assert.equal(currentEstablished(""), 0);
  });

  it("adds a hexadecimal column over the processors, and only the column of that name", () => {
    assert.equal(sumOfColumn(STATISTICS, "drop"), 26);
    assert.equal(sumOfColumn(STATISTICS, "insert_failed"), 4);
    assert.equal(sumOfColumn(STATISTICS, "search_restart"), 0);
  });
});
