/** Bytes that somebody damaged, or made up: they are read as a value, or refused with the reader's own error. */
import { readFileSync } from "node:fs";

import { decode, encode, PortableJsonError } from "../src/portable/index.js";

const FILE = new URL("../../../protos/portable-json/vectors.json", import.meta.url);
const { vectors } = JSON.parse(readFileSync(FILE, "utf8")) as { vectors: { text?: string }[] };
const texts = vectors.flatMap(({ text }) => (text === undefined ? [] : [text]));

/** The same numbers in each run: 0 up to 1. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Whether bytes are read. Throws what is not the reader's own error. */
function isRead(bytes: Uint8Array): boolean {
  let value: unknown;
  try {
    value = decode(bytes);
  } catch (error) {
    if (error instanceof PortableJsonError) return false;
    throw error;
  }
  // What was read can be written, and is then read again.
  decode(encode(value));
  return true;
}

test("vectors with other bytes in them", () => {
  const random = randomOf(1);
  const below = (most: number) => Math.floor(random() * most);
  const counts = { read: 0, refused: 0 };
  for (let round = 0; round < 20; round += 1) {
    for (const text of texts) {
      const bytes = Buffer.from(text, "utf8");
      for (let changes = 1 + below(3); changes > 0 && bytes.length > 0; changes -= 1)
        bytes[below(bytes.length)] = below(256);
      counts[isRead(bytes) ? "read" : "refused"] += 1;
    }
  }
  expect(Math.min(counts.read, counts.refused)).toBeGreaterThan(500);
});

test("contents under other tags than their own", () => {
  const random = randomOf(2);
  const tags = [...new Set(texts.flatMap((text) => [...text.matchAll(/"\$":"(\w+)"/g)].map(([, tag]) => tag ?? "")))];
  expect(tags.length).toBeGreaterThan(20);
  let read = 0;
  for (const text of texts) {
    for (const tag of tags) {
      const other = () => `"$":"${random() < 0.5 ? tag : (tags[Math.floor(random() * tags.length)] ?? "")}"`;
      if (isRead(Buffer.from(text.replace(/"\$":"\w+"/g, other)))) read += 1;
    }
  }
  expect(read).toBeGreaterThan(1000);
});

test.each([
  ["deep arrays", "[".repeat(1e6)],
  ["deep objects", '{"a":'.repeat(1e6)],
  ["deep tags", '{"$":"set","v":['.repeat(1e5)],
  ["a number of many digits", "9".repeat(1e6)],
  ["a fraction of many digits", `0.${"9".repeat(1e6)}e99999`],
  ["a tagged number of many digits", `{"$":"int","v":"${"9".repeat(1e6)}"}`],
  ["a pattern that takes for ever to match", '{"$":"regex","v":{"source":"(a+)+$","flags":""},"lang":"js"}'],
  ["text of one kind of quotes", `"${"\\".repeat(1e6)}`],
  ["white space", " ".repeat(1e6)],
])("%s", (_, text) => {
  expect(() => isRead(Buffer.from(text))).not.toThrow();
});
