package portable

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"
)

// notation gives a value in the notation of the vectors.
func notation(value any) any {
	switch value := value.(type) {
	case nil:
		return []any{"null"}
	case bool:
		return []any{"bool", value}
	case string:
		return []any{"str", value}
	case int64:
		return []any{"int", strconv.FormatInt(value, 10)}
	case *big.Int:
		return []any{"int", value.String()}
	case float64:
		return []any{"float", shortest(value)}
	case []byte:
		return []any{"bytes", hex.EncodeToString(value)}
	case time.Time:
		return []any{"datetime", value.Format(time.RFC3339Nano)}
	case time.Duration:
		return []any{"duration", strconv.FormatInt(value.Microseconds(), 10)}
	case Tagged:
		return []any{"tagged", tagName(value)}
	case []any:
		return []any{"list", notations(value)}
	case *Object:
		return []any{"dict", members(value)}
	case *Map:
		entries := []any{}
		for _, entry := range value.Entries {
			entries = append(entries, []any{notation(entry.Key), notation(entry.Value)})
		}
		return []any{"map", entries}
	case *Set:
		kind := "set"
		if value.Frozen {
			kind = "frozenset"
		}
		members := notations(value.Members)
		slices.SortFunc(members, func(a, b any) int { return strings.Compare(compact(a), compact(b)) })
		return []any{kind, members}
	}
	return notationOfConstruct(value)
}

func notationOfConstruct(value any) any {
	var parts said
	switch value := value.(type) {
	case *Message:
		return notationOfMessage(value)
	case *Document:
		parts.text("id", value.ID)
		parts.object("metadata", value.Metadata)
		parts.Set("page_content", value.PageContent)
		return []any{"document", members(&parts.Object)}
	case *Send:
		made := []any{"send", value.Node, notation(value.Args)}
		if timeout := value.Timeout; timeout != nil {
			refreshOn := "auto"
			if timeout.Heartbeat {
				refreshOn = "heartbeat"
			}
			made = append(made, []any{inMilliseconds(timeout.Run), inMilliseconds(timeout.Idle), refreshOn})
		}
		return made
	case *Interrupt:
		made := []any{"interrupt", value.ID, notation(value.Value)}
		if value.ResponseSchema != nil {
			made = append(made, notation(value.ResponseSchema))
		}
		return made
	case *Command:
		parts.value("goto", value.Goto)
		parts.text("graph", value.Graph)
		parts.value("resume", value.Resume)
		parts.value("update", value.Update)
		return []any{"command", members(&parts.Object)}
	case *Overwrite:
		return []any{"overwrite", notation(value.Value)}
	case *DeltaSnapshot:
		return []any{"delta_snapshot", notation(value.Value)}
	case *Error:
		return []any{"error", value.Name, value.Message}
	}
	panic(fmt.Sprintf("no notation for %T", value))
}

func notationOfMessage(value *Message) any {
	form := &writer{}
	if err := form.message(value); err != nil {
		panic(err)
	}
	// The members that are written are those that are not left out.
	tree, err := parse(form.to)
	if err != nil {
		panic(err)
	}
	written := decodedMembers(tree.(*Object).values["v"].(*Object))
	kind := value.Type
	if value.Chunk {
		kind += "Chunk"
	}
	names := slices.DeleteFunc(slices.Clone(written.keys), func(name string) bool { return name == "type" || name == "chunk" })
	slices.Sort(names)
	made := []any{}
	for _, name := range names {
		made = append(made, []any{name, notation(written.values[name])})
	}
	return []any{"message", kind, made}
}

func notations(values []any) []any {
	made := []any{}
	for _, value := range values {
		made = append(made, notation(value))
	}
	return made
}

func members(object *Object) []any {
	made := []any{}
	for key, value := range object.All() {
		made = append(made, []any{key, notation(value)})
	}
	return made
}

func tagName(value Tagged) any {
	if name, ok := value.member(tagKey).(string); ok {
		return name
	}
	return nil
}

func inMilliseconds(time time.Duration) any {
	if time == 0 {
		return nil
	}
	return float64(time) / 1e6
}

// shortest writes a float as Python's repr does.
func shortest(value float64) string {
	switch {
	case math.IsNaN(value):
		return "nan"
	case math.IsInf(value, 0):
		return strings.TrimPrefix(strings.ToLower(strconv.FormatFloat(value, 'g', -1, 64)), "+")
	}
	exponent := math.Floor(math.Log10(math.Abs(value)))
	if value != 0 && (exponent < -4 || exponent >= 16) {
		return strconv.FormatFloat(value, 'e', -1, 64)
	}
	text := strconv.FormatFloat(value, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

func compact(value any) string {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err)
	}
	return strings.TrimSpace(text.String())
}
