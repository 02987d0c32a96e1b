/** A saver's way into threads that LangGraph for Python works on too. */
import type { Checkpoint, CheckpointMetadata } from "@langchain/langgraph-checkpoint";

import { UnknownTask } from "../../errors.js";
import { Aliases } from "./aliases.js";
import { interruptId, lastPart, ofCall, parentNs, pythonTaskId, PULL, PUSH, taskNs } from "./ids.js";
import { tasksOf, type Task } from "./tasks.js";
import { fromPython, given, type StoredWrite } from "./writes.js";

/** Which checkpoint; without an id, the head of the namespace. */
export interface Place {
  threadId: string;
  checkpointNs: string;
  checkpointId?: string;
}

/** A stored checkpoint, decoded. */
export interface Stored {
  checkpoint: Checkpoint;
  metadata: CheckpointMetadata;
  writes: StoredWrite[];
}

/** Reads a stored checkpoint, or the head of a namespace; undefined when there is none. */
export type Read = (stored: Place) => Promise<Stored | undefined>;

/** How many checkpoints to remember whose tasks were chosen among several triggers. */
const MOST = 1_000;

/** What a saver remembers of such threads. Places are as LangGraph.js names them, unless they are called stored. */
export class Bridge {
  readonly #read: Read;
  readonly #aliases = new Aliases();
  readonly #supposed = new Map<string, Task[]>();

  /** @param read is called rarely: where a name has to be found a level above or below */
  constructor(read: Read) {
    this.#read = read;
  }

