"""The JSON that the messages ask for in words: the schema or example in them, and the form in which the answer is expected.

Read in this order, the last user message first, then the system messages, then earlier user messages; of several in a message the last:

1. a JSON Schema; a mapping of properties (agno); an object as an example or with types for values (`{"age": number}`);
2. the names of the keys, with Python types where they are given: "with `setup` and `punchline` keys", "in the following order of
   fields: `answer` (must be formatted as a valid Python float)";
3. nothing: any object.

Known wordings: instructor (JSON, MD_JSON), pydantic-ai's PromptedOutput, LangChain's PydanticOutputParser and json_mode, the AI SDK's
generateObject, DSPy's adapters, agno, Genkit. `tests/engine/reply/json_prompts/` has what each really sends.
"""

import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Literal, NamedTuple

from emulator.budget import AUTO_WORK, Budget, BudgetError
from emulator.engine.request.facts import Facts
from emulator.engine.request.history import USER_ROLES, is_result, text_of
from emulator.engine.request.open_turn import MAX_TASK


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


MAX_READ = 100_000
"""Characters at the end of a message in which a schema is looked for."""
_MAX_MESSAGES = 8
_MAX_EXAMPLE = 4_000
_MAX_DEPTH = 8
_MAX_KEYS = 200
_MAX_PLACES = 50
"""Places of a word such as JSON in a text that are looked at."""
_AROUND = 200
"""Characters around such a place that are read."""
_ATTEMPT = 500
"""Work of trying to read JSON at one place, besides the characters read."""

Form = Literal["json", "fenced", "sections"]
"""JSON; JSON in a Markdown code block; a heading `[[ ## field ## ]]` and a value for each field (DSPy)."""


class WantedJson(NamedTuple):
    """JSON that is asked for in words."""

    schema: Any
    """None where nothing says what is in it."""
    form: Form = "json"


_TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})
_PYTHON_TYPES = {
    "str": "string",
    "string": "string",
    "text": "string",
    "date": "string",
    "int": "integer",
    "integer": "integer",
    "float": "number",
    "number": "number",
    "bool": "boolean",
    "boolean": "boolean",
    "list": "array",
    "array": "array",
    "dict": "object",
    "object": "object",
}
# Keys that hold a number although nothing says so.
_NUMERIC = _set("age count year quantity price population rating score amount total temperature number")
# Searched for around the word JSON.
_DEMANDS = re.compile(
    r"(?:^|[.!?:;,\n>]\s{0,8}|\b(?:must|should|please|always|only|and|then|to|you)\s{1,8})"
    r"(?:(?:only|always|just|please|also)\s{1,8}){0,2}"
    r"(?:respond|reply|answer|return|output|produce|provide|generate|give|make|create|format|write|extract|list|convert)\b"
    r"[^.!?\n]{0,120}?\bjson\b"
    r"|\b(?:in|as|be|is|only|valid|using)\s{1,8}(?:a\s{1,8})?(?:valid\s{1,8})?json\b"
    r"|\bjson[ _]schema\b[^.!?\n]{0,40}(?:below|above|:)",
    re.IGNORECASE,
)
_ABOUT_JSON = re.compile(
    r"\b(?:function|script|program|code|class|endpoint|parser?|parsing|difference|explain|what is|what are|how (?:do|to|can))\b",
    re.IGNORECASE,
)
_LIST = re.compile(r"\bjson (?:array|list)\b|\b(?:array|list) of\b[^.!?\n]{0,60}\b(?:as|in) json\b", re.IGNORECASE)
_FENCE = re.compile(r"```\s?json|\bcode[ -]?block\b|\bmarkdown (?:code|fence|block)", re.IGNORECASE)
_UNFENCED = re.compile(
    r"\b(?:no|not|without|don't|do not)\b[^.\n]{0,60}(?:markdown|code[ -]?block|fenc|backtick|```)", re.IGNORECASE
)
# Searched for around words for keys.
_KEY_WORD = re.compile(r"\b(?:keys?|fields?|properties|attributes)\b", re.IGNORECASE)
_NAME = r"[`'\"][A-Za-z_]\w{0,63}[`'\"](?:\s{0,4}\([^()\n]{0,500}\))?"
_BETWEEN = r"[,\s]{0,8}(?:(?:and|then|or)\s{1,8}){0,2}"
_FIELDS = re.compile(
    rf"\A\w{{3,10}}(?:\s{{1,4}}(?:named|called|are|of)\b)?[:\s]{{1,8}}((?:{_BETWEEN}{_NAME}){{1,50}})"
    r"|\A\w{3,10}(?:\s{0,4}:|\s{1,4}named|\s{1,4}called)?\s{1,8}"
    r"([A-Za-z_]\w{0,63}(?:(?:\s{0,4},\s{0,4}(?:and\s{1,4})?|\s{1,4}and\s{1,4})[A-Za-z_]\w{0,63}){1,50})",
    re.IGNORECASE,
)
_FIELDS_BEFORE = re.compile(rf"((?:{_BETWEEN}{_NAME}){{1,10}})\s{{1,4}}(?:as\s{{1,4}})?\Z", re.IGNORECASE)
_FIELD = re.compile(r"[`'\"]?([A-Za-z_]\w{0,63})[`'\"]?(?:\s*\(([^()\n]{0,500})\))?")
_SECTION = re.compile(r"`\[\[ ## (\w{1,64}) ## \]\]`(?:\s*\(([^()\n]{0,500})\))?")
_PYTHON_TYPE = re.compile(r"\b(?:Python\s+)?(Literal\[[^\]]{1,400}\]|[A-Za-z]+)(?:\[([A-Za-z]+))?", re.IGNORECASE)
_VALID_TYPE = re.compile(r"valid Python\s+(.{1,400})", re.IGNORECASE)


