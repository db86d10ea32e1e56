"""The `format`s of strings: how to write one and how to tell one."""

from collections.abc import Iterator
from random import Random

from emulator.engine.sampling.formats import has_format, is_known, write_format
from emulator.engine.sampling.patterns import LONGEST_TEXT, matches, write_matching
from emulator.engine.sampling.schema import contradiction, too_large
from emulator.engine.sampling.state import Parts, Spot, highest, lowest, where
from emulator.engine.sampling.words import plausible, write_words

_USUAL_ROOM = 200
_SHORT = 20


def make_text(parts: Parts, spot: Spot, random: Random) -> str:
    """A string that satisfies all the schemas; empty only if it must be.

    Raises:
        AnswerError: Length, format and pattern exclude each other, or the pattern is too hard.
    """
    least, most = highest(parts, "minLength"), lowest(parts, "maxLength", LONGEST_TEXT)
    if least > most:
        pointer = where(parts, "minLength", "maxLength")
        if most == LONGEST_TEXT:
            raise too_large(pointer, f"minLength {least} is above {LONGEST_TEXT}, the longest text made")
        raise contradiction(pointer, f"minLength {least} is above maxLength {most}")
    formats = [name for part in parts if (name := part.text("format")) is not None]
    patterns = [pattern for part in parts if (pattern := part.text("pattern")) is not None]
    for text in _candidates(parts, spot, random, (max(least, min(most, 1)), most)):
        if all(matches(pattern, text) for pattern in patterns) and all(has_format(text, name) for name in formats):
            return text
    if (
        least == 0
        and all(matches(pattern, "") for pattern in patterns)
        and all(has_format("", name) for name in formats)
    ):
        return ""
    wanted = [f"format {name}" for name in formats] + [f'pattern "{pattern}"' for pattern in patterns]
    raise contradiction(
        where(parts, "pattern", "format"),
        f"no text of {least} to {most} characters was found for {' and '.join(wanted)}",
    )


def _candidates(parts: Parts, spot: Spot, random: Random, size: tuple[int, int]) -> Iterator[str]:
    least, most = size
    known = [name for part in parts if (name := part.text("format")) is not None and is_known(name)]
    patterns = [pattern for part in parts if (pattern := part.text("pattern")) is not None]
    if not known and not spot.is_retry:
        name = spot.name or next((title for part in parts if (title := part.text("title"))), "")
        description = next((text for part in parts if (text := part.text("description"))), "")
        yield from (text for text in plausible(name, description, random) if least <= len(text) <= most)
    for name in known:
        yield from write_format(name, random, least, most)
    for pattern in patterns:
        yield from write_matching(pattern, random, least, most)
    # Long words are not tried on a pattern: it would hardly match, and some take for ever to find that out.
    if not patterns or least <= _SHORT:
        yield write_words(random, least, min(most, max(least, _SHORT if patterns else _USUAL_ROOM)))
