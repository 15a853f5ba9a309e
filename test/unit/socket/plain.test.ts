/** Plain HTTP answers: which head and body uWebSockets is asked to write. The response and the request are fakes. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ANY_PAGE } from "../../../src/admission/origins.js";
import type { HttpRequest, HttpResponse } from "../../../src/socket/native.js";
import { headerLines, type PlainAnswer, preflight, writeAnswer } from "../../../src/socket/plain.js";

/** The calls of one answer, in order, without the header that every answer has. */
function written(answer: PlainAnswer, isHead = false): string[] {
  const calls: string[] = [];
  const res = {
    cork: (run: () => void) => run(),
    writeStatus: (status: string) => calls.push(status),
    writeHeader: (name: string, value: string) => calls.push(`${name}: ${value}`),
    end: (body?: string, closes?: boolean) => calls.push(`end ${body ?? ""}${closes === true ? ", close" : ""}`),
    endWithoutBody: () => calls.push("end without body"),
    tryEnd: (body: string, length: number) => {
      calls.push(`length ${length}${body}`);
      return [true, false];
    },
  } as unknown as HttpResponse;
  writeAnswer(res, answer, { isHead, cors: ANY_PAGE });
  const origin = "Access-Control-Allow-Origin: *";
  assert.ok(calls.includes(origin));
  return calls.filter((call) => call !== origin);
}

const request = (...lines: [name: string, value: string][]): HttpRequest =>
  ({
    forEach: (each: (name: string, value: string) => void) => {
      for (const [name, value] of lines) each(name, value);
    },
  }) as unknown as HttpRequest;

describe("a plain answer", () => {
  it("is JSON unless it names another type, and closes its connection", () => {
    assert.deepEqual(written({ status: 503, body: "{}", headers: { "Retry-After": "7" } }), [
      "503 Service Unavailable",
      "Content-Type: application/json",
      "Retry-After: 7",
      "end {}, close",
    ]);
    const page = { status: 200, body: "<p>", headers: { "Content-Type": "text/html" } };
    assert.deepEqual(written(page), ["200 OK", "Content-Type: text/html", "end <p>, close"]);
  });

  it("names every request header on which it depends in one Vary", () => {
    const calls: string[] = [];
    const res = {
      cork: (run: () => void) => run(),
      writeStatus: () => undefined,
      writeHeader: (name: string, value: string) => calls.push(`${name}: ${value}`),
      end: () => undefined,
    } as unknown as HttpResponse;
    const cors = { "Access-Control-Allow-Origin": "https://a.example", Vary: "Origin" };
    writeAnswer(res, { status: 200, body: "", headers: { Vary: "Host" } }, { isHead: false, cors });
    assert.deepEqual(calls, ["Access-Control-Allow-Origin: https://a.example", "Vary: Host, Origin"]);
  });

  it("to HEAD has the length of the body, without the body", () => {
    assert.deepEqual(written({ status: 200, body: "ä" }, true), [
      "200 OK",
      "Content-Type: application/json",
      "Connection: close",
      "length 2",
      "end ",
    ]);
  });

  it("of 204 has neither a body nor a length", () => {
    assert.deepEqual(written({ status: 204, body: "" }), ["204 No Content", "Connection: close", "end without body"]);
  });
});

it("a preflight allows each requested header by its name, and nothing that is not a name", () => {
  const allowed = (text: string): string | undefined => preflight(text).headers?.["Access-Control-Allow-Headers"];
  assert.equal(allowed("authorization, X-Own"), "authorization, X-Own");
  assert.equal(allowed("a b,ok,x\r\ny,,é"), "ok");
  assert.equal(allowed(""), undefined);
  assert.equal(preflight("").status, 204);
});

it("all lines of a header are joined in their order, and other headers are not read", () => {
  const req = request(["x-forwarded-for", "192.0.2.1"], ["x-forwarded-host", "h"], ["x-forwarded-for", "10.0.0.1"]);
  assert.equal(headerLines(req, "x-forwarded-for"), "192.0.2.1, 10.0.0.1");
  assert.equal(headerLines(req, "cookie"), "");
});
