package portable

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrUnsupported is the error of a value that portable-json/1 has no form for: a type of one's own, a whole number of more
// than 4000 digits, a year beyond 9999, or one that nests deeper than 250 levels or contains itself. A wrapping error
// says where it is.
var ErrUnsupported = errors.New("portable-json/1 can't hold the value")

// Encode writes a value. It fails with ErrUnsupported, and then has written nothing.
func Encode(value any) (data []byte, err error) {
	writer := writer{}
	if err := writer.value(value); err != nil {
		return nil, err
	}
	return writer.to, nil
}

// writer appends a value to a text. Levels are those around what is written next.
type writer struct {
	to     []byte
	levels int
}

func unsupported(format string, arguments ...any) error {
	return fmt.Errorf("%w: %s", ErrUnsupported, fmt.Sprintf(format, arguments...))
}

// within says of an error where it is.
func within(err error, place string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", place, err)
}

func (w *writer) value(value any) error {
	switch value := value.(type) {
	case nil:
		w.to = append(w.to, "null"...)
	case bool:
		w.to = strconv.AppendBool(w.to, value)
	case string:
		w.to = appendText(w.to, value)
	case int64:
		return w.whole(value)
	case float64:
		return w.float(value)
	case []byte:
		return w.tag("bytes", base64.StdEncoding.EncodeToString(value))
	case []any:
		return w.list(value)
	case *Object:
		return w.object(value)
	case map[string]any:
		return w.object(NewObject(value))
	case Tagged:
		return w.raw(value)
	default:
		return w.other(value)
	}
	return nil
}

func (w *writer) other(value any) error {
	switch value := value.(type) {
	case *big.Int:
		return w.big(value)
	case time.Time:
		text, ok := textOf(value)
		if !ok {
			return unsupported("the year %d is not one of 1 to 9999", value.Year())
		}
		return w.tag("datetime", text)
	case time.Duration:
		return w.tag("duration", value.Microseconds())
	case *Set:
		return w.set(value)
	case *Map:
		return w.mapOf(value)
	case *Message:
		return w.message(value)
	case *Document, *Send, *Interrupt, *Command, *Error:
		return w.construct(value)
	case *Overwrite:
		return w.tag("overwrite", value.Value)
	case *DeltaSnapshot:
		return w.tag("delta_snapshot", value.Value)
	}
	return w.reflected(reflect.ValueOf(value))
}

// reflected writes the other kinds of numbers, and slices, maps and pointers of what can be written.
func (w *writer) reflected(value reflect.Value) error {
	switch kind := value.Kind(); {
	case kind == reflect.Bool:
		return w.value(value.Bool())
	case kind == reflect.String:
		return w.value(value.String())
	case value.CanInt():
		return w.whole(value.Int())
	case value.CanUint():
		return w.big(new(big.Int).SetUint64(value.Uint()))
	case value.CanFloat():
		return w.float(value.Float())
	case kind == reflect.Slice || kind == reflect.Array:
		items := make([]any, value.Len())
		for place := range items {
			items[place] = value.Index(place).Interface()
		}
		return w.list(items)
	case kind == reflect.Map && value.Type().Key().Kind() == reflect.String:
		members := make(map[string]any, value.Len())
		for _, key := range value.MapKeys() {
			members[key.String()] = value.MapIndex(key).Interface()
		}
		return w.object(NewObject(members))
	case kind == reflect.Pointer && value.IsNil():
		return w.value(nil)
	}
	return unsupported("it has no form for a %s", value.Type())
}

func (w *writer) whole(value int64) error {
	if -maxSafe <= value && value <= maxSafe {
		w.to = strconv.AppendInt(w.to, value, 10)
		return nil
	}
	return w.tag("int", strconv.FormatInt(value, 10))
}

func (w *writer) big(value *big.Int) error {
	if value == nil {
		return w.value(nil)
	}
	if value.IsInt64() {
		return w.whole(value.Int64())
	}
	// 4000 digits are less than 13289 bits; the text of a far longer number would take long to make.
	if value.BitLen() > 13289 {
		return unsupported("a whole number has more than 4000 digits")
	}
	text := value.String()
	if !isWhole(text) {
		return unsupported("a whole number has more than 4000 digits")
	}
	return w.tag("int", text)
}

