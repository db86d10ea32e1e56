"""Where in somebody's Python code a call of ours stands."""

import inspect
from pathlib import Path
from types import FrameType

from emulator.errors import Place
from emulator.scenario.reading import show_path


def find_caller() -> tuple[Place, Path]:
    """The line that called into this package, and its file."""
    frame: FrameType | None = inspect.currentframe()
    while frame is not None and frame.f_back is not None and _is_ours(frame):
        frame = frame.f_back
    if frame is None:
        return Place("<python>", 1, 1), Path("<python>")
    path = Path(frame.f_code.co_filename)
    return Place(show_path(path), frame.f_lineno, 1), path


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] == "emulator"
