"""Mutations of JSON values, texts and bytes; each is a function of a `random.Random` alone, so that a case can be made again from its seed."""

import json
from random import Random
from typing import Any

HOSTILE_TEXTS = (
    "",
    " ",
    "\x00",
    "\x1b[31m",
    "\r\nSet-Cookie: a=b\r\n\r\n",
    "\u2028",
    "\ufeff",
    "\ud800",
    "\U0001f600",
    "é" * 300,
    "a" * 70_000,
    "{{ 1 }}",
    "{% for i in range(9) %}",
    "$ref",
    "../../etc/hostname",
    "gs://b/o.png",
    "data:image/png;base64,AAAA",
    "https://example.com/a.png?x=1#y",
    "google/gemini-2.5-flash",
    "NaN",
    "null",
    "0x10",
    "1e999",
    "^(a+)+$",
    "(a{99999})(\\1{99999})",
    "ya29.A0SECRETSECRETSECRETSECRET",
    "-----BEGIN PRIVATE KEY-----",
    '"',
    "'",
    "\\",
)
HOSTILE_NUMBERS = (
    0,
    -0.0,
    -1,
    1,
    2,
    0.5,
    1.0,
    1e-9,
    2**31,
    2**53 + 1,
    -(2**63),
    2**64,
    10**400,
    1e308,
    float("inf"),
    float("nan"),
)
SCHEMA_PARTS: tuple[dict[str, Any], ...] = (
    {"const": "a" * 40 + "!", "pattern": "^(a+)+$"},
    {"enum": list(range(300))},
    {"minLength": 200_000},
    {"minItems": 5000, "type": "array", "items": {"minLength": 5000, "type": "string"}},
    {"allOf": [{"$ref": "#"}, {"$ref": "#"}]},
    {"anyOf": [{"not": {}}, {"$ref": "#/$defs/none"}]},
    {"patternProperties": {"^(a+)+$": {"type": "integer"}}, "required": ["a" * 40 + "!"]},
    {"propertyNames": {"pattern": "^[a-z]{3}$"}, "minProperties": 40},
    {"uniqueItems": True, "minItems": 20, "items": {"type": "boolean"}},
    {"multipleOf": 0.1, "minimum": 0.05, "maximum": 0.06},
    {"format": "date-time", "maxLength": 3},
    {"contains": {"type": "null"}, "minContains": 7, "maxContains": 3},
    {"if": {"type": "string"}, "then": {"minLength": 9}, "else": {"minimum": 9}},
)


def hostile_value(random: Random) -> Any:
    """A JSON value that programs rarely expect."""
    kind = random.randrange(9)
    if kind == 0:
        return random.choice(HOSTILE_TEXTS)
    if kind == 1:
        return random.choice(HOSTILE_NUMBERS)
    if kind == 2:
        return random.choice((None, True, False))
    if kind == 3:
        return random.choice(([], {}, [[]], [{}], {"": None}, [None], {"a": {"b": {}}}))
    if kind == 4:
        return nested(random.choice((5, 60, 400)), random.random() < 0.5)
    if kind == 5:
        return [random.choice(HOSTILE_TEXTS)] * random.choice((1, 2, 300))
    if kind == 6:
        return {random.choice(HOSTILE_TEXTS): random.choice(HOSTILE_NUMBERS)}
    if kind == 7:
        return _copy(random.choice(SCHEMA_PARTS))
    return random.choice(HOSTILE_TEXTS)[:40] * random.choice((1, 3, 50))


def nested(depth: int, lists: bool) -> Any:
    """A value that is nested so many levels deep."""
    value: Any = 1
    for _ in range(depth):
        value = [value] if lists else {"a": value}
    return value


def mutate_json(value: Any, random: Random, changes: int) -> Any:
    """A copy of a JSON value with so many changes: members replaced, removed, copied, renamed, exchanged."""
    value = json.loads(json.dumps(value))
    for _ in range(changes):
        places = list(_members(value))
        if not places:
            return hostile_value(random)
        container, key = random.choice(places)
        _, other = random.choice(places)
        choice = random.randrange(7)
        if choice <= 2:
            container[key] = hostile_value(random)
        elif choice == 3:
            del container[key]
        elif choice == 4 and isinstance(container, list):
            container.insert(random.randrange(len(container) + 1), _copy(container[key]))
        elif choice == 4:
            container[random.choice(HOSTILE_TEXTS)] = _copy(container[key])
        elif choice == 5 and isinstance(container, dict):
            container[str(other)] = container.pop(key)
        else:
            source, name = random.choice(places)
            container[key] = _copy(source[name])
    return value


def _copy(value: Any) -> Any:
    """A copy, so that no value contains itself and no constant is changed; null for a large one."""
    written = json.dumps(value)
    return json.loads(written) if len(written) < 100_000 else None


def _members(value: Any) -> Any:
    """Every container inside a value with each of its keys or indexes, without recursion."""
    pending = [value]
    while pending:
        found = pending.pop()
        if isinstance(found, dict | list):
            for key in list(found) if isinstance(found, dict) else range(len(found)):
                yield found, key
                pending.append(found[key])


def dump(value: Any, random: Random) -> bytes:
    """A value as JSON, now and then with what JSON does not allow: NaN, lone surrogates, bytes that are no UTF-8, a broken end."""
    data = json.dumps(value, ensure_ascii=random.random() < 0.7).encode("utf-8", "surrogatepass")
    if random.random() < 0.08:
        data = mutate_bytes(data, random, random.choice((1, 2, 8)))
    return data


def mutate_bytes(data: bytes, random: Random, changes: int) -> bytes:
    """Bytes with so many changes: some flipped, removed, repeated, inserted."""
    mutated = bytearray(data)
    for _ in range(changes):
        at = random.randrange(len(mutated) + 1)
        length = random.choice((1, 1, 2, 7, 40))
        choice = random.randrange(4)
        if choice == 0 and at < len(mutated):
            mutated[at] ^= 1 << random.randrange(8)
        elif choice == 1:
            del mutated[at : at + length]
        elif choice == 2:
            mutated[at:at] = mutated[at : at + length] * random.choice((1, 3))
        else:
            mutated[at:at] = (
                random.randbytes(length)
                if random.random() < 0.5
                else random.choice((b"\r\n", b"\n", b"\0", b":", b'"', b"{", b"}}"))
            )
    return bytes(mutated)


def mutate_lines(text: str, random: Random, changes: int, tokens: tuple[str, ...]) -> str:
    """A text with so many changes of whole lines and of words; `tokens` are what may be put in."""
    lines = text.split("\n")
    for _ in range(changes):
        at = random.randrange(len(lines))
        choice = random.randrange(7)
        if choice == 0:
            del lines[at]
            lines = lines or [""]
        elif choice == 1:
            lines.insert(at, lines[at])
        elif choice == 2:
            lines[at] = " " * random.choice((1, 2, 4)) + lines[at]
        elif choice == 3:
            lines[at] = lines[at].lstrip()
        elif choice == 4:
            words = lines[at].split(" ")
            words[random.randrange(len(words))] = random.choice(tokens)
            lines[at] = " ".join(words)
        elif choice == 5:
            before, colon, _ = lines[at].partition(":")
            lines[at] = f"{before}{colon} {random.choice(tokens)}"
        else:
            other = random.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
    return "\n".join(lines)
