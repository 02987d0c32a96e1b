// The graphs of `tests/languages/graphs.py`, in JavaScript: the same nodes, channels and reducers.
import { AIMessage, ToolMessage } from "@langchain/core/messages";
import { Annotation, END, MessagesAnnotation, START, Send, StateGraph, interrupt } from "@langchain/langgraph";

const Log = Annotation.Root({
  log: Annotation({ reducer: (left, right) => left.concat(right), default: () => [] }),
  item: Annotation(),
});

/** A node that asks its questions and says its name, with the answers. */
function says(ran, name, ...questions) {
  return (state) => {
    ran.push(name);
    const item = state.item ?? "";
    const answers = [];
    for (const question of questions) answers.push(String(interrupt(`${question}${item}`)));
    return { log: [[`${name}${item}`, ...answers].join(" ")] };
  };
}

function questions(ran) {
  return new StateGraph(Log)
    .addNode("note", says(ran, "note"))
    .addNode("ask", says(ran, "ask", "first?", "second?"))
    .addNode("done", says(ran, "done"))
    .addEdge(START, "note")
    .addEdge(START, "ask")
    .addEdge(["note", "ask"], "done")
    .addEdge("done", END);
}

function choices(ran) {
  return new StateGraph(Log)
    .addNode("left", says(ran, "left", "left?"))
    .addNode("right", says(ran, "right", "right?"))
    .addEdge(START, "left")
    .addEdge(START, "right");
}

function sends(ran) {
  const work = ({ item }) => {
    ran.push(`work${item}`);
    const answer = item === 2 ? ` ${interrupt("item 2?")}` : "";
    return { log: [`work${item}${answer}`] };
  };
  return new StateGraph(Log)
    .addNode("plan", says(ran, "plan"))
    .addNode("work", work)
    .addNode("collect", says(ran, "collect"))
    .addEdge(START, "plan")
    .addConditionalEdges("plan", () => [1, 2, 3].map((item) => new Send("work", { item })), ["work"])
    .addEdge("work", "collect");
}

function nested(ran) {
  const inner = new StateGraph(Log)
    .addNode("first", says(ran, "first"))
    .addNode("ask", says(ran, "ask", "inside?"))
    .addNode("last", says(ran, "last", "at last?"))
    .addEdge(START, "first")
    .addEdge("first", "ask")
    .addEdge("ask", "last");
  return new StateGraph(Log)
    .addNode("before", says(ran, "before"))
    .addNode("inner", inner.compile())
    .addNode("after", says(ran, "after"))
    .addEdge(START, "before")
    .addEdge("before", "inner")
    .addEdge("inner", "after");
}

function barrier(ran) {
  return new StateGraph(Log)
    .addNode("quick", says(ran, "quick"))
    .addNode("slow", says(ran, "slow"))
    .addNode("join", says(ran, "join"))
    .addNode("ask", says(ran, "ask", "slow?"))
    .addEdge(START, "quick")
    .addEdge(START, "slow")
    .addEdge("slow", "ask")
    .addEdge(["quick", "ask"], "join");
}

function steps(ran) {
  return new StateGraph(Log)
    .addNode("one", says(ran, "one"))
    .addNode("two", says(ran, "two"))
    .addNode("three", says(ran, "three"))
    .addEdge(START, "one")
    .addEdge("one", "two")
    .addEdge("two", "three");
}

function chat(ran) {
  const agent = ({ messages }) => {
    ran.push("agent");
    const last = messages.at(-1);
    if (last.getType() === "human") {
      const call = { name: "look", args: { for: last.content }, id: `call-${messages.length}`, type: "tool_call" };
      return { messages: [new AIMessage({ content: "", tool_calls: [call] })] };
    }
    return { messages: [new AIMessage(`found ${last.content}`)] };
  };
  const tools = ({ messages }) => {
    ran.push("tools");
    const [call] = messages.at(-1).tool_calls;
    return { messages: [new ToolMessage({ content: call.args.for, tool_call_id: call.id })] };
  };
  return new StateGraph(MessagesAnnotation)
    .addNode("agent", agent)
    .addNode("tools", tools)
    .addEdge(START, "agent")
    .addConditionalEdges("agent", ({ messages }) => (messages.at(-1).tool_calls?.length ? "tools" : END), [
      "tools",
      END,
    ])
    .addEdge("tools", "agent");
}

const graphs = { questions, choices, sends, nested, barrier, steps, chat };

/** A graph by its name. `ran` is told the nodes that run. */
export function compiled(name, checkpointer, ran) {
  return graphs[name](ran).compile({ checkpointer, interruptBefore: name === "chat" ? ["tools"] : undefined });
}
