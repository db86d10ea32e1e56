"""`vertex-emulator exec`."""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from emulator.cli.interception import LeakCounter, run_program, start_interception
from emulator.cli.options import (
    ClientOptions,
    ProgramCommand,
    interception_options,
    option,
    scenarios_argument,
    settings_options,
)
from emulator.cli.output import count, log_requests, print_line
from emulator.cli.watch import read_rules

if TYPE_CHECKING:
    from emulator.server.service import Service
    from emulator.store.exchange import Exchange, TokenExchange, UnroutedRequest

NOT_VERIFIED = 3
"""The exit status of `--verify` if the program succeeded but not everything went as it should."""
MAX_PROBLEMS = 20
"""Requests that are named."""
_MAX_KINDS = 3
"""Kinds of unrouted requests that the last line names."""
_MAX_PATH = 60
"""Characters of a path that the last line shows whole."""
_SHOWN_SEGMENTS = 2
"""Segments of a longer path that it shows."""


@click.command("exec", cls=ProgramCommand)
@scenarios_argument()
@settings_options
@option(
    "--verify",
    is_flag=True,
    help="Exit with 3 if the program did well but a request missed, was refused, leaked or led nowhere, named a model, project, location "
    "or endpoint that Vertex would not find, a rule's expect was not met, a rule went unused, or nothing was asked.",
)
@option("--verbose", "-v", is_flag=True, help="Log requests on stderr.")
@option("--log", type=click.File("a", "utf-8", lazy=False), help="Append the log of requests to this file.")
@interception_options
@click.pass_obj
def execute(command: list[str], /, scenarios: tuple[str, ...], **options: Any) -> int:
    """Run a program written for the real service, unchanged.

    COMMAND finds the emulator where it looks for Google: at the URLs, in the credentials, behind `gcloud`. Its input, output and
    exit status are its own; a line on stderr sums up what it asked. 126 and 127 mean that it could not be run.
    """
    return _execute(command, scenarios, **options)


@dataclass(slots=True)
class RequestCounts:
    """Counts of the program's requests, and what is wrong with single ones."""

    project: str = ""
    """The project that the user has named; empty for any."""
    requests: int = 0
    tokens: int = 0
    results: Counter[str] = field(default_factory=Counter)
    has_arrived: bool = False
    """Whether any request but one for a token has arrived, at an endpoint or elsewhere."""
    unrouted: Counter[str] = field(default_factory=Counter)
    """Requests that nothing routes, by method and path, without leaks."""
    leaks: LeakCounter = field(default_factory=LeakCounter)
    uses: Counter[str] = field(default_factory=Counter)
    """The number of answers of each rule by its key; unlike the service's own counters, a reset does not clear them."""
    problems: Counter[str] = field(default_factory=Counter)
    """What is reported of single requests, the first `MAX_PROBLEMS`; the key "" counts the rest."""
    not_found: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Why Vertex would not find what was answered, each with the number of the first request and how many there are; `MAX_PROBLEMS` at most."""
    warnings: dict[str, tuple[int, int]] = field(default_factory=dict)
    """What scenarios ask for and answers did not do, and models, hosts and projects that are doubtful, in the same form."""
    announced: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Models whose end was announced for a day in the past, in the same form."""
    remedies: dict[str, None] = field(default_factory=dict)
    """What the user can do about token requests that failed."""

    def add(self, exchange: "Exchange") -> None:
        """Count an exchange."""
        from emulator.verdicts.requests import describe_announced_end, describe_unknown_model, explain_host

        self.requests += 1
        self.has_arrived = True
        outcome = exchange.outcome
        self.results[outcome.result] += 1
        if outcome.chosen is not None:
            self.uses[outcome.chosen.rule.key] += 1
        if outcome.not_found:
            _note(self.not_found, outcome.not_found, exchange.number)
        about_model = exchange.target, outcome, exchange.asked.model
        asked = exchange.target.project
        other_project = (
            f'the project is "{asked}", and --project says "{self.project}"' if self.project not in {"", asked} else ""
        )
        # A host that is refused is named with the refusals.
        other_host = "" if outcome.refusal else explain_host(exchange.sender.host, exchange.target.location)
        for notes, warnings in (
            (self.warnings, (*outcome.warnings, describe_unknown_model(*about_model), other_host, other_project)),
            (self.announced, (describe_announced_end(*about_model),)),
        ):
            for warning in filter(None, warnings):
                _note(notes, warning, exchange.number)
        if outcome.result in {"miss", "error"}:
            self._add_problem(exchange.number, outcome.report.partition("\n")[0])
        elif (refusal := exchange.unscripted_refusal) is not None:
            self._add_problem(exchange.number, f"refused by Vertex ({refusal.rule}): {refusal.explanation}")

    def add_token(self, exchange: "TokenExchange") -> None:
        """Count a token request."""
        self.tokens += 1
        if not exchange.refusal:
            return
        self.results["refusal"] += 1
        if not exchange.is_scripted:
            self._add_problem(
                exchange.number, f"{exchange.path} refused it ({exchange.refusal}): {exchange.explanation}"
            )
        if exchange.refusal == "token_invalid_scope":
            self.remedies[_SCOPE_REMEDY] = None

    def add_unrouted(self, request: "UnroutedRequest") -> None:
        """Count a request that nothing routes; leaks are counted by their host."""
        self.has_arrived = True
        self._add_problem(request.number, request.report)
        if not request.is_leak:
            self.unrouted[f"{request.verb} {_shorten(request.path)}"] += 1

    def _add_problem(self, number: int, text: str) -> None:
        self.problems[f"request {number}: {text}" if len(self.problems) < MAX_PROBLEMS else ""] += 1

    def summary(self) -> str:
        """All counts in a line."""
        misses, hosts = self.results["miss"], self.leaks.hosts
        requests = count(self.requests, "request") if self.has_arrived else "no request reached the emulator"
        parts = [
            requests + (f" and {count(self.tokens, 'token request')}" if self.tokens else ""),
            f"{misses} {'miss' if misses == 1 else 'misses'}",
            count(self.results["refusal"], "refusal"),
            count(hosts.total(), "leak") + (f" ({', '.join(sorted(hosts))})" if hosts else ""),
        ]
        if number := self.unrouted.total():
            kinds = [f"{kind} ({times} times)" if times > 1 else kind for kind, times in self.unrouted.items()]
            more = [f"and {len(kinds) - _MAX_KINDS} more"] if len(kinds) > _MAX_KINDS else []
            noun = "request to something that is not" if number == 1 else "requests to things that are not"
            parts.append(f"{number} {noun} emulated: {', '.join(kinds[:_MAX_KINDS] + more)}")
        return ", ".join(parts)

    def list_not_found(self) -> Iterator[str]:
        """What Vertex would not have found, although it was answered."""
        return (f"{requests}: not found in the cloud: {reason}" for requests, reason in _write_notes(self.not_found))

    def list_warnings(self, *, verify: bool) -> Iterator[str]:
        """All warnings; only with `verify` those of models whose end was announced."""
        notes = self.warnings | self.announced if verify else self.warnings
        return (f"{requests}: warning: {warning}" for requests, warning in _write_notes(notes))

    def list_problems(self) -> Iterator[str]:
        """What is reported of single requests and of hosts."""
        yield from (problem for problem in self.problems if problem)
        if more := self.problems[""]:
            yield f"and {more} more such requests; -v or --log tells which"
        for host, number in sorted(self.leaks.hosts.items()):
            yield f"leak: {host}, {count(number, 'request')}"


