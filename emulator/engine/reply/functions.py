"""Python functions as replies: a function is given the facts of a request and returns a reply as a scenario would write it."""

import copy
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.engine.reply.parts import Part
from emulator.engine.reply.steps import CompiledReply, compile_reply
from emulator.engine.reply.templates import Context
from emulator.engine.request.facts import Facts
from emulator.errors import AnswerError, Place, ScenarioError
from emulator.scenario.loading import show_path
from emulator.scenario.python_values import quote_templates, read_rule, to_json
from emulator.scenario.rules import ReplyRule

Steps = str | Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""A reply as it is written: a text, a step (`{"say": "Hello"}`) or a list of steps."""

ReplyFunction = Callable[[Facts], Steps]
"""Makes a reply from the facts of a request. It runs on the server's thread, so it must not wait for the emulator."""


@dataclass(frozen=True, slots=True)
class FunctionReply(CompiledReply):
    """A reply that a function makes; its texts are not templates."""

    runs_once = True

    function: ReplyFunction
    place: Place
    """Where the function was given, as errors show it."""
    path: Path
    """The file in which it was given."""

    def make(self, context: Context) -> tuple[Part, ...]:
        """The parts of one choice. Raises AnswerError with the function's file and line if it fails or returns no reply."""
        facts = context.facts
        try:
            # The function may change its facts; the request may be answered again.
            request = copy.deepcopy(facts.request)
            returned = self.function(Facts(facts.target, facts.raw_headers, request, facts.endpoint))
        except Exception as error:  # noqa: BLE001  # whatever somebody else's function raises
            text = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
            raise AnswerError(f"the function given at {self.place} failed at {self._locate(error)}: {text}") from None
        try:
            written = quote_templates(to_json(returned))
            file = read_rule({"reply": written}, self.place, self.path)
        except (ScenarioError, ValueError) as error:
            problems = error.problems if isinstance(error, ScenarioError) else ()
            text = "; ".join(problem.message for problem in problems) or str(error)
            raise AnswerError(f"the function given at {self.place} returned no reply: {text}") from None
        (rule,) = file.scenario.rules
        return compile_reply(rule.reply, file).make(context) if isinstance(rule, ReplyRule) else ()

    def _locate(self, error: Exception) -> str:
        """The file and line that raised: the last in the file where the function was given, else the very last."""
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if frame.filename == str(self.path)]
        last = (own or frames)[-1]
        return f"{show_path(Path(last.filename))}:{last.lineno}"
