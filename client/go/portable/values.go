package portable

import (
	"iter"
	"strings"
	"time"
)

// Object is an object with string keys, in their order. The zero value is an empty one, ready to use; a nil one is read
// as an empty one.
type Object struct {
	keys   []string
	values map[string]any
}

// NewObject makes an object of a map, its keys in the order of their text.
func NewObject(members map[string]any) *Object {
	made := &Object{}
	for _, key := range sortedKeys(members) {
		made.Set(key, members[key])
	}
	return made
}

// Len is the number of members.
func (o *Object) Len() int {
	if o == nil {
		return 0
	}
	return len(o.keys)
}

// Get gives a member's value, and whether there is one.
func (o *Object) Get(key string) (any, bool) {
	if o == nil {
		return nil, false
	}
	value, there := o.values[key]
	return value, there
}

// Set changes a member, or adds one behind the others.
func (o *Object) Set(key string, value any) {
	if o.values == nil {
		o.values = map[string]any{}
	}
	if _, there := o.values[key]; !there {
		o.keys = append(o.keys, key)
	}
	o.values[key] = value
}

// All gives the members in their order.
func (o *Object) All() iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		if o == nil {
			return
		}
		for _, key := range o.keys {
			if !yield(key, o.values[key]) {
				return
			}
		}
	}
}

// Map gives the members without their order.
func (o *Object) Map() map[string]any {
	made := make(map[string]any, o.Len())
	for key, value := range o.All() {
		made[key] = value
	}
	return made
}

// String is the object as JSON.
func (o *Object) String() string {
	text, err := Encode(o)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Map is a dictionary whose keys are not all strings, in its order. No two keys are the same.
type Map struct {
	Entries []Entry
}

// Entry is one key of a Map with its value.
type Entry struct {
	Key, Value any
}

// Set is a set; no two members are the same, and their order means nothing.
type Set struct {
	Members []any
	// Frozen tells Python's frozenset from its set.
	Frozen bool
}

// Document is LangChain's: a text with data about it.
type Document struct {
	PageContent string
	Metadata    *Object
	ID          *string
}

// Send is a task that a graph sends to one of its nodes.
type Send struct {
	Node    string
	Args    any
	Timeout *SendTimeout
}

// SendTimeout bounds a task that is sent: its run, and how long it may be idle; zero is no bound, one is set at least.
type SendTimeout struct {
	Run, Idle time.Duration
	// Heartbeat says that only heartbeats count as being busy.
	Heartbeat bool
}

// Interrupt is a question that a graph waits with.
type Interrupt struct {
	Value any
	// ID is what an answer names it by.
	ID string
	// ResponseSchema is the JSON schema of the answer, if the graph gave one.
	ResponseSchema *Object
}

// Command is LangGraph's: what a node, or who runs a graph, tells it to do. What is nil is not set.
type Command struct {
	Graph  *string
	Update any
	Resume any
	// Goto is a node's name, a *Send, or a []any of these.
	Goto any
}

// Overwrite is a value that takes the place of a channel's, whatever its reducer.
type Overwrite struct {
	Value any
}

// DeltaSnapshot is a stored value of a DeltaChannel.
type DeltaSnapshot struct {
	Value any
}

// Error is an error that a node's task ended with.
type Error struct {
	Name, Message string
	// Text is Python's repr of it; nil where another language wrote it.
	Text *string
}

// Message is a chat message of LangChain. What is nil or empty is not set.
type Message struct {
	// Type is human, ai, system, tool, remove, chat or function.
	Type string
	// Content is a string, or a []any of blocks: strings and *Objects.
	Content          any
	ID, Name         *string
	AdditionalKwargs *Object
	ResponseMetadata *Object
	// Of ai: the calls of tools, those that could not be read, and the tokens used.
	ToolCalls        []ToolCall
	InvalidToolCalls []*Object
	UsageMetadata    *Object
	// Of tool: which call this answers (needed), success (or empty) or error, and what else the tool gave.
	ToolCallID *string
	Status     string
	Artifact   any
	// Of chat, which needs it.
	Role *string
	// Of chunks of ai.
	ToolCallChunks []*Object
	ChunkPosition  *string
	// Of human and ai.
	Example bool
	// Chunk says that it is a part of a message that is still coming.
	Chunk bool
	// Extra is what else the message was given.
	Extra *Object
}

// ToolCall is one call of a tool that a model asks for.
type ToolCall struct {
	Name string
	Args *Object
	ID   *string
	// Type is "tool_call", or empty where the writer left it out.
	Type string
}

// Text is the text of the content, that of its blocks joined.
func (m *Message) Text() string {
	switch content := m.Content.(type) {
	case string:
		return content
	case []any:
		var text strings.Builder
		for _, block := range content {
			switch block := block.(type) {
			case string:
				text.WriteString(block)
			case *Object:
				if kind, _ := block.Get("type"); kind == "text" {
					said, _ := block.Get("text")
					part, _ := said.(string)
					text.WriteString(part)
				}
			}
		}
		return text.String()
	}
	return ""
}
