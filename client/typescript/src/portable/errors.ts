/** Bytes that are not `portable-json/1`, or a value that it can't hold because it nests too deep or contains itself. */
export class PortableJsonError extends Error {
  static {
    this.prototype.name = "PortableJsonError";
  }
}

/** How deep arrays and objects may nest in the JSON of a value. */
export const MAX_DEPTH = 250;
