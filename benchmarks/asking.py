"""A client that looks closely: whether an answer has the status, the text, the tool call and the chunks it should have."""

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any, Self

from benchmarks.situations import ARGUMENTS, TOOL, Situation

TOKEN = "ya29.benchmark"  # noqa: S105  # any bearer will do
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}


class WrongAnswerError(Exception):
    """An answer is not what it should be; the message says in what."""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


def ask(port: int, url: str, situation: Situation, timeout: float = 30) -> Answer:
    """Send a situation's request on a connection of its own. Raises OSError and HTTPException."""
    connection = HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("POST", url, situation.body, HEADERS)
        response = connection.getresponse()
        return Answer(response.status, response.getheaders(), response.read())
    finally:
        connection.close()


def check(answer: Answer, situation: Situation, chunks: int) -> None:
    """Raise WrongAnswerError unless the answer is right."""
    if answer.status != 200:  # noqa: PLR2004  # OK
        raise WrongAnswerError(f"status {answer.status}: {answer.body[:200].decode('utf-8', 'replace')}")
    try:
        if situation.stream:
            _check_stream(answer.body.decode(), situation, chunks)
        else:
            _check_message(json.loads(answer.body)["choices"][0]["message"], situation)
    except (ValueError, LookupError, TypeError) as error:
        raise WrongAnswerError(f"not of the documented shape: {error!r}") from None


def _check_message(message: dict[str, Any], situation: Situation) -> None:
    if not situation.tool:
        if message["content"] != situation.text:
            raise WrongAnswerError(f"another text: {message['content']!r:.100}")
        return
    function = message["tool_calls"][0]["function"]
    if (function["name"], json.loads(function["arguments"])) != (TOOL, ARGUMENTS):
        raise WrongAnswerError(f"another call: {function!r:.100}")


def _check_stream(body: str, situation: Situation, chunks: int) -> None:
    *events, last = _read_events(body)
    if last != "[DONE]":
        raise WrongAnswerError(f"a stream that ends in {last!r:.100}")
    deltas = [choice["delta"] for event in events for choice in json.loads(event)["choices"]]
    pieces = [delta["content"] for delta in deltas if delta.get("content")]
    if "".join(pieces) != situation.text:
        raise WrongAnswerError(f"another text: {''.join(pieces)!r:.100}")
    if len(pieces) != chunks:
        raise WrongAnswerError(f"{len(pieces)} chunks, not {chunks}")


def _read_events(body: str) -> Iterator[str]:
    for event in body.replace("\r\n", "\n").split("\n\n"):
        if event:
            yield event.removeprefix("data: ")


class Sampling:
    """Asks and looks ten times a second while something else makes the load: `with Sampling(...) as sampling`."""

    def __init__(self, port: int, url: str, situation: Situation, chunks: int, every: float = 0.1) -> None:
        """`every` is in seconds."""
        self._asked = (port, url, situation)
        self._chunks = chunks
        self._every = every
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.right = 0
        self.wrong: list[str] = []

    def __enter__(self) -> Self:
        self._sample()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._sample()

    def _run(self) -> None:
        while not self._stopped.wait(self._every):
            self._sample()

    def _sample(self) -> None:
        try:
            check(ask(*self._asked), self._asked[2], self._chunks)
        except WrongAnswerError as error:
            self.wrong.append(str(error))
        except (OSError, HTTPException) as error:
            self.wrong.append(f"no answer: {error!r}")
        else:
            self.right += 1
