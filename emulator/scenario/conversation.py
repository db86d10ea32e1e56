"""A conversation: the transcript that a rule answers from, turn by turn."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, Tag

from emulator.scenario.steps import HANDED_OVER, Call, OneOf, Raw, Reply, Step, Weighted
from emulator.scenario.templates.template import is_template
from emulator.scenario.types import Model, Text, by_key, by_shape
from emulator.scenario.when import Prose, Result


class UserTurn(Model):
    """What the user says; user messages next to each other are one turn, joined by line breaks."""

    user: Prose
    """A test of the text, as for `last_user`; `""` takes any text."""


class AssistantTurn(Model):
    """What the rule answers, and what the request must have there once the conversation has gone on."""

    assistant: Reply
    """The answer: a text, a step or a list of steps."""


class ToolTurn(Model):
    """The result of a call of the assistant turn before it; the results of parallel calls may come in any order."""

    tool: Annotated[
        Text | Annotated[list[str], Field(min_length=1), Tag("<list>")], by_shape("a function's name or a list of them")
    ]
    """The function's name; a list stands for the results of several calls."""
    result: Result | None = None
    """A test of the result, as for `tool_result`; without it any result will do."""

    @property
    def names(self) -> list[str]:
        """The functions, one for each result."""
        return self.tool if isinstance(self.tool, list) else [self.tool]


TURNS: tuple[type[Model], ...] = (UserTurn, AssistantTurn, ToolTurn)
SPEAKERS = ("user", "assistant", "tool")
"""The keys of a turn of which it has exactly one."""

Turn = Annotated[
    Annotated[UserTurn, Tag("<user>")]
    | Annotated[AssistantTurn, Tag("<assistant>")]
    | Annotated[ToolTurn, Tag("<tool>")],
    by_key(SPEAKERS, error="no_speaker", message="a turn needs one of " + ", ".join(SPEAKERS)),
]
"""One turn of a conversation."""


def steps_of(reply: Reply) -> list[Step] | None:
    """The steps of a reply; None for one that is a text."""
    return None if isinstance(reply, str) else reply if isinstance(reply, list) else [reply]


def options_of(step: OneOf) -> list[Reply]:
    """The replies of a `one_of`, without their weights."""
    return [one.reply if isinstance(one, Weighted) else one for one in step.one_of]


def calls_in(reply: Reply) -> Iterator[Call]:
    """The calls of a reply, but for those of which it makes only one."""
    return (step for step in steps_of(reply) or () if isinstance(step, Call))


def has_unknown_calls(reply: Reply) -> bool:
    """Whether it is not known before a request comes how many calls a reply makes."""
    if isinstance(reply, str):
        return reply in HANDED_OVER
    return any(isinstance(step, Raw) or (isinstance(step, OneOf) and _may_call(step)) for step in steps_of(reply) or ())


def _may_call(step: OneOf) -> bool:
    return any(has_unknown_calls(one) or any(calls_in(one)) for one in options_of(step))


def may_call_anything(reply: Reply) -> bool:
    """Whether the calls of a reply are not known before a request comes."""
    return has_unknown_calls(reply) or any(call.call == "auto" or is_template(call.call) for call in calls_in(reply))
