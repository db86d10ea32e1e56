"""Errors of the emulator itself, and problems of scenario files with their places.

Refusals of the emulated service are not errors of the emulator: they live in `emulator.wire.errors`.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something is written: a file with its line and column, both counted from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def seen_from(self, file: str) -> str:
        """The line as messages about a file name it: `line 3`, or `other.yaml:3` in another file."""
        return f"line {self.line}" if self.file == file else f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a scenario file: where, what, and the line it stands on."""

    place: Place
    message: str
    source_line: str = ""
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        """`file:line:column: message`, then the line and a caret below the column."""
        mark = "warning: " if self.severity == "warning" else ""
        head = f"{self.place}: {mark}{self.message}"
        if not self.source_line.strip():
            return head
        text = self.source_line.rstrip()
        # A tab keeps its width under the line, so that the caret stands where the reader's eye is.
        lead = "".join("\t" if char == "\t" else " " for char in text[: self.place.column - 1])
        return f"{head}\n  {text}\n  {lead}^"


class EmulatorError(Exception):
    """Something the emulator cannot do; its text is what the user reads."""


class ScenarioError(EmulatorError):
    """Scenario files that cannot be used, with every problem found in them, in file order."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class AnswerError(EmulatorError):
    """A rule was chosen but its answer cannot be made from this request: a template failed, no tool is declared."""


class StartError(EmulatorError):
    """The server cannot start: a port in use, an option that contradicts another."""
