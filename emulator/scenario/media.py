"""Checks of the media that a scenario names: files inside its folder, `gs://` addresses, `data:` URLs."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from pathlib import Path

from emulator.errors import AnswerError, Problem
from emulator.scenario.templates.template import explain_no_template, is_template
from emulator.scenario.yaml import Source
from emulator.suggestions import quote, suggest_one


def check_media(media: Mapping[str, str], source: Source, folder: Path | None) -> Iterator[Problem]:
    """The problems of the `media` map: prefixes that are none, folders that are missing or outside."""
    for prefix, name in media.items():
        if not prefix.startswith("gs://"):
            message = f'{quote(prefix)} must begin with "gs://"'
            yield source.problem(source.key_place(("media", prefix)), message)
        if problem := explain_bad_path(name, folder, is_folder=True):
            yield source.problem(source.place(("media", prefix)), problem)


def check_attachment(key: str, written: str, folder: Path | None, media: Mapping[str, str]) -> str | None:
    """What is wrong with the value of the key `image` or `audio`, None when nothing is."""
    if written == "auto":
        return None
    if is_template(written):
        return explain_no_template(key)
    if written.startswith("data:"):
        return _check_data(written)
    if written.startswith("gs://"):
        prefix = find_prefix(written, media)
        if prefix is None:
            return f'no prefix in "media" covers {quote(written)}; add one that names the folder it stands for'
        return explain_bad_path(media[prefix] + "/" + written.removeprefix(prefix), folder)
    return explain_bad_path(written, folder)


def find_prefix(address: str, media: Mapping[str, str]) -> str | None:
    """The longest prefix of `media` that covers a `gs://` address; a prefix ends where a part of the path ends."""
    covering = [prefix for prefix in media if address == prefix or address.startswith(prefix.removesuffix("/") + "/")]
    return max(covering, key=len, default=None)


def _check_data(url: str) -> str | None:
    head, comma, content = url.partition(",")
    if not comma or not head.endswith(";base64"):
        return 'a "data:" URL must have the form "data:image/png;base64,..."'
    try:
        base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        return 'the content of this "data:" URL is not valid base64'
    return None


def find_file(name: str, folder: Path | None) -> Path:
    """The file of that name in a scenario's folder, symbolic links resolved. Raises AnswerError if it is elsewhere."""
    if folder is None:
        raise AnswerError(f"this scenario has no folder in which {quote(name)} could be")
    try:
        path = (folder / name).resolve()
        is_inside = path.is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):
        raise AnswerError(f"there is no file {quote(name)} beside the scenario") from None
    if not is_inside:
        raise AnswerError(f"{quote(name)} is outside the scenario's folder; files it names must be inside")
    return path


def explain_bad_path(name: str, folder: Path | None, *, is_folder: bool = False) -> str | None:
    """Why a name is no file, or no folder, inside a scenario's folder; None if it is one."""
    if folder is None:
        return f'this scenario has no folder in which {quote(name)} could be; use "auto" or a "data:" URL'
    try:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            return f"{quote(name)} is outside the scenario's folder; files it names must be inside"
        if path.is_dir() if is_folder else path.is_file():
            return None
        if path.is_dir():
            return f"{quote(name)} is a folder, not a file"
        near = suggest_one(path.name, [found.name for found in path.parent.iterdir()]) if path.parent.is_dir() else ""
    except (OSError, ValueError, RuntimeError):
        near = ""
    return f"there is no {'folder' if is_folder else 'file'} {quote(name)} beside the scenario{near}"
