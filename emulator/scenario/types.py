"""The base class of the scenario models, and the kinds of values that several of them have."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Tag
from pydantic_core import PydanticCustomError


class Model(BaseModel):
    """A mapping in a scenario file: unknown keys are errors, numbers are accepted as texts, instances cannot be changed.

    A model's validator is built when it is first used: most of the models are only ever read as parts of `Scenario`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True, defer_build=True)


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
    """A discriminator that chooses a union's branch by the YAML shape of the value, so that errors concern one branch only."""
    return Discriminator(shape, custom_error_type="wrong_shape", custom_error_message=f"expected {expected}")


def by_key(keys: Sequence[str], *, error: str, message: str) -> Discriminator:
    """A discriminator that chooses the branch `<key>` by the first of these keys that a mapping or model has."""

    def find_tag(value: Any) -> str | None:
        given = value if isinstance(value, dict) else list_keys(type(value)) if isinstance(value, Model) else ()
        return next((f"<{key}>" for key in keys if key in given), None)

    return Discriminator(find_tag, custom_error_type=error, custom_error_message=message)


def list_keys(model: type[Model]) -> tuple[str, ...]:
    """The keys a model accepts, as they are written."""
    return tuple(field.alias or name for name, field in model.model_fields.items())


Text = Annotated[str, Tag("<text>")]
Switch = Annotated[bool, Tag("<switch>")]


def _check_scalar(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise PydanticCustomError("wrong_shape", "expected a number or a text")
    return value


Scalar = Annotated[int | str, BeforeValidator(_check_scalar)]
"""A number or a text, kept apart; without the check an error would report both branches of the union."""
