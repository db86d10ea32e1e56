"""Faults: what goes wrong on the way to the client, as steps of a reply and beside an answer."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, Tag, TypeAdapter
from pydantic_core import PydanticCustomError

from emulator.catalogue.faults import FaultName, GarbleName
from emulator.scenario.pace import MAX_MILLISECONDS, Milliseconds
from emulator.scenario.templates.template import is_template
from emulator.scenario.types import Model, Scalar, by_key, by_shape

FIRST_STATUS, LAST_STATUS = 200, 599
_LONGEST_STATUS = 4


def _check_status(value: Any) -> Any:
    if isinstance(value, str) and is_template(value):
        return value
    status = read_status(value)
    if status is None:
        raise PydanticCustomError("wrong_shape", f"expected a whole number from {FIRST_STATUS} to {LAST_STATUS}")
    return status


def read_status(value: Any) -> int | None:
    """The HTTP status that a value is, as a number or as a text; None if it is none."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdecimal():
        value = value.strip()[:_LONGEST_STATUS]
    elif isinstance(value, bool) or not isinstance(value, int | float) or not float(value).is_integer():
        return None
    return int(value) if FIRST_STATUS <= int(value) <= LAST_STATUS else None


HttpStatus = Annotated[int | str, BeforeValidator(_check_status)]
"""An HTTP status, or a template that makes one."""


class FaultTrigger(Model):
    """When a fault happens: always, or only when everything given here holds."""

    chance: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)
    """How probable it is, from 0 to 1; decided by the seed, if there is one, and by what is asked."""
    first: int | None = Field(default=None, ge=1)
    """Only in so many uses of the rule, the first ones of a session."""
    every: int | None = Field(default=None, ge=1)
    """Only in every so many-th use of the rule in a session."""
    after: int | None = Field(default=None, ge=0)
    """Only after so many uses of the rule in a session."""


class ChunkPosition(Model):
    """Where in a stream."""

    after_chunks: int | None = Field(default=None, ge=0)
    """Behind so many chunks of the stream; 0 is behind the headers. Plain answers have no chunks: there it is the middle."""


class FaultPosition(ChunkPosition):
    """Where in the answer: one of these, by default its middle."""

    at: Literal["before_headers", "inside_frame", "inside_json", "inside_character"] | None = None
    """Before anything is sent, behind the JSON of an event but before its end, inside the JSON, or between the bytes of a character."""
    after_bytes: int | None = Field(default=None, ge=0)
    """Behind so many bytes of the body."""
    fraction: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)
    """Behind this part of the body's bytes, from 0 to 1."""


class Cut(FaultTrigger):
    """The connection ends before the answer does."""

    cut: Literal["reset", "close", "end"]
    """`reset` resets it (RST), `close` closes it in order with the transfer encoding unfinished, `end` ends HTTP in order but the answer too early."""


def _check_duration(value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if value == "forever" or (is_number and 0 <= value <= MAX_MILLISECONDS):
        return value
    wanted = f"a number of milliseconds up to {MAX_MILLISECONDS:,}" if is_number else "a number of milliseconds"
    raise PydanticCustomError("wrong_shape", f"expected {wanted}, or forever")


class Stall(FaultTrigger):
    """Nothing comes for a while, or ever again."""

    stall: Annotated[Milliseconds | Literal["forever"], BeforeValidator(_check_duration)]
    """Milliseconds, or `forever`: until the client leaves."""


class Garble(FaultTrigger):
    """The answer comes, but not as it should."""

    garble: GarbleName
    """What is wrong with it."""


class Fail(FaultTrigger):
    """A failure: as the first step an HTTP error, later the form an error takes inside a stream."""

    fail: Scalar
    """An HTTP status (`429`), a status name (`UNAVAILABLE`) or a name from the error catalogue (`resource_exhausted`); a template must make one of these."""
    message: str | None = None
    """The message instead of the catalogue's."""
    details: list[dict[str, Any]] | None = None
    """The `details` instead of the catalogue's."""
    retry_after_s: int | None = Field(default=None, ge=0)
    """Seconds in a `retry-after` header, which Vertex does not send by itself."""
    status: HttpStatus | None = None
    """The HTTP status instead of the error's, from 200 to 599; a template must make such a number."""
    body: Any = None
    """The whole body instead of the error's: a text as it is, anything else as JSON."""


class PlacedCut(Cut, FaultPosition):
    """The connection ends before the answer does."""


class PlacedStall(Stall, FaultPosition):
    """Nothing comes for a while, or ever again."""


class PlacedGarble(Garble, ChunkPosition):
    """The answer comes, but not as it should; of the places it knows `after_chunks`."""


class PlacedFail(Fail, ChunkPosition):
    """A failure instead of the answer, or with `after_chunks` inside the stream."""


class SmallWrites(FaultTrigger):
    """The body is written in small pieces, all of it."""

    write_size: int = Field(ge=1)
    """Bytes in a piece."""


FAULTS = ("cut", "stall", "garble", "fail", "write_size")
"""The keys a fault can begin with, in the order in which errors list them."""

Fault = Annotated[
    Annotated[PlacedCut, Tag("<cut>")]
    | Annotated[PlacedStall, Tag("<stall>")]
    | Annotated[PlacedGarble, Tag("<garble>")]
    | Annotated[PlacedFail, Tag("<fail>")]
    | Annotated[SmallWrites, Tag("<write_size>")],
    by_key(FAULTS, error="no_effect", message="a fault needs one of the keys " + ", ".join(FAULTS)),
]
"""One thing that goes wrong."""

OneFault = Annotated[
    Annotated[FaultName, Tag("<text>")] | Annotated[Fault, Tag("<mapping>")],
    by_shape("the name of a fault, or a mapping"),
]
FaultSetting = Annotated[
    Annotated[FaultName, Tag("<text>")] | Annotated[Fault, Tag("<mapping>")] | Annotated[list[OneFault], Tag("<list>")],
    by_shape("the name of a fault, a mapping, or a list of these"),
]
"""What goes wrong: a fault by name, as a mapping, or several in a list."""


_FAULT: TypeAdapter[PlacedCut | PlacedStall | PlacedGarble | PlacedFail | SmallWrites] = TypeAdapter(
    Fault, config=ConfigDict(defer_build=True)
)


def read_fault(written: dict[str, Any]) -> PlacedCut | PlacedStall | PlacedGarble | PlacedFail | SmallWrites:
    """A fault of the catalogue, as a model."""
    return _FAULT.validate_python(written)
