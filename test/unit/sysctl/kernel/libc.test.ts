/** Socket addresses as the kernel wants them, and errors by name. No call into the C library is made here. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { errorName, socketAddress } from "../../../../sysctl/kernel/libc.js";

describe("libc", () => {
  it("builds IPv4 and IPv6 addresses", () => {
    assert.equal(socketAddress("127.1.0.9", 8080).toString("hex"), `02001f907f010009${"00".repeat(8)}`);
    const six = (address: string): string => socketAddress(address, 80).toString("hex").slice(16, 48);
    assert.equal(six("::1"), "00000000000000000000000000000001");
    assert.equal(six("2001:db8::7:8"), "20010db8000000000000000000070008");
    assert.equal(six("1:2:3:4:5:6:7:8"), "00010002000300040005000600070008");
    assert.equal(six("fe80::"), "fe800000000000000000000000000000");
  });

  it("names errors", () => {
    assert.deepEqual([-111, -99, -24, -9999].map(errorName), ["ECONNREFUSED", "EADDRNOTAVAIL", "EMFILE", "errno_9999"]);
  });
});
