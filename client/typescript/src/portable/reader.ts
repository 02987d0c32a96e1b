/**
 * Reads JSON into a tree. Other than `JSON.parse` it refuses a key that comes twice, rounds no whole number, bounds the
 * depth, and knows where in the text the tagged objects stand.
 */
import { MAX_DEPTH, PortableJsonError } from "./errors.js";
import { put, type Members } from "./objects.js";

/** The JSON of a text. Whole numbers beyond ±(2⁵³−1) are bigints. */
export interface Tree {
  root: unknown;
  /** By object with a key `$`: where it stands in the text. */
  tagged: Map<object, readonly [start: number, end: number]>;
}

// As Python's client: what is longer is no number to be computed with, and making it would take long.
const MAX_DIGITS = 4000;

const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Throws PortableJsonError for text that is not JSON, or not as the encoding wants it. */
export function readTree(text: string): Tree {
  const tagged: Tree["tagged"] = new Map();
  let at = 0;

  function fail(what: string): never {
    throw new PortableJsonError(`${what} at character ${at}`);
  }

  function skipSpace(): void {
    for (;;) {
      const code = text.charCodeAt(at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      at += 1;
    }
  }

  function readText(): string {
    const start = (at += 1);
    for (let escaped = false; ; at += 1) {
      const code = text.charCodeAt(at);
      if (code === QUOTE) {
        const inside = text.slice(start, at);
        at += 1;
        if (!escaped) return inside;
        try {
          return JSON.parse(`"${inside}"`) as string;
        } catch {
          return fail("a malformed escape before the end of text");
        }
      }
      if (code === BACKSLASH) {
        escaped = true;
        at += 1;
      } else if (!(code >= 0x20)) {
        fail(Number.isNaN(code) ? "text without an end" : "a control character in text");
      }
    }
  }

  function readNumber(): number | bigint {
    NUMBER.lastIndex = at;
    const match = NUMBER.exec(text);
    if (match === null) return fail("neither a value");
    const [said, fraction, exponent] = match;
    const number = Number(said);
    if (!Number.isFinite(number)) fail("a number beyond the range of a 64-bit float");
    at += said.length;
    if (fraction !== undefined || exponent !== undefined || Number.isSafeInteger(number)) return number;
    if (said.length > MAX_DIGITS) fail(`a number of more than ${MAX_DIGITS} digits`);
    return BigInt(said);
  }

  function readWord(word: string, value: boolean | null): boolean | null {
    if (!text.startsWith(word, at)) fail("neither a value");
    at += word.length;
    return value;
  }

  function readArray(depth: number): unknown[] {
    const items: unknown[] = [];
    at += 1;
    skipSpace();
    if (text.charCodeAt(at) === 0x5d) {
      at += 1;
      return items;
    }
    for (;;) {
      items.push(readValue(depth));
      const code = text.charCodeAt(at);
      if (code !== 0x2c && code !== 0x5d) fail("neither , nor ]");
      at += 1;
      if (code === 0x5d) return items;
    }
  }

  function readObject(depth: number): Members {
    const members: Members = {};
    const start = at;
    at += 1;
    skipSpace();
    if (text.charCodeAt(at) === 0x7d) {
      at += 1;
      return members;
    }
    for (;;) {
      skipSpace();
      if (text.charCodeAt(at) !== QUOTE) fail("no key");
      const key = readText();
      if (Object.hasOwn(members, key)) fail(`the key ${JSON.stringify(key)} for the second time`);
      skipSpace();
      if (text.charCodeAt(at) !== 0x3a) fail("no :");
      at += 1;
      put(members, key, readValue(depth));
      const code = text.charCodeAt(at);
      if (code !== 0x2c && code !== 0x7d) fail("neither , nor }");
      at += 1;
      if (code === 0x7d) break;
    }
    if (Object.hasOwn(members, "$")) tagged.set(members, [start, at]);
    return members;
  }

  /** Reads a value, and the white space around it. `depth` is how many arrays and objects it is in. */
  function readValue(depth: number): unknown {
    skipSpace();
    let value: unknown;
    switch (text.charCodeAt(at)) {
      case QUOTE:
        value = readText();
        break;
      case 0x7b:
      case 0x5b:
        if (depth === MAX_DEPTH) fail(`arrays and objects nested deeper than ${MAX_DEPTH} levels`);
        value = text.charCodeAt(at) === 0x7b ? readObject(depth + 1) : readArray(depth + 1);
        break;
      case 0x74:
        value = readWord("true", true);
        break;
      case 0x66:
        value = readWord("false", false);
        break;
      case 0x6e:
        value = readWord("null", null);
        break;
      default:
        value = readNumber();
    }
    skipSpace();
    return value;
  }

  const root = readValue(0);
  if (at !== text.length) fail("more than one value");
  return { root, tagged };
}
