/** Namespaces of subgraphs: each language names them after its own id of the task that calls the subgraph. */
import { below, lastPart, parentNs } from "./ids.js";

/** How many to remember. Only those of tasks that Python worked on are. */
const MOST = 10_000;

interface Alias {
  pythonPart: string;
  /** Whether the checkpoints are under that name; undefined while nobody has looked. */
  storedByPython?: boolean | undefined;
}

/** Which namespaces, by LangGraph.js's name, have another name in Python, and under which one they are stored. */
export class Aliases {
  readonly #aliases = new Map<string, Alias>();

  /** Python has another name for the last part of a namespace. */
  remember(threadId: string, checkpointNs: string, pythonPart: string): void {
    const key = keyOf(threadId, checkpointNs);
    const alias = this.#aliases.get(key) ?? { pythonPart };
    this.#aliases.delete(key); // so that the map's order is that of the last use
    this.#aliases.set(key, alias);
    const [oldest] = this.#aliases.keys();
    if (this.#aliases.size > MOST && oldest !== undefined) this.#aliases.delete(oldest);
  }

  /** Forget a thread. */
  forget(threadId: string): void {
    const prefix = keyOf(threadId, "");
    for (const key of [...this.#aliases.keys()]) if (key.startsWith(prefix)) this.#aliases.delete(key);
  }

  /** Whether Python's name of a namespace is known. */
  known(threadId: string, checkpointNs: string): boolean {
    return this.#aliases.has(keyOf(threadId, checkpointNs));
  }

  /** What Python calls a namespace. */
  pythonNs(threadId: string, checkpointNs: string): string {
    return this.#named(threadId, checkpointNs, () => true);
  }

  /** Under which name a namespace is stored, as far as is known. */
  storedNs(threadId: string, checkpointNs: string): string {
    if (this.#aliases.size === 0) return checkpointNs;
    return this.#named(threadId, checkpointNs, (alias) => alias.storedByPython !== false);
  }

  /** Say whether something was found under the stored name. Returns whether to look again, under the other one. */
  settle(threadId: string, checkpointNs: string, found: boolean): boolean {
    const alias = this.#aliases.get(keyOf(threadId, checkpointNs));
    if (alias === undefined) return false;
    if (found) {
      alias.storedByPython = alias.storedByPython !== false;
      return false;
    }
    // The first look is under Python's name, the second under LangGraph.js's; after that, nobody knows again.
    const again = alias.storedByPython === undefined;
    alias.storedByPython = again ? false : undefined;
    return again;
  }

  #named(threadId: string, checkpointNs: string, renamed: (alias: Alias) => boolean): string {
    if (checkpointNs === "") return "";
    const alias = this.#aliases.get(keyOf(threadId, checkpointNs));
    const part = alias !== undefined && renamed(alias) ? alias.pythonPart : lastPart(checkpointNs);
    return below(this.#named(threadId, parentNs(checkpointNs), renamed), part);
  }
}

/** A NUL is in no thread's id. */
const keyOf = (threadId: string, checkpointNs: string): string => `${threadId}\0${checkpointNs}`;