func (w *writer) float(value float64) error {
	switch {
	case math.IsNaN(value):
		return w.tag("float", "NaN")
	case math.IsInf(value, 1):
		return w.tag("float", "Infinity")
	case math.IsInf(value, -1):
		return w.tag("float", "-Infinity")
	}
	start := len(w.to)
	w.to = strconv.AppendFloat(w.to, value, 'g', -1, 64)
	if !strings.ContainsAny(string(w.to[start:]), ".e") {
		w.to = append(w.to, ".0"...)
	}
	return nil
}

// open begins an array or an object.
func (w *writer) open(bracket byte) error {
	if w.levels == maxDepth {
		return unsupported("it nests deeper than %d levels, or contains itself", maxDepth)
	}
	w.levels++
	w.to = append(w.to, bracket)
	return nil
}

func (w *writer) close(bracket byte) {
	w.levels--
	w.to = append(w.to, bracket)
}

func (w *writer) list(items []any) error {
	return w.items(len(items), func(place int) error { return w.value(items[place]) })
}

// items writes a list, whose items the function writes.
func (w *writer) items(count int, item func(place int) error) error {
	if err := w.open('['); err != nil {
		return err
	}
	for place := range count {
		if place > 0 {
			w.to = append(w.to, ',')
		}
		if err := item(place); err != nil {
			return within(err, fmt.Sprintf("[%d]", place))
		}
	}
	w.close(']')
	return nil
}

// different writes a value, and fails when the same one has been written before.
func (w *writer) different(value any, seen map[string]struct{}) error {
	start := len(w.to)
	if err := w.value(value); err != nil {
		return err
	}
	// By its text and not by comparing, since in Go not everything compares.
	text := string(w.to[start:])
	if _, twice := seen[text]; twice {
		return unsupported("a set has a member twice, or a map a key")
	}
	seen[text] = struct{}{}
	return nil
}

// object writes one, escaped when it has the key "$" itself.
func (w *writer) object(members *Object) error {
	if members == nil {
		return w.value(nil)
	}
	if _, isTagged := members.Get(tagKey); !isTagged {
		return w.members(members)
	}
	return w.form("obj", func() error { return w.members(members) })
}

func (w *writer) members(members *Object) error {
	if err := w.open('{'); err != nil {
		return err
	}
	first := true
	seen := map[string]struct{}{}
	for key, value := range members.All() {
		if !first {
			w.to = append(w.to, ',')
		}
		first = false
		// Keys that are not UTF-8 may become the same.
		written := strings.ToValidUTF8(key, "\uFFFD")
		if written != key {
			_, there := members.Get(written)
			if _, twice := seen[written]; there || twice {
				return unsupported("two keys become %q", written)
			}
			seen[written] = struct{}{}
		}
		w.to = append(appendText(w.to, written), ':')
		if err := w.value(value); err != nil {
			return within(err, strconv.Quote(key))
		}
	}
	w.close('}')
	return nil
}

// tag writes a tag with a value as its content.
func (w *writer) tag(name string, content any) error {
	return w.form(name, func() error { return w.value(content) })
}

// form writes a tag, whose content the function writes.
func (w *writer) form(name string, content func() error) error {
	if err := w.open('{'); err != nil {
		return err
	}
	w.to = append(w.to, `"$":"`+name+`","v":`...)
	if err := content(); err != nil {
		return err
	}
	w.close('}')
	return nil
}

func (w *writer) raw(value Tagged) error {
	if value.json == "" {
		return unsupported("a Tagged is made by ParseTagged")
	}
	if w.levels+depthOf(value.json) > maxDepth {
		return unsupported("it nests deeper than %d levels", maxDepth)
	}
	w.to = append(w.to, value.json...)
	return nil
}

func (w *writer) set(value *Set) error {
	seen := make(map[string]struct{}, len(value.Members))
	err := w.form("set", func() error {
		return w.items(len(value.Members), func(place int) error { return w.different(value.Members[place], seen) })
	})
	if err == nil && value.Frozen {
		w.to = append(w.to[:len(w.to)-1], `,"frozen":true}`...)
	}
	return err
}

func (w *writer) mapOf(value *Map) error {
	seen := make(map[string]struct{}, len(value.Entries))
	return w.form("map", func() error {
		return w.items(len(value.Entries), func(place int) error {
			entry := value.Entries[place]
			return w.items(2, func(part int) error {
				if part == 0 {
					return w.different(entry.Key, seen)
				}
				return w.value(entry.Value)
			})
		})
	})
}

func sortedKeys(members map[string]any) []string { return slices.Sorted(maps.Keys(members)) }