  /** Where a place is stored. */
  stored<P extends Place>(place: P): P {
    return { ...place, checkpointNs: this.#aliases.storedNs(place.threadId, place.checkpointNs) };
  }

  /** As `stored`, once it is clear where the namespace is. */
  async settled<P extends Place>(place: P): Promise<P> {
    if (this.#aliases.known(place.threadId, place.checkpointNs))
      await this.find({ threadId: place.threadId, checkpointNs: place.checkpointNs });
    return this.stored(place);
  }

  /** Say whether something is stored at `stored(place)`. Returns whether that is elsewhere now: look again. */
  settle(place: Place, found: boolean): boolean {
    return this.#aliases.settle(place.threadId, place.checkpointNs, found);
  }

  /** What is stored of a place, under whichever name. */
  async find(place: Place): Promise<Stored | undefined> {
    for (;;) {
      const found = await this.#read(this.stored(place));
      if (found === undefined ? !this.settle(place, false) : !this.settle(place, true)) return found;
    }
  }

  /** Forget a thread. */
  forget(threadId: string): void {
    this.#aliases.forget(threadId);
  }

  /**
   * Before what a task wrote is stored: whether it is the task that Python's writes were given to.
   *
   * @throws UnknownTask it is another one, because another trigger of its node began it
   */
  check(place: Place, taskId: string): void {
    for (const task of this.#supposed.get(keyOf(place)) ?? [])
      if (task.jsIds.indexOf(taskId) > 0)
        throw new UnknownTask(
          `LangGraph for Python worked on node ${task.name} of this checkpoint, which several edges lead to, and it can't ` +
            "be told which one LangGraph.js takes; nothing was stored",
        );
  }

  /**
   * The pending writes that LangGraph.js takes for those of a checkpoint, whoever worked on it.
   *
   * @throws UnknownTask see `given`
   */
  async writesOf(place: Place, found: Stored): Promise<StoredWrite[]> {
    if (!fromPython(found.writes)) return found.writes;
    const called = ofCall(place.checkpointNs);
    if (called !== "" && !this.#aliases.known(place.threadId, called))
      await this.#learn({ ...place, checkpointNs: called }, found);
    const byPath = this.#workedOn(place, found);
    return given(found.writes, byPath, (id, task, pythonId) => this.#renamed(place, id, task, pythonId));
  }

  #tasks(place: Place, found: Stored): Task[] {
    return tasksOf(found.checkpoint, (found.metadata.step ?? -1) + 1, place.checkpointNs);
  }

  /** By path, the tasks of a checkpoint that Python has stored writes of. They are remembered. */
  #workedOn(place: Place, found: Stored): Map<string, Task> {
    const ids = new Map(
      found.writes.filter(({ taskPath }) => taskPath !== "").map((one) => [one.taskPath, one.taskId]),
    );
    const tasks = this.#tasks(place, found).filter(({ path }) => ids.has(path));
    for (const task of tasks)
      this.#aliases.remember(place.threadId, ownNs(place, task), `${task.name}:${ids.get(task.path) as string}`);
    const unsure = tasks.filter(({ jsIds }) => jsIds.length > 1);
    if (unsure.length > 0) this.#suppose({ ...place, checkpointId: found.checkpoint.id }, unsure);
    return new Map(tasks.map((task) => [task.path, task]));
  }

  #suppose(place: Place, tasks: Task[]): void {
    this.#supposed.set(keyOf(place), tasks);
    const [oldest] = this.#supposed.keys();
    if (this.#supposed.size > MOST && oldest !== undefined) this.#supposed.delete(oldest);
  }

  /** Learn what Python calls a namespace, from the checkpoint above whose task it belongs to. */
  async #learn(place: Place, found: Stored): Promise<void> {
    const above = parentNs(place.checkpointNs);
    const parents = (found.metadata.parents ?? {}) as Record<string, string>;
    const pythonAbove = this.#aliases.pythonNs(place.threadId, above);
    const checkpointId = parents[above] ?? parents[pythonAbove];
    if (checkpointId === undefined) return;
    const at = { threadId: place.threadId, checkpointNs: above, checkpointId };
    const parent = await this.find(at);
    if (parent === undefined) return;
    const step = (parent.metadata.step ?? -1) + 1;
    for (const task of this.#tasks(at, parent)) {
      if (!task.jsIds.some((id) => lastPart(place.checkpointNs) === `${task.name}:${id}`)) continue;
      const kind = task.path.startsWith(`~${PUSH}`) ? PUSH : PULL;
      const id = await pythonTaskId(checkpointId, pythonAbove, step, task.name, kind, ...task.triggers);
      this.#aliases.remember(place.threadId, place.checkpointNs, `${task.name}:${id}`);
      this.settle(place, false); // what led here was stored under LangGraph.js's name
    }
  }

  /** LangGraph.js's id of an interrupt of a task, or of a graph that it calls; its own where it has none. */
  async #renamed(place: Place, id: string, task: Task, pythonId: string): Promise<string> {
    const jsNs = ownNs(place, task);
    const pythonNs = taskNs(this.#aliases.pythonNs(place.threadId, place.checkpointNs), task.name, pythonId);
    if (await isOf(id, pythonNs)) return interruptId(jsNs);
    const head = { threadId: place.threadId, checkpointNs: jsNs };
    const found = await this.find(head);
    if (found === undefined) return id;
    const byPath = this.#workedOn(head, found);
    for (const write of found.writes) {
      const one = byPath.get(write.taskPath);
      if (one === undefined || write.channel !== "__interrupt__") continue;
      const renamed = await this.#renamed(head, id, one, write.taskId);
      if (renamed !== id) return renamed;
    }
    return id;
  }
}

const ownNs = (place: Place, task: Task): string => taskNs(place.checkpointNs, task.name, task.jsIds[0] as string);

/** Whether Python gave an interrupt of a task this id: it counts the answers that the task had before. */
async function isOf(id: string, pythonNs: string): Promise<boolean> {
  if (id === (await interruptId(pythonNs))) return true;
  for (let answered = 1; answered <= 100; answered += 1)
    if (id === (await interruptId(`${pythonNs}|${answered}`))) return true;
  return false;
}

/** A NUL is in no id. */
const keyOf = (place: Place): string => `${place.threadId}\0${place.checkpointNs}\0${place.checkpointId ?? ""}`;
