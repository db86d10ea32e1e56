"""The command line: one module for each command, and the helpers that they share."""

from emulator.cli.commands import main

__all__ = ["main"]
