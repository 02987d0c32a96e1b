"""What somebody else put into the store: nothing of it runs or is imported, and only the typed error is raised."""

import base64
import os
import random
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import ormsgpack
import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from pydantic import SecretStr

from checkpointd.client.errors import UnreadableValue
from checkpointd.client.langgraph import PortableSerializer, RemoteSaver, Tagged
from tests.client.portable.test_vectors import VECTORS, data_of
from tests.client.portable.values import Colour, Customer, Level, Order, Point, key

ENCODING = "portable-json/1"
SERIALIZER = PortableSerializer()
ONE_ARGUMENT, ARGUMENTS, KEYWORDS, METHOD, MODEL_1, MODEL_2, NUMPY, DELTA = range(8)


def loads(text: str | bytes, serializer: PortableSerializer = SERIALIZER) -> Any:
    return serializer.loads_typed((ENCODING, text.encode() if isinstance(text, str) else text))


def extension(code: int, *content: Any) -> ormsgpack.Ext:
    return ormsgpack.Ext(code, ormsgpack.packb(content))


def opaque(type_: str, packed: Any) -> str:
    data = base64.b64encode(ormsgpack.packb(packed)).decode()
    return f'{{"$":"opaque","lang":"python","enc":"msgpack","type":"{type_}","v":"{data}"}}'


def is_kept(text: str, serializer: PortableSerializer = SERIALIZER) -> bool:
    value = loads(text, serializer)
    return isinstance(value, Tagged) and value.json == text


@pytest.mark.parametrize("code", [ONE_ARGUMENT, ARGUMENTS, KEYWORDS, METHOD, MODEL_1, MODEL_2])
@pytest.mark.parametrize(
    ("module", "name", "argument"),
    [
        ("os", "system", "touch {}"),
        ("subprocess", "Popen", "touch {}"),
        ("builtins", "eval", "open('{}', 'w')"),
        ("builtins", "open", "{}"),
        ("pathlib", "os", "{}"),
        ("tests.client.portable.values", "dataclasses", "{}"),
        ("tests.client.portable.values", "key", "{}"),
        ("checkpointd.client", "Client", "{}"),
        ("enum", "Enum", "{}"),
    ],
)
def test_what_is_no_class_of_data_is_not_called(
    code: int, module: str, name: str, argument: str, tmp_path: Path
) -> None:
    told = argument.format(tmp_path / "touched")
    content: Any = {ARGUMENTS: [told], KEYWORDS: {"file": told}, MODEL_1: {}, MODEL_2: {}}.get(code, told)
    packed = extension(code, module, name, content, "__call__")
    for type_ in (f"{module}:{name}", "tests.client.portable.values:Order", "ipaddress:IPv4Address"):
        assert is_kept(opaque(type_, packed))
    # Nor within what is allowed.
    inside = extension(KEYWORDS, "tests.client.portable.values", "Order", {"id": packed, "lines": []})
    assert is_kept(opaque("tests.client.portable.values:Order", inside))
    assert list(tmp_path.iterdir()) == []


def test_only_what_is_said_to_be_there_is_there() -> None:
    order = extension(KEYWORDS, "tests.client.portable.values", "Order", {"id": 1, "lines": []})
    assert loads(opaque("tests.client.portable.values:Order", order)) == Order(1, [])
    for type_ in (
        "tests.client.portable.values:Customer",
        "Order",
        "values:Order",
        "tests.client.portable.test_hostile:Order",
    ):
        assert is_kept(opaque(type_, order))
    assert is_kept(opaque("tests.client.portable.values:Order", [order]))
    assert is_kept(opaque("builtins:list", [order]))


def test_an_enum_is_not_made_anew() -> None:
    colour = "tests.client.portable.values"
    assert loads(opaque(f"{colour}:Colour", extension(ONE_ARGUMENT, colour, "Colour", "red"))) is Colour.RED
    assert is_kept(opaque(f"{colour}:Colour", extension(KEYWORDS, colour, "Colour", {"value": "New", "names": ["A"]})))
    assert is_kept(opaque(f"{colour}:Colour", extension(ARGUMENTS, colour, "Colour", ["New", ["A"]])))


def test_classes_are_not_followed_out_of_their_module_and_nested_ones_are_found() -> None:
    street = {"street": "s"}
    there = "tests.client.portable.values"
    assert loads(opaque(f"{there}:Customer.Address", extension(MODEL_2, there, "Address", street))) == Customer.Address(
        street="s"
    )
    # HumanMessage is a name in that module, but its home is elsewhere.
    assert is_kept(opaque(f"{there}:HumanMessage", extension(MODEL_2, there, "HumanMessage", {"content": "hi"})))


