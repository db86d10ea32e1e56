"""Packages that are not run before something is asked of them.

To import one part of a package Python first runs the package's own module, which may import all of its other parts.
"""

import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from threading import RLock
from types import ModuleType
from typing import Any

_LOCK = RLock()


class _Late(ModuleType):
    """A package's own module, which runs when something is asked of it that it does not have."""

    is_running = False
    late_parts: Mapping[str, str]

    def __getattr__(self, name: str) -> Any:
        if name in self.late_parts:
            # A part that no longer has it leaves it to the package.
            with suppress(ImportError, AttributeError):
                return getattr(import_module(self.late_parts[name]), name)
        with _LOCK:
            if type(self) is _Late and not self.is_running and self.__spec__ and self.__spec__.loader:
                self.is_running = True
                self.__spec__.loader.exec_module(self)
                del self.late_parts, self.is_running
                self.__class__ = ModuleType  # type: ignore[assignment]  # what it is from now on
            if name in self.__dict__:
                return self.__dict__[name]
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


def run_late(package: str, **parts: str) -> None:
    """Let the parts of a package be imported without the rest, unless it has been imported already.

    `parts` are the modules of some names that a package has from them, and that its own parts ask it for.
    """
    with _LOCK:
        if package not in sys.modules and (spec := find_spec(package)) is not None:
            module = sys.modules[package] = module_from_spec(spec)
            module.__dict__["late_parts"] = parts
            module.__class__ = _Late