def find_wanted_json(facts: Facts) -> WantedJson | None:
    """The JSON that the request asks for without a schema in `response_format`; None if it asks for none.

    An open model's `guided_json`, a schema or its text, counts as well.
    """
    guided = _guided_schema(facts)
    if guided is not None:
        return WantedJson(guided)
    texts = list(_texts(facts))
    last = facts.open_turn.question[-MAX_READ:]
    if fields := _SECTION.findall(last[-_MAX_EXAMPLE:]):
        fields = [(name, note) for name, note in fields if name != "completed"]
        return WantedJson(_schema_of_fields(fields), "sections")
    is_demanded = "application/json" in facts.response_format
    if not is_demanded and not any(_demands_json(text) for text in texts):
        return None
    schema = find_schema(texts, is_short=facts.is_short)
    if schema is None and not is_demanded and _LIST.search(last):
        schema = {"type": "array", "items": {"type": "string"}, "minItems": 2}
    is_fenced = not is_demanded and any(_asks_for_fence(text[-MAX_TASK:]) for text in texts)
    return WantedJson(schema, "fenced" if is_fenced else "json")


def _asks_for_fence(text: str) -> bool:
    return _FENCE.search(text) is not None and _UNFENCED.search(text) is None


def find_schema(texts: Sequence[str], *, is_short: bool = False) -> Any:
    """The JSON Schema for what is asked for in the first of the texts that says anything; None if none does."""
    budget = Budget(AUTO_WORK, AUTO_WORK, is_short=is_short)
    examples: list[Any] = []
    for text in texts:
        found: list[Any] = []
        with contextlib.suppress(BudgetError):
            found.extend(_read_objects(text[-MAX_READ:], budget))
        schemas = [schema for value in found if (schema := _as_schema(value)) is not None]
        if schemas:
            return schemas[-1]
        examples += [schema for value in found[-1:] if (schema := _schema_of_example(value, 0)) is not None]
    for text in texts:
        schema = _named_fields(text[-MAX_READ:])
        if schema is not None:
            return schema
    if examples:
        return examples[0]
    loose = (_loose_example(text[-MAX_READ:]) for text in texts)
    return next((schema for schema in loose if schema is not None), None)


def _guided_schema(facts: Facts) -> Any:
    """The schema of `guided_json`, which servers of open models read (documented: notebooks of Model Garden)."""
    if facts.gemini is not None:
        return None
    guided = facts.request.get("guided_json")
    if isinstance(guided, str):
        try:
            guided = json.loads(guided[:MAX_READ])
        except (ValueError, RecursionError):
            return None
    return guided if isinstance(guided, dict) else None


