"""Running a coroutine as far as it goes without waiting."""

from collections.abc import Coroutine, Generator
from typing import Any


def run_to_first_wait(work: Coroutine[Any, Any, object]) -> Coroutine[Any, Any, object] | None:
    """Run a coroutine until it waits for the first time, and return what a task can go on with; None if it is done.

    A task costs more than most answers do to make. Until then nothing may ask which task is running, for there is none: what
    does so has to be a task of its own. From Python 3.12 on asyncio has eager tasks for this.
    """
    try:
        first = work.send(None)
    except StopIteration:
        return None
    return _go_on(_Rest(work, first))


async def _go_on(rest: "_Rest") -> object:
    return await rest


class _Rest:
    """What is left of a coroutine that waits for something."""

    def __init__(self, work: Coroutine[Any, Any, object], awaited: Any) -> None:
        self._work = work
        self._awaited = awaited

    def __await__(self) -> Generator[Any, Any, object]:
        work, awaited = self._work, self._awaited
        while True:
            failure: BaseException | None = None
            try:
                yield awaited
            except BaseException as error:  # noqa: BLE001  # it is for the coroutine
                failure = error
            try:
                awaited = work.send(None) if failure is None else work.throw(failure)
            except StopIteration as done:
                return done.value
