"""The steps of a reply, each named by its verb: `- say: Hello`."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from emulator.scenario.faults import Cut, Fail, Garble, Stall
from emulator.scenario.pace import Milliseconds, Paced
from emulator.scenario.types import Model, Text, by_key, by_shape, shape

MAX_WEIGHT = 1_000_000
"""The largest weight of a reply in `one_of`."""


class Sized(Model):
    """Pieces of a fixed length."""

    size: int = Field(ge=1)
    """Characters in a piece."""


_Pieces = Annotated[list[str], Tag("<list>")]
Chunks = Annotated[
    Annotated[Literal["words", "sentences", "whole"], Tag("<text>")] | Annotated[Sized, Tag("<mapping>")] | _Pieces,
    by_shape("words, sentences, whole, {size: 12} or a list of pieces"),
]
"""How a text is divided into stream chunks; a list gives the pieces themselves, which together must make the text."""


Written = Annotated[Text | _Pieces, by_shape("a text or a list of its pieces")]
"""A text; a list gives the pieces in which it is streamed."""
_Object = Annotated[dict[str, Any], Tag("<mapping>")]
_Arguments = Annotated[Text | _Object, by_shape("the arguments as a mapping, or auto")]
_Raw = Annotated[Text | _Object | Annotated[list[Any], Tag("<list>")], by_shape("a text or JSON")]


class Say(Paced):
    """Text of the answer."""

    say: Written
    """The text; a list gives the pieces in which it is streamed; `auto` writes [one that suits the request](#the-default-answer)."""
    chunks: Chunks | None = None
    """How it is divided when streamed: `sentences` (default), `words`, `whole`, `{size: 12}`, or the pieces themselves."""


class Think(Paced):
    """A thought, which the client sees only if it asked with `include_thoughts`."""

    think: Written
    """The text of the thought; a list gives the pieces in which it is streamed."""
    chunks: Chunks | None = None
    """How it is divided when streamed, as for `say`."""


class Call(Paced):
    """A tool call; several in a row are parallel calls."""

    call: str = Field(min_length=1)
    """The function's name; `auto` chooses among the declared tools [the one to call next](#the-default-answer)."""
    with_: _Arguments = Field(default="auto", alias="with")
    """The arguments; `auto` (default) makes valid ones from the tool's schema and the messages; any other string is sent as it is, valid or not."""
    id: str | None = None
    """The call's id; without it `function-call-` and a UUID."""
    signature: str | None = None
    """The thought signature sent with the call; `none` for no signature. Without it the first of parallel calls is signed."""
    chunks: Chunks | None = None
    """How the arguments are divided when streamed; without it they come whole, or as Vertex does when the request asks for fragments."""


class Json(Paced):
    """JSON as the text of the answer."""

    json_: Any = Field(alias="json")
    """The value; `auto` makes a valid one from the request's `response_format`, else from a schema or example in the messages."""
    chunks: Chunks | None = None
    """How it is divided when streamed, as for `say`."""


class Image(Paced):
    """A picture, sent where Vertex sends it: in `message.audio.data` with its MIME type beside it."""

    image: str = Field(min_length=1)
    """`auto` for a drawn PNG, or a file beside the scenario, a `gs://` address found through `media`, or a `data:` URL."""
    mime_type: str | None = None
    """Its MIME type, when the file's name does not tell it; `image/jpeg` makes `auto` draw a JPEG."""
    signature: str | None = None
    """The thought signature sent with the message; `none` for no signature. Without it the message is signed."""


class Audio(Paced):
    """Sound, sent in `message.audio.data` with its MIME type beside it."""

    audio: str = Field(min_length=1)
    """`auto` for a short WAV tone, or a file beside the scenario, a `gs://` address found through `media`, or a `data:` URL."""
    mime_type: str | None = None
    """Its MIME type, when the file's name does not tell it."""


class Pause(Model):
    """Time that passes before the next step, or before the end."""

    pause: Milliseconds
    """Milliseconds."""


class Weighted(Model):
    """A reply with its weight among others."""

    weight: float = Field(default=1, gt=0, le=MAX_WEIGHT, allow_inf_nan=False)
    """How often it is taken, compared with the others, which have 1 when they do not say."""
    reply: "Reply"
    """The reply: a text, a step or a list of steps."""


def _find_option(value: Any) -> str | None:
    is_weighted = isinstance(value, Weighted) or (isinstance(value, dict) and ("weight" in value or "reply" in value))
    return "<weighted>" if is_weighted else shape(value)


Option = Annotated[
    Text
    | Annotated[Weighted, Tag("<weighted>")]
    | Annotated["Step", Tag("<mapping>")]
    | Annotated[list["Step"], Tag("<list>")],
    Discriminator(
        _find_option,
        custom_error_type="wrong_shape",
        custom_error_message="expected a reply, or one with its weight: {weight: 3, reply: ...}",
    ),
]
"""One of several replies, with a weight or without."""


class OneOf(Model):
    """One of several replies. Which one follows from the seed, the request and how often the rule has answered in the session."""

    one_of: "list[Option]" = Field(min_length=1)
    """The replies, each a text, a step or a list of steps, or `{weight: 3, reply: ...}`."""


class Raw(Paced):
    """Bytes of your own: a string is written as it is, JSON becomes an event of the stream or the body of a plain answer."""

    raw: _Raw
    """What is written. In a plain answer it takes the place of the whole body."""


VERBS = ("say", "think", "call", "json", "image", "audio", "one_of", "pause", "fail", "cut", "stall", "garble", "raw")
"""The verbs a step can begin with, in the order in which errors list them."""

Step = Annotated[
    Annotated[Say, Tag("<say>")]
    | Annotated[Think, Tag("<think>")]
    | Annotated[Call, Tag("<call>")]
    | Annotated[Json, Tag("<json>")]
    | Annotated[Image, Tag("<image>")]
    | Annotated[Audio, Tag("<audio>")]
    | Annotated[OneOf, Tag("<one_of>")]
    | Annotated[Pause, Tag("<pause>")]
    | Annotated[Fail, Tag("<fail>")]
    | Annotated[Cut, Tag("<cut>")]
    | Annotated[Stall, Tag("<stall>")]
    | Annotated[Garble, Tag("<garble>")]
    | Annotated[Raw, Tag("<raw>")],
    by_key(VERBS, error="no_verb", message="a step needs one of the verbs " + ", ".join(VERBS)),
]
"""One step of a reply."""

Reply = Annotated[
    Text | Annotated[Step, Tag("<mapping>")] | Annotated[list[Step], Tag("<list>")],
    by_shape("a text, a step or a list of steps"),
]
"""A reply: a text, one step, or a list of steps."""

HANDED_OVER = ("default", "auto")
"""Texts that, as a whole reply, stand for the answer of the default scenario."""
