"""Strings that have the length, format and patterns of schemas, and suit the name and description of their property."""

import re
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from emulator.engine.fake import seeded_faker
from emulator.engine.sampling.formats import has_format, is_known, write_format
from emulator.engine.sampling.patterns import LONGEST_TEXT
from emulator.engine.sampling.schema import Document, Parts, TooLarge, contradiction, largest, pointer_of, smallest

_WORDS: list[str] = re.findall(
    r"\w+",
    """
    amber apple arrow autumn bay bell birch blue bread bridge bright calm candle canyon cedar circle clear cloud
    clover copper coral crisp daisy dawn delta dune eagle early echo ember falcon fern field finch flint forest
    frost garden gentle glass golden grain grape green grove harbor hazel hill honey island ivory ivy jade
    juniper kind lake lantern leaf lemon light lilac lime linen lotus lucky maple marble meadow mellow mint
    misty moon morning moss mountain north oak oasis ocean olive orange orchid otter paper pearl pebble pine
    plain planet plum pond poppy quiet quick rain raven reed ridge river robin rose ruby sage sand sea shell
    silver sky slate snow south spring star stone stream summer sunny swift thyme tidy timber topaz tulip valley
    velvet violet warm water west willow wind winter wood
    """,
)
_EXAMPLE = re.compile(
    r"\b(?:e\.g\.|for example|such as|like)[,:]?\s+(?:\"([^\"]+)\"|'([^']+)'|`([^`]+)`|([A-Z][^.;:()\n]*))"
)
_SPLIT = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")
_PERSON = {
    "name",
    "person",
    "user",
    "customer",
    "author",
    "full",
    "owner",
    "contact",
    "guest",
    "employee",
    "participant",
}
_LONGEST_EXAMPLE = 40
_USUAL_ROOM = 200
_SHORT = 20
_TEXT = 60
"""Units of work to make a text, beside those for its length."""

Write = Callable[[Any], str]  # given Faker


def _date(fake: Any) -> str:
    return f"202{fake.random_int(4, 6)}-{fake.random_int(1, 12):02}-{fake.random_int(1, 28):02}"


# The first line of which a word is in the property's name decides.
_HINTS: tuple[tuple[str, Write], ...] = (
    ("email mail", lambda fake: fake.ascii_safe_email()),
    ("phone telephone mobile fax", lambda fake: fake.numerify("+1-202-555-01##")),
    ("url uri link website homepage href", lambda fake: f"https://www.example.com/{fake.word()}"),
    ("username login nickname", lambda fake: fake.user_name()),
    ("timezone", lambda _fake: "America/New_York"),
    ("datetime timestamp", lambda fake: _date(fake) + fake.numerify("T1#:0#:0#Z")),
    ("date day deadline birthday", _date),
    ("time", lambda fake: fake.numerify("1#:0#")),
    ("zip zipcode postcode postal", lambda fake: fake.postcode()),
    ("country nation", lambda fake: fake.country()),
    ("state province region", lambda fake: fake.state()),
    ("location place destination origin venue", lambda fake: f"{fake.city()}, {fake.state_abbr()}"),
    ("city cities town", lambda fake: fake.city()),
    ("street", lambda fake: fake.street_address()),
    ("address", lambda fake: f"{fake.street_address()}, {fake.city()}"),
    ("company organization organisation employer brand vendor", lambda fake: fake.company()),
    ("job profession occupation", lambda fake: fake.job()),
    ("unit units", lambda _fake: "celsius"),
    ("currency", lambda fake: fake.currency_code()),
    ("language lang locale", lambda fake: fake.language_code()),
    ("color colour", lambda fake: fake.safe_color_name()),
    ("file filename", lambda fake: f"{fake.word()}.txt"),
    ("path", lambda fake: f"/{fake.word()}/{fake.word()}.txt"),
    ("firstname forename", lambda fake: fake.first_name()),
    ("lastname surname", lambda fake: fake.last_name()),
    (
        "summary description text content comment message note explanation reason reasoning analysis answer body output",
        lambda fake: fake.sentence(),
    ),
)
_HINT_OF = {word: write for words, write in _HINTS for word in words.split()}
_RANGES = {
    "age": (18, 80),
    "year": (1990, 2030),
    "month": (1, 12),
    "day": (1, 28),
    "hour": (0, 23),
    "minute": (0, 59),
    "rating": (1, 5),
    "latitude": (-60, 70),
    "lat": (-60, 70),
    "longitude": (-180, 180),
    "lng": (-180, 180),
    "lon": (-180, 180),
    "temperature": (-10, 35),
    "percentage": (0, 100),
    "probability": (0, 1),
    "confidence": (0, 1),
    "score": (0, 1),
    "quantity": (1, 10),
    "count": (1, 10),
    "limit": (1, 10),
}


