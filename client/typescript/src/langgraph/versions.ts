/** Channel versions: numbers and texts in LangGraph.js, texts in the contract. */

export type Version = string | number;

/** The contract's form of the versions of some channels. */
export function encodeVersions(versions: Readonly<Record<string, Version>>): Record<string, string> {
  return Object.fromEntries(Object.entries(versions).map(([channel, version]) => [channel, encodeVersion(version)]));
}

/** A number becomes `#` and the number; a text that begins with `#` gets one more in front. Throws TypeError for others. */
export function encodeVersion(version: Version): string {
  if (typeof version === "string") return version.startsWith("#") ? `#${version}` : version;
  if (typeof version === "number" && Number.isFinite(version)) return `#${version}`;
  throw new TypeError(`a version is a text or a number, not ${String(version)}`);
}

/** The reverse of `encodeVersions`. */
export function decodeVersions(versions: Readonly<Record<string, string>>): Record<string, Version> {
  return Object.fromEntries(Object.entries(versions).map(([channel, version]) => [channel, decodeVersion(version)]));
}

/** The reverse of `encodeVersion`. Text that it does not make stays as it is. */
export function decodeVersion(version: string): Version {
  if (!version.startsWith("#")) return version;
  if (version.startsWith("##")) return version.slice(1);
  const number = Number(version.slice(1));
  return Number.isNaN(number) ? version : number;
}

/**
 * The version after `current`: a number one greater, which sorts as text, and a random part, as LangGraph for Python makes
 * them. The random part keeps two forks of a thread from giving the same version to different values.
 */
export function nextVersion(current: Version | undefined): string {
  const number = current === undefined ? 0 : Math.floor(Number(String(current).split(".")[0]));
  return `${String(number + 1).padStart(32, "0")}.${String(Math.random()).padStart(16, "0")}`;
}
