package portable

import (
	"encoding/json"
	"math/big"
	"slices"
	"time"
)

func contains(names []string, name string) bool { return slices.Contains(names, name) }

// optional gives a member that is a text, null or missing; false when it is something else.
func optional(members *Object, name string) (*string, bool) {
	switch value, _ := members.Get(name); value := value.(type) {
	case nil:
		return nil, true
	case string:
		return &value, true
	}
	return nil, false
}

// optionalObject gives a member, decoded, that is an object, null or missing.
func optionalObject(members *Object, name string) (*Object, bool) {
	value, _ := members.Get(name)
	if value == nil {
		return nil, true
	}
	made, ok := decoded(value).(*Object)
	return made, ok
}

func document(members *Object) (any, bool) {
	content, ok := members.values["page_content"].(string)
	metadata, isObject := optionalObject(members, "metadata")
	id, isText := optional(members, "id")
	made := &Document{content, metadata, id}
	return made, ok && isObject && isText && hasOnly(members, "page_content", "metadata", "id")
}

func send(members *Object) (any, bool) {
	node, ok := members.values["node"].(string)
	if !ok || !hasOnly(members, "node", "args", "timeout") {
		return nil, false
	}
	made := &Send{Node: node, Args: decoded(members.values["args"])}
	switch said := members.values["timeout"].(type) {
	case nil:
		return made, true
	case *Object:
		made.Timeout, ok = sendTimeout(said)
		return made, ok
	}
	return nil, false
}

func sendTimeout(said *Object) (*SendTimeout, bool) {
	run, isRun := milliseconds(said.values["run_ms"])
	idle, isIdle := milliseconds(said.values["idle_ms"])
	refreshOn, isText := optional(said, "refresh_on")
	if !isRun || !isIdle || !isText || run+idle == 0 || !hasOnly(said, "run_ms", "idle_ms", "refresh_on") {
		return nil, false
	}
	made := &SendTimeout{Run: run, Idle: idle, Heartbeat: refreshOn != nil && *refreshOn == "heartbeat"}
	return made, refreshOn == nil || *refreshOn == "auto" || *refreshOn == "heartbeat"
}

// milliseconds reads a number above 0 that is a whole number of nanoseconds; 0 when there is none.
func milliseconds(said any) (time.Duration, bool) {
	if said == nil {
		return 0, true
	}
	text, ok := said.(json.Number)
	if !ok {
		return 0, false
	}
	// Exactly, since a float's nanoseconds are mostly not whole. A large exponent would take long.
	if approximate, _ := text.Float64(); !(approximate > 0 && approximate < 1e13) || len(text) > 40 {
		return 0, false
	}
	exact, ok := new(big.Rat).SetString(string(text))
	if !ok {
		return 0, false
	}
	exact.Mul(exact, big.NewRat(int64(time.Millisecond), 1))
	return time.Duration(exact.Num().Int64()), exact.IsInt() && exact.Num().IsInt64() && exact.Sign() > 0
}

func interrupt(members *Object) (any, bool) {
	id, ok := members.values["id"].(string)
	schema, isObject := optionalObject(members, "response_schema")
	made := &Interrupt{decoded(members.values["value"]), id, schema}
	return made, ok && isObject && hasOnly(members, "value", "id", "response_schema")
}

func command(members *Object) (any, bool) {
	graph, isText := optional(members, "graph")
	target := decoded(members.values["goto"])
	if !isText || !isGoto(target) || !hasOnly(members, "graph", "update", "resume", "goto") {
		return nil, false
	}
	if targets, isList := target.([]any); isList && len(targets) == 0 {
		target = nil
	}
	return &Command{graph, decoded(members.values["update"]), decoded(members.values["resume"]), target}, true
}

func isGoto(target any) bool {
	switch target := target.(type) {
	case nil, string, *Send:
		return true
	case []any:
		return !slices.ContainsFunc(target, func(one any) bool {
			switch one.(type) {
			case string, *Send:
				return false
			}
			return true
		})
	}
	return false
}

func errorOf(members *Object) (any, bool) {
	name, isName := members.values["name"].(string)
	message, isMessage := members.values["message"].(string)
	text, isText := optional(members, "text")
	return &Error{name, message, text}, isName && isMessage && isText && hasOnly(members, "name", "message", "text")
}
