"""Values that the messages name for the properties of a schema: proper nouns, numbers, dates, quoted texts, values of enums.

`suggest_values` lays them into a copy of the schema, as `default` or as the one value of an `enum`; the sampler takes them where
they are valid and makes up the rest. What a property takes is decided by the words of its name, else of its description:

- a value of an `enum`: the one that the question names, else the one that shares a word with it;
- a number: the one beside the property's name, else the first that no other property is beside;
- a place, a person, a date, an address, an id, ...: what looks like one, best after a fitting preposition ("from Oslo to Bergen");
- a query, a text: the quoted text, else the question itself; an answer, a summary: the prose that would answer the question;
- any other text: what follows the property's name ("genre: jazz"), a quoted text, a proper noun.

Values are looked for in the question, then in the results of tools (where JSON has a key of that name, its value wins), then in
earlier messages of the user. No value is used twice.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from emulator.engine.request.facts import Facts
from emulator.engine.request.history import USER_ROLES, is_result, text_of
from emulator.engine.request.tools import shared_stems


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


MAX_TEXT = 4_000
"""Characters of each text, half of them from its beginning and half from its end, in which values are looked for."""
MAX_SUGGESTIONS = 100
"""Properties of a schema for which values are looked for."""
MAX_SCHEMAS = 2_000
"""Subschemas that are looked at for properties."""
_MAX_EARLIER = 4
"""Earlier messages of the user, and results of tools, that are read."""
_MAX_DEPTH = 12
_MAX_VALUES = 1_000
"""Values of an enum, and of a result's JSON, that are looked at."""
_MAX_FOUND = 100
"""Values of a kind in a text, and words of a property's name in it, that are looked at."""
_NEAR = 24
"""Characters between a value and the word that names its property."""

Prose = Callable[[], str]
"""Writes the prose that answers the request."""

_KINDS = {
    word: kind
    for kind, words in {
        "email": "email mail",
        "url": "url uri link website homepage href webpage",
        "phone": "phone telephone mobile fax",
        "date": "date day when deadline birthday birthdate checkin checkout",
        "time": "time hour",
        "place": "location city cities town place country destination origin region state venue address area departure arrival",
        "person": "name person user customer author owner contact guest employee participant attendee recipient assignee",
        "language": "language lang",
        "currency": "currency currencies",
        "id": "id number code key ref reference sku ticket identifier",
        "symbol": "symbol ticker",
        "expression": "expression formula equation calculation",
        "text": "query question q prompt text input message content body task instruction instructions request search term keyword",
        "answer": "answer response result output summary explanation reasoning reason analysis thought conclusion report feedback "
        "rationale comment description note",
        "title": "title subject topic headline heading theme",
    }.items()
    for word in words.split()
}
_BY_DESCRIPTION = ("email", "url", "date", "place", "language", "currency", "person")
_FROM = _set("from origin source departure start base")
_TO = _set("to destination target arrival end into")
_PLACE_WORDS = _set("in at near around from to into for of about")
_COMMON = _set(
    """
    a about act add after all also an and another any are as ask assume at be before book but buy by calculate
    call can check choose classify compare complete compute consider convert correct could count create define
    delete describe did do does draft each evaluate every everyone explain extract fetch find fix for from
    generate get give given go guess hello help here hey hi how i identify if imagine in is it its json keep
    let list look make may me might must my name no not now of ok on one or order our outline output paraphrase pick
    play please plan prepare print produce prove provide read recommend remind remove repeat replace reply
    respond return rewrite run say schedule search select send set she should show sing solve some start stop
    suggest summarise summarize task tell thank thanks that the their them then there these they this those to
    today tomorrow translate turn try update use using was we were what when where which who whom whose why
    will with would write yes you your he sum morning afternoon evening night case general short detail total
    monday tuesday wednesday thursday friday saturday sunday january
    february march april june july august september october november december
    """
)
_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_LANGUAGES = _set(
    """
    english spanish french german italian portuguese chinese mandarin japanese korean russian arabic hindi
    dutch swedish norwegian danish finnish polish turkish greek hebrew czech ukrainian thai vietnamese
    indonesian latin
    """
)
_CURRENCIES = {"dollar": "USD", "euro": "EUR", "pound": "GBP", "yen": "JPY", "franc": "CHF", "rupee": "INR"}
_NUMBER_WORDS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_MONTH = "|".join(f"{month}|{month[:3]}" for month in _MONTHS)
_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
_NAME_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")
_QUOTED = re.compile(
    r'"([^"\n]{1,500})"|\u201c([^\u201d\n]{1,500})\u201d|\u00ab([^\u00bb\n]{1,500})\u00bb|`([^`\n]{1,500})`'
    r"|(?<!\w)'([^'\n]{1,500})'(?!\w)"
)
_DATE = re.compile(
    rf"\b(?P<iso>\d{{4}}-\d\d-\d\d)\b|\b(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\s{{1,4}}(?:of\s{{1,4}})?(?P<month>{_MONTH})\b(?:,?\s+(?P<year>\d{{4}}))?"
    rf"|\b(?P<month2>{_MONTH})\s{{1,4}}(?P<day2>\d{{1,2}})(?:st|nd|rd|th)?\b(?:,?\s+(?P<year2>\d{{4}}))?"
    r"|\b(?P<word>today|tonight|tomorrow|yesterday|(?:(?:next|this|last)\s+)?(?:monday|tuesday|wednesday|thursday|friday|saturday"
    r"|sunday)|(?:next|this|last)\s+(?:week|weekend|month|year))\b",
    re.IGNORECASE,
)
_TIME = re.compile(r"\b\d{1,2}:\d\d(?:\s?[ap]m)?\b|\b\d{1,2}\s?[ap]m\b|\bnoon\b|\bmidnight\b", re.IGNORECASE)
_NUMBER = re.compile(
    r"(?<![\w.,:/#-])(?P<digits>-?(?:\d{1,3}(?:,\d{3}){1,4}|\d{1,15})(?:\.\d{1,9})?)(?![\d:]|[.,/-]\d)"
    rf"|\b(?P<word>{'|'.join(_NUMBER_WORDS)})\b",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}")
