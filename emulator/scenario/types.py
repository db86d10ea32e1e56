"""What the models of the scenario language share."""

from typing import Annotated, Any

from pydantic_core import PydanticCustomError

from emulator.validation.annotations import Before, Discriminator, Tag
from emulator.validation.models import Model


def shape(value: Any) -> str | None:
    """The YAML shape of a value, as the tag of a union's branch.

    The tags have angle brackets because pydantic puts them into an error's location, where they must not look like keys.
    """
    match value:
        case bool():
            return "<switch>"
        case str() | int() | float():
            return "<text>"
        case list() | tuple():
            return "<list>"
        case dict() | Model():
            return "<mapping>"
        case _:
            return None


def by_shape(expected: str) -> Discriminator:
    """A union decided by the shape of what is written, so that an error speaks of one branch only."""
    return Discriminator(shape, error="wrong_shape", message=f"expected {expected}")


Text = Annotated[str, Tag("<text>")]
Switch = Annotated[bool, Tag("<switch>")]


def _scalar(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise PydanticCustomError("wrong_shape", "expected a number or a text")
    return value


Scalar = Annotated[int | str, Before(_scalar)]
"""A number or a text, told apart; pydantic alone would report both branches of the union."""