def split_name(name: str) -> list[str]:
    """The lower-case words of an identifier in snake_case, camelCase or kebab-case."""
    return [word.lower() for word in _SPLIT.findall(name)]


def usual_range(name: str) -> tuple[int, int] | None:
    """The span in which a number of that name usually lies."""
    return next((_RANGES[word] for word in reversed(split_name(name)) if word in _RANGES), None)


def make_string(parts: Parts, name: str, random: Random, document: Document, *, is_retry: bool) -> str:
    """A string that satisfies all the schemas; empty only if it must be. A retry is not made to suit the property's name.

    Raises:
        AnswerError: Length, format and pattern exclude each other, or the pattern is too hard.
        BudgetError: It takes too much work.
    """
    least, most = largest(parts, "minLength"), smallest(parts, "maxLength", LONGEST_TEXT)
    if least > most:
        pointer = pointer_of(parts, "minLength", "maxLength")
        if most == LONGEST_TEXT:
            raise TooLarge(pointer, f"minLength {least} is above {LONGEST_TEXT}, the longest text made")
        raise contradiction(pointer, f"minLength {least} is above maxLength {most}")
    formats = [part.keywords["format"] for part in parts if "format" in part.keywords]
    patterns = [part.keywords["pattern"] for part in parts if "pattern" in part.keywords]
    for text in _candidates(parts, name, random, document, (max(least, min(most, 1)), most), is_retry=is_retry):
        is_matched = len(text) >= least and all(document.patterns.find(each, text) is not False for each in patterns)
        if is_matched and all(has_format(text, each, document.budget) for each in formats):
            return text
    wanted = [f"format {each}" for each in formats] + [f'pattern "{pattern}"' for pattern in patterns]
    raise contradiction(
        pointer_of(parts, "pattern", "format"),
        f"no text of {least} to {most} characters was found for {' and '.join(wanted)}",
    )


def _candidates(
    parts: Parts, name: str, random: Random, document: Document, lengths: tuple[int, int], *, is_retry: bool
) -> Iterator[str]:
    """Texts that may do, the best looking first and the empty one last."""
    spend, (least, most) = document.budget.spend, lengths
    spend(_TEXT + 3 * len(parts))
    formats = [part.keywords["format"] for part in parts if is_known(part.keywords.get("format", ""))]
    patterns = [part.keywords["pattern"] for part in parts if "pattern" in part.keywords]
    if not formats and not is_retry:
        name = name or next((title for part in parts if (title := part.keywords.get("title"))), "")
        description = next((text for part in parts if (text := part.keywords.get("description"))), "")
        spend(len(name) // 4 + len(description) // 16)
        yield from (text for text in _plausible(name, description, random) if least <= len(text) <= most)
    for each in formats:
        yield from write_format(each, random, document.budget, least, most)
    for pattern in patterns:
        yield from document.patterns.write(pattern, random, least, most)
    spend(least // 2)
    yield _write_words(random, least, min(most, max(least, _SHORT if patterns else _USUAL_ROOM)))
    yield ""


def _plausible(name: str, description: str, random: Random) -> Iterator[str]:
    """Texts that suit a property of that name: the example its description gives, or something made up; or none."""
    found = _EXAMPLE.search(description)
    if found:
        example = next(group for group in found.groups() if group).split(" or ")[0].strip(" ,'\"")
        if 0 < len(example) <= _LONGEST_EXAMPLE:
            yield example
    write = _writer(name)
    if write:
        yield write(seeded_faker(random))


def _writer(name: str) -> Write | None:
    words = split_name(name)
    if words[-1:] == ["id"]:
        return None
    for word in reversed(words):
        for form in (word, word.removesuffix("s")):
            if form in _HINT_OF:
                return _HINT_OF[form]
    if words == ["first", "name"]:
        return _HINT_OF["firstname"]
    if words == ["last", "name"]:
        return _HINT_OF["lastname"]
    if words and {word.removesuffix("s") for word in words} <= _PERSON:
        return lambda fake: f"{fake.first_name()} {fake.last_name()}"
    return None


def _write_words(random: Random, least: int, most: int) -> str:
    """Readable lower-case words of `least` to `most` characters."""
    words = [random.choice(_WORDS), random.choice(_WORDS)]
    text = " ".join(words)
    while len(text) < least:
        text += " " + random.choice(_WORDS)
    if len(text) <= most:
        return text
    # Cut so that it does not end in a space.
    cut = text[:most]
    return cut[:-1] + random.choice("aeiouy") if cut.endswith(" ") else cut


def write_name(random: Random) -> str:
    """A word to name a property by."""
    return random.choice(_WORDS)