def _texts(facts: Facts) -> Iterator[str]:
    """The texts that may ask for JSON, those that count most first."""
    last = facts.open_turn.question
    yield last
    if facts.system:
        yield facts.system
    users = (
        text_of(message)
        for message in reversed(facts.messages)
        if message.get("role") in USER_ROLES and not is_result(message)
    )
    for number, text in enumerate(users):
        if number >= _MAX_MESSAGES:
            return
        if text != last:
            yield text


def _demands_json(text: str) -> bool:
    """Whether a text asks for an answer in JSON, and is not about programs that deal with it."""
    text = text[-MAX_READ:]
    lower = text.lower()
    place = lower.find("json")
    for _ in range(_MAX_PLACES):
        if place < 0:
            return False
        window = text[max(place - _AROUND, 0) : place + _AROUND]
        for match in _DEMANDS.finditer(window):
            start = max(window.rfind("\n", 0, match.start() + 1), match.start() - 40, 0)
            if not _ABOUT_JSON.search(window[start : match.end()]):
                return True
        place = lower.find("json", place + _AROUND)
    return False


def _read_objects(text: str, budget: Budget) -> Iterator[dict[str, Any]]:
    """The JSON objects in a text. Raises BudgetError when looking for them takes too much work."""
    decoder = json.JSONDecoder()
    place = text.find("{")
    while place >= 0:
        try:
            value, end = decoder.raw_decode(text, place)
        except json.JSONDecodeError as error:
            budget.spend(_ATTEMPT + error.pos - place)
            end = place + 1
        except (ValueError, RecursionError):
            # Deeper than any schema: there is no use in reading it from the next brace.
            return
        else:
            budget.spend(_ATTEMPT + end - place)
            if isinstance(value, dict) and value:
                yield value
        place = text.find("{", end)


def _as_schema(value: dict[str, Any]) -> Any:
    """The value as a JSON Schema if it is one, or a mapping of properties; else None."""
    if isinstance(value.get("properties"), dict) and all(isinstance(one, dict) for one in value["properties"].values()):
        return value
    named = value.get("type")
    if isinstance(named, str) and named.lower() in _TYPES and {"items", "enum", "additionalProperties"} & value.keys():
        return value
    if any(isinstance(value.get(key), list) for key in ("anyOf", "oneOf", "allOf")) or (
        "$ref" in value and ("$defs" in value or "definitions" in value)
    ):
        return value
    definitions = {key: one for key, one in value.items() if key in {"$defs", "definitions"}}
    properties = {key: one for key, one in value.items() if key not in definitions}
    if properties and all(_is_property(one) for one in properties.values()):
        return {"type": "object", "properties": properties, "required": list(properties), **definitions}
    return None


def _is_property(value: Any) -> bool:
    """Whether a value is a schema by itself: it names a type or refers to one."""
    if not isinstance(value, dict):
        return False
    named = value.get("type")
    return (isinstance(named, str) and named.lower() in _TYPES) or "$ref" in value or "anyOf" in value


def _schema_of_example(value: Any, depth: int) -> Any:
    """A schema that the example satisfies, with all of its keys; texts that name a type stand for it."""
    if depth > _MAX_DEPTH:
        return {}
    match value:
        case bool():
            return {"type": "boolean"}
        case int():
            return {"type": "integer"}
        case float():
            return {"type": "number"}
        case str():
            return _schema_of_words(value)
        case list():
            return {"type": "array", "items": _schema_of_example(value[0], depth + 1) if value else {"type": "string"}}
        case dict():
            pairs = list(value.items())[:_MAX_KEYS]
            return _object_of([(key, _schema_of_example(one, depth + 1)) for key, one in pairs])
        case _:
            return {}


def _schema_of_words(text: str) -> dict[str, Any]:
    """A schema for a placeholder: `number`, `<int>`, `list[str]`, `a short text`, `yes|no`; DSPy's note may hold a schema."""
    note = text.partition("# note:")[2]
    if "{" in note:
        try:
            value, _ = json.JSONDecoder().raw_decode(note, note.index("{"))
        except (ValueError, RecursionError):
            pass
        else:
            if isinstance(value, dict):
                return value
    if "one of:" in note:
        return {"type": "string", "enum": [one.strip() for one in note.partition("one of:")[2].split(";")]}
    if found := re.search(r"\b(float|int|bool)\b value", note):
        return {"type": _PYTHON_TYPES[found[1]]}
    words = text.strip(" <>{}()[]").lower()
    if words in _PYTHON_TYPES:
        return _schema_of_type(words)
    choices = [one.strip(" \"'") for one in text.split("|")]
    if len(choices) > 1 and all(re.fullmatch(r"[\w -]{1,40}", one) for one in choices):
        types = [_PYTHON_TYPES.get(one.lower()) for one in choices]
        return {"type": types[0]} if types[0] else {"type": "string", "enum": choices}
    is_said = 0 < len(words) <= 80 and not words.startswith(("...", "\u2026"))  # noqa: PLR2004  # a line of text
    return {"type": "string", "description": text} if is_said else {"type": "string"}


