"""Secrets of recorded exchanges: each is replaced by a placeholder before anything is written, the same one by the same placeholder.

Secrets are known by their value (`emulator.redaction`), by their place (headers, fields, URLs), and from then on wherever they stand: in
other exchanges, in JSON text with escapes, across the frames and the deltas of a stream. Thought signatures stay as they are.
"""

import base64
import binascii
import json
import re
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from emulator.recording.json_literals import Literal, Path, find_literals
from emulator.recording.recording import Frame, Headers, RecordedAnswer, RecordedExchange, RecordedRequest
from emulator.redaction import find_secrets, is_secret_field

_NUMBER = 900_000_000_000
"""What stands for the number of a project is a number too, so that JSON stays JSON: this one plus 1, 2, ..."""
_PLACEHOLDER = re.compile(r"redacted-(?:token|key|account|project|custom)-\d+(?:@redacted\.invalid)?")
_NUMBERED = re.compile(rb"(redacted-(?:token|key|account|project|custom))-\d+")
_NUMBERED_PROJECT = re.compile(rb"(?<!\d)9000000\d{5}(?!\d)")

_KEY_HEADERS = frozenset({"x-goog-api-key", "x-api-key", "api-key"})
PROJECT_HEADER = "x-goog-user-project"
_SECRET_HEADER = re.compile(r"token|secret|passw|auth(?!ority)|api-?key|cookie")
_KEPT_REQUEST_HEADERS = re.compile(
    r"accept|content-type|idempotency-key|user-agent|(?:openai|x-goog|x-request-id|x-server-timeout|x-stainless|x-vertex)[\w-]*"
)
"""The headers of requests that matter; others are not kept, because nobody knows what stands in them."""
_DROPPED_ANSWER_HEADERS = frozenset({"content-length"})
"""What only says how many bytes there were before secrets were replaced."""

_SIGNATURE_FIELDS = frozenset({"thought_signature", "thoughtSignature", "thought_signatures", "signature"})
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*=*")
_DATA_URL = re.compile(r"data:([\w.+/-]*)(?:;[\w.+-]+=[\w.+-]+)*;base64,(?=[A-Za-z0-9+/_-]*=*$)")
_TEXT_TYPE = re.compile(r"text/.*|application/(?:json|xml|yaml)")
_PROJECT_FIELDS = frozenset(
    {"consumerproject", "project", "projectid", "projectnumber", "quotaproject", "quotaprojectid"}
)

_ESCAPED = r"(?<=\\[nrtbf])|(?<=\\u[0-9a-fA-F]{4})"
"""Behind an escape of JSON, a letter or a digit begins a word."""
_PROJECT_PLACES = (
    re.compile(r"projects(?:/|%2[Ff])((?:[a-z0-9.-]+(?::|%3[Aa]))?[A-Za-z0-9][\w-]*)"),
    re.compile(r"(?i)[?&]project(?:_?id|_?number)?=([a-z0-9][\w:.-]*)"),
    re.compile(
        rf"""(?i)(?:\b|{_ESCAPED})project(?:[ _-]?(?:id|number))?["'`]?\s{{0,3}}[:=#]?\s{{0,3}}["'`\[(]?(\d{{6,}})\b"""
    ),
    re.compile(
        rf"""(?:\b|{_ESCAPED})[Pp]roject(?: ?[Ii][Dd])?:? ["'`\[(]?((?=[a-z-]{{0,29}}\d)[a-z][a-z0-9-]{{4,28}}[a-z0-9])\b"""
    ),
)
"""Where the id or the number of a project stands in a text."""
_PATH_PROJECT = re.compile(r"/projects/([^/?]+)")
_HOST_PROJECT = re.compile(r"-(\d+)\.prediction\.vertexai\.goog$")
_NO_PROJECTS = frozenset({"-", "_", "locations", "global"})
_PROJECT_VARIABLES = frozenset(
    {"CLOUDSDK_CORE_PROJECT", "GCLOUD_PROJECT", "GCP_PROJECT", "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_QUOTA_PROJECT"}
)
_SECRET_VARIABLE = re.compile(r"(?i).*(?:_|\b)(?:api_?)?(key|token|secret|password)")

