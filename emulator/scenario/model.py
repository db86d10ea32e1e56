"""What every model of the scenario language shares."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Tag
from pydantic_core import PydanticCustomError


class Model(BaseModel):
    """A part of a scenario file: closed (a misspelt key is an error) and frozen; docstrings of fields are its reference.

    Pydantic builds what reads it with the scenario, or when it is read alone, and never reads the docstrings: both take their time.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        coerce_numbers_to_str=True,
        validate_by_name=False,
        validate_by_alias=True,
        defer_build=True,
    )


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
        case dict() | BaseModel():
            return "<mapping>"
        case _:
            return None


def by_shape(expected: str) -> Discriminator:
    """A union decided by the shape of what is written, so that an error speaks of one branch only."""
    return Discriminator(shape, custom_error_type="wrong_shape", custom_error_message=f"expected {expected}")


Text = Annotated[str, Tag("<text>")]
Switch = Annotated[bool, Tag("<switch>")]


def _scalar(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise PydanticCustomError("wrong_shape", "expected a number or a text")
    return value


Scalar = Annotated[int | str, BeforeValidator(_scalar)]
"""A number or a text, told apart; pydantic alone would report both branches of the union."""
