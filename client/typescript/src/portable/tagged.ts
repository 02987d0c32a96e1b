/**
 * A value that JavaScript has no form for, or that this version does not know: another language's object, a later
 * version's tag. It is carried unharmed, and written again as it came.
 */
export class Tagged {
  /**
   * @param tag its tag; null when that is no text
   * @param text the JSON of the tagged value, as it came
   */
  constructor(
    readonly tag: string | null,
    readonly text: string,
  ) {}

  /** The tagged value as `JSON.parse` reads it, which rounds whole numbers beyond 2⁵³. */
  get json(): unknown {
    return JSON.parse(this.text);
  }

  /** What is inside an object of another language (the tag `opaque`), as its writer shows it; undefined for none. */
  get view(): unknown {
    return this.tag === "opaque" ? (this.json as { view?: unknown }).view : undefined;
  }
}

/** A whole value in an encoding that this client does not read, such as Python's `msgpack`: carried as it came. */
export class OpaqueValue {
  constructor(
    readonly encoding: string,
    readonly data: Uint8Array,
  ) {}
}
