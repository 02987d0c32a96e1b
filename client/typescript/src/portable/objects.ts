/** Handling objects whose keys come from outside. */

export type Members = Record<string, unknown>;

/** Sets a member, also one whose name means something to JavaScript (`__proto__`). */
export function put(target: Members, key: string, value: unknown): void {
  if (key === "__proto__") {
    Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
  } else {
    target[key] = value;
  }
}

/** Whether a value is an object with members, and not an array or an instance of a class. */
export function isPlain(value: unknown): value is Members {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Whether all members of an object are among these. */
export function hasOnly(value: Members, names: ReadonlySet<string>): boolean {
  for (const key of Object.keys(value)) if (!names.has(key)) return false;
  return true;
}
