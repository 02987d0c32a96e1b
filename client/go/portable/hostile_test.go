package portable

import (
	"bytes"
	"errors"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"
)

// FuzzDecode decodes whatever comes. What is read is written and read again, and then is the same.
func FuzzDecode(f *testing.F) {
	for _, vector := range readVectors(f) {
		f.Add(vector.bytes(f))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		value, err := Decode(data)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("%q: %v", data, err)
			}
			return
		}
		written, err := Encode(value)
		if errors.Is(err, ErrUnsupported) {
			return // an object that needs no escape on one level too many, for one
		}
		if err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		again, err := Decode(written)
		if err != nil {
			t.Fatalf("%q became %q: %v", data, written, err)
		}
		if second, err := Encode(again); err != nil || !bytes.Equal(written, second) {
			t.Fatalf("%q became %q, and then %q: %v", data, written, second, err)
		}
	})
}

func TestWhatHasNoFormIsRefusedAndSaysWhere(t *testing.T) {
	itself := []any{1}
	itself[0] = itself
	deep := any("x")
	for range 251 {
		deep = []any{deep}
	}
	tag, err := ParseTagged(`{"$":"future","v":[1]}`)
	if err != nil {
		t.Fatal(err)
	}
	id := "call-1"
	around := func(levels int, value any) any {
		for range levels {
			value = []any{value}
		}
		return value
	}
	for want, value := range map[string]any{
		"a func()":                             map[string]any{"a": func() {}},
		`"a": [1]: `:                           map[string]any{"a": []any{1, make(chan int)}},
		"struct":                               struct{ A int }{1},
		"contains itself":                      itself,
		"deeper than 250 levels":               around(249, tag),
		"deeper than 250 levels, or":           deep,
		"4000 digits":                          new(big.Int).Exp(big.NewInt(10), big.NewInt(4000), nil),
		"the year 10000":                       time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC),
		"two keys become":                      map[string]any{"\xff": 1, "\xfe": 2},
		"ParseTagged":                          Tagged{},
		"a set has a member twice":             &Set{Members: []any{1, int64(1)}},
		"or a map a key":                       &Map{Entries: []Entry{{"a", 1}, {"a", 2}}},
		"no type of LangChain's":               &Message{Type: "oracle", Content: ""},
		"content is neither":                   &Message{Type: "human"},
		"it needs a tool_call_id":              &Message{Type: "tool", Content: ""},
		"members of another type":              &Message{Type: "human", Content: "", ToolCallID: &id},
		"has a member of all messages: id":     &Message{Type: "human", Content: "", Extra: NewObject(map[string]any{"id": 1})},
		"needs a bound":                        &Send{Node: "a", Timeout: &SendTimeout{}},
		"below 0":                              &Send{Node: "a", Timeout: &SendTimeout{Run: -1}},
		"a Goto is a node's name":              &Command{Goto: 5},
		`"a": "b": portable-json/1 can't hold`: map[string]any{"a": map[string]any{"b": complex(1, 1)}},
	} {
		data, err := Encode(value)
		if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
		if data != nil {
			t.Errorf("%s: wrote %q", want, data)
		}
	}
	if _, err := Encode(around(248, tag)); err != nil {
		t.Error(err)
	}
}

func TestOtherKindsOfNumbersAndCollectionsAreWritten(t *testing.T) {
	type Name string
	var none *big.Int
	for want, value := range map[string]any{
		`{"a":1,"b":[1.5]}`:                      map[string]any{"b": []float64{1.5}, "a": uint8(1)},
		`["x"]`:                                  [1]Name{"x"},
		`{"x":true}`:                             map[Name]bool{"x": true},
		`{"$":"int","v":"18446744073709551615"}`: uint64(math.MaxUint64),
		`0.5`:                                    float32(0.5),
		`1.0`:                                    float32(1),
		`null`:                                   none,
		`{"$":"duration","v":1}`:                 time.Microsecond + 999*time.Nanosecond,
		`{"$":"datetime","v":"2026-01-02T03:04:05.6Z"}`: time.Date(2026, 1, 2, 3, 4, 5, 600000999, time.UTC),
		`{"$":"obj","v":{"$":1}}`:                       map[string]any{"$": 1},
		"\"\uFFFD\"":                                    "\xff",
		`{"$":"send","v":{"node":"a","args":null,"timeout":{"run_ms":1100,"idle_ms":1.000001}}}`: &Send{
			Node: "a", Timeout: &SendTimeout{Run: 1100 * time.Millisecond, Idle: time.Millisecond + time.Nanosecond},
		},
	} {
		data, err := Encode(value)
		if err != nil || string(data) != want {
			t.Errorf("%s: got %s, %v", want, data, err)
		}
	}
}

// Each level looks whether its members are different, and must not make the levels within it do so again.
func TestSetsWithinSetsCostNoMoreThanTheirSize(t *testing.T) {
	text := []byte("1")
	for range 124 {
		text = slices.Concat([]byte(`{"$":"set","v":[`), text, []byte("]}"))
	}
	value, err := Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	if written, err := Encode(value); err != nil || !bytes.Equal(written, text) {
		t.Errorf("%s, %v", written, err)
	}
}

func TestAMessageIsRead(t *testing.T) {
	value, err := Decode([]byte(`{"$":"msg","v":{"type":"ai","content":[{"type":"text","text":"shall I "},"order?",{"type":"image"}],
		"id":"a1","tool_calls":[{"name":"order","args":{"n":3},"id":"c1","type":"tool_call"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	message, ok := value.(*Message)
	if !ok || message.Text() != "shall I order?" || *message.ID != "a1" || message.Name != nil {
		t.Fatalf("%+v", value)
	}
	call := message.ToolCalls[0]
	if n, _ := call.Args.Get("n"); call.Name != "order" || n != int64(3) || *call.ID != "c1" {
		t.Errorf("%+v", call)
	}
}

func TestATaggedShowsWhatIsInside(t *testing.T) {
	value, err := Decode([]byte(`{"$":"opaque","lang":"python","enc":"msgpack","type":"shop:Order","v":"oWE=","view":{"id":7}}`))
	if err != nil {
		t.Fatal(err)
	}
	order, ok := value.(Tagged)
	if !ok || order.Tag() != "opaque" || order.Type() != "shop:Order" {
		t.Fatalf("%+v", value)
	}
	view, _ := order.View().(*Object)
	if id, _ := view.Get("id"); id != int64(7) {
		t.Errorf("%+v", order.View())
	}
	for _, json := range []string{"5", "{}", `{"$":`, `{"v":1}`} {
		if _, err := ParseTagged(json); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", json, err)
		}
	}
}