def run(program: str, told: bytes, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", textwrap.dedent(program)]
    return subprocess.run(
        command, input=told, env=os.environ | environment, capture_output=True, timeout=60, check=False
    )


def test_nothing_is_imported() -> None:
    """In a process of its own, in which few modules are there yet."""
    program = """
        import sys
        from checkpointd.client.langgraph.portable import PortableSerializer, Tagged
        serializer = PortableSerializer()
        serializer.loads_typed(("portable-json/1", b'[{"$":"msg","v":{"type":"human","content":"hi"}}]'))
        before = set(sys.modules)
        value = serializer.loads_typed(("portable-json/1", sys.stdin.buffer.read()))
        assert isinstance(value, Tagged), value
        print(sorted(set(sys.modules) - before))
    """
    for module, name in (
        ("wsgiref.handlers", "BaseHandler"),
        ("turtle", "Turtle"),
        ("this", "s"),
        ("tests.client.portable.values", "Order"),
    ):
        text = opaque(f"{module}:{name}", extension(KEYWORDS, module, name, {}))
        done = run(program, text.encode())
        assert done.stdout == b"[]\n", done.stderr


def test_which_classes_are_allowed() -> None:
    values: list[Any] = [Order(1, []), Customer(name="ann"), Colour.RED, Level.LOW, Point(1, 2)]
    stored = [SERIALIZER.dumps_typed(value) for value in values]
    assert [key(SERIALIZER.loads_typed(data)) for data in stored] == [key(value) for value in values]
    none = PortableSerializer(allowed_types=())
    assert all(isinstance(none.loads_typed(data), Tagged) for data in stored)
    some = PortableSerializer(allowed_types=[Order, Colour])
    assert [isinstance(some.loads_typed(data), Tagged) for data in stored] == [False, True, False, True, True]
    # The safe ones are always allowed, and what LangGraph's serialiser stored is read by the same list.
    assert none.loads_typed(none.dumps_typed([HumanMessage("hi"), Path("/a")])) == [HumanMessage("hi"), Path("/a")]
    native = JsonPlusSerializer().dumps_typed(Order(1, []))
    assert some.loads_typed(native) == Order(1, [])
    assert none.loads_typed(native) == {"id": 1, "lines": []}


def test_langgraphs_strict_mode() -> None:
    """LangGraph says the classes of a graph's schemas by their names, and saver and serialiser take them."""
    orders = [("tests.client.portable.values", "Order"), ("os", "system")]
    stored = SERIALIZER.dumps_typed(Order(1, []))
    strict = PortableSerializer(allowed_types=[])
    assert strict.with_msgpack_allowlist(orders).loads_typed(stored) == Order(1, [])
    assert isinstance(strict.loads_typed(stored), Tagged)
    assert strict.with_msgpack_allowlist(orders).loads_typed(JsonPlusSerializer().dumps_typed(Order(1, []))) == Order(
        1, []
    )
    assert SERIALIZER.with_msgpack_allowlist(orders) is SERIALIZER
    with RemoteSaver("127.0.0.1:1", serde=strict) as saver:
        assert saver.with_allowlist(orders).serde.loads_typed(stored) == Order(1, [])
        assert isinstance(saver.serde.loads_typed(stored), Tagged)
    program = """
        from checkpointd.client.langgraph import PortableSerializer, Tagged
        from tests.client.portable.values import Order
        serializer = PortableSerializer()
        assert isinstance(serializer.loads_typed(serializer.dumps_typed(Order(1, []))), Tagged)
    """
    done = run(program, b"", LANGGRAPH_STRICT_MSGPACK="true")
    assert done.returncode == 0, done.stderr


def test_a_class_within_a_function_is_made_when_it_is_given() -> None:
    class Local(Order):
        pass

    stored = SERIALIZER.dumps_typed(Local(1, []))
    assert isinstance(SERIALIZER.loads_typed(stored), Tagged)
    assert isinstance(PortableSerializer(allowed_types=[Local]).loads_typed(stored), Local)


def test_a_secret_is_not_shown() -> None:
    class Login(Customer):
        secret: SecretStr

    for value in (SecretStr("hush"), Login(name="ann", secret=SecretStr("hush"))):
        _, data = SERIALIZER.dumps_typed([value])
        shown = loads(data, PortableSerializer(allowed_types=()))[0]
        assert "**********" in repr(shown.view)
        assert "hush" not in repr(shown)


def test_many_levels_of_objects_are_kept() -> None:
    packed: Any = 1
    for _ in range(400):
        packed = extension(KEYWORDS, "tests.client.portable.values", "Order", {"id": packed, "lines": []})
    assert is_kept(opaque("tests.client.portable.values:Order", packed))
    packed = ormsgpack.packb(1)
    for _ in range(3000):
        packed = ormsgpack.packb(ormsgpack.Ext(DELTA, packed))
    data = base64.b64encode(packed).decode()
    assert is_kept(f'{{"$":"opaque","lang":"python","enc":"msgpack","type":"a:B","v":"{data}"}}')


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        '{"$":"overwrite","v":' * 100_000 + "1" + "}" * 100_000,
        "[" * 1_000_000,
        "9" * 1_000_000,
        '{"a":1,"b":' + '{"a":1,"b":' * 300 + "1" + "}" * 301,
    ],
    ids=["lists", "objects", "tags", "open", "digits", "below the stack"],
)
def test_what_is_too_large_is_refused(text: str) -> None:
    with pytest.raises(UnreadableValue):
        loads(text)


