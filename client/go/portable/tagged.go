package portable

// Tagged is a value that Go has no form for, as it came: what another language has, a tag of a later version, or content
// that is not as its tag says. It is written again as it came. Two are equal when their JSON is.
type Tagged struct {
	json string
}

// ParseTagged makes one of its JSON, an object with the key "$". It fails with ErrMalformed.
func ParseTagged(json string) (Tagged, error) {
	tree, err := parse([]byte(json))
	if err != nil {
		return Tagged{}, err
	}
	object, ok := tree.(*Object)
	if _, tagged := object.Get(tagKey); !ok || !tagged {
		return Tagged{}, malformed(`a tagged value is an object with the key "$"`)
	}
	return taggedOf(object), nil
}

func taggedOf(form *Object) Tagged {
	return Tagged{string(appendTree(nil, form))}
}

// JSON is the whole value.
func (t Tagged) JSON() string { return t.json }

// Tag is the tag's name; "" when it is no text.
func (t Tagged) Tag() string {
	tag, _ := t.member(tagKey).(string)
	return tag
}

// Type is the class of an opaque object, such as "shop.orders:Order"; "" of all else.
func (t Tagged) Type() string {
	if t.Tag() != "opaque" {
		return ""
	}
	class, _ := t.member("type").(string)
	return class
}

// View is what is inside, as plain values, for people to read: an opaque object's view, else the content; nil when there is
// none.
func (t Tagged) View() any {
	name := "v"
	if t.Tag() == "opaque" {
		name = "view"
	}
	return plain(t.member(name))
}

// String says the tag and what is inside.
func (t Tagged) String() string { return t.json }

func (t Tagged) member(name string) any {
	tree, err := parse([]byte(t.json))
	if err != nil {
		return nil
	}
	form, _ := tree.(*Object)
	value, _ := form.Get(name)
	return value
}
