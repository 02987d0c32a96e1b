"""What property tests draw: the values that LangGraph's serialiser can hold, metadata, checkpoints."""

from hypothesis import strategies as st

# Text that UTF-8 can hold.
text = st.text(st.characters(codec="utf-8"), max_size=20)
names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
# msgpack's integers.
integers = st.integers(-(2**63), 2**64 - 1)
scalars = st.none() | st.booleans() | integers | st.floats(allow_nan=False) | text | st.binary(max_size=20)
special = st.uuids() | st.datetimes() | st.decimals(allow_nan=False) | st.sets(integers, max_size=3)
values = st.recursive(
    scalars | special,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text | integers, inner, max_size=3),
    max_leaves=10,
)
versions = integers | st.floats(allow_nan=False) | text
json_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**1000), 2**1000)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
)
json_values = st.recursive(
    json_scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=10,
)
