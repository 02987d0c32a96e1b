package portable

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
)

type vector struct {
	Name, Meaning, Text, Hex string
	Gives, Again             struct{ Go json.RawMessage }
}

func (v vector) bytes(t testing.TB) []byte {
	if v.Hex == "" {
		return []byte(v.Text)
	}
	data, err := hex.DecodeString(v.Hex)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func readVectors(t testing.TB) []vector {
	t.Helper()
	data, err := os.ReadFile("../../../protos/portable-json/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Vectors []vector }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	return file.Vectors
}

func TestVectors(t *testing.T) {
	refused := `["refused"]`
	vectors := readVectors(t)
	counts := map[string]int{}
	for _, vector := range vectors {
		t.Run(vector.Name, func(t *testing.T) {
			gives := normal(t, vector.Gives.Go)
			value, err := Decode(vector.bytes(t))
			if gives == refused {
				counts["refused"]++
				if !errors.Is(err, ErrMalformed) {
					t.Fatalf("%s: got %v, %v", vector.Meaning, value, err)
				}
				return
			}
			if err != nil {
				t.Fatalf("%s: %v", vector.Meaning, err)
			}
			counts["read"]++
			if got := compact(notation(value)); normal(t, []byte(got)) != gives {
				t.Errorf("%s: gives %s, not %s", vector.Meaning, got, gives)
			}
			again := vector.Text
			if vector.Again.Go != nil {
				if err := json.Unmarshal(vector.Again.Go, &again); err != nil {
					t.Fatal(err)
				}
			}
			written, err := Encode(value)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := exactly(t, string(written)), exactly(t, again); got != want {
				t.Errorf("%s: writes %s, not %s", vector.Meaning, got, want)
			}
		})
	}
	if counts["read"] < 300 || counts["refused"] < 40 || counts["read"]+counts["refused"] != len(vectors) {
		t.Errorf("of %d vectors, there were %v", len(vectors), counts)
	}
}

// normal is a notation's JSON, with numbers and white space as one writer writes them.
func normal(t *testing.T, notation []byte) string {
	t.Helper()
	var value any
	if err := json.Unmarshal(notation, &value); err != nil {
		t.Fatalf("%s: %v", notation, err)
	}
	return compact(value)
}

// exactly is a text without white space and with numbers, if they are not whole, as one writer writes them. The members of
// objects stay in their order.
func exactly(t *testing.T, text string) string {
	t.Helper()
	tree, err := parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return string(appendTree(nil, sameNumbers(tree)))
}

func sameNumbers(tree any) any {
	switch tree := tree.(type) {
	case json.Number:
		if value, err := tree.Float64(); err == nil && strings.ContainsAny(string(tree), ".eE") {
			return json.Number(strconv.FormatFloat(value, 'e', -1, 64))
		}
	case []any:
		for place, item := range tree {
			tree[place] = sameNumbers(item)
		}
	case *Object:
		for key, value := range tree.All() {
			tree.Set(key, sameNumbers(value))
		}
	}
	return tree
}
