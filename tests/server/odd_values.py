"""Values as LangGraph's serialisers write them, and values that only look so."""

from typing import Any

import ormsgpack

from checkpointd.v1.core_pb2 import Value


def _packed(data: Any) -> bytes:
    return ormsgpack.packb(data, option=ormsgpack.OPT_NON_STR_KEYS)


def _extension(code: int, data: bytes) -> ormsgpack.Ext:
    return ormsgpack.Ext(code, data)


def _message(**fields: Any) -> ormsgpack.Ext:
    content = ["langchain_core.messages.human", "HumanMessage", {"type": "human", "content": "x", **fields}, "m"]
    return _extension(5, _packed(content))


def _overwrite(content: Any) -> ormsgpack.Ext:
    return _extension(2, _packed(["langgraph.types", "Overwrite", {"value": content}]))


_DATA: list[Any] = [
    *(None, True, 0, 1, -1, 2**64 - 1, 1.5, float("nan"), "", "a", "b", "__end__", b"x"),
    *([], [1], ["a", "b"], [[1]], [[], True], [["a"], True], [{}, False], {}, {"x": 1}, {"x": [1], "d": [1], "m": []}),
    *({1: 2}, {"__overwrite__": 1}, {"__overwrite__": [1]}, {"__overwrite__": {"__overwrite__": None}}),
    *({"type": "__overwrite__", "value": []}, {"type": "__overwrite__", "__overwrite__": 1, "value": 2}),
    *({"role": "user", "content": "x"}, {"role": "remove", "id": "1"}, {"role": ["x"]}, ["user", "x"], [["user", "x"]]),
    *(_overwrite(1), _overwrite([1]), _overwrite([_overwrite([])]), [_overwrite([1])], _overwrite([_message()])),
    *([_message()], [_message(id="1")], _message(id=5), [_message(type=[])], [_message(type="remove", id="1")]),
    [_message(type="remove", id="__remove_all__"), _message(id="")],
    *(_extension(code, b"") for code in range(9)),
    *(_extension(code, _packed(["builtins", "set", ["a", "b"]])) for code in range(9)),
    _extension(0, _packed(["builtins", "set", [[1]]])),
    _extension(1, _packed(["langgraph.types", "Send", ["a", 1]])),
    [_extension(1, _packed(["langgraph.types", "Send", ["b", None]])), _extension(1, _packed(["langgraph.x", "Send"]))],
    _extension(7, _packed([1])),
    _extension(7, b"\xc1"),
]

_JSON = (
    *("null", "1", "1.5", "[1]", '"a"', "{}", '{"x":1,"d":[1]}', "NaN", "-Infinity", "9" * 400, str(2**14284), "1e999"),
    *('"\\ud800"', '{"\\ud800":1,"x":"\\ud800"}', "[", "", '{"__overwrite__":[]}', '{"role":"user","content":"x"}'),
    *("[" * 500 + "]" * 500, "[" * 100_000),
)

_SEND = '{"$":"send","v":{"node":"a","args":{"x":1}}}'
_MSG = '{"$":"msg","v":{"type":"human","content":"x"}}'

_PORTABLE = (
    *("null", "true", "1", "1.5", '"a"', '"\\ud800"', "[]", "[1]", '["a","b"]', "{}", '{"x":1,"d":[1],"m":[]}'),
    *('{"$":"undef"}', '{"$":"int","v":"18446744073709551616"}', '{"$":"float","v":"NaN"}', '{"$":"bytes","v":"AA=="}'),
    *(
        '{"$":"obj","v":{"$":1,"x":1}}',
        '{"$":"map","v":[[1,2]]}',
        '{"$":"set","v":["a","b"]}',
        '[{"$":"set","v":[]},true]',
    ),
    *(
        _SEND,
        f"[{_SEND},{_SEND}]",
        _MSG,
        f"[{_MSG}]",
        '{"$":"delta_snapshot","v":[1]}',
        f'{{"$":"overwrite","v":[{_MSG}]}}',
    ),
    *('{"$":"overwrite","v":{"$":"overwrite","v":1}}', '[{"$":"msg","v":{"type":"remove","content":"","id":"1"}}]'),
    *('{"__overwrite__":[1]}', '[{"role":"user","content":"x"}]', '[{"$":"interrupt","v":{"value":1,"id":"i"}}]'),
    '{"$":"opaque","lang":"python","enc":"msgpack","type":"a:B","v":"wA==","view":{}}',
    # Tags that nobody knows, and known ones of another shape.
    *('{"$":"future","v":[1]}', '{"$":5}', '{"$":null,"v":{}}', '{"$":{"$":"int"},"v":"1"}', '{"$":"int","v":5}'),
    *('{"$":"set","v":[[1],{}]}', '{"$":"set","v":[1,1.0]}', '{"$":"send","v":{"node":5}}', '{"$":"send","v":[]}'),
    *('[{"$":"msg","v":{"type":"remove"}}]', '[{"$":"msg","v":[]}]', '{"$":"overwrite"}', '{"$":"delta_snapshot"}'),
    *('{"$":"map","v":[[{},1],[1]]}', '{"$":"obj","v":1}', '{"$":"bytes","v":"="}', '{"$":"float","v":"1e999"}'),
    '{"$":"send","v":{"node":"b","args":1,"timeout":{"run_ms":-1}}}',
    *("[" * 250 + "]" * 250, '{"$":"overwrite","v":' * 200 + "1" + "}" * 200),
)

_NOT_PORTABLE = (
    *(
        "",
        "{",
        '[{"$":"msg"',
        "NaN",
        "[-Infinity]",
        "1e999",
        "9" * 400,
        '{"a":1,"a":2}',
        '{"$":"int","$":"int","v":"1"}',
    ),
    *("[" * 251 + "]" * 251, "[" * 100_000, '{"$":"overwrite","v":' * 100_000),
)

READABLE: list[Value] = [
    *(Value(encoding="msgpack", data=_packed(data)) for data in _DATA),
    *(Value(encoding="portable-json/1", data=text.encode()) for text in _PORTABLE),
]
"""Those that are what they say, at least on the outside."""

STORABLE: list[Value] = [
    *READABLE,
    *(Value(encoding="msgpack", data=data) for data in (b"", b"\xc1", b"\x91", b"\xc7\xff", b"\xd4\xff\x00")),
    *(Value(encoding="msgpack", data=b"\x91" * depth + b"\xc0") for depth in (400, 2000)),
    *(Value(encoding="json", data=text.encode()) for text in _JSON),
    *(Value(encoding="portable-json/1", data=text.encode()) for text in _NOT_PORTABLE),
    *(
        Value(encoding="portable-json/1", data=b"\xff\xfe"),
        Value(encoding="json", data=b"\xff\xfe"),
        Value(encoding="bytes", data=b"\xff"),
        Value(encoding="aes", data=b"x"),
    ),
    *(Value(encoding="null"), Value(encoding="null", data=b"x")),
]
"""Those that may be given and stored."""

VALUES: list[Value] = [*STORABLE, Value(), Value(encoding="x" * 65)]
