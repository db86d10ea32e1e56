"""What a scenario says of quotas: how much is answered in a minute, how much at once, and what becomes of the rest."""

from typing import Annotated, Literal

from pydantic import Field, Tag

from emulator.scenario.types import Model, Scalar, by_shape
from emulator.scenario.when import Identifier
from emulator.scenario.yaml import Location

PROVISIONED = "provisioned_throughput_exceeded"
"""The error that makes a quota one of provisioned throughput."""


class Queue(Model):
    """Requests that wait instead of being refused at once."""

    length: int = Field(ge=1)
    """How many may wait at the same time; the next one is refused."""
    wait_ms: int = Field(ge=1)
    """How long one waits at most; a request that would have to wait longer is refused."""


class Quota(Model):
    """How much is answered. What a minute allows comes back continuously, and all of it may be used at once."""

    requests_per_minute: int | None = Field(default=None, ge=1)
    """Requests that are answered in a minute."""
    tokens_per_minute: int | None = Field(default=None, ge=1)
    """Tokens in a minute: the prompt's estimate when the request comes, settled by the answer's `total_tokens` when it ends."""
    concurrent: int | None = Field(default=None, ge=1)
    """Requests that are answered at the same time."""
    per: Literal["session", "model", "server"] = "session"
    """What has the quota to itself: each session (project id), each model of a session, or the whole server, which all share."""
    model: Identifier | None = None
    """The models it is about, as in `when`; without it all."""
    on_excess: Scalar = "resource_exhausted"
    """The refusal: an HTTP status, a status name or a name from the error catalogue. `provisioned_throughput_exceeded` makes the quota one of provisioned throughput."""
    queue: Queue | None = None
    """Lets requests wait before they are refused."""


Quotas = Annotated[
    Annotated[Quota, Tag("<mapping>")] | Annotated[list[Quota], Tag("<list>")],
    by_shape("a mapping or a list of mappings"),
]
"""One quota, or several, all of which must have room."""


def list_quotas(quotas: Quotas | None, loc: Location = ("quota",)) -> list[tuple[Location, Quota]]:
    """The quotas as a list, each with its location in the file."""
    if quotas is None:
        return []
    if isinstance(quotas, Quota):
        return [(loc, quotas)]
    return [((*loc, number), quota) for number, quota in enumerate(quotas)]
