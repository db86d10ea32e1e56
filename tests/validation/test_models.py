"""Models read values as pydantic's own models do, and are values themselves."""

from typing import Annotated, Any, Literal

import pydantic
import pytest
from pydantic_core import PydanticCustomError, ValidationError
from typing_extensions import TypedDict

from emulator.validation.annotations import After, Before, Discriminator, Tag, field
from emulator.validation.models import Model
from emulator.validation.schemas import validator


def refuse_odd(value: int) -> int:
    """Refuse odd numbers."""
    if value % 2:
        raise PydanticCustomError("odd", "odd")
    return value


def kind(value: Any) -> str | None:
    """The tag of a value."""
    return "<text>" if isinstance(value, str) else "<list>" if isinstance(value, list) else None


class Leaf(Model):
    """Ours, small."""

    name: str
    size: int | None = field(default=None, ge=1, le=9)


class Tree(Model):
    """Ours, with all kinds of fields."""

    leaf: Leaf | None = None
    again: Leaf | None = None
    below: "list[Tree] | None" = field(default=None, min_length=1)
    not_: "Tree | None" = field(default=None, alias="not")
    even: Annotated[int, After(refuse_odd)] = 2
    mode: Literal["a", "b"] = "a"
    wait: Annotated[float, field(ge=0, allow_inf_nan=False)] | Literal["forever"] = 0.0
    words: Annotated[
        Annotated[str, Tag("<text>")] | Annotated[list[str], field(min_length=1), Tag("<list>")],
        Discriminator(kind, error="no_words", message="no words"),
    ] = ""
    headers: dict[str, bool] = field(default={})
    more: Annotated[Any, Before(lambda value: value)] = None


class Theirs(pydantic.BaseModel):
    """What pydantic's own models share."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class TheirLeaf(Theirs):
    """Pydantic's, small."""

    name: str
    size: int | None = pydantic.Field(default=None, ge=1, le=9)


class TheirTree(Theirs):
    """Pydantic's, with the same fields."""

    leaf: TheirLeaf | None = None
    again: TheirLeaf | None = None
    below: "list[TheirTree] | None" = pydantic.Field(default=None, min_length=1)
    not_: "TheirTree | None" = pydantic.Field(default=None, alias="not")
    even: Annotated[int, pydantic.AfterValidator(refuse_odd)] = 2
    mode: Literal["a", "b"] = "a"
    wait: Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)] | Literal["forever"] = 0.0
    words: Annotated[
        Annotated[str, pydantic.Tag("<text>")]
        | Annotated[list[str], pydantic.Field(min_length=1), pydantic.Tag("<list>")],
        pydantic.Discriminator(kind, custom_error_type="no_words", custom_error_message="no words"),
    ] = ""
    headers: dict[str, bool] = {}  # pydantic copies it
    more: Annotated[Any, pydantic.BeforeValidator(lambda value: value)] = None


VALUES: list[Any] = [
    {},
    [],
    "text",
    {"leaf": {"name": "one", "size": 3}, "again": {"name": 7}},
    {"leaf": {"size": 0}, "again": {"name": "two", "size": "10"}, "leef": 1},
    {"below": [{"even": 4}, {"even": 3, "below": []}]},
    {"not": {"not": {"mode": "c"}}, "not_": {}},
    {"wait": "forever"},
    {"wait": "inf"},
    {"wait": -1},
    {"words": ["a", 2]},
    {"words": []},
    {"words": 5},
    {"headers": {"a": True, "b": "maybe"}},
    {"headers": {1: True}, "more": {"any": [None]}},
]


def read(model: type[Model | pydantic.BaseModel], value: Any) -> Any:
    """The values read, or the errors with their places."""
    try:
        return plain(model.model_validate(value))
    except ValidationError as error:
        found = [(one["type"], one["loc"], one["msg"], one["input"]) for one in error.errors(include_url=False)]
        return str(found).replace("Their", "")


def plain(value: Any) -> Any:
    """A model as a mapping of what is in it and of what was given."""
    if isinstance(value, Model | pydantic.BaseModel):
        return {name: plain(one) for name, one in vars(value).items()}, value.model_fields_set
    return [plain(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_models_read_as_those_of_pydantic_do(value: Any) -> None:
    """The same values come of it, or the same errors at the same places in the same words."""
    assert read(Tree, value) == read(TheirTree, value)


class Open(TypedDict, total=False):
    """A mapping of which some keys are known."""

    name: str
    size: int | None


def test_a_typed_dict_is_open_and_strict() -> None:
    """No key is needed, others are kept, and nothing is taken for what it is not."""
    read = validator(Open).validate_python
    assert read({"other": 1}) == {"other": 1}
    with pytest.raises(ValidationError, match="valid string"):
        read({"name": 1})


def test_models_are_values() -> None:
    """Models that hold the same are equal, whatever was given; they are shown, and cannot be changed."""
    one, other = Leaf.model_validate({"name": "a", "size": None}), Leaf.model_construct(name="a")
    assert one == other
    assert hash(one) == hash(other)
    assert one != Tree()
    assert repr(one) == "Leaf(name='a', size=None)"
    assert (one.model_fields_set, other.model_fields_set) == ({"name", "size"}, {"name"})
    with pytest.raises(AttributeError, match=r"Leaf\.name cannot be set"):
        one.name = "b"
    with pytest.raises(AttributeError, match=r"Leaf\.name cannot be deleted"):
        del one.name


def test_a_copy_has_other_values() -> None:
    """A copy takes what is given, which counts as given from then on; the original stays as it is."""
    one = Leaf(name="a")
    assert one.model_copy(update={"size": 20}) == Leaf.model_construct(name="a", size=20)
    assert one.model_copy(update={"size": 20}).model_fields_set == {"name", "size"}
    assert one.size is None


def test_defaults_are_not_shared() -> None:
    """What is put into a list or mapping that nobody gave is not found in the next one."""
    assert Tree().headers is not Tree().headers
    assert Tree.model_construct().headers is not Tree.model_construct().headers
