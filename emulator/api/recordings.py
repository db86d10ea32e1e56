"""Recordings of tests: played, recorded against the real service, or both, in the modes that users of VCR know."""

import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from emulator.api.session import VertexSession
from emulator.errors import StartError
from emulator.recording.loading import ScenarioPath, find_recordings
from emulator.recording.recording import (
    Recording,
    exchange_files,
    is_recording,
    read_manifest,
    write_manifest,
)

if TYPE_CHECKING:
    from emulator.recording.session_recorder import Access

Mode = Literal["none", "once", "new", "all"]
MODES: tuple[Mode, ...] = get_args(Mode)
"""`none` records nothing, `once` what has no recording yet, `new` also what a recording does not have, `all` everything again."""

Played = dict[str, list[int]]
"""The numbers of the exchanges that were played, by the folder of their recording."""


def find_folder(name: str | bool, folder: Path, module: str, test: str) -> Path:  # as the marker has it
    """The folder of a test's recording below `folder`; True names it after the test. Raises StartError for a name that leads elsewhere."""
    if name is True:
        name = f"{module}/{re.sub(r'[^A-Za-z0-9_.-]+', '-', test).strip('-.')}"
    if not isinstance(name, str) or not name.strip("/") or ".." in Path(name).parts or Path(name).is_absolute():
        raise StartError(f'the recording "{name}" is no name of a folder below {folder}')
    return folder / name


@dataclass(slots=True)
class TestRecording:
    """The recording of one test."""

    __test__ = False  # for pytest, which collects classes with such a name

    folder: Path
    mode: Mode
    upstream: str = ""
    made: set[Path] = field(default_factory=set)
    """The recordings that were begun in this run, which its other tests go on with."""
    _session: VertexSession | None = None
    _target: Path | None = None
    _before: frozenset[str] = frozenset()
    """The files of the exchanges that it had before."""
    _added: tuple[int, ...] = ()
    """The numbers of those that were recorded."""

    @property
    def records(self) -> bool:
        """Whether requests may be sent to the real service."""
        match self.mode:
            case "none":
                return False
            case "once":
                return not is_recording(self.folder) or self.folder in self.made
            case _:
                return True

    def start(
        self, session: VertexSession, scenarios: Sequence[ScenarioPath], find_access: "Callable[[], Access]"
    ) -> None:
        """Let a session play the recording, and record what is to be recorded. Raises StartError or ScenarioError."""
        self._session = session
        exists = is_recording(self.folder)
        if not exists and not self.records:
            raise StartError(
                f"there is no recording {self.folder}; `pytest --vertex-record=once` records it against the real service"
            )
        plays = exists and (self.mode != "all" or self.folder in self.made)
        if plays or scenarios:
            session.push(*([self.folder] if plays else []), *scenarios, repeats="never")
        if not self.records:
            return
        self._target = self.folder
        if exists and self.mode == "all" and self.folder not in self.made:
            self._target = self.folder.with_name(f".{self.folder.name}.new")
            shutil.rmtree(self._target, ignore_errors=True)
            self._target.mkdir(parents=True)
            # What was written by hand stays.
            write_manifest(
                self._target, replace(read_manifest(self.folder), started=datetime.now(UTC), placeholders={})
            )
        self._before = _names(self._target)
        session.record(self._target, upstream=self.upstream, access=find_access())

    def finish(self) -> None:
        """Write what was recorded; a new recording without an answer is not kept."""
        if self._session is None or self._target is None:
            return
        recorded = self._session.stop_recording()
        target, self._target = self._target, None
        if recorded:
            self.made.add(self.folder)
            self._added = tuple(int(name) for name in _names(target) - self._before if name.isdigit())
            if target is not self.folder:
                shutil.rmtree(self.folder)
                target.rename(self.folder)
        elif target is not self.folder or not self._before:
            # Nothing was asked, or nothing could be reached.
            shutil.rmtree(target, ignore_errors=True)

    def played(self) -> Played:
        """The exchanges of the recording that the session has played or recorded."""
        if self._session is None:
            return {}
        uses, rules = self._session.uses, self._session.ruleset
        numbers = [
            reply.number
            for one in rules.recordings
            for rule in one.rules
            for reply in rule.recorded[: uses.get(rule.key, 0)]
        ]
        return (
            {str(self.folder): [*numbers, *self._added]} if numbers or self._added or is_recording(self.folder) else {}
        )


def _names(folder: Path) -> frozenset[str]:
    return frozenset(path.stem for path in exchange_files(folder))


def list_unused(played: Iterable[Played], *, with_folders: bool) -> list[str]:
    """Sentences about exchanges that no test has played; `with_folders` adds recordings that no test has named."""
    used: dict[str, set[int]] = {}
    for one in played:
        for folder, numbers in one.items():
            used.setdefault(folder, set()).update(numbers)
    lines = []
    for folder, known_numbers in sorted(used.items()):
        if not is_recording(Path(folder)):
            continue
        exchanges = Recording.read(Path(folder)).exchanges
        if left := [f"{one.number:04}.yaml" for one in exchanges if one.number not in known_numbers]:
            lines.append(f"{folder}: {len(left)} of {len(exchanges)} exchanges not used: {_shorten(left)}")
    if with_folders:
        known = {Path(folder).absolute() for folder in used}
        for root in sorted({path.parent for path in known}):
            lines += [f"{one}: no test names it" for one in find_recordings(root) if one.absolute() not in known]
    return lines


_MAX_NAMED = 5


def _shorten(names: Sequence[str]) -> str:
    more = [f"and {len(names) - _MAX_NAMED} more"] if len(names) > _MAX_NAMED else []
    return ", ".join([*names[:_MAX_NAMED], *more])
