"""`when`: what a rule demands of a request. All that is given must hold."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, Tag
from pydantic_core import PydanticCustomError

from emulator.scenario.patterns import compile_pattern
from emulator.scenario.types import Model, Switch, Text, by_shape


def _check_regex(pattern: str) -> str:
    try:
        compile_pattern(pattern)
    except ValueError as error:
        raise PydanticCustomError(
            "bad_regex", "this is not a regular expression: {reason}", {"reason": str(error)}
        ) from None
    return pattern


def _check_turns(value: Any) -> Any:
    is_written = isinstance(value, str | int) and not isinstance(value, bool)
    if not is_written or not re.fullmatch(r"[0-9]{1,9}(-[0-9]{1,9}|\+)?", str(value)):
        raise PydanticCustomError("bad_turn", 'a turn is a number or a range such as "2-4" or "3+"', {})
    return value


Regex = Annotated[str, AfterValidator(_check_regex)]


class Test(Model):
    """The long form of a test. All operators that are given must hold; letter case is ignored except by `equals` and `regex`."""

    equals: str | None = None
    """The whole value, letter case included."""
    contains: str | None = None
    """A part of the value, ignoring letter case."""
    starts_with: str | None = None
    """The beginning of the value, ignoring letter case."""
    ends_with: str | None = None
    """The end of the value, ignoring letter case."""
    regex: Regex | None = None
    """A Python regular expression found anywhere in the value; named groups become template variables."""
    glob: str | None = None
    """A pattern for the whole value with `*`, `?` and `[...]`, ignoring letter case."""
    any_of: "list[OneTest] | None" = Field(default=None, min_length=1)
    """At least one of these tests holds; a string has the meaning it has in place of the whole test."""
    not_: "Prose | None" = Field(default=None, alias="not")
    """This test does not hold."""


_Container = Annotated[
    Annotated[dict[str, Any], Tag("<mapping>")] | Annotated[list[Any], Tag("<list>")], by_shape("a mapping or a list")
]


class ResultTest(Test):
    """A test of a tool result: of its text, or of its parts when it is JSON."""

    json_: _Container | None = Field(default=None, alias="json")
    """JSON that the result must contain: keys not named here may have any value."""


_SOME_TESTS = "a text, a test such as {regex: ...}, or a list of these of which one must pass"

OneTest = Annotated[Text | Annotated[Test, Tag("<mapping>")], by_shape("a text, or a test such as {regex: ...}")]
"""A test that is no list."""
_OneResult = Annotated[
    Text | Annotated[ResultTest, Tag("<mapping>")], by_shape("a text, or a test such as {json: ...}")
]
_Tests = Annotated[list[OneTest], Field(min_length=1), Tag("<list>")]
_Results = Annotated[list[_OneResult], Field(min_length=1), Tag("<list>")]
Prose = Annotated[Text | Annotated[Test, Tag("<mapping>")] | _Tests, by_shape(_SOME_TESTS)]
"""A test of running text: a string means *contains, ignoring case*, a list that one of its tests holds."""
Identifier = Prose
"""A test of a name: written like `Prose`, but a string means *glob, ignoring case*."""
Result = Annotated[Text | Annotated[ResultTest, Tag("<mapping>")] | _Results, by_shape(_SOME_TESTS)]
"""A test of a tool result: a string means *contains, ignoring case*, a list that one of its tests holds."""
TurnRange = Annotated[str, BeforeValidator(_check_turns)]
Role = Literal["system", "developer", "user", "assistant", "model", "tool", "function"]
Medium = Literal["image", "audio", "video", "document", "gs_uri"]
Modality = Literal["text", "image", "audio"]

Json = dict[str, Any]
"""JSON that must be contained: keys not named may have any value."""


_Tested = Annotated[Test, Tag("<mapping>")]
_Roles = Annotated[
    Annotated[Role, Tag("<text>")] | Annotated[list[Role], Tag("<list>")], by_shape("a role or a list of roles")
]
_Media = Annotated[
    Annotated[Medium, Tag("<text>")] | Annotated[list[Medium], Tag("<list>")], by_shape("a medium or a list of media")
]
_Modalities = Annotated[
    Annotated[Modality, Tag("<text>")] | Annotated[list[Modality], Tag("<list>")],
    by_shape("a modality or a list of them"),
]
_Name = Annotated[
    Switch | Text | _Tested | _Tests, by_shape("true, false, a name, a test, or a list of names of which one must fit")
]
_Names = Annotated[
    Switch | Text | _Tested | Annotated[list[OneTest], Tag("<list>")],
    by_shape("true, false, a name, a test or a list"),
]


class When(Model):
    """What a rule demands of a request; all that is given must hold, an empty `when` holds always."""

    # The target.
    model: Identifier | None = None
    """The model as sent, publisher included: `google/gemini-3*`."""
    publisher: Identifier | None = None
    """The part of the model before the slash: `google`, `meta`, `deepseek-ai`."""
    api_version: Identifier | None = None
    """`v1` or `v1beta1`."""
    project: Identifier | None = None
    """The project id or number in the URL."""
    location: Identifier | None = None
    """The location in the URL: `us-central1`, `global`."""
    endpoint: Identifier | None = None
    """The endpoint in the URL: `openapi`, or the id of a self-deployed model's endpoint."""

    # The conversation.
    last_user: Prose | None = None
    """The text of the last user message."""
    any_user: Prose | None = None
    """The text of at least one user message."""
    system: Prose | None = None
    """The system (or developer) messages, joined by line breaks."""
    last: _Roles | None = None
    """The role of the last message, or a list of roles of which it is one."""
    turn: TurnRange | None = None
    """How many user turns there are: a number, or a range such as `2-4` or `3+`."""
    after_tool: _Name | None = None
    """The conversation ends with a result of this tool; `true` for any tool, `false` for none."""
    tool_result: Result | None = None
    """At least one of the tool results at the end of the conversation."""

    # The request.
    stream: bool | None = None
    """Whether the answer is to be streamed."""
    tools: _Names | None = None
    """A declared tool (a list: all of them); `true` for any; `auto` for one that [the question needs](#the-default-answer) and that has not been called since."""
    tool_choice: Identifier | None = None
    """`none`, `auto`, `required`, `validated`, `named`, or the name of the demanded function."""
    response_format: Identifier | None = None
    """`text`, `json_object`, `json_schema`, a MIME type, or the name of the schema."""
    modalities: _Modalities | None = None
    """A demanded kind of output (a list: all of them)."""
    has: _Media | None = None
    """A kind of input found anywhere in the messages (a list: all of them)."""
    params: Json | None = None
    """Parameters at the top of the body, such as `temperature`; JSON that must be contained."""
    google: Json | None = None
    """JSON that `extra_body.google` must contain."""
    header: dict[str, _Name] | None = None
    """Request headers by name; `true` means present, `false` absent."""
    body: Json | None = None
    """JSON that the body must contain: keys not named here may have any value, lists may have more items."""

    # Nesting.
    any: "list[When] | None" = Field(default=None, min_length=1)
    """At least one of these holds."""
    all: "list[When] | None" = Field(default=None, min_length=1)
    """Each of these holds."""
    not_: "When | None" = Field(default=None, alias="not")
    """This does not hold."""
