/** checkpointd for LangGraph.js: the checkpointer, its serialiser, and the errors of both. */
export { Client } from "./client.js";
export type { ConnectionOptions } from "./options.js";
export * from "./errors.js";
export { RemoteSaver, type RemoteSaverOptions } from "./langgraph/saver.js";
export {
  OpaqueValue,
  PORTABLE_JSON,
  PortableJsonError,
  PortableSerializer,
  Tagged,
  type Serializer,
} from "./portable/index.js";