def test_the_deepest_value_is_read_by_a_thread_with_little_stack_left_or_refused() -> None:
    text = '{"$":"overwrite","v":' * 250 + "1" + "}" * 250

    def below(frames: int) -> None:
        if frames:
            below(frames - 1)
            return
        with pytest.raises(UnreadableValue, match="stack"):
            loads(text)

    loads(text)
    below(sys.getrecursionlimit() // 2)


def mutations(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(changed) + 1)
        how = chance.randrange(4)
        if how == 0 and at < len(changed):
            changed[at] = chance.randrange(256)
        elif how == 1:
            changed[at:at] = chance.choice((b'"', b"{", b"]", b",", b"null", b"1e999", b'"$":', b"\\", b"\xff", b"-"))
        elif how == 2:
            del changed[at : at + chance.randint(1, 8)]
        else:
            changed[at:at] = changed[at : at + 12]
    return bytes(changed)


def tags(text: str, chance: random.Random) -> str:
    """The same text with one of its words in the place of another."""
    words = [part for part in text.split('"') if part]
    return text.replace(f'"{chance.choice(words)}"', f'"{chance.choice(words)}"', 1) if words else text


@pytest.mark.parametrize("seed", range(4))
def test_damage_raises_the_typed_error_or_gives_a_value_that_is_stored_again(seed: int) -> None:
    chance = random.Random(seed)
    before = set(sys.modules)
    samples = [data_of(vector) for vector in VECTORS if len(vector.get("text", "")) < 2000]
    samples += [SERIALIZER.dumps_typed([Order(1, [Point(1, 2)]), Colour.RED, Customer(name="ann")])[1]] * 20
    for data in samples * 5:
        damaged = (
            mutations(data, chance) if chance.random() < 0.7 else tags(data.decode("utf-8", "ignore"), chance).encode()
        )
        try:
            value = loads(damaged)
        except UnreadableValue:
            continue
        encoding, again = SERIALIZER.dumps_typed(value)
        assert key(SERIALIZER.loads_typed((encoding, again))) == key(value), damaged
    assert set(sys.modules) == before


def test_tagged_is_what_it_holds() -> None:
    tagged = Tagged('{ "$": "future", "v": [1, 2] }')
    assert tagged == Tagged('{"$":"future","v":[1,2]}')
    assert hash(tagged) == hash(Tagged('{"$":"future","v":[1,2]}'))
    assert tagged != Tagged('{"$":"future","v":[1,true]}')
    assert (tagged.tag, tagged.view, tagged.json) == ("future", [1, 2], '{"$":"future","v":[1,2]}')
    assert repr(tagged) == "Tagged('future', [1, 2])"
    shown = loads(opaque("shop:Order", extension(MODEL_2, "shop", "Order", {}))[:-1] + ',"view":{"id":7}}')
    assert repr(shown) == "Tagged('shop:Order', {'id': 7})"
    for text in ("[]", "{}", '{"a":1}', "", "{", '{"$":1,"$":2}'):
        with pytest.raises((ValueError, UnreadableValue)):
            Tagged(text)


def test_tagged_within_an_object_is_carried() -> None:
    order = Order(1, [Tagged('{"$":"future","v":1}'), HumanMessage("hi")])
    assert SERIALIZER.loads_typed(SERIALIZER.dumps_typed(order)) == order
