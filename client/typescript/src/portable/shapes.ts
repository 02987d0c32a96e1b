/**
 * LangGraph's own objects, as a checkpoint holds them. They have the form that LangGraph.js goes by (`lg_name`, or their
 * members), so that nobody needs LangGraph itself to read a checkpoint.
 */

/** How long a `Send` may take, in milliseconds. */
export interface SendTimeout {
  runTimeout?: number | undefined;
  idleTimeout?: number | undefined;
  refreshOn?: "auto" | "heartbeat" | undefined;
}

/** Runs a node with an input of its own: LangGraph's `Send`. */
export class Send {
  readonly lg_name = "Send";
  declare readonly timeout?: SendTimeout;

  constructor(
    readonly node: string,
    readonly args: unknown,
    timeout?: SendTimeout,
  ) {
    if (timeout !== undefined) this.timeout = timeout;
  }
}

/** A question of a task: LangGraph's `Interrupt`. */
export class Interrupt {
  declare readonly response_schema?: Record<string, unknown>;

  /** @param responseSchema the JSON Schema that an answer should follow, if it has one: Python's LangGraph says so */
  constructor(
    readonly id: string,
    readonly value: unknown,
    responseSchema?: Record<string, unknown>,
  ) {
    if (responseSchema !== undefined) this.response_schema = responseSchema;
  }
}

/** What a node said to do next: LangGraph's `Command`. */
export class Command {
  readonly lg_name = "Command";
  readonly lc_direct_tool_output = true;

  constructor(
    readonly graph: string | undefined,
    readonly update: unknown,
    readonly resume: unknown,
    readonly goto: (string | Send)[],
  ) {}
}

/** Replaces what a reducer would fold into: LangGraph's `Overwrite`. */
export class Overwrite {
  readonly lg_name = "Overwrite";
  readonly __overwrite__: unknown;

  constructor(value: unknown) {
    this.__overwrite__ = value;
  }

  get value(): unknown {
    return this.__overwrite__;
  }
}