_URL = re.compile(r"https?://[^\s<>\"'`)\]]{1,2000}")
_PHONE = re.compile(r"\+?\d[\d ()-]{6,18}\d")
_ID = re.compile(r"#?\b(?:[A-Za-z]{1,10}[-_]?)?\d[\w-]{0,40}\b")
_SYMBOL = re.compile(r"\b[A-Z]{2,5}\b")
_EXPRESSION = re.compile(r"[-(]{0,5}\d[\d\s.()]{0,40}(?:[-+*/^%\u00d7\u00f7][\d\s.()]{1,40}){1,20}")
_NAMED_BY = r"\b{}\b\s{{0,4}}(?:[:=]|is\b|named\b|called\b|should be\b)\s{{0,4}}[\"'\u201c]?([^\s,.;:!?\"'\u201d][^,.;!?\"'\u201d\n]{{0,80}})"
_LOWER_PLACE = re.compile(
    r"\b(?:in|at|near|around|for|to|from)\s+(?:the\s+)?([a-z][\w'-]{1,30}(?:\s+(?!today|tomorrow|now|right|this|next|on|and|please)"
    r"[a-z][\w'-]{1,30})?)(?=\s*(?:[?.!,;]|$|\b(?:today|tomorrow|now|right|this|next|on|and|please)\b))"
)
_CONNECTORS = _set("of de la del da do di van von der")
_SHORT_NAME = 3


@dataclass(frozen=True, slots=True)
class _Found:
    """A value in a text, with its place and the word before it."""

    value: Any
    start: int
    end: int
    before: str = ""


@dataclass(frozen=True, slots=True)
class _Names:
    """The names of an object's properties: in the form of `_key`, and all of their words in the forms of `_forms`."""

    keys: frozenset[str]
    words: frozenset[str]


@dataclass(slots=True)
class _Property:
    """What is known about the property that wants a value."""

    name: str
    schema: dict[str, Any]
    kinds: frozenset[str]
    """The JSON types that it may have."""
    kind: str
    """What its name or description says that it holds, a key of `_KINDS`; empty if that is not known."""
    words: frozenset[str]
    """The words of its name, as in `_forms`."""
    others: frozenset[str]
    """The words of the other properties' names."""
    keys: frozenset[str]
    """The names of all properties, as in `_key`; a text that quotes one gives no value."""
    is_required: bool

    def fit(self, text: str) -> str:
        """A text cut to the property's `maxLength`."""
        most = self.schema.get("maxLength")
        return text[:most] if isinstance(most, int) and most > 0 else text


