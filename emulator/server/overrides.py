"""Overrides: quirks, pace, faults and speed set for all answers of a server or session, and the pace header of a request."""

from dataclasses import replace

from emulator.catalogue.variations import Variation
from emulator.engine.randomness import Overrides
from emulator.engine.reply.fault_triggers import compile_faults
from emulator.engine.timeline.directives import CompiledPace
from emulator.engine.timeline.pace import compile_pace
from emulator.errors import AnswerError, StartError
from emulator.scenario.python_values import read_answer_option
from emulator.server.settings import Settings

PACE_HEADER = b"x-emulator-pace"


def build_overrides(settings: Settings) -> Overrides:
    """Compile the overrides in the settings. Raises StartError for an unknown pace or fault."""
    try:
        compiled_pace = None if settings.pace is None else read_pace(settings.pace)
        faults = tuple(
            compiled_fault
            for number, text in enumerate(settings.faults)
            for compiled_fault in compile_faults(read_answer_option("fault", text).fault, f"server {number}")
        )
    except AnswerError as error:
        raise StartError(str(error)) from None
    return Overrides(settings.quirks, compiled_pace, faults=faults, speed=settings.speed)


def with_variation(settings: Settings, variation: Variation) -> Settings:
    """Return the settings with a variation added."""
    return replace(
        settings,
        quirks=settings.quirks | variation.quirks,
        pace=variation.pace or settings.pace,
        faults=(*settings.faults, *variation.faults),
        speed=variation.speed or settings.speed,
    )


def read_pace(text: str) -> CompiledPace:
    """Compile a pace written as `slow-train`, or `first_token_ms=300,every_ms=20`. Raises AnswerError."""
    pace = read_answer_option("pace", text).pace
    return CompiledPace() if pace is None else compile_pace(pace)
