"""What `auto` stands for: the text, the JSON and the tool call that suit a request. The default scenario consists of these.

- `say: auto`: the JSON that the messages ask for in words (`json_prompts`), else a few English sentences (`prose`), framed as agents that
  read texts expect it.
- `json: auto`: a value of the schema in `response_format`, else of the one that the messages give.
- `call: auto`: the tool that the question needs next (`engine.request.tools`), with arguments that its schema allows.

Values come from the messages where they name them (`arguments`); the sampler makes up the rest. All of it depends on the request and
the seed only.
"""

from collections.abc import Callable
from typing import Any

from emulator.engine.reply.arguments import suggest_values
from emulator.engine.reply.chunking import divide
from emulator.engine.reply.json_prompts import WantedJson, find_wanted_json
from emulator.engine.reply.prose import Wording, write_prose
from emulator.engine.reply.templates import Context
from emulator.engine.request.tools import takes_answer
from emulator.errors import AnswerError
from emulator.scenario.steps import Chunks
from emulator.wire.json_text import dump

# What an answer in JSON looks like of which nothing but that is known.
_ANY_OBJECT = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}


# Agents that read their answer out of a text: words of the instructions by which they are known, and the text around the answer.
_PROTOCOLS: tuple[tuple[tuple[str, ...], Callable[[str], str]], ...] = (
    # smolagents' CodeAgent.
    (
        ("final_answer(", "<code>"),
        lambda text: f"Thought: I can answer this now.\n<code>\nfinal_answer({dump(text).decode()})\n</code>",
    ),
    # ReAct, as CrewAI and older agents of LangChain have it.
    (("Thought:", "Final Answer:"), lambda text: f"Thought: I now know the final answer\nFinal Answer: {text}"),
)
_MAX_INSTRUCTIONS = 20_000
"""Characters at the beginning of the instructions that are searched for these words."""


def write_text(context: Context, chunks: Chunks | None) -> tuple[str, ...]:
    """The text that answers the request, in pieces; more than one where it has two words."""
    wanted = find_wanted_json(context.facts)
    if wanted is not None:
        return divide(_write_json(wanted, context), chunks)
    text = _prose(context)
    told = f"{(context.facts.system or '')[:_MAX_INSTRUCTIONS]}\n{context.facts.open_turn.question[:_MAX_INSTRUCTIONS]}"
    frame = next((frame for words, frame in _PROTOCOLS if all(word in told for word in words)), None)
    if frame is not None:
        return divide(frame(text), chunks)
    pieces = divide(text, chunks)
    if chunks is None and len(pieces) == 1 and (middle := text.find(" ", len(text) // 2)) >= 0:
        return text[: middle + 1], text[middle + 1 :]
    return pieces


def write_json(context: Context) -> str:
    """The JSON that answers the request. Raises AnswerError if the schema in `response_format` allows no value."""
    demanded = context.facts.response_schema
    if demanded is not None and demanded[1] is not None:
        return dump(_sample_answer(demanded[1], context)).decode()
    return _write_json(find_wanted_json(context.facts) or WantedJson(None), context)


def write_arguments(name: str, context: Context) -> str:
    """Arguments for the declared tool of that name; `{}` if there is none. Raises AnswerError if its schema allows no object."""
    from emulator.engine.sampling.sampler import sample_arguments  # noqa: PLC0415  # text needs no sampler

    description, parameters = next((rest for tool, *rest in context.facts.tools if tool == name), ("", None))

    def make(schema: Any) -> dict[str, Any]:
        return sample_arguments(
            schema, context.request.rng.random("call", context.choice, context.calls), context.request.sampling
        )

    return dump(_make_suggested(parameters, make, context, is_answer=takes_answer(name, description))).decode()


def _write_json(wanted: WantedJson, context: Context) -> str:
    """JSON that is asked for in words, in the form asked for."""
    made = (
        _sample_answer(_ANY_OBJECT, context) if wanted.schema is None else _sample_if_possible(wanted.schema, context)
    )
    match wanted.form:
        case "sections":
            return _write_sections(made)
        case "fenced":
            return f"```json\n{dump(made).decode()}\n```"
        case "json":
            return dump(made).decode()


def _write_sections(made: dict[str, Any]) -> str:
    sections = [
        f"[[ ## {name} ## ]]\n{value if isinstance(value, str) else dump(value).decode()}"
        for name, value in made.items()
    ]
    return "\n\n".join([*sections, "[[ ## completed ## ]]"])


def _sample_if_possible(schema: Any, context: Context) -> Any:
    """A value of a schema that stands in a message; any object if it allows none, because only words ask for it."""
    try:
        return _sample_answer(schema, context)
    except AnswerError:
        return _sample_answer(_ANY_OBJECT, context)


def _sample_answer(schema: Any, context: Context) -> Any:
    from emulator.engine.sampling.sampler import sample  # noqa: PLC0415  # text needs no sampler

    def make(suggested: Any) -> Any:
        return sample(suggested, context.request.rng.random("json", context.choice), context.request.sampling)

    return _make_suggested(schema, make, context, is_answer=True)


def _make_suggested(schema: Any, make: Callable[[Any], Any], context: Context, *, is_answer: bool) -> Any:
    """Make a value with what the messages suggest; without it if the suggestions contradict the schema."""
    suggested = suggest_values(schema, context.facts, lambda: _prose(context), is_answer=is_answer)
    from emulator.engine.sampling.schema import TooLarge  # noqa: PLC0415  # text needs no sampler

    try:
        return make(suggested)
    except TooLarge:
        raise
    except AnswerError:
        if suggested == schema:
            raise
        return make(schema)


def _prose(context: Context) -> str:
    # The choices of one answer differ.
    return write_prose(context.facts, Wording(context.request.rng.random("text").getrandbits(32) + context.choice))
