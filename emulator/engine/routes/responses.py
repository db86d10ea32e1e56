"""`POST /responses`: the rules' answer as a response object or as its events."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from emulator.engine.answer import Outcome, answer
from emulator.engine.error_answers import refuse, values_for
from emulator.engine.randomness import AnswerInputs
from emulator.engine.rendering.render import adapt_parts
from emulator.engine.reply.parts import Answer, CallPart, FailPart, RawPart, TextPart
from emulator.engine.request.facts import Facts
from emulator.engine.routes.vetting import forbid_media, refuse_argument, refuse_model
from emulator.engine.ruleset import Ruleset
from emulator.engine.session import State
from emulator.engine.timeline.directives import Directive
from emulator.engine.timeline.timeline import (
    Frame,
    Timeline,
    error_frame,
    plain_timeline,
    refusal_timeline,
    stream_timeline,
)
from emulator.wire.errors import JSON_TYPE, Refusal
from emulator.wire.json_text import dump
from emulator.wire.requests import ChatRequest, Object
from emulator.wire.responses import Identity
from emulator.wire.routes.responses import (
    Progress,
    ResponsesRequest,
    call_item,
    message_item,
    response_event,
    response_object,
    response_to_chat,
    text_part,
)

_CUT_BY = {"length": "max_output_tokens", "content_filter": "content_filter"}


@dataclass(frozen=True, slots=True)
class ResponsesHandler:
    """Handler of a responses request."""

    request: ResponsesRequest

    @property
    def chat(self) -> ChatRequest:
        """The input as a chat request."""
        return response_to_chat(self.request)

    def vet(self, facts: Facts) -> Refusal | None:
        """Check model, location and input: Grok, `v1` and `global` (documented); the texts are assumed."""
        refusal = refuse_model(facts, families={"grok"}, serves="Grok models")
        if refusal is not None:
            return refusal
        target = facts.target
        if facts.publisher != "xai":
            return refuse_argument(facts, "model", f'model is "{facts.model}"; responses serves Grok models (xai/…)')
        if (target.api_version, target.location) != ("v1", "global"):
            explanation = f"responses is served by v1 in global, not by {target.api_version} in {target.location}"
            return refuse("publisher_model_not_found", values_for(target, facts.model), explanation=explanation)
        if self.request.get("previous_response_id"):
            explanation = "no response is stored; send the conversation so far as input"
            return refuse_argument(facts, "previous_response_id", explanation)
        if not facts.messages:
            return refuse_argument(facts, "input", "input is missing or empty")
        return None

    def answer(self, rulesets: Sequence[Ruleset], facts: Facts, state: State, inputs: AnswerInputs) -> Outcome:
        """Answer the input by the rules."""
        return answer(rulesets, facts, state, inputs, partial(render_response, self.request))


@dataclass(slots=True)
class _Item:
    """One item of the output, with the pieces in which it is streamed."""

    id: str
    pieces: list[str] = field(default_factory=list)
    call: CallPart | None = None

    @property
    def complete(self) -> Object:
        """The complete item."""
        if self.call is not None:
            return call_item(self.id, self.call.id, self.call.name, self.call.arguments)
        return message_item(self.id, "".join(self.pieces))

    @property
    def announced(self) -> Object:
        """The item as its first event announces it."""
        if self.call is not None:
            return call_item(self.id, self.call.id, self.call.name, "", "in_progress")
        return message_item(self.id, None, "in_progress")


def render_response(request: ResponsesRequest, made: Answer, identity: Identity, facts: Facts) -> Timeline:
    """The timeline of a response; there is one choice. Raises AnswerError for media, which a response cannot carry."""
    failure = made.failure
    if failure is not None and (made.fails_at_once or not facts.stream):
        return refusal_timeline(failure, made.headers)
    items = _items(made, identity, facts)
    end = Progress(
        fingerprint=str(facts.style.dialect.body.get("system_fingerprint", "")),
        output=[item.complete for item in items if isinstance(item, _Item)],
        usage=made.usage,
        cut_by=_CUT_BY.get(made.choices[0].finish_reason),
    )
    if facts.stream:
        return stream_timeline(list(_events(request, identity, items, end)), made.headers)
    raw = [item.body for item in items if isinstance(item, RawPart)]
    if raw:
        return plain_timeline(200, JSON_TYPE, b"".join(raw), made.headers)
    return plain_timeline(200, JSON_TYPE, dump(response_object(request, identity, end)), made.headers)


def _items(made: Answer, identity: Identity, facts: Facts) -> list[_Item | RawPart | FailPart | Directive]:
    """Texts next to each other are one message, whose id is that of the response (documented); thoughts are not shown."""
    items: list[_Item | RawPart | FailPart | Directive] = []
    for part in adapt_parts(made.choices[0].parts, facts.style):
        forbid_media(part, facts.target)
        match part:
            case TextPart(is_thought=False):
                last = items[-1] if items else None
                if not isinstance(last, _Item) or last.call is not None:
                    last = _Item(f"msg_{identity.id}{f'_{len(items)}' if items else ''}")
                    items.append(last)
                last.pieces += part.pieces
            case CallPart():
                items.append(_Item(f"fc_{identity.id}_{len(items)}", call=part))
            case RawPart() | FailPart() | Directive():
                items.append(part)
            case _:
                pass
    return items if any(not isinstance(item, Directive) for item in items) else [*items, _Item(f"msg_{identity.id}")]


def _events(
    request: ResponsesRequest,
    identity: Identity,
    items: Sequence[_Item | RawPart | FailPart | Directive],
    end: Progress,
) -> Iterator[Frame | Directive]:
    numbers = count()
    is_raw = all(isinstance(item, RawPart | Directive) for item in items)
    if not is_raw:
        started = response_object(request, identity, Progress(end.fingerprint, []))
        yield Frame(response_event("response.created", next(numbers), response=started))
        yield Frame(response_event("response.in_progress", next(numbers), response=started))
    for index, item in enumerate(items):
        match item:
            case RawPart():
                yield Frame(item.written, len(item.written))
            case FailPart():
                # As in a chat stream (observed there).
                yield error_frame(item.refusal)
                return
            case Directive():
                yield item
            case _Item():
                yield from _item_events(item, index, numbers)
    if not is_raw:
        completed = response_object(request, identity, end)
        yield Frame(response_event(f"response.{end.status}", next(numbers), response=completed))


def _item_events(item: _Item, index: int, numbers: Iterator[int]) -> Iterator[Frame]:
    yield Frame(response_event("response.output_item.added", next(numbers), item=item.announced, output_index=index))
    ids: Object = {"item_id": item.id, "output_index": index}
    if item.call is not None:
        kind = "response.function_call_arguments"
        for piece in item.call.pieces or (item.call.arguments,):
            yield Frame(response_event(f"{kind}.delta", next(numbers), delta=piece, **ids), len(piece))
        yield Frame(
            response_event(f"{kind}.done", next(numbers), arguments=item.call.arguments, name=item.call.name, **ids)
        )
    else:
        ids["content_index"] = 0
        text = "".join(item.pieces)
        yield Frame(response_event("response.content_part.added", next(numbers), part=text_part(""), **ids))
        for piece in item.pieces:
            delta = response_event("response.output_text.delta", next(numbers), delta=piece, logprobs=[], **ids)
            yield Frame(delta, len(piece))
        yield Frame(response_event("response.output_text.done", next(numbers), logprobs=[], text=text, **ids))
        yield Frame(response_event("response.content_part.done", next(numbers), part=text_part(text), **ids))
    yield Frame(response_event("response.output_item.done", next(numbers), item=item.complete, output_index=index))
