package portable

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Decode gives the value of a text. It fails with ErrMalformed; a tag that is not known, or whose content is not as the
// specification says, is no failure but a Tagged.
func Decode(data []byte) (any, error) {
	tree, err := parse(data)
	if err != nil {
		return nil, err
	}
	return decoded(tree), nil
}

func decoded(tree any) any {
	switch tree := tree.(type) {
	case json.Number:
		return number(string(tree))
	case []any:
		return decodedAll(tree)
	case *Object:
		tag, isTagged := tree.Get(tagKey)
		if !isTagged {
			return decodedMembers(tree)
		}
		if name, ok := tag.(string); ok {
			if value, ok := tagged(name, tree); ok {
				return value
			}
		}
		return taggedOf(tree)
	}
	return tree
}

func decodedAll(items []any) []any {
	made := make([]any, len(items))
	for place, item := range items {
		made[place] = decoded(item)
	}
	return made
}

func decodedMembers(members *Object) *Object {
	made := &Object{}
	for key, value := range members.All() {
		made.Set(key, decoded(value))
	}
	return made
}

// plain gives a JSON tree's values without looking at tags.
func plain(tree any) any {
	switch tree := tree.(type) {
	case json.Number:
		return number(string(tree))
	case []any:
		made := make([]any, len(tree))
		for place, item := range tree {
			made[place] = plain(item)
		}
		return made
	case *Object:
		made := &Object{}
		for key, value := range tree.All() {
			made.Set(key, plain(value))
		}
		return made
	}
	return tree
}

func number(text string) any {
	if strings.ContainsAny(text, ".eE") {
		made, _ := strconv.ParseFloat(text, 64)
		return made
	}
	return whole(text)
}

// whole gives an int64 of decimal digits, or a *big.Int where it does not fit.
func whole(text string) any {
	if small, err := strconv.ParseInt(text, 10, 64); err == nil {
		return small
	}
	large, _ := new(big.Int).SetString(text, 10)
	return large
}

// tagged makes the value of a tag; false when it is not known, or its content is not as it should be.
func tagged(tag string, form *Object) (any, bool) {
	switch tag {
	case "set":
		return set(form)
	case "regex", "opaque", "date", "time", "uuid", "decimal":
		return nil, false
	}
	if !hasOnly(form, tagKey, "v") {
		return nil, false
	}
	content, _ := form.Get("v")
	switch content := content.(type) {
	case string:
		return ofText(tag, content)
	case *Object:
		if value, known, ok := ofObject(tag, content); known {
			return value, ok
		}
	case []any:
		if tag == "map" {
			return mapOf(content)
		}
	}
	return ofAny(tag, content)
}

// ofAny makes the tags whose content is any value.
func ofAny(tag string, content any) (any, bool) {
	switch tag {
	case "undef":
		return nil, content == nil
	case "overwrite":
		return &Overwrite{decoded(content)}, true
	case "delta_snapshot":
		return &DeltaSnapshot{decoded(content)}, true
	case "duration":
		return duration(decoded(content))
	}
	return nil, false
}

// ofObject makes the tags whose content has members; the first bool says whether it is such a tag.
func ofObject(tag string, content *Object) (value any, known, ok bool) {
	switch tag {
	case "obj":
		return decodedMembers(content), true, true
	case "msg":
		value, ok = message(content)
	case "doc":
		value, ok = document(content)
	case "send":
		value, ok = send(content)
	case "interrupt":
		value, ok = interrupt(content)
	case "command":
		value, ok = command(content)
	case "error":
		value, ok = errorOf(content)
	default:
		return nil, false, false
	}
	return value, true, ok
}

var (
	intText   = regexp.MustCompile(`\A(?:0|-?[1-9][0-9]*)\z`)
	floatText = regexp.MustCompile(`\A-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\z`)
)

// ofText makes the tags whose content is a text.
func ofText(tag, text string) (any, bool) {
	switch tag {
	case "int":
		if !isWhole(text) {
			return nil, false
		}
		return whole(text), true
	case "float":
		return float(text)
	case "bytes":
		// The decoder passes over line ends.
		data, err := base64.StdEncoding.Strict().DecodeString(text)
		return data, err == nil && !strings.ContainsAny(text, "\r\n")
	case "datetime":
		return datetime(text)
	case "overwrite", "delta_snapshot":
		return ofAny(tag, text)
	}
	return nil, false
}

// isWhole says whether these are the digits of an `int`.
func isWhole(text string) bool {
	// Counted here, since a regular expression's repetitions are bounded.
	return len(strings.TrimPrefix(text, "-")) <= 4000 && intText.MatchString(text)
}

func float(text string) (any, bool) {
	switch text {
	case "NaN":
		return math.NaN(), true
	case "Infinity":
		return math.Inf(1), true
	case "-Infinity":
		return math.Inf(-1), true
	}
	value, err := strconv.ParseFloat(text, 64)
	return value, err == nil && floatText.MatchString(text)
}

func duration(content any) (any, bool) {
	micros, ok := content.(int64)
	made := time.Duration(micros) * time.Microsecond
	return made, ok && made/time.Microsecond == time.Duration(micros)
}

func set(form *Object) (any, bool) {
	frozen, _ := form.Get("frozen")
	content, _ := form.Get("v")
	items, isList := content.([]any)
	if !hasOnly(form, tagKey, "v", "frozen") || (frozen != nil && frozen != true) || !isList {
		return nil, false
	}
	made := &Set{decodedAll(items), frozen == true}
	_, err := Encode(made)
	return made, err == nil
}

func mapOf(pairs []any) (any, bool) {
	made := &Map{Entries: make([]Entry, 0, len(pairs))}
	for _, item := range pairs {
		pair, _ := item.([]any)
		if len(pair) != 2 {
			return nil, false
		}
		made.Entries = append(made.Entries, Entry{decoded(pair[0]), decoded(pair[1])})
	}
	_, err := Encode(made)
	return made, err == nil
}

// hasOnly says whether an object has no members but these.
func hasOnly(object *Object, names ...string) bool {
	for key := range object.All() {
		if !contains(names, key) {
			return false
		}
	}
	return true
}
