import type { BaseCheckpointSaver } from "@langchain/langgraph-checkpoint";
import type { Pregel } from "@langchain/langgraph/pregel";

/** A graph by its name. `ran` is told the nodes that run. */
export function compiled(name: string, checkpointer: BaseCheckpointSaver, ran: string[]): Pregel<any, any>;
