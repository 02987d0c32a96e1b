/** The conformance tests that LangGraph.js has for checkpointers, those of delta channels among them. */
import { randomUUID } from "node:crypto";

import { deltaChannelHistoryTests, validate } from "@langchain/langgraph-checkpoint-validation";
import { inject } from "vitest";

import { RemoteSaver } from "../src/index.js";

const savers = {
  checkpointerName: "RemoteSaver",
  // Each one sees only its own.
  createCheckpointer: () => new RemoteSaver(inject("address"), { tenant: randomUUID() }),
  destroyCheckpointer: (saver: RemoteSaver) => saver.end(),
};

validate(savers);
deltaChannelHistoryTests(savers);
