"""Texts that are not valid YAML, explained in the words of the scenario language."""

import re
from collections.abc import Callable, Sequence

import yaml

from emulator.errors import Place, Problem

_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_UNQUOTED = re.compile(r"(\s*(?:-\s+)*(?:\{?\s*[\w$-]+:\s+|\[\s*)?)\{[{%]")
UNQUOTED = 'a template must be quoted, because "{" begins a mapping'
_BARE_KEY = re.compile(r"([a-z_]+)\s*(?:#.*)?")
_BLOCK_BELOW = re.compile(r"\s*-\s|\s+[\w$-]+:(?:\s|$)")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LONGEST_LINE = 240
_TAB = "a tab cannot be used for indentation; use spaces"

Lines = Sequence[str]
Mark = tuple[int, int]
"""A line and a column, both counted from 1."""


def split_lines(text: str) -> list[str]:
    """The lines of a text, divided where the YAML parser divides them, so that its line numbers fit."""
    return _BREAK.split(text)


def quote_line(lines: Lines, mark: Mark) -> str:
    """The line of a problem, shortened when it is very long; empty when there is none or the place is cut off."""
    line = lines[mark[0] - 1] if 0 < mark[0] <= len(lines) else ""
    if len(line) <= _LONGEST_LINE:
        return line
    return line[:_LONGEST_LINE] + "…" if mark[1] <= _LONGEST_LINE else ""


def decode(content: bytes, file: str) -> str | Problem:
    """The text of a file's bytes, without a byte order mark, or what keeps them from being UTF-8."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return Problem(Place(file, 1, 1), "this file is UTF-16; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        lines = split_lines(content[: error.start].decode("utf-8", "replace").removeprefix("\ufeff"))
        place = Place(file, len(lines), len(lines[-1]) + 1)
        return Problem(place, f"byte 0x{content[error.start]:02x} is not UTF-8 here; save the file as UTF-8")


def find_forbidden(text: str, file: str, lines: Lines) -> Problem | None:
    """The first character that YAML does not allow, such as NUL."""
    found = _FORBIDDEN.search(text)
    if found is None:
        return None
    before = split_lines(text[: found.start()])
    place = Place(file, len(before), len(before[-1]) + 1)
    code = ord(found.group())
    hint = "" if _SURROGATE.match(found.group()) else f'; write it as an escape in double quotes: "\\u{code:04x}"'
    line = _FORBIDDEN.sub("\ufffd", quote_line(lines, (place.line, place.column)))
    return Problem(place, f"the character U+{code:04X} cannot stand in a YAML file{hint}", line)


def explain_syntax(error: yaml.YAMLError, file: str, lines: Lines) -> Problem:
    """The problem that stopped the YAML parser."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return Problem(Place(file, 1, 1), "this is not YAML text", quote_line(lines, (1, 1)))
    at = (error.problem_mark.line + 1, error.problem_mark.column + 1)
    opened = at if error.context_mark is None else (error.context_mark.line + 1, error.context_mark.column + 1)
    mark, message = at, "this is not valid YAML"
    if (template := find_unquoted_template(lines, at)) is not None:
        return Problem(Place(file, *template), f'{UNQUOTED}: "{{{{ last_user }}}}"', quote_line(lines, template))
    for words, explain in _EXPLAIN.items():
        if words in (error.problem or ""):
            mark, message = explain(error.context or "", at, opened, lines)
            break
    return Problem(Place(file, *mark), message, quote_line(lines, mark))


def explain_missing_colon(lines: Lines, stopped: Problem, known_keys: Sequence[str]) -> Problem | None:
    """What stopped the parser, if it is a known key of the top without its colon, above an indented block or a list; else None."""
    for number, line in enumerate(lines[: stopped.place.line], start=1):
        key = _BARE_KEY.fullmatch(line)
        if key is None or key[1] not in known_keys:
            continue
        below = next((one for one in lines[number:] if one.strip() and not one.lstrip().startswith("#")), "")
        if _BLOCK_BELOW.match(below):
            place = Place(stopped.place.file, number, 1)
            return Problem(place, f'"{key[1]}" has no ":" behind it; write "{key[1]}:"', quote_line(lines, (number, 1)))
    return None


def find_unquoted_template(lines: Lines, mark: Mark) -> Mark | None:
    """Where a template begins that the text before a place has without quotes, on its line or the one before; None if there is none."""
    for number in (mark[0], mark[0] - 1):
        line = lines[number - 1] if 0 < number <= len(lines) else ""
        found = _UNQUOTED.match(line)
        if found is not None and (number, found.end(1)) < mark:
            return number, found.end(1) + 1
    return None


