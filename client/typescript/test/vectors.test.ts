import { readFileSync } from "node:fs";

import { decode, encode, PortableJsonError } from "../src/portable/index.js";
import { readTree } from "../src/portable/reader.js";
import { notation, type Notation } from "./support/notation.js";

interface Vector {
  name: string;
  text?: string;
  hex?: string;
  meaning: string;
  gives: { javascript?: Notation };
  again?: { javascript?: string };
}

const FILE = new URL("../../../protos/portable-json/vectors.json", import.meta.url);
const { vectors } = JSON.parse(readFileSync(FILE, "utf8")) as { vectors: Vector[] };

const bytesOf = (vector: Vector) =>
  vector.hex === undefined ? Buffer.from(vector.text ?? "", "utf8") : Buffer.from(vector.hex, "hex");

const free = vectors.filter((vector) => vector.gives.javascript === undefined);
const mine = vectors.filter((vector) => vector.gives.javascript !== undefined);
const readable = mine.filter((vector) => vector.gives.javascript?.[0] !== "refused");
const refused = mine.filter((vector) => vector.gives.javascript?.[0] === "refused");

test("there are vectors of both kinds", () => {
  expect(readable.length).toBeGreaterThan(200);
  expect(refused.length).toBeGreaterThan(20);
});

test.each(readable)("$name: $meaning", (vector) => {
  const bytes = bytesOf(vector);
  expect(notation(decode(bytes))).toEqual(vector.gives.javascript);
  const again = Buffer.from(encode(decode(bytes))).toString("utf8");
  expect(exactly(again)).toEqual(exactly(vector.again?.javascript ?? vector.text ?? ""));
});

test.each(refused)("$name: refused", (vector) => {
  expect(() => decode(bytesOf(vector))).toThrow(PortableJsonError);
});

test.each(free)("$name: not rounded", (vector) => {
  expect(String(decode(bytesOf(vector)))).toEqual(vector.text);
});

/** JSON with the order of its members, and whether its numbers are whole. */
function exactly(text: string): unknown {
  const numbers: string[] = [];
  const rest = text.replace(
    /"(?:[^"\\]|\\.)*"|-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?/gs,
    (token, fraction, exponent) => {
      if (token.startsWith('"')) return token;
      numbers.push(fraction === undefined && exponent === undefined ? `${token} whole` : String(Number(token)));
      return String(numbers.length - 1);
    },
  );
  const ordered = (value: unknown): unknown => {
    if (typeof value === "number") return numbers[value];
    if (Array.isArray(value)) return value.map(ordered);
    if (typeof value !== "object" || value === null) return value;
    return { members: Object.entries(value).map(([key, member]) => [key, ordered(member)]) };
  };
  return ordered(readTree(rest).root);
}
