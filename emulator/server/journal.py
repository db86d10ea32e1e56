"""The journal: what was asked and what was answered, as long as there is room."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from emulator.engine.answering import Outcome
from emulator.wire.json_text import parse_or_text
from emulator.wire.targets import Target

Ending = Literal["complete", "client left"]


@dataclass(slots=True)
class Exchange:
    """One request and its answer. Credentials are not kept; what people read is made when somebody asks."""

    number: int
    started: float
    """Unix time in seconds."""
    target: Target
    body: bytes
    outcome: Outcome
    warnings: tuple[str, ...]
    duration: float = 0.0
    """Seconds until the last byte was handed to the network."""
    ended: Ending = "complete"

    @property
    def session(self) -> str:
        """The project it belongs to."""
        return self.target.project

    @property
    def result(self) -> str:
        """How the request ended."""
        return self.outcome.result

    @property
    def rule(self) -> str | None:
        """The name of the rule that answered."""
        return self.outcome.chosen.rule.name if self.outcome.chosen else None

    @property
    def size(self) -> int:
        """Bytes it keeps: those of both bodies."""
        return len(self.body) + sum(len(frame.data) for frame in self.outcome.timeline.frames)

    def to_json(self) -> dict[str, Any]:
        """The exchange as the control API shows it."""
        outcome, target = self.outcome, self.target
        timeline, chosen, refusal = outcome.timeline, outcome.chosen, outcome.refusal
        return {
            "number": self.number,
            "time": datetime.fromtimestamp(self.started, UTC).isoformat(timespec="milliseconds"),
            "session": target.project,
            "path": target.path,
            "outcome": outcome.result,
            "rule": chosen.rule.name if chosen else None,
            "place": str(chosen.rule.place) if chosen else None,
            "report": outcome.report or None,
            "refusal": None
            if refusal is None
            else {"name": refusal.rule, "place": refusal.place or None, "explanation": refusal.explanation or None},
            "request": parse_or_text(self.body.decode("utf-8", "replace")),
            "status": timeline.status,
            "answer": [frame.data.decode("utf-8", "replace") for frame in timeline.frames],
            "usage": outcome.usage.to_wire() if outcome.usage else None,
            "warnings": list(self.warnings),
            "duration_ms": round(self.duration * 1000, 3),
            "ended": self.ended,
        }


@dataclass(slots=True, kw_only=True)
class TokenExchange:
    """One request to a token endpoint and its answer; what is secret in them was taken out before."""

    number: int
    started: float
    """Unix time in seconds."""
    session: str
    """The project of the account that was asked for; empty where it has none."""
    path: str
    account: str
    """The email address of that account, where it is known."""
    status: int
    request: dict[str, Any]
    answer: dict[str, Any]
    refusal: str = ""
    """The name of the catalogue's entry, where there was an error."""
    explanation: str = ""
    duration: float = 0.0
    """Seconds until the last byte was handed to the network."""
    ended: Ending = "complete"

    @property
    def result(self) -> str:
        """How the request ended."""
        return "refusal" if self.refusal else "token"

    @property
    def rule(self) -> None:
        """No rule answers such a request."""

    @property
    def size(self) -> int:
        """Bytes it keeps, about."""
        return len(str(self.request)) + len(str(self.answer))

    def to_json(self) -> dict[str, Any]:
        """The exchange as the control API shows it."""
        return {
            "number": self.number,
            "time": datetime.fromtimestamp(self.started, UTC).isoformat(timespec="milliseconds"),
            "session": self.session,
            "path": self.path,
            "account": self.account or None,
            "outcome": self.result,
            "rule": None,
            "refusal": {"name": self.refusal, "place": None, "explanation": self.explanation or None}
            if self.refusal
            else None,
            "request": self.request,
            "status": self.status,
            "answer": self.answer,
            "duration_ms": round(self.duration * 1000, 3),
            "ended": self.ended,
        }


Entry = Exchange | TokenExchange


class Journal:
    """The last exchanges of all sessions, bounded by their number and by the bytes of their bodies."""

    def __init__(self, most_exchanges: int, most_bytes: int) -> None:
        self._exchanges: deque[Entry] = deque()
        self._most_exchanges = most_exchanges
        self._most_bytes = most_bytes
        self._bytes = 0
        self._number = 0

    def __iter__(self) -> Iterator[Exchange]:
        """The requests to the emulated endpoints, the oldest first."""
        return (entry for entry in self._exchanges if isinstance(entry, Exchange))

    @property
    def entries(self) -> Sequence[Entry]:
        """Those, and the token requests among them."""
        return tuple(self._exchanges)

    def next_number(self) -> int:
        """The number of the next exchange, from 1."""
        self._number += 1
        return self._number

    def add(self, exchange: Entry) -> None:
        """Keep an exchange; the oldest leave when there is no room."""
        self._exchanges.append(exchange)
        self._bytes += exchange.size
        while self._exchanges and (len(self._exchanges) > self._most_exchanges or self._bytes > self._most_bytes):
            self._bytes -= self._exchanges.popleft().size

    def remove(self, unwanted: Callable[[Entry], bool]) -> None:
        """Forget some exchanges."""
        kept = [exchange for exchange in self._exchanges if not unwanted(exchange)]
        self._exchanges = deque(kept)
        self._bytes = sum(exchange.size for exchange in kept)