def find_too_deep(error: yaml.YAMLError) -> int | None:
    """The index of the character at which the parser stopped because of too many brackets; None for other errors."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return None
    return error.problem_mark.index if "nesting depth" in (error.problem or "") else None


def _colon(_context: str, at: Mark, _opened: Mark, _lines: Lines) -> tuple[Mark, str]:
    return at, 'a ":" is not expected here; quote the text if the colon belongs to it, or check the indentation'


def _character(_context: str, at: Mark, _opened: Mark, lines: Lines) -> tuple[Mark, str]:
    found = lines[at[0] - 1][at[1] - 1 :][:1]
    return at, _TAB if found == "\t" else f'a value cannot begin with "{found}" unless it is quoted'


def _tab(_context: str, at: Mark, _opened: Mark, _lines: Lines) -> tuple[Mark, str]:
    return at, _TAB


def _flow(kind: str, closing: str) -> Callable[[str, Mark, Mark, Lines], tuple[Mark, str]]:
    def explain(_context: str, at: Mark, opened: Mark, lines: Lines) -> tuple[Mark, str]:
        where = f"line {at[0]}, column {at[1]}"
        if at[0] <= len(lines) and lines[at[0] - 1][at[1] - 1 :].startswith(":"):
            return at, 'a ":" is not expected here; quote the text if the colon belongs to it'
        return opened, f'the {kind} that begins here goes wrong at {where}: expected "," or "{closing}"'

    return explain


def _quote(_context: str, _at: Mark, opened: Mark, _lines: Lines) -> tuple[Mark, str]:
    return opened, "the quote that opens here is never closed"


def _escape(_context: str, at: Mark, _opened: Mark, lines: Lines) -> tuple[Mark, str]:
    found = lines[at[0] - 1][at[1] - 1 :][:2]
    return at, f'unknown escape "{found}" in a double-quoted text; write "\\\\" for a backslash, or use single quotes'


def _code(_context: str, at: Mark, _opened: Mark, _lines: Lines) -> tuple[Mark, str]:
    return at, "this escape is not a character; write the character itself"


def _item(_context: str, at: Mark, opened: Mark, _lines: Lines) -> tuple[Mark, str]:
    return at, f'this does not fit the list that begins on line {opened[0]}: expected "- " or other indentation'


def _key(_context: str, at: Mark, opened: Mark, _lines: Lines) -> tuple[Mark, str]:
    message = f"this does not fit the mapping that begins on line {opened[0]}: check the indentation and the quotes"
    return at, message


def _no_colon(_context: str, _at: Mark, opened: Mark, _lines: Lines) -> tuple[Mark, str]:
    return opened, 'a ":" is missing after this key, or the line is not indented as part of the one above'


def _content(_context: str, at: Mark, _opened: Mark, lines: Lines) -> tuple[Mark, str]:
    line = lines[at[0] - 1] if at[0] <= len(lines) else ""
    found = line[at[1] - 1 :][:1]
    return at, f'a value is expected here, not "{found}"' if found else "a value is expected here, but the file ends"


def _name(context: str, _at: Mark, opened: Mark, _lines: Lines) -> tuple[Mark, str]:
    return opened, f'a value cannot begin with "{"*" if "alias" in context else "&"}" unless it is quoted'


def _sequence(_context: str, at: Mark, _opened: Mark, _lines: Lines) -> tuple[Mark, str]:
    return at, 'a list cannot begin here; put each "- " on a line of its own'


def _block(_context: str, at: Mark, _opened: Mark, _lines: Lines) -> tuple[Mark, str]:
    return at, 'after "|" or ">" the text begins on the next line'


def _tag(_context: str, _at: Mark, opened: Mark, _lines: Lines) -> tuple[Mark, str]:
    return opened, TAGS


def _directive(_context: str, at: Mark, _opened: Mark, _lines: Lines) -> tuple[Mark, str]:
    return (at[0], 1), 'a line cannot begin with "%"; lines of this kind have no meaning in a scenario'


def _document(_context: str, at: Mark, _opened: Mark, _lines: Lines) -> tuple[Mark, str]:
    return at, 'nothing may follow the "..." that ends the document'


TAGS = 'tags such as "!name" have no meaning in a scenario; quote the text if it begins with "!"'

# The words are libyaml's, which PyYAML passes on.
_EXPLAIN: dict[str, Callable[[str, Mark, Mark, Lines], tuple[Mark, str]]] = {
    "mapping values are not allowed": _colon,
    "mapping keys are not allowed": _colon,
    "cannot start any token": _character,
    "tab character": _tab,
    "',' or ']'": _flow("list", "]"),
    "',' or '}'": _flow("mapping", "}"),
    "unexpected end of stream": _quote,
    "unexpected document indicator": _quote,
    "unknown escape character": _escape,
    "Unicode character escape": _code,
    "hexdecimal number": _code,
    "'-' indicator": _item,
    "expected key": _key,
    "expected ':'": _no_colon,
    "node content": _content,
    "alphabetic or numeric": _name,
    "block sequence entries": _sequence,
    "comment or line break": _block,
    "tag": _tag,
    "directive": _directive,
    "incompatible YAML document": _directive,
    "<document start>": _document,
}
