"""Media that a scenario names: read when the scenario is read, or drawn for the request."""

from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from random import Random

from emulator.engine.media import make_wav, mime_type_of, split_data_url
from emulator.engine.pictures import draw_jpeg, draw_png
from emulator.errors import AnswerError
from emulator.scenario.attachments import find_prefix
from emulator.scenario.reading import ScenarioFile


def to_base64(data: bytes) -> str:
    """Bytes as base64 text."""
    return b64encode(data).decode()


def load_media(address: str, mime_type: str | None, file: ScenarioFile) -> tuple[str, str]:
    """The base64 and MIME type of a `data:` URL, of a file, or of a `gs://` address found through `media`.

    Raises AnswerError if there is no such file; `check` says so earlier.
    """
    split = split_data_url(address)
    if split is not None:
        return to_base64(split[1]), mime_type or split[0]
    path = _locate(address, file)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise AnswerError(f'cannot read "{address}": {error.strerror}') from None
    return to_base64(data), mime_type or mime_type_of(address) or "application/octet-stream"


def _locate(address: str, file: ScenarioFile) -> Path:
    folder = file.folder or Path()
    if not address.startswith("gs://"):
        return folder / address
    prefix = find_prefix(address, file.scenario.media)
    if prefix is None:
        raise AnswerError(f'no prefix under "media" covers "{address}"')
    return folder / file.scenario.media[prefix] / address.removeprefix(prefix).lstrip("/")


def draw(kind: str, mime_type: str | None) -> tuple[Callable[[Random], bytes], str]:
    """How `auto` makes media of a kind, and its MIME type."""
    if kind == "audio":
        return make_wav, "audio/wav"
    return (draw_jpeg, "image/jpeg") if mime_type == "image/jpeg" else (draw_png, "image/png")
