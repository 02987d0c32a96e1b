/** Errors that are values of a state. */
import { hasOnly, type Members } from "./objects.js";

const MEMBERS = new Set(["name", "message", "text"]);

// How Python shows an error, which an Error has no place for.
const texts = new WeakMap<Error, string>();

/** The error in a tag's content; undefined when that is not one. */
export function readError(content: Members): Error | undefined {
  const { name, message, text = null } = content as { name?: unknown; message?: unknown; text?: unknown };
  if (!hasOnly(content, MEMBERS) || typeof name !== "string" || typeof message !== "string") return undefined;
  if (text !== null && typeof text !== "string") return undefined;
  const error = new Error(message);
  Object.defineProperty(error, "name", { value: name, configurable: true, writable: true });
  if (text !== null) texts.set(error, text);
  return error;
}

/** The content of a tag for an error. */
export function writeError(error: Error): Members {
  const text = texts.get(error);
  return { name: String(error.name), message: String(error.message), ...(text === undefined ? {} : { text }) };
}
