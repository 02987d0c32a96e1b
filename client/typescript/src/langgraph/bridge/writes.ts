/** Pending writes that LangGraph for Python stored, given to the tasks of LangGraph.js that they are of. */
import { UnknownTask } from "../../errors.js";
import type { Task } from "./tasks.js";

const INTERRUPT = "__interrupt__";
const RESUME = "__resume__";

/** A pending write as it is stored, its value decoded. */
export interface StoredWrite {
  taskId: string;
  /** LangGraph for Python says one with every task's writes, LangGraph.js never. */
  taskPath: string;
  idx: number;
  channel: string;
  value: unknown;
  sequence: bigint;
}

/** Whether LangGraph for Python stored one of these writes. */
export const fromPython = (writes: readonly StoredWrite[]): boolean => writes.some((write) => write.taskPath !== "");

/**
 * Pending writes with the ids of LangGraph.js's tasks, in the order in which a superstep applies them.
 *
 * Where both languages wrote at one place of a task, the first stays; of a special write (idx below 0), the last.
 *
 * @param byPath the tasks that the checkpoint may lead to
 * @param renamed gives LangGraph.js's id of an interrupt that Python stored, with this id, for this task
 * @throws UnknownTask an answer to an interrupt is stored for a task that is not among them. To go on without it
 *   would give it to another question.
 */
export async function given(
  writes: readonly StoredWrite[],
  byPath: ReadonlyMap<string, Task>,
  renamed: (id: string, task: Task, pythonId: string) => Promise<string>,
): Promise<StoredWrite[]> {
  const pathOf = new Map([...byPath.values()].flatMap((task) => task.jsIds.map((id) => [id, task.path] as const)));
  const chosen = new Map<string, StoredWrite>();
  for (const stored of writes) {
    const task = byPath.get(stored.taskPath);
    const write = { ...stored };
    if (task !== undefined) {
      write.taskId = task.jsIds[0] as string;
      if (stored.channel === INTERRUPT)
        write.value = await renameAll(stored.value, (id) => renamed(id, task, stored.taskId));
    } else if (stored.taskPath !== "" && stored.channel === RESUME) {
      throw new UnknownTask(
        `an answer is stored for task ${stored.taskId}, which LangGraph for Python began and which none of the tasks of ` +
          "this checkpoint is known to be",
      );
    } else {
      write.taskPath ||= pathOf.get(stored.taskId) ?? "";
    }
    const key = `${write.taskId}\0${write.idx}`;
    const before = chosen.get(key);
    if (before === undefined || write.sequence > before.sequence === write.idx < 0) chosen.set(key, write);
  }
  return [...chosen.values()].sort(
    (left, right) =>
      compare(left.taskPath, right.taskPath) || compare(left.taskId, right.taskId) || left.idx - right.idx,
  );
}

const compare = (left: string, right: string): number => (left < right ? -1 : left > right ? 1 : 0);

async function renameAll(value: unknown, renamed: (id: string) => Promise<string>): Promise<unknown> {
  if (!Array.isArray(value)) return value;
  return Promise.all(
    value.map(async (one: unknown) => {
      const id = (one as { id?: unknown } | null)?.id;
      return typeof id === "string" ? { ...(one as object), id: await renamed(id) } : one;
    }),
  );
}
