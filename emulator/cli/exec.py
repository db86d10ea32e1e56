"""`vertex-emulator exec`."""

import os
import sys
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from emulator.cli.interception import ClientOptions, LeakCounter, start_interception
from emulator.cli.options import ProgramCommand, option, place_options, scenarios_argument, settings_options
from emulator.cli.output import count, exit_with_error, log_requests
from emulator.cli.watch import read_rules
from emulator.errors import EmulatorError, StartError

if TYPE_CHECKING:
    from emulator.server.service import Service
    from emulator.store.exchange import Exchange, TokenExchange

NOT_VERIFIED = 3
"""The exit status of `--verify` if the program succeeded but the scenarios were not used as they should be."""


@click.command("exec", cls=ProgramCommand)
@scenarios_argument()
@settings_options
@option(
    "--verify",
    is_flag=True,
    help="Exit with 3 if the program did well but a request missed, a rule's expect was not met or a rule went unused.",
)
@option("--java", is_flag=True, help="Lead Java programs too; the JVM then says so on stderr.")
@option("--metadata", is_flag=True, help="Let programs find a metadata server, as on Google's machines.")
@option("--verbose", "-v", is_flag=True, help="Log requests on stderr.")
@option("--log", type=click.File("a", "utf-8", lazy=False), help="Log requests to this file.")
@place_options
@click.pass_obj
def execute(command: list[str], /, scenarios: tuple[str, ...], **options: Any) -> None:
    """Run a program written for the real service, unchanged.

    COMMAND finds the emulator where it looks for Google: at the URLs, in the credentials, behind `gcloud`. Its input, output and
    exit status are its own; a line on stderr sums up what it asked. 126 and 127 mean that it could not be run.
    """
    try:
        status = _execute(command, scenarios, **options)
    except EmulatorError as error:
        exit_with_error(error)
    raise SystemExit(status)


@dataclass(slots=True)
class RequestCounts:
    """Counts of the program's requests."""

    requests: int = 0
    tokens: int = 0
    results: Counter[str] = field(default_factory=Counter)
    leaks: LeakCounter = field(default_factory=LeakCounter)
    uses: Counter[str] = field(default_factory=Counter)
    """The number of answers of each rule by its key; unlike the service's own counters, a reset does not clear them."""

    def add(self, exchange: "Exchange") -> None:
        """Count an exchange."""
        self.requests += 1
        self.results[exchange.outcome.result] += 1
        if exchange.outcome.chosen is not None:
            self.uses[exchange.outcome.chosen.rule.key] += 1

    def add_token(self, exchange: "TokenExchange") -> None:
        """Count a token request."""
        self.tokens += 1
        self.results["refusal"] += exchange.result == "refusal"

    def summary(self) -> str:
        """All counts in a line."""
        misses, hosts = self.results["miss"], self.leaks.hosts
        requests = count(self.requests, "request") if self.requests else "no request reached the emulator"
        parts = [
            requests + (f" and {count(self.tokens, 'token request')}" if self.tokens else ""),
            f"{misses} {'miss' if misses == 1 else 'misses'}",
            count(self.results["refusal"], "refusal"),
            count(hosts.total(), "leak") + (f" ({', '.join(sorted(hosts))})" if hosts else ""),
        ]
        return ", ".join(parts)


def _execute(
    command: list[str],
    scenarios: tuple[str, ...],
    *,
    verify: bool,
    verbose: bool,
    log: TextIO | None,
    project: str,
    location: str,
    java: bool,
    metadata: bool,
    **settings: Any,
) -> int:
    """Run the program and return the exit status."""
    if os.name != "posix":
        raise StartError("exec needs a POSIX system")
    from emulator.intercept.child_process import ChildProcess, launch_failure_status
    from emulator.intercept.environment import client_folder
    from emulator.server.clock import SystemClock
    from emulator.server.service import Service
    from emulator.server.settings import Settings

    counts, child = RequestCounts(), ChildProcess()
    client_options = ClientOptions(project=project, location=location, java=java, metadata=metadata)
    with child.handling_signals(), client_folder() as folder, ExitStack() as stack:
        service = Service(read_rules(scenarios), Settings(project=project, **settings), clock=SystemClock())
        service.on_exchange.append(counts.add)
        service.on_token.append(counts.add_token)
        environment = start_interception(stack, Path(folder), service, counts.leaks.add, client_options)
        for stream in (sys.stderr if verbose else None, log):
            if stream is not None:
                log_requests(service, stream)
        try:
            status = child.run(command, environment)
        except OSError as error:
            _print(f"cannot run {command[0]}: {(error.strerror or str(error)).lower()}")
            raise SystemExit(launch_failure_status(error)) from None
        except ValueError as error:  # a NUL in an argument
            raise StartError(f"cannot run {command[0]!r}: {error}") from None
    _print(counts.summary())
    return NOT_VERIFIED if verify and status == 0 and not _verify(counts, service if scenarios else None) else status


def _verify(counts: RequestCounts, service: "Service | None") -> bool:
    """Whether every request was answered by a rule and every rule was used as it should be; prints what is wrong.

    Without a service only the requests are checked.
    """
    from emulator.verdicts.verification import verify

    problems = verify(service.ruleset, counts.uses, service.journal, strict=True).rules if service else ()
    for problem in problems:
        _print(problem)
    if misses := counts.results["miss"]:
        _print(f"{count(misses, 'request')} that no rule answered; -v or --log tells which")
    return not problems and not misses


def _print(text: str) -> None:
    click.echo(f"vertex-emulator: {text}", err=True)