_LOCAL_PART = re.compile(r"[\w.%+'-]+$")
_LONGEST_LOCAL_PART = 64
_DOMAIN = re.compile(r"(?:[\w-]{1,63}\.){1,8}[^\W\d_][\w-]{1,62}")

_SHORTEST, _SHORTEST_WORD = 6, 8
"""Characters that a secret has at least so that it is replaced wherever it stands; words without digits need the second number."""
_LONGEST_LEARNED = 20_000
_HALF_PAIR = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Halves of surrogate pairs, but those that stand for bytes that are no UTF-8."""
MAX_DECOMPRESSED = 256 * 1024 * 1024
"""Bytes that a compressed body may have without its compression."""
_WIRE_WORDS = frozenset(
    {
        "anthropic", "application/json", "arguments", "assistant", "authorization", "chatcmpl", "chat.completion",
        "chat.completion.chunk", "choices", "completion", "completions", "content", "content-type", "developer", "embedding",
        "embeddings", "endpoints", "function", "functions", "googleapis", "locations", "messages", "openapi", "parameters",
        "properties", "publishers", "reasoning", "required", "response", "responses", "tool_calls", "us-central1", "vertexai",
    }
)  # fmt: skip
"""Words of the service itself, which are no secrets even if somebody calls a project or a token so."""

_NO_SECRETS = frozenset({"null", "true", "false", "None", "True", "False"})
"""What stands in the field of a secret where there is none."""

Edit = tuple[int, int, str]
"""What replaces a part of a text: its start, its end and the new text."""


class UnreadableBodyError(Exception):
    """A body is compressed in a way that cannot be read, so that nobody knows which secrets it has."""


def collapse(data: bytes) -> bytes:
    """Remove the numbers of placeholders, so that what two different `Secrets` have redacted can be compared."""
    return _NUMBERED_PROJECT.sub(b"900000000000", _NUMBERED.sub(rb"\1", data))


@dataclass(slots=True)
class Secrets:
    """The secrets of a recording and their placeholders."""

    counts: dict[str, int] = field(default_factory=dict)
    """How many placeholders of each kind have been used."""
    patterns: tuple[re.Pattern[str], ...] = ()
    """The user's own expressions; of one with a group, the group is the secret."""
    _placeholders: dict[str, str] = field(default_factory=dict)
    _spelled: dict[str, str] = field(default_factory=dict)
    """What a spelling of a secret, such as that of a URL, stands for."""
    _anywhere: dict[str, tuple[str, re.Pattern[str]]] = field(default_factory=dict)
    """What is replaced wherever it stands: its kind and what finds it."""

    @property
    def learned(self) -> int:
        """How many texts are known that are replaced wherever they stand; it never falls."""
        return len(self._anywhere)

    # Learning

    def learn(self, kind: str, value: str) -> None:
        """Remember a secret that is replaced wherever it stands, unless it is too short or too common a word for that."""
        value = value.strip()
        is_word = not re.search(r"[\d-]" if kind == "project" else r"\d", value)
        if len(value) < (_SHORTEST_WORD if is_word else _SHORTEST) or self._is_placeholder(value):
            return
        if len(value) > _LONGEST_LEARNED or value.lower() in _WIRE_WORDS:
            return
        # Bytes that are no UTF-8 and halves of surrogate pairs stand in texts as surrogates, which `quote` would not take.
        quoted = (encode(value, safe="", errors="surrogatepass") for encode in (quote, quote_plus))
        for form in dict.fromkeys((value, *quoted, json.dumps(value)[1:-1])):
            if form not in self._anywhere:
                edge = r"\d" if kind == "number" else "[A-Za-z0-9]" if is_word else ""
                before = f"(?:(?<!{edge})|{_ESCAPED})" if edge else ""
                pattern = before + re.escape(form) + (f"(?!{edge})" if edge else "")
                self._anywhere[form] = kind, re.compile(pattern)
                self._spelled.setdefault(form, value)

    def learn_environment(self, environment: Mapping[str, str], key_file: str = "") -> None:
        """Learn the secrets that a program finds in its environment and in a file of credentials."""
        for name, value in environment.items():
            if name in _PROJECT_VARIABLES:
                self._learn_project(value)
            elif (found := _SECRET_VARIABLE.fullmatch(name)) and not value.startswith(("/", "~", ".")):
                self.learn("key" if found[1].lower() == "key" else "token", value)
            for project in _PATH_PROJECT.findall(value) if "://" in value else ():
                self._learn_project(project)
        self.learn_body(key_file.encode("utf-8", "surrogateescape"))

    def learn_body(self, body: bytes) -> None:
        """Learn the secrets of a message that is not kept, such as a token request or its answer: a form or JSON."""
        text = body.decode("utf-8", "surrogateescape")
        self._learn_groups(find_literals(text))
        if not text.lstrip().startswith(("{", "[")):
            self._learn_query(text)
        for found in re.finditer(r"\b(\d{6,})-\w+\.apps\.googleusercontent\.com", text):
            self._learn_project(found[1])

    def _learn_project(self, value: str) -> None:
        if value not in _NO_PROJECTS:
            self.learn("number" if value.isdigit() else "project", value)

    def learn_request(self, request: RecordedRequest) -> None:
        """Learn the secrets of a request's headers and URL."""
        for name, value in request.headers:
            if name.endswith("authorization"):
                self._learn_authorization(value)
            elif name in _KEY_HEADERS:
                self.learn("key", value)
            elif name == PROJECT_HEADER:
                self._learn_project(value)
            elif name == "cookie":
                self._learn_cookies(value)
            elif _SECRET_HEADER.search(name):
                self.learn("token", value)
        for pattern, text in ((_PATH_PROJECT, request.path), (_HOST_PROJECT, request.host)):
            for project in pattern.findall(text):
                self._learn_project(unquote(project))
        self._learn_query(request.query)

    def _learn_authorization(self, value: str) -> None:
        scheme, _, credentials = value.strip().partition(" ")
        if scheme.lower() == "basic":
            try:
                login = base64.b64decode(credentials, validate=True).decode("utf-8", "replace")
                self.learn("token", login.partition(":")[2])
            except binascii.Error:
                pass
        self.learn("token", credentials or scheme)

    def _learn_cookies(self, value: str) -> None:
        for cookie in value.split(";"):
            self.learn("token", cookie.partition("=")[2])

    def _learn_query(self, query: str) -> None:
        for part in query.split("&"):
            name, _, value = part.partition("=")
            if _is_secret_parameter(unquote_plus(name)):
                self.learn("key" if name == "key" else "token", unquote_plus(value))

    def _learn_groups(self, groups: Iterable[Sequence[Literal]]) -> None:
        for group in groups:
            first, text = group[0], "".join([literal.text for literal in group])
            if first.is_name or _is_signature(first.path, text):
                continue
            if first.is_string and _is_secret_place(first.path):
                self.learn("token", text)
            elif _names_project(first.path):
                self._learn_project(text)
            elif text.startswith(("{", "[")) and len(text) > len("{}"):
                # Arguments of calls are JSON in a text.
                self._learn_groups(find_literals(text))

    # Replacing

    def redact(self, exchange: RecordedExchange) -> RecordedExchange:
        """The exchange without secrets and without headers that do not matter. Raises UnreadableBodyError."""
        asked, answered = _read_request(exchange.request), _read_answer(exchange.answer)
        self.learn_request(asked)
        for name, value in answered.headers:
            if name == "set-cookie":
                self._learn_cookies(value.partition(";")[0])
        request, answer = _Body([asked.body]), _Body([frame.data for frame in answered.frames])
        self._learn_groups(request.groups)
        self._learn_groups(answer.groups)
        frames = zip(answered.frames, self._redact_body(answer), strict=True)
        return replace(
            exchange,
            request=self._redact_request(asked, request),
            answer=replace(
                answered,
                headers=self._redact_headers(answered.headers, dropped=_DROPPED_ANSWER_HEADERS),
                frames=tuple([Frame(frame.at, data) for frame, data in frames if data or not frame.data]),
            ),
        )

    def redact_request(self, request: RecordedRequest) -> RecordedRequest:
        """A request alone, as `redact` would write it. Raises UnreadableBodyError."""
        request = _read_request(request)
        self.learn_request(request)
        body = _Body([request.body])
        self._learn_groups(body.groups)
        return self._redact_request(request, body)

    def _redact_request(self, request: RecordedRequest, body: "_Body") -> RecordedRequest:
        is_form = "urlencoded" in _header(request.headers, "content-type")
        return replace(
            request,
            host=self._redact_text(request.host),
            path=self._redact_path(request.path),
            query=self._redact_query(request.query),
            headers=self._redact_headers(request.headers, kept=_KEPT_REQUEST_HEADERS),
            body=self._redact_query(request.body.decode("latin-1")).encode("latin-1")
            if is_form
            else b"".join(self._redact_body(body)),
        )

    def _redact_headers(
        self, headers: Headers, *, kept: re.Pattern[str] | None = None, dropped: frozenset[str] = frozenset()
    ) -> Headers:
        redacted = []
        for name, value in headers:
            if name == PROJECT_HEADER:
                redacted.append((name, self._project(value)))
            elif (
                name not in dropped
                and (name == "www-authenticate" or not _SECRET_HEADER.search(name))
                and (kept is None or kept.fullmatch(name))
            ):
                redacted.append((name, self._redact_text(value)))
        return tuple(redacted)

    def _redact_path(self, path: str) -> str:
        parts = path.split("/")
        for number, part in enumerate(parts):
            plain = unquote(part)
            is_project = number > 0 and parts[number - 1] == "projects" and plain not in _NO_PROJECTS
            redacted = self._project(plain) if is_project and plain else self._redact_text(plain)
            if redacted != plain:
                parts[number] = quote(redacted, safe=":@!$&'()*+,;=~")
        return self._redact_text("/".join(parts))

    def _redact_query(self, query: str) -> str:
        """A query or a form."""
        parts = query.split("&")
        for number, part in enumerate(parts):
            name, equals, value = part.partition("=")
            plain_name, plain = unquote_plus(name), unquote_plus(value)
            if plain and _is_secret_parameter(plain_name):
                redacted = (
                    plain
                    if self._is_placeholder(plain)
                    else self._placeholder("key" if name == "key" else "token", plain)
                )
            else:
                redacted = self._redact_text(plain)
            redacted_name = self._redact_text(plain_name)
            if (redacted_name, redacted) != (plain_name, plain):
                parts[number] = quote(redacted_name, safe="") + equals + quote(redacted, safe="/:")
        return self._redact_text("&".join(parts))

    def _redact_text(self, text: str) -> str:
        edits = self._find(text)
        return _apply(text, edits) if edits else text

    def _redact_body(self, body: "_Body") -> list[bytes]:
        """The parts of a body without secrets; one whose bytes all belong to a secret that began earlier is empty."""
        body.apply(self._edit_literals(body.text, body.groups))
        body.apply(
            [edit for start, end in body.outside(body.kept) for edit in self._find(body.text, start, end, own=False)]
        )
        if self.patterns:
            body.apply(
                [edit for start, end in body.outside(body.strings) for edit in self._find_own(body.text, start, end)]
            )
        return body.parts()

    def _edit_literals(self, text: str, groups: Iterable[Sequence[Literal]]) -> list[Edit]:
        """What replaces the literals of JSON text that have secrets, in the order of the text."""
        edits: list[Edit] = []
        for group in groups:
            texts = [literal.text for literal in group]
            for literal, old, new in zip(group, texts, self._redact_group(group[0], texts), strict=True):
                if new != old:
                    # A half of a surrogate pair can only stand there as an escape.
                    is_ascii = text[literal.start : literal.end].isascii() or _HALF_PAIR.search(new) is not None
                    edits.append((literal.start, literal.end, json.dumps(new, ensure_ascii=is_ascii)))
        return sorted(edits)

    def _redact_group(self, first: Literal, texts: list[str]) -> list[str]:
        """Texts that continue each other, without secrets; what replaces one stands where it began."""
        text = "".join(texts)
        if first.is_name:
            return [self._redact_text(text)] if first.is_string else texts
        if _is_signature(first.path, text):
            return texts
        if _is_secret_place(first.path) and text and text not in _NO_SECRETS:
            kept = self._is_placeholder(text)
            return texts if kept else [self._placeholder("token", text), *[""] * (len(texts) - 1)]
        if not first.is_string:
            own = self._edits(text, list(self._own_spans(text)), 0)
            return [_apply(text, own)] if own else texts
        if _names_project(first.path) and text and not text.startswith("projects/"):
            return [self._project(text), *[""] * (len(texts) - 1)]
        if (found := _DATA_URL.match(text)) is not None:
            return [self._redact_data_url(text, found), *[""] * (len(texts) - 1)] if len(texts) == 1 else texts
        cuts = [0, *accumulate(len(each) for each in texts)]
        if text.startswith(("{", "[")) and "\\u" in text:
            # JSON in a text, such as the arguments of a call, may have escapes of its own.
            edits = self._edit_literals(text, find_literals(text))
            cuts, text = _move(cuts, edits), _apply(text, edits)
        edits = self._find(text)
        cuts, text = _move(cuts, edits), _apply(text, edits)
        return [text[start:end] for start, end in pairwise(cuts)]

    def _redact_data_url(self, url: str, found: re.Match[str]) -> str:
        """A data URL; only text is looked into."""
        if not _TEXT_TYPE.fullmatch(found[1]):
            return url
        try:
            text = base64.b64decode(url[found.end() :], validate=True).decode("utf-8", "surrogateescape")
        except binascii.Error:
            return self._redact_text(url)
        redacted = self._redact_text(text)
        if redacted == text:
            return url
        return found[0] + base64.b64encode(redacted.encode("utf-8", "surrogateescape")).decode()

    # Finding

    def _find(self, text: str, start: int = 0, end: int | None = None, *, own: bool = True) -> list[Edit]:
        """What replaces the secrets of a part of a text; `own` says whether the user's expressions count too."""
        part = text[start:end] if start or end is not None else text
        spans = list(self._spans(part))
        if own:
            spans += self._own_spans(part)
        return self._edits(part, spans, start)

    def _find_own(self, text: str, start: int, end: int) -> list[Edit]:
        part = text[start:end]
        return self._edits(part, list(self._own_spans(part)), start)

    def _spans(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Where secrets stand in a text, and of which kind they are; they may overlap."""
        for form, (kind, pattern) in self._anywhere.items():
            if form in text:
                yield from ((*found.span(), kind) for found in pattern.finditer(text))
        for start, end in find_secrets(text):
            if text[start:end] not in _NO_SECRETS:
                yield start, end, "key" if text.startswith(("AIza", "AQ.", "sk-"), start) else "token"
        at = text.find("@")
        while at >= 0:
            local = _LOCAL_PART.search(text, max(0, at - _LONGEST_LOCAL_PART), at)
            if local and (domain := _DOMAIN.match(text, at + 1)):
                yield _skip_escape(text, local.start()), domain.end(), "account"
            at = text.find("@", at + 1)
        if "roject" in text:
            for pattern in _PROJECT_PLACES:
                for found in pattern.finditer(text):
                    if found[1] not in _NO_PROJECTS:
                        if found[1].isdigit():
                            self._learn_project(found[1])
                        yield *found.span(1), "number" if found[1].isdigit() else "project"

    def _own_spans(self, text: str) -> Iterator[tuple[int, int, str]]:
        for pattern in self.patterns:
            for found in pattern.finditer(text):
                start, end = found.span(1 if pattern.groups and found[1] is not None else 0)
                if start < end:
                    yield start, end, "custom"

    def _edits(self, text: str, spans: list[tuple[int, int, str]], offset: int) -> list[Edit]:
        """What replaces spans of a text, those that overlap as one; placeholders stay."""
        edits: list[Edit] = []
        merged: list[tuple[int, int, str]] = []
        for start, end, kind in sorted(spans, key=lambda span: (span[0], -span[1])):
            if self._is_placeholder(text[start:end].strip(".,;:!?)'\"")):
                continue
            if merged and start < merged[-1][1]:
                merged[-1] = merged[-1][0], max(end, merged[-1][1]), merged[-1][2]
            else:
                merged.append((start, end, kind))
        placeholders = [found.span() for found in _PLACEHOLDER.finditer(text)] if merged and "redacted-" in text else []
        for start, end, kind in merged:
            if not any(first <= start and end <= last for first, last in placeholders):
                edits.append((start + offset, end + offset, self._placeholder(kind, text[start:end])))
        return edits

    def _project(self, value: str) -> str:
        return (
            value
            if self._is_placeholder(value)
            else self._placeholder("number" if value.isdigit() else "project", value)
        )

    def _placeholder(self, kind: str, secret: str) -> str:
        """What stands for a secret, now and whenever it comes again."""
        key = secret.lower() if kind == "account" else self._spelled.get(secret, secret)
        if key not in self._placeholders:
            number = self.counts[kind] = self.counts.get(kind, 0) + 1
            host = "@redacted.invalid" if kind == "account" else ""
            self._placeholders[key] = str(_NUMBER + number) if kind == "number" else f"redacted-{kind}-{number}{host}"
        return self._placeholders[key]

    def _is_placeholder(self, text: str) -> bool:
        if text.isdigit():
            return 0 < int(text[:20]) - _NUMBER <= self.counts.get("number", 0)
        return _PLACEHOLDER.fullmatch(text) is not None


class _Body:
    """A body that came in parts, as one text: what is replaced in it moves where the parts end."""

    def __init__(self, parts: Sequence[bytes]) -> None:
        # Bytes that are no text, and characters that two parts share, come back as they were.
        texts = [part.decode("utf-8", "surrogateescape") for part in parts]
        self.text = "".join(texts)
        self.groups = find_literals(self.text)
        self._cuts: Sequence[int] = [0, *accumulate(len(text) for text in texts)]
        self.strings = [(literal.start, literal.end) for group in self.groups for literal in group if literal.is_string]
        self.strings.sort()
        self.kept = [
            (literal.start, literal.end)
            for group in self.groups
            for literal in group
            if _is_signature(literal.path, literal.text) or _DATA_URL.match(literal.text)
        ]
        self.kept.sort()

    def apply(self, edits: list[Edit]) -> None:
        """Replace parts of the text."""
        if not edits:
            return
        self.text = _apply(self.text, edits)
        self._cuts = _move(self._cuts, edits)
        self.strings, self.kept = _move_spans(self.strings, edits), _move_spans(self.kept, edits)

    def outside(self, spans: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """The parts of the text that are outside of spans."""
        at = 0
        for start, end in spans:
            if at < start:
                yield at, start
            at = max(at, end)
        if at < len(self.text):
            yield at, len(self.text)

    def parts(self) -> list[bytes]:
        """The parts as bytes."""
        return [self.text[start:end].encode("utf-8", "surrogateescape") for start, end in pairwise(self._cuts)]


def _apply(text: str, edits: Sequence[Edit]) -> str:
    """A text with parts replaced; they are sorted and do not overlap."""
    pieces, at = [], 0
    for start, end, new in edits:
        pieces += [text[at:start], new]
        at = end
    return "".join([*pieces, text[at:]])


def _move(positions: Sequence[int], edits: Sequence[Edit]) -> list[int]:
    """Where positions of a text are once parts of it have been replaced; those inside of a part are behind what replaces it."""
    starts = [start for start, _, _ in edits]
    shifts = [0]
    for start, end, new in edits:
        shifts.append(shifts[-1] + len(new) - (end - start))
    moved = []
    for position in positions:
        number = bisect_right(starts, position - 1)
        if number and position < edits[number - 1][1]:
            start, _, new = edits[number - 1]
            moved.append(start + shifts[number - 1] + len(new))
        else:
            moved.append(position + shifts[number])
    return moved


def _skip_escape(text: str, at: int) -> int:
    """Where a word begins of which the first characters may belong to an escape of JSON."""
    if not text[:at].endswith("\\"):
        return at
    return at + len("u0000") if text.startswith("u", at) else at + 1


def _move_spans(spans: Sequence[tuple[int, int]], edits: Sequence[Edit]) -> list[tuple[int, int]]:
    moved = _move([position for span in spans for position in span], edits)
    return list(zip(moved[::2], moved[1::2], strict=True))


def _is_secret_place(path: Path) -> bool:
    """Whether a value stands in the field of a secret; in a JSON Schema, names under `properties` are those of arguments."""
    in_properties = False
    for step in path:
        if isinstance(step, int):
            in_properties = False
        elif not in_properties and is_secret_field(step):
            return True
        else:
            in_properties = step == "properties" and not in_properties
    return False


def _names_project(path: Path) -> bool:
    return bool(path) and isinstance(path[-1], str) and path[-1].lower().replace("_", "") in _PROJECT_FIELDS


def _is_signature(path: Path, text: str) -> bool:
    return any(step in _SIGNATURE_FIELDS for step in path) and _BASE64.fullmatch(text) is not None


def _is_secret_parameter(name: str) -> bool:
    return name in {"key", "code", "token"} or is_secret_field(name)


def _header(headers: Headers, name: str) -> str:
    return next((value.lower() for each, value in headers if each == name), "")


def _read_request(request: RecordedRequest) -> RecordedRequest:
    """A request with its body decompressed. Raises UnreadableBodyError."""
    encoding = _header(request.headers, "content-encoding")
    if encoding in {"", "identity"}:
        return request
    return replace(request, body=b"".join(_decompress([request.body], encoding)))


def _read_answer(answer: RecordedAnswer) -> RecordedAnswer:
    """An answer with its body decompressed, frame by frame. Raises UnreadableBodyError."""
    encoding = _header(answer.headers, "content-encoding")
    headers = tuple(pair for pair in answer.headers if pair[0] != "content-encoding")
    if encoding in {"", "identity"}:
        return replace(answer, headers=headers)
    frames = zip(answer.frames, _decompress([frame.data for frame in answer.frames], encoding), strict=True)
    return replace(answer, headers=headers, frames=tuple([Frame(frame.at, data) for frame, data in frames]))


def _decompress(parts: Sequence[bytes], encoding: str) -> list[bytes]:
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise UnreadableBodyError(f"the body is compressed by {encoding!r}, which cannot be read")
    body = parts[0][:2] if parts else b""
    # A deflate body is meant to have the header of zlib, but some have none.
    is_bare = encoding == "deflate" and (not body or body[0] & 0x0F != zlib.DEFLATED)
    reader = zlib.decompressobj(-zlib.MAX_WBITS if is_bare else zlib.MAX_WBITS | 32)
    decompressed, left = [], MAX_DECOMPRESSED
    try:
        for part in parts:
            decompressed.append(reader.decompress(part, left))
            left -= len(decompressed[-1])
            if not left or reader.unconsumed_tail:
                raise UnreadableBodyError(f"the body has more than {MAX_DECOMPRESSED:,} bytes without its compression")
    except zlib.error:
        raise UnreadableBodyError(f"the body is not what it says it is, compressed by {encoding!r}") from None
    return decompressed
