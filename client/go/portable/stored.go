package portable

import (
	"bytes"

	v1 "checkpointd/checkpointdv1"
)

// Encoding is the name of portable-json/1 in the contract's Value.
const Encoding = "portable-json/1"

// Opaque is a whole value in an encoding that Go can't read, such as Python's msgpack. EncodeValue gives it back as it came.
type Opaque struct {
	Encoding string
	Data     []byte
}

// DecodeValue gives a stored value: nil of none, []byte of bytes, Decode's of portable-json/1, and an Opaque of all other
// encodings. It fails with ErrMalformed.
func DecodeValue(value *v1.Value) (any, error) {
	switch value.GetEncoding() {
	case "null", "":
		return nil, nil
	case "bytes", "bytearray":
		return bytes.Clone(value.GetData()), nil
	case Encoding:
		return Decode(value.GetData())
	}
	return Opaque{value.GetEncoding(), bytes.Clone(value.GetData())}, nil
}

// EncodeValue makes a value to be stored. It fails with ErrUnsupported.
func EncodeValue(value any) (*v1.Value, error) {
	switch value := value.(type) {
	case nil:
		return &v1.Value{Encoding: "null"}, nil
	case []byte:
		return &v1.Value{Encoding: "bytes", Data: bytes.Clone(value)}, nil
	case Opaque:
		return &v1.Value{Encoding: value.Encoding, Data: bytes.Clone(value.Data)}, nil
	}
	data, err := Encode(value)
	if err != nil {
		return nil, err
	}
	return &v1.Value{Encoding: Encoding, Data: data}, nil
}