def _note(notes: dict[str, tuple[int, int]], text: str, number: int) -> None:
    """Count a request among those of which a text is said, unless there are too many texts."""
    if text in notes or len(notes) < MAX_PROBLEMS:
        first, times = notes.get(text, (number, 0))
        notes[text] = first, times + 1


def _write_notes(notes: Mapping[str, tuple[int, int]]) -> Iterator[tuple[str, str]]:
    """Each text, behind the first of its requests and how many more there are."""
    for text, (first, times) in notes.items():
        yield f"request {first}" + (f" (and {count(times - 1, 'more request')})" if times > 1 else ""), text


_SCOPE_REMEDY = (
    "a service account's credentials were used without scopes (invalid_scope): ask for them by "
    'google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"]), or let the program find a user\'s credentials, '
    "which need none, by --credentials user (the default)"
)


def _shorten(path: str) -> str:
    """A path, or its last segments behind three dots if it is long."""
    if len(path) <= _MAX_PATH:
        return path
    return f".../{'/'.join(path.rsplit('/', _SHOWN_SEGMENTS)[1:])[-_MAX_PATH:]}"


def _execute(
    command: list[str],
    scenarios: tuple[str, ...],
    *,
    verify: bool,
    verbose: bool,
    log: TextIO | None,
    client_options: ClientOptions,
    **settings: Any,
) -> int:
    """Run the program and return the exit status."""
    from emulator.intercept.child_process import ChildProcess
    from emulator.intercept.environment import client_folder
    from emulator.server.clock import SystemClock
    from emulator.server.service import Service
    from emulator.server.settings import Settings

    source = click.get_current_context().get_parameter_source("project")
    is_named = source is not click.core.ParameterSource.DEFAULT
    counts, child = RequestCounts(client_options.project if is_named else ""), ChildProcess()
    settings |= {"project": client_options.project, "location": client_options.location}
    with child.handling_signals(), client_folder() as folder, ExitStack() as stack:
        service = Service(read_rules(scenarios), Settings(**settings), clock=SystemClock())
        service.on_exchange.append(counts.add)
        service.on_token.append(counts.add_token)
        service.on_unrouted.append(counts.add_unrouted)
        environment = start_interception(stack, Path(folder), service, counts.leaks, client_options)
        for stream in (sys.stderr if verbose else None, log):
            if stream is not None:
                log_requests(service, stream)
        status = run_program(child, command, environment)
    print_line(counts.summary())
    not_found = [*counts.list_not_found()]
    for line in (*counts.remedies, *not_found, *counts.list_warnings(verify=verify)):
        print_line(line)
    # Where the program failed, requests that went wrong may be why; rules that were not used are not.
    problems = [*counts.list_problems()] if verify else []
    if verify and status == 0:
        problems += _list_unmet(counts, service if scenarios else None)
    for problem in problems:
        print_line(problem)
    return NOT_VERIFIED if verify and (problems or not_found) and status == 0 else status


def _list_unmet(counts: RequestCounts, service: "Service | None") -> Iterator[str]:
    """What `--verify` demands besides: that the program asked something and, with a service, that its rules were used as they should be."""
    if not counts.has_arrived:
        yield "no request reached the emulator; docs/exec.md lists what keeps programs from it"
    if service is not None:
        from emulator.verdicts.verification import verify

        yield from verify(service.ruleset, counts.uses, service.journal, strict=True).rules