class _Text:
    """One text, and what in it may be a value."""

    def __init__(self, text: str) -> None:
        self.text = text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT // 2]}\n{text[-MAX_TEXT // 2 :]}"
        self.used: set[int] = set()

    @cached_property
    def words(self) -> list[tuple[int, int, frozenset[str]]]:
        """The words, each with its start, its end and its forms."""
        return [(match.start(), match.end(), _forms(match[0])) for match in _WORD.finditer(self.text)]

    @cached_property
    def quoted(self) -> list[_Found]:
        """Quoted texts."""
        return [
            _Found(next(group for group in match.groups() if group), match.start(), match.end())
            for match in islice(_QUOTED.finditer(self.text), _MAX_FOUND)
        ]

    @cached_property
    def dates(self) -> list[_Found]:
        """Dates: ISO where the year is given, else as they are written."""
        return [
            _Found(_read_date(match), match.start(), match.end())
            for match in islice(_DATE.finditer(self.text), _MAX_FOUND)
        ]

    @cached_property
    def numbers(self) -> list[_Found]:
        """Numbers that are no part of a date, a time or a quoted text; two to twelve also as words."""
        taken = [(one.start, one.end) for one in (*self.dates, *self.quoted) if not one.value.isdecimal()]
        taken += [(match.start(), match.end()) for match in islice(_TIME.finditer(self.text), _MAX_FOUND)]
        found = []
        for match in islice(_NUMBER.finditer(self.text), _MAX_FOUND):
            if any(start <= match.start() < end for start, end in taken):
                continue
            digits = match["digits"]
            number: float = float(digits.replace(",", "")) if digits else _NUMBER_WORDS[match["word"].lower()]
            found.append(_Found(int(number) if number == int(number) else number, match.start(), match.end()))
        return found

    @cached_property
    def nouns(self) -> list[_Found]:
        """Proper nouns, as far as capital letters tell."""
        found: list[_Found] = []
        matches = list(_WORD.finditer(self.text))
        number = 0
        while number < len(matches):
            first = matches[number]
            last = number
            if _is_name(first[0]):
                while last + 1 < len(matches) and self.text[matches[last].end() : matches[last + 1].start()] == " ":
                    following = matches[last + 1][0]
                    if _is_name(following):
                        last += 1
                    elif (
                        following in _CONNECTORS
                        and last + 2 < len(matches)
                        and _is_name(matches[last + 2][0])
                        and self.text[matches[last + 1].end() : matches[last + 2].start()] == " "
                    ):
                        last += 2
                    else:
                        break
                value = self.text[first.start() : matches[last].end()].removesuffix("'s").removesuffix("\u2019s")
                before = matches[number - 1][0].lower() if number else ""
                found.append(_Found(value, first.start(), matches[last].end(), before))
            number = last + 1
        return found[:_MAX_FOUND]

    @cached_property
    def lower_places(self) -> list[_Found]:
        """Words after a preposition at the end of a clause, written as names: what is a place if no word has a capital letter."""
        found = []
        for match in islice(_LOWER_PLACE.finditer(self.text), _MAX_FOUND):
            words = match[1].split()
            if not any(word in _COMMON for word in words):
                name = match[1].upper() if len(match[1]) <= _SHORT_NAME else match[1].title()
                found.append(_Found(name, match.start(1), match.end(1), match[0].split()[0]))
        return found

    def find(self, pattern: re.Pattern[str]) -> list[_Found]:
        """All matches of a pattern."""
        return [
            _Found(match[0].strip(), match.start(), match.end(), _word_before(self.text, match.start()))
            for match in islice(pattern.finditer(self.text), _MAX_FOUND)
        ]

    def places(self, words: frozenset[str]) -> list[tuple[int, int]]:
        """The start and end of each of the words in the text."""
        found = ((start, end) for start, end, forms in self.words if not words.isdisjoint(forms))
        return list(islice(found, _MAX_FOUND))

    def take(self, candidates: Iterable[_Found], wanted: _Property, *, near_only: bool = False) -> Any:
        """The unused value nearest to the property's name, else the first that is not beside another's; None if there is none."""
        unused = [one for one in candidates if one.start not in self.used and _key(str(one.value)) not in wanted.keys]
        if not unused:
            return None
        own = self.places(wanted.words)
        best = min(unused, key=lambda one: _distance(one, own))
        if _distance(best, own) > _NEAR:
            if near_only:
                return None
            others = self.places(wanted.others)
            # Where each value is beside some property's name, order decides.
            best = next((one for one in unused if _distance(one, others) > _NEAR), unused[0])
        self.used.add(best.start)
        return best.value


