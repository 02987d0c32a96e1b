package portable

import "slices"

// The members that a type of message has beside those of all, and the one that it can't do without.
var messageTypes = map[string]struct {
	members []string
	needs   string
}{
	"human":    {members: []string{"example"}},
	"ai":       {members: []string{"tool_calls", "invalid_tool_calls", "usage_metadata", "example"}},
	"system":   {},
	"tool":     {members: []string{"tool_call_id", "status", "artifact"}, needs: "tool_call_id"},
	"chat":     {members: []string{"role"}, needs: "role"},
	"function": {needs: "name"},
	"remove":   {needs: "id"},
}

var (
	ofAllMessages = []string{"type", "content", "id", "name", "additional_kwargs", "response_metadata", "chunk", "extra"}
	ofAIChunks    = []string{"tool_call_chunks", "chunk_position"}
	// ofMessages are the names that `extra` can't have.
	ofMessages = slices.Concat(ofAllMessages, ofAIChunks, messageTypes["human"].members, messageTypes["ai"].members,
		messageTypes["tool"].members, messageTypes["chat"].members)
)

// message reads the content of a `msg`; false when it is none.
func message(content *Object) (any, bool) {
	members := &Object{}
	for name, value := range content.All() {
		if made := decoded(value); made != nil {
			members.Set(name, made)
		}
	}
	reader := messageReader{members, true}
	made := &Message{
		Type:             reader.text("type"),
		Content:          members.values["content"],
		ID:               reader.optional("id"),
		Name:             reader.optional("name"),
		AdditionalKwargs: reader.object("additional_kwargs"),
		ResponseMetadata: reader.object("response_metadata"),
		ToolCalls:        reader.calls(),
		InvalidToolCalls: reader.objects("invalid_tool_calls"),
		UsageMetadata:    reader.object("usage_metadata"),
		ToolCallID:       reader.optional("tool_call_id"),
		Artifact:         members.values["artifact"],
		Role:             reader.optional("role"),
		ToolCallChunks:   reader.objects("tool_call_chunks"),
		ChunkPosition:    reader.optional("chunk_position"),
		Example:          reader.truth("example"),
		Chunk:            reader.truth("chunk"),
		Extra:            reader.object("extra"),
	}
	if status := reader.optional("status"); status != nil && *status != "success" {
		made.Status = *status
	}
	return made, reader.ok && made.problem() == "" && isOfType(content, made)
}

// isOfType says whether a content has no member that its type has not, be it null.
func isOfType(content *Object, made *Message) bool {
	allowed := slices.Concat(ofAllMessages, messageTypes[made.Type].members)
	if made.Type == "ai" && made.Chunk {
		allowed = append(allowed, ofAIChunks...)
	}
	return hasOnly(content, allowed...)
}

// problem says what keeps a message from being one of the encoding's; "" when nothing does.
func (m *Message) problem() string {
	kind, known := messageTypes[m.Type]
	switch {
	case !known:
		return "it has no type of LangChain's"
	case !isContent(m.Content):
		return "its content is neither a string nor a list of blocks"
	case m.Type == "remove" && (m.Content != "" || m.Chunk):
		return "one of the type remove has no content and is no chunk"
	case m.Status != "" && m.Status != "success" && m.Status != "error":
		return "its status is neither success nor error"
	}
	for name := range m.Extra.All() {
		if contains(ofMessages, name) {
			return "its Extra has a member of all messages: " + name
		}
	}
	needed := map[string]*string{"": &m.Type, "tool_call_id": m.ToolCallID, "role": m.Role, "name": m.Name, "id": m.ID}
	if needed[kind.needs] == nil {
		return "it needs a " + kind.needs
	}
	return ""
}

func isContent(content any) bool {
	blocks, isList := content.([]any)
	if !isList {
		_, isText := content.(string)
		return isText
	}
	return !slices.ContainsFunc(blocks, func(block any) bool {
		switch block.(type) {
		case string, *Object:
			return false
		}
		return true
	})
}

// messageReader gives members of one kind. What is of another kind makes ok false.
type messageReader struct {
	members *Object
	ok      bool
}

func memberOf[Kind any](r *messageReader, name string) (made Kind) {
	value, there := r.members.Get(name)
	if there {
		var is bool
		made, is = value.(Kind)
		r.ok = r.ok && is
	}
	return made
}

func (r *messageReader) text(name string) string    { return memberOf[string](r, name) }
func (r *messageReader) truth(name string) bool     { return memberOf[bool](r, name) }
func (r *messageReader) object(name string) *Object { return memberOf[*Object](r, name) }

func (r *messageReader) optional(name string) *string {
	if _, there := r.members.Get(name); !there {
		return nil
	}
	text := r.text(name)
	return &text
}

func (r *messageReader) objects(name string) []*Object {
	var made []*Object
	for _, item := range memberOf[[]any](r, name) {
		object, is := item.(*Object)
		r.ok = r.ok && is
		made = append(made, object)
	}
	return made
}

func (r *messageReader) calls() []ToolCall {
	var made []ToolCall
	for _, said := range r.objects("tool_calls") {
		call := &messageReader{said, r.ok && hasOnly(said, "name", "args", "id", "type")}
		_, hasName := said.Get("name")
		_, hasArgs := said.Get("args")
		id, hasID := said.Get("id")
		one := ToolCall{Name: call.text("name"), Args: call.object("args"), Type: call.text("type")}
		if id != nil {
			one.ID = call.optional("id")
		}
		r.ok = call.ok && hasName && hasArgs && hasID
		made = append(made, one)
	}
	return made
}