def _schema_of_type(written: str) -> dict[str, Any]:
    """A schema for a Python type: `float`, `list[str]`, `Literal['a', 'b']`."""
    found = _PYTHON_TYPE.search(written.strip())
    if found is None:
        return {"type": "string"}
    if found[1].lower().startswith("literal["):
        choices = re.findall(r"'([^']*)'|\"([^\"]*)\"", found[1])
        return {"type": "string", "enum": [one or other for one, other in choices] or [""]}
    type_ = _PYTHON_TYPES.get(found[1].lower(), "string")
    if type_ == "array":
        item = _PYTHON_TYPES.get((found[2] or "str").lower(), "string")
        return {"type": "array", "items": {"type": item}}
    return {"type": type_}


def _named_fields(text: str) -> Any:
    """A schema with the keys that a text names; None if it names none."""
    found = None
    for match in islice(_KEY_WORD.finditer(text), _MAX_PLACES):
        after = _FIELDS.match(text[match.start() : match.start() + _MAX_EXAMPLE])
        before = _FIELDS_BEFORE.search(text[max(match.start() - _AROUND, 0) : match.start()])
        listed = (after[1] or after[2]) if after else before[1] if before else ""
        fields = [(name, note) for name, note in _FIELD.findall(listed) if name.lower() not in {"and", "then", "or"}]
        if fields:
            found = _schema_of_fields(fields)
    return found


def _schema_of_fields(fields: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """An object with these keys; notes in brackets may give types."""
    properties = []
    for name, note in fields[:_MAX_KEYS]:
        valid = _VALID_TYPE.search(note)
        written = valid[1] if valid else note
        known = written.strip().partition("[")[0].lower()
        is_type = known in _PYTHON_TYPES or known == "literal"
        default = {"type": "integer" if name.lower() in _NUMERIC else "string"}
        properties.append((name, _schema_of_type(written) if is_type else default))
    return _object_of(properties)


def _object_of(properties: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(dict.fromkeys(name for name, _ in properties)),
        "additionalProperties": False,
    }


_LOOSE_PAIR = re.compile(
    r"""["'`]?([A-Za-z_]\w{0,63})["'`]?\??\s{0,8}:\s{0,8}((?:"[^"\n]{1,60}"\s{0,4}\|\s{0,4}){1,20}"[^"\n]{1,60}"|"[^"\n]{0,300}"|'[^'\n]{0,300}'|\[[^\[\]{}\n]{0,300}\]|<[^<>\n]{1,100}>|[^,{}\[\]\n]{1,200}(?:\[\])?)"""
)


def _loose_example(text: str) -> Any:
    """A schema for the last `{...}` that is no JSON but looks like it: `{"name": string, "age": number}`; None without one."""
    end = text.rfind("}")
    start = text.rfind("{", 0, end + 1)
    if start < 0 or end - start > _MAX_EXAMPLE:
        return None
    pairs = []
    for name, written in _LOOSE_PAIR.findall(text[start + 1 : end]):
        value = written.strip().rstrip(";") if "|" in written else written.strip(" \"'<>`").rstrip(";")
        if written.startswith("["):
            item = written.strip("[] \"'")
            pairs.append((name, {"type": "array", "items": _schema_of_words(item)}))
        elif value.endswith("[]"):
            pairs.append((name, {"type": "array", "items": _schema_of_words(value.removesuffix("[]"))}))
        elif re.fullmatch(r"-?\d+(?:\.\d+)?", value):
            pairs.append((name, {"type": "number" if "." in value else "integer"}))
        elif value in {"true", "false", "True", "False"}:
            pairs.append((name, {"type": "boolean"}))
        else:
            pairs.append((name, _schema_of_words(value)))
    return _object_of(pairs[:_MAX_KEYS]) if pairs else None
