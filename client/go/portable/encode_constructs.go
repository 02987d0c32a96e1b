package portable

import (
	"strconv"
	"time"
)

// said is what is written of a construct: members in their order, without those left out.
type said struct{ Object }

func (s *said) text(name string, value *string) {
	if value != nil {
		s.Set(name, *value)
	}
}

func (s *said) object(name string, value *Object) {
	if value.Len() > 0 {
		s.Set(name, value)
	}
}

func (s *said) value(name string, value any) {
	if value != nil {
		s.Set(name, value)
	}
}

func (s *said) objects(name string, values []*Object) {
	if len(values) > 0 {
		s.Set(name, values)
	}
}

// construct writes what LangGraph and LangChain have types for.
func (w *writer) construct(value any) error {
	var members said
	tag := ""
	switch value := value.(type) {
	case *Document:
		tag = "doc"
		members.Set("page_content", value.PageContent)
		members.object("metadata", value.Metadata)
		members.text("id", value.ID)
	case *Send:
		tag = "send"
		members.Set("node", value.Node)
		members.Set("args", value.Args)
		if value.Timeout != nil {
			timeout, err := timeoutOf(value.Timeout)
			if err != nil {
				return err
			}
			members.Set("timeout", timeout)
		}
	case *Interrupt:
		tag = "interrupt"
		members.Set("value", value.Value)
		members.Set("id", value.ID)
		if value.ResponseSchema != nil {
			members.Set("response_schema", value.ResponseSchema)
		}
	case *Command:
		if !isGoto(value.Goto) {
			return unsupported("a Goto is a node's name, a *Send, or a list of these, not a %T", value.Goto)
		}
		tag = "command"
		members.text("graph", value.Graph)
		members.value("update", value.Update)
		members.value("resume", value.Resume)
		if targets, isList := value.Goto.([]any); !isList || len(targets) > 0 {
			members.value("goto", value.Goto)
		}
	case *Error:
		tag = "error"
		members.Set("name", value.Name)
		members.Set("message", value.Message)
		members.text("text", value.Text)
	}
	return w.form(tag, func() error { return w.members(&members.Object) })
}

func timeoutOf(value *SendTimeout) (*Object, error) {
	var members said
	for _, bound := range []struct {
		name string
		time time.Duration
	}{{"run_ms", value.Run}, {"idle_ms", value.Idle}} {
		switch {
		case bound.time < 0:
			return nil, unsupported("a timeout of %s is below 0", bound.time)
		case bound.time > 0 && bound.time%time.Millisecond == 0:
			members.Set(bound.name, bound.time.Milliseconds())
		case bound.time > 0:
			// By its decimal digits, so that no digit is the division's.
			text := strconv.FormatFloat(float64(bound.time)/float64(time.Millisecond), 'f', 6, 64)
			milliseconds, _ := strconv.ParseFloat(text, 64)
			members.Set(bound.name, milliseconds)
		}
	}
	if members.Len() == 0 {
		return nil, unsupported("a SendTimeout needs a bound")
	}
	if value.Heartbeat {
		members.Set("refresh_on", "heartbeat")
	}
	return &members.Object, nil
}

func (w *writer) message(value *Message) error {
	if problem := value.problem(); problem != "" {
		return unsupported("a message can't be written: %s", problem)
	}
	var members said
	members.Set("type", value.Type)
	members.Set("content", value.Content)
	members.text("id", value.ID)
	members.text("name", value.Name)
	members.object("additional_kwargs", value.AdditionalKwargs)
	members.object("response_metadata", value.ResponseMetadata)
	if len(value.ToolCalls) > 0 {
		members.Set("tool_calls", callsOf(value.ToolCalls))
	}
	members.objects("invalid_tool_calls", value.InvalidToolCalls)
	members.object("usage_metadata", value.UsageMetadata)
	members.text("tool_call_id", value.ToolCallID)
	if value.Status == "error" {
		members.Set("status", value.Status)
	}
	members.value("artifact", value.Artifact)
	members.text("role", value.Role)
	members.objects("tool_call_chunks", value.ToolCallChunks)
	members.text("chunk_position", value.ChunkPosition)
	if value.Example {
		members.Set("example", true)
	}
	if value.Chunk {
		members.Set("chunk", true)
	}
	members.object("extra", value.Extra)
	if !isOfType(&members.Object, value) {
		return unsupported("a message of the type %s has members of another type", value.Type)
	}
	return w.form("msg", func() error { return w.members(&members.Object) })
}

func callsOf(calls []ToolCall) []any {
	made := make([]any, len(calls))
	for place, call := range calls {
		var members said
		members.Set("name", call.Name)
		args := call.Args
		if args == nil {
			args = &Object{}
		}
		members.Set("args", args)
		members.Set("id", nil)
		members.text("id", call.ID)
		if call.Type != "" {
			members.Set("type", call.Type)
		}
		made[place] = &members.Object
	}
	return made
}
