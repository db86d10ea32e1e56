"""Strings that have the length, format and patterns of schemas, and suit the name of their property."""

from collections.abc import Iterator
from random import Random

from emulator.engine.sampling.formats import has_format, is_known, write_format
from emulator.engine.sampling.patterns import LONGEST_TEXT, matches, write_matching
from emulator.engine.sampling.schema import Parts, contradiction, largest, pointer_of, smallest, too_large
from emulator.engine.sampling.words import plausible, write_words

_USUAL_ROOM = 200
_SHORT = 20


def make_string(parts: Parts, name: str, random: Random, *, is_retry: bool) -> str:
    """A string that satisfies all the schemas; empty only if it must be. A retry is not made to suit the property's name.

    Raises:
        AnswerError: Length, format and pattern exclude each other, or the pattern is too hard.
    """
    least, most = largest(parts, "minLength"), smallest(parts, "maxLength", LONGEST_TEXT)
    if least > most:
        pointer = pointer_of(parts, "minLength", "maxLength")
        if most == LONGEST_TEXT:
            raise too_large(pointer, f"minLength {least} is above {LONGEST_TEXT}, the longest text made")
        raise contradiction(pointer, f"minLength {least} is above maxLength {most}")
    formats = [part.keywords["format"] for part in parts if "format" in part.keywords]
    patterns = [part.keywords["pattern"] for part in parts if "pattern" in part.keywords]
    for text in _candidates(parts, name, random, max(least, min(most, 1)), most, is_retry=is_retry):
        is_matched = len(text) >= least and all(matches(pattern, text) for pattern in patterns)
        if is_matched and all(has_format(text, each) for each in formats):
            return text
    wanted = [f"format {each}" for each in formats] + [f'pattern "{pattern}"' for pattern in patterns]
    raise contradiction(
        pointer_of(parts, "pattern", "format"),
        f"no text of {least} to {most} characters was found for {' and '.join(wanted)}",
    )


def _candidates(parts: Parts, name: str, random: Random, least: int, most: int, *, is_retry: bool) -> Iterator[str]:
    """Texts that may do, the best looking first and the empty one last."""
    formats = [part.keywords["format"] for part in parts if is_known(part.keywords.get("format", ""))]
    patterns = [part.keywords["pattern"] for part in parts if "pattern" in part.keywords]
    if not formats and not is_retry:
        name = name or next((title for part in parts if (title := part.keywords.get("title"))), "")
        description = next((text for part in parts if (text := part.keywords.get("description"))), "")
        yield from (text for text in plausible(name, description, random) if least <= len(text) <= most)
    for each in formats:
        yield from write_format(each, random, least, most)
    for pattern in patterns:
        yield from write_matching(pattern, random, least, most)
    yield write_words(random, least, min(most, max(least, _SHORT if patterns else _USUAL_ROOM)))
    yield ""
