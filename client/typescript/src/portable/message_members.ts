/** Which members the JSON of a message has, and which class of LangChain.js it is of. */
import {
  AIMessage,
  AIMessageChunk,
  ChatMessage,
  ChatMessageChunk,
  FunctionMessage,
  FunctionMessageChunk,
  HumanMessage,
  HumanMessageChunk,
  RemoveMessage,
  SystemMessage,
  SystemMessageChunk,
  ToolMessage,
  ToolMessageChunk,
  type BaseMessage,
} from "@langchain/core/messages";

/** A message's type in the encoding; LangChain.js calls `chat` generic. */
export type MessageType = "human" | "ai" | "system" | "tool" | "remove" | "chat" | "function";

/** The types, each with what makes a message, and a chunk of one. Made bare: the members are set afterwards. */
export const CLASSES: Readonly<Record<MessageType, { message: () => BaseMessage; chunk?: () => BaseMessage }>> = {
  human: { message: () => new HumanMessage({ content: "" }), chunk: () => new HumanMessageChunk({ content: "" }) },
  ai: { message: () => new AIMessage({ content: "" }), chunk: () => new AIMessageChunk({ content: "" }) },
  system: { message: () => new SystemMessage({ content: "" }), chunk: () => new SystemMessageChunk({ content: "" }) },
  tool: {
    message: () => new ToolMessage({ content: "", tool_call_id: "" }),
    chunk: () => new ToolMessageChunk({ content: "", tool_call_id: "" }),
  },
  remove: { message: () => new RemoveMessage({ id: "" }) },
  chat: {
    message: () => new ChatMessage({ content: "", role: "" }),
    chunk: () => new ChatMessageChunk({ content: "", role: "" }),
  },
  function: {
    message: () => new FunctionMessage({ content: "", name: "" }),
    chunk: () => new FunctionMessageChunk({ content: "", name: "" }),
  },
};

/** What LangChain.js calls the types. */
export const TYPES: ReadonlyMap<string, MessageType> = new Map(
  (Object.keys(CLASSES) as MessageType[]).map((type) => [type === "chat" ? "generic" : type, type]),
);

/** What a member must be, once decoded. */
export type Kind = "text" | "truth" | "object" | "objects" | "calls" | "status" | "anything";

/** The members besides `type` and `content`, in the order in which they are written, and whose they are. */
export const MEMBERS: ReadonlyMap<string, { kind: Kind; types?: readonly MessageType[]; chunksOnly?: true }> = new Map([
  ["id", { kind: "text" }],
  ["name", { kind: "text" }],
  ["additional_kwargs", { kind: "object" }],
  ["response_metadata", { kind: "object" }],
  ["tool_calls", { kind: "calls", types: ["ai"] }],
  ["invalid_tool_calls", { kind: "objects", types: ["ai"] }],
  ["usage_metadata", { kind: "object", types: ["ai"] }],
  ["tool_call_id", { kind: "text", types: ["tool"] }],
  ["status", { kind: "status", types: ["tool"] }],
  ["artifact", { kind: "anything", types: ["tool"] }],
  ["role", { kind: "text", types: ["chat"] }],
  ["tool_call_chunks", { kind: "objects", types: ["ai"], chunksOnly: true }],
  ["chunk_position", { kind: "text", types: ["ai"], chunksOnly: true }],
  ["example", { kind: "truth", types: ["ai", "human"] }],
]);

/** Members that a type can't do without. */
export const NEEDED: Readonly<Partial<Record<MessageType, string>>> = {
  tool: "tool_call_id",
  chat: "role",
  function: "name",
  remove: "id",
};

/** Members of the JSON that are not members of the class. */
export const BESIDE: ReadonlySet<string> = new Set(["type", "content", "chunk", "extra"]);