def _distance(found: _Found, places: list[tuple[int, int]]) -> int:
    """Characters between a value and the nearest of the places that are not inside it; a large number if there is none."""
    distances = [
        max(start - found.end, found.start - end, 0)
        for start, end in places
        if not (found.start <= start and end <= found.end)
    ]
    return min(distances, default=MAX_TEXT)


class _Reader:
    """Looks for the values of a schema's properties in the messages of a request."""

    def __init__(self, facts: Facts, prose: Prose, *, is_answer: bool) -> None:
        turn = facts.open_turn
        self._question = turn.task
        self._prose = prose
        self._is_answer = is_answer
        results = []
        self._keys = dict[str, Any]()
        for _, text in turn.results[-_MAX_EARLIER:]:
            value = _parse(text)
            _collect_scalars(value, self._keys, 0)
            # Keys of JSON are no values.
            results.append(text if value is None else "\n".join(str(one) for one in self._keys.values()))
        earlier = [
            text_of(message)
            for message in facts.messages
            if message.get("role") in USER_ROLES and not is_result(message)
        ]
        texts = [turn.task, *reversed(results), *reversed(earlier[-_MAX_EARLIER:])]
        self._texts = [_Text(text) for text in dict.fromkeys(texts) if text]
        self._has_results = bool(results)
        self._suggestions = self._schemas = 0
        self._root: dict[str, Any] = {}

    def fill(self, schema: Any) -> Any:
        """A copy of the schema with the values that were found."""
        if not isinstance(schema, dict):
            return schema
        self._root = schema
        return self._fill(schema, 0)

    def _fill(self, schema: Any, depth: int) -> Any:
        self._schemas += 1
        if not isinstance(schema, dict) or depth > _MAX_DEPTH or self._schemas > MAX_SCHEMAS:
            return schema
        filled = dict(schema)
        for keyword in ("$defs", "definitions"):
            if isinstance(definitions := schema.get(keyword), dict):
                filled[keyword] = {name: self._fill(one, depth + 1) for name, one in definitions.items()}
        for keyword in ("anyOf", "oneOf", "allOf"):
            if isinstance(branches := schema.get(keyword), list):
                filled[keyword] = [self._fill(one, depth + 1) for one in branches]
        if "items" in schema:
            filled["items"] = self._fill(schema["items"], depth + 1)
        properties = schema.get("properties")
        if isinstance(properties, dict):
            required = schema.get("required")
            names = frozenset(name for name in required if isinstance(name, str)) if isinstance(required, list) else ()
            all_names = _read_names(properties)
            filled["properties"] = {
                name: self._fill_property(name, one, all_names, name in names, depth)
                for name, one in properties.items()
            }
        return filled

    def _fill_property(self, name: str, schema: Any, names: _Names, is_required: bool, depth: int) -> Any:
        filled = self._fill(schema, depth + 1)
        self._suggestions += 1
        if not isinstance(filled, dict) or "const" in filled or self._suggestions > MAX_SUGGESTIONS:
            return filled
        schemas = list(self._variants(filled))
        values = [value for one in schemas for value in _strings(one.get("enum"))]
        if values:
            value = self._name_enum(values)
            return filled if value is None else {**filled, "enum": [value]}
        wanted = _describe(name, filled, schemas, names, is_required)
        value = self._find(wanted, schemas)
        return filled if value is None else {**filled, "default": value}

    def _variants(self, schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The schema, what its `$ref` points to, and the branches of its `anyOf` and `oneOf`."""
        for one in (schema, *_branches(schema)):
            yield one
            reference = one.get("$ref")
            if isinstance(reference, str) and reference.startswith(("#/$defs/", "#/definitions/")):
                _, keyword, name = reference.split("/", 2)
                definitions = self._root.get(keyword)
                target = definitions.get(name) if isinstance(definitions, dict) else None
                if isinstance(target, dict):
                    yield target

    def _name_enum(self, values: list[str]) -> str | None:
        """The value that a text names, else the one that shares most word stems with the question."""
        for text in self._texts:
            named = _named_values(values, text.text)
            if named:
                return named[0]
        best = max(values[:_MAX_SHARED], key=lambda value: shared_stems(value, self._question))
        return best if shared_stems(best, self._question) else None

    def _find(self, wanted: _Property, schemas: list[dict[str, Any]]) -> Any:
        if "array" in wanted.kinds:
            return self._find_list(wanted, schemas)
        if wanted.kinds & {"integer", "number"} and "string" not in wanted.kinds:
            return self._find_number(wanted)
        if "string" not in wanted.kinds:
            return None
        known = self._keys.get(_key(wanted.name))
        if known is not None and not isinstance(known, bool):
            return wanted.fit(str(known))
        if wanted.kind in {"text", "answer"} or (wanted.kind == "title" and self._is_answer):
            return wanted.fit(self._find_prose(wanted))
        says_result = self._is_answer and self._has_results and not wanted.kind and wanted.is_required
        for text in self._texts:
            value = _find_string(text, wanted, use_nouns=not says_result)
            if value is not None:
                return wanted.fit(str(value))
        return wanted.fit(self._prose()) if says_result else None

    def _find_prose(self, wanted: _Property) -> str:
        if wanted.kind == "title":
            return self._question.partition("\n")[0].strip(" .?!")[:80]
        if self._is_answer:
            return self._prose()
        if wanted.kind == "text" and self._texts:
            first = self._texts[0]
            quoted = first.take(first.quoted, wanted)
            if quoted is not None:
                return str(quoted)
        return self._question.strip()[:MAX_TEXT]

    def _find_number(self, wanted: _Property) -> Any:
        def fitting(text: _Text) -> list[_Found]:
            return [one for one in text.numbers if "number" in wanted.kinds or isinstance(one.value, int)]

        for text in self._texts[:1]:
            value = text.take(fitting(text), wanted, near_only=True)
            if value is not None:
                return value
        known = self._keys.get(_key(wanted.name))
        if isinstance(known, int | float) and not isinstance(known, bool):
            return known
        for text in self._texts:
            value = text.take(fitting(text), wanted, near_only=not wanted.is_required)
            if value is not None:
                return value
        return None

    def _find_list(self, wanted: _Property, schemas: list[dict[str, Any]]) -> list[Any] | None:
        """The values that the question lists: those of the items' enum, quoted texts, proper nouns or numbers."""
        items = [one["items"] for one in schemas if isinstance(one.get("items"), dict)]
        if not items or not self._texts:
            return None
        variants = list(self._variants(items[0]))
        values = [value for one in variants for value in _strings(one.get("enum"))]
        text = self._texts[0]
        if values:
            return _named_values(values, text.text) or None
        kinds = _types(variants)
        if kinds & {"integer", "number"} and "string" not in kinds:
            return [one.value for one in text.numbers if "number" in kinds or isinstance(one.value, int)] or None
        if "string" not in kinds or wanted.kind in {"text", "answer"}:
            return None
        if wanted.kind in {"place", "person"}:
            return [one.value for one in _by_preposition(text.nouns, wanted)] or None
        return [one.value for one in text.quoted] or None


_MAX_SHARED = 50
"""Values of an enum of which the words are compared with the question's."""


def suggest_values(schema: Any, facts: Facts, prose: Prose, *, is_answer: bool) -> Any:
    """A copy of the schema in which properties have the values that the messages name.

    `is_answer` says that the value is the answer itself, so that its texts are prose and not the user's words.
    """
    return _Reader(facts, prose, is_answer=is_answer).fill(schema)


def _read_names(names: Iterable[str]) -> _Names:
    names = list(islice(names, _MAX_VALUES))
    words = frozenset(form for name in names for word in _name_words(name) for form in _forms(word))
    return _Names(frozenset(map(_key, names)), words)


def _describe(
    name: str, schema: dict[str, Any], schemas: list[dict[str, Any]], names: _Names, is_required: bool
) -> _Property:
    words = _name_words(name)
    mine = frozenset(form for word in words for form in _forms(word))
    description = next((text for one in schemas if isinstance(text := one.get("description"), str)), "")
    kind = _kind_of(words, description)
    return _Property(name, schema, _types(schemas), kind, mine, names.words - mine, names.keys, is_required)


def _kind_of(words: list[str], description: str) -> str:
    """What a property holds, by the last word of its name that tells, else by its description."""
    if words[-1:] in (["name"], ["names"]) and len(words) > 1:
        # The name of a city is a place; the name of a file is not a person's.
        named = _KINDS.get(words[-2]) or _KINDS.get(words[-2].removesuffix("s"))
        is_person = words[-2] in {"first", "last", "full"}
        return named or ("person" if is_person else "")
    for word in reversed(words):
        kind = _KINDS.get(word) or _KINDS.get(word.removesuffix("s"))
        if kind is not None:
            return kind
    said = [match[0].lower() for match in _WORD.finditer(description[:MAX_TEXT])]
    kinds = {_KINDS.get(word) for word in said}
    return next((kind for kind in _BY_DESCRIPTION if kind in kinds), "")


def _find_string(text: _Text, wanted: _Property, *, use_nouns: bool) -> Any:
    """A value of the kind that the property wants; None if the text has none.

    A property of no known kind takes a proper noun only with `use_nouns`.
    """
    match wanted.kind:
        case "email":
            return text.take(text.find(_EMAIL), wanted)
        case "url":
            return text.take(text.find(_URL), wanted)
        case "phone":
            return text.take(text.find(_PHONE), wanted)
        case "date":
            needs_iso = str(wanted.schema.get("format", "")).startswith("date")
            dates = [one for one in text.dates if not needs_iso or re.fullmatch(r"\d{4}-\d\d-\d\d", one.value)]
            day = text.take(dates, wanted)
            return f"{day}T00:00:00Z" if day and wanted.schema.get("format") == "date-time" else day
        case "time":
            return text.take(text.find(_TIME), wanted)
        case "expression":
            return text.take(text.find(_EXPRESSION), wanted)
        case "symbol":
            return text.take(text.find(_SYMBOL), wanted)
        case "currency":
            codes = [one for one in text.find(_SYMBOL) if len(one.value) == _SHORT_NAME]
            codes += [
                _Found(code, start, end, _word_before(text.text, start))
                for start, end, forms in text.words
                for word, code in _CURRENCIES.items()
                if word in forms
            ]
            return text.take(_by_preposition(sorted(codes, key=lambda one: one.start), wanted), wanted)
        case "language":
            spoken = [
                _Found(match[0].capitalize(), match.start(), match.end(), _word_before(text.text, match.start()))
                for match in _WORD.finditer(text.text)
                if match[0].lower() in _LANGUAGES
            ]
            return text.take(_by_preposition(spoken, wanted), wanted)
        case "id":
            found = text.take(text.find(_ID), wanted)
            return None if found is None else found.removeprefix("#")
        case "place" | "person":
            nouns = _by_preposition(text.nouns, wanted)
            if not nouns and wanted.kind == "place":
                nouns = _by_preposition(text.lower_places, wanted)
            return text.take(nouns or (text.quoted if wanted.is_required else ()), wanted)
        case _:
            return _find_named(text, wanted, use_nouns=use_nouns)


def _find_named(text: _Text, wanted: _Property, *, use_nouns: bool) -> Any:
    """What follows the property's name, else a quoted text near it; for what is required any quoted text or proper noun."""
    for word in _name_words(wanted.name):
        found = re.search(_NAMED_BY.format(re.escape(word)), text.text, re.IGNORECASE)
        if found:
            return re.split(r"\s+(?:and|but|or|with)\s+", found[1])[0].strip()
    value = text.take(text.quoted, wanted, near_only=not wanted.is_required)
    if value is None and wanted.is_required and use_nouns:
        value = text.take(text.nouns, wanted)
    return value


def _by_preposition(found: list[_Found], wanted: _Property) -> list[_Found]:
    """The values in the order in which the words before them suit the property."""
    if wanted.words & _FROM:
        preferred: frozenset[str] = frozenset({"from"})
    elif wanted.words & _TO:
        preferred = frozenset({"to", "into"})
    elif wanted.kind == "place":
        preferred = _PLACE_WORDS
    elif wanted.kind == "person":
        # A person is not in, at or from anywhere.
        others = [one for one in found if one.before not in {"in", "at", "near", "from", "into"}]
        return others or found
    else:
        preferred = frozenset()
    fitting = [one for one in found if one.before in preferred]
    # What begins a text may have its capital letter from that.
    return fitting or sorted(found, key=lambda one: wanted.kind == "place" and one.start == 0)


def _named_values(values: list[str], text: str) -> list[str]:
    """The values that a text names, as whole words in any spelling of their spaces, in the order of the text."""
    flat = " " + " ".join(_name_words_of_text(text)) + " "
    found = []
    for value in values[:_MAX_VALUES]:
        words = " ".join(_name_words_of_text(value))
        places = [flat.find(f" {form} ") for form in (words, f"{words}s", words.removesuffix("s")) if words]
        places = [place for place in places if place >= 0]
        if places:
            found.append((min(places), value))
    return [value for _, value in sorted(found, key=lambda one: one[0])]


def _name_words_of_text(text: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[^\W_]+", text)]


def _name_words(name: str) -> list[str]:
    """The lower-case words of an identifier."""
    return [word.lower() for word in _NAME_WORD.findall(name[:200])]


def _forms(word: str) -> frozenset[str]:
    """The word in lower case, and without the ending of a plural."""
    lower = word.lower()
    return frozenset({lower, lower.removesuffix("s"), lower.removesuffix("es")})


def _is_name(word: str) -> bool:
    return word[:1].isupper() and len(word) > 1 and word.lower().removesuffix("'s") not in _COMMON


def _word_before(text: str, place: int) -> str:
    found = re.search(r"([^\W_]+)\s+\S?\Z", text[max(place - 20, 0) : place])
    return found[1].lower() if found else ""


def _read_date(match: re.Match[str]) -> str:
    if match["iso"]:
        return match["iso"]
    day, month, year = (match[name] or match[f"{name}2"] for name in ("day", "month", "year"))
    if not (day and month and year):
        return match[0]
    number = next(number for number, name in enumerate(_MONTHS, start=1) if name.startswith(month.lower()))
    return f"{year}-{number:02}-{int(day):02}"


def _branches(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for keyword in ("anyOf", "oneOf", "allOf"):
        branches = schema.get(keyword)
        if isinstance(branches, list):
            yield from (one for one in branches[:_MAX_DEPTH] if isinstance(one, dict))


def _types(schemas: Iterable[dict[str, Any]]) -> frozenset[str]:
    """The types that the schemas name; a text where they name none."""
    found: set[str] = set()
    for schema in schemas:
        named = schema.get("type")
        names = named if isinstance(named, list) else [named]
        found |= {name.lower() for name in names if isinstance(name, str)}
        found |= {"object"} if "properties" in schema else set()
    return frozenset(found or {"string"})


def _strings(values: Any) -> list[str]:
    return [value for value in values[:_MAX_VALUES] if isinstance(value, str)] if isinstance(values, list) else []


def _key(name: str) -> str:
    return "".join(_name_words(name))


def _parse(text: str) -> Any:
    if len(text) > MAX_TEXT * 5 or text.lstrip()[:1] not in {"{", "["}:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _collect_scalars(value: Any, found: dict[str, Any], depth: int) -> None:
    """Collect the scalars of JSON by their keys; of equal keys the first one counts."""
    if depth > _MAX_DEPTH or len(found) > _MAX_VALUES:
        return
    if isinstance(value, list):
        for one in value[:_MAX_DEPTH]:
            _collect_scalars(one, found, depth + 1)
    elif isinstance(value, dict):
        for key, one in value.items():
            if isinstance(one, str | int | float):
                found.setdefault(_key(key), one)
        for one in value.values():
            if isinstance(one, dict | list):
                _collect_scalars(one, found, depth + 1)
