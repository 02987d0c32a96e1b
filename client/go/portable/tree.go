package portable

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

const (
	tagKey = "$"
	// maxDepth is how many levels of arrays and objects a text may have.
	maxDepth = 250
	maxSafe  = 1<<53 - 1
)

// ErrMalformed is the error of bytes that are not portable-json/1: not JSON, not UTF-8, with a key twice, a number
// beyond a 64-bit float's, or nested deeper than 250 levels. A wrapping error says which.
var ErrMalformed = errors.New("not portable-json/1")

func malformed(format string, arguments ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, arguments...))
}

// parse gives the JSON: nil, bool, string, json.Number, []any and *Object.
func parse(data []byte) (any, error) {
	if !utf8.Valid(data) {
		return nil, malformed("it is not UTF-8")
	}
	if !json.Valid(data) {
		return nil, malformed("it is not JSON")
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	parser := treeParser{decoder}
	tree, err := parser.value(0)
	if err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, malformed("something comes after the value")
	}
	return tree, nil
}

type treeParser struct {
	decoder *json.Decoder
}

func (p treeParser) value(depth int) (any, error) {
	token, err := p.decoder.Token()
	if err != nil {
		return nil, malformed("%v", err)
	}
	return p.of(token, depth)
}

func (p treeParser) of(token json.Token, depth int) (any, error) {
	switch token := token.(type) {
	case json.Delim:
		if depth == maxDepth {
			return nil, malformed("it nests deeper than %d levels", maxDepth)
		}
		if token == '[' {
			return p.list(depth + 1)
		}
		return p.object(depth + 1)
	case json.Number:
		if _, err := strconv.ParseFloat(string(token), 64); err != nil {
			return nil, malformed("a number is beyond those of 64 bits")
		}
	}
	return token, nil
}

func (p treeParser) list(depth int) (any, error) {
	items := []any{}
	for p.decoder.More() {
		item, err := p.value(depth)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	_, err := p.decoder.Token()
	return items, err
}

func (p treeParser) object(depth int) (any, error) {
	made := &Object{}
	for p.decoder.More() {
		token, err := p.decoder.Token()
		if err != nil {
			return nil, malformed("%v", err)
		}
		key, _ := token.(string)
		if _, there := made.Get(key); there {
			return nil, malformed("an object has the key %q twice", key)
		}
		value, err := p.value(depth)
		if err != nil {
			return nil, err
		}
		made.Set(key, value)
	}
	_, err := p.decoder.Token()
	return made, err
}

// appendTree writes what parse gave.
func appendTree(to []byte, tree any) []byte {
	switch tree := tree.(type) {
	case bool:
		return strconv.AppendBool(to, tree)
	case string:
		return appendText(to, tree)
	case json.Number:
		return append(to, tree...)
	case []any:
		to = append(to, '[')
		for place, item := range tree {
			if place > 0 {
				to = append(to, ',')
			}
			to = appendTree(to, item)
		}
		return append(to, ']')
	case *Object:
		to = append(to, '{')
		first := true
		for key, value := range tree.All() {
			if !first {
				to = append(to, ',')
			}
			first = false
			to = append(appendText(to, key), ':')
			to = appendTree(to, value)
		}
		return append(to, '}')
	}
	return append(to, "null"...)
}

const hexDigits = "0123456789abcdef"

// appendText writes a JSON string; what is not UTF-8 in it becomes U+FFFD.
func appendText(to []byte, text string) []byte {
	to = append(to, '"')
	start := 0
	for place := 0; place < len(text); {
		char := text[place]
		if char >= utf8.RuneSelf {
			rune, size := utf8.DecodeRuneInString(text[place:])
			if rune == utf8.RuneError && size == 1 {
				to = append(append(to, text[start:place]...), "\uFFFD"...)
				start = place + 1
			}
			place += size
			continue
		}
		if char >= ' ' && char != '"' && char != '\\' {
			place++
			continue
		}
		to = append(to, text[start:place]...)
		switch char {
		case '"', '\\':
			to = append(to, '\\', char)
		case '\n':
			to = append(to, '\\', 'n')
		case '\r':
			to = append(to, '\\', 'r')
		case '\t':
			to = append(to, '\\', 't')
		default:
			to = append(to, '\\', 'u', '0', '0', hexDigits[char>>4], hexDigits[char&15])
		}
		place++
		start = place
	}
	return append(append(to, text[start:]...), '"')
}

// depthOf counts the levels of a JSON text.
func depthOf(text string) int {
	deepest, depth, inText := 0, 0, false
	for place := 0; place < len(text); place++ {
		switch char := text[place]; {
		case inText && char == '\\':
			place++
		case char == '"':
			inText = !inText
		case !inText && (char == '[' || char == '{'):
			depth++
			deepest = max(deepest, depth)
		case !inText && (char == ']' || char == '}'):
			depth--
		}
	}
	return deepest
}
