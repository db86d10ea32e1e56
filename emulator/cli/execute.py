"""`vertex-emulator exec`."""

import os
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TextIO

import click

from emulator.cli.interception import Aims, Leaks, Sockets, write_surroundings
from emulator.cli.options import count, log_requests, option, place_options, scenarios_argument, settings_options, stop
from emulator.errors import EmulatorError, StartError

if TYPE_CHECKING:
    from emulator.intercept.child_process import ChildProcess
    from emulator.server.service import Service
    from emulator.store.exchange import Exchange, TokenExchange

NOT_VERIFIED = 3
"""The exit status of `--verify`: the program did well, but not by these scenarios."""


class ProgramCommand(click.Command):
    """A command that takes a program and its arguments behind `--`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the program aside, so that none of its arguments is taken for one of ours."""
        at = args.index("--") if "--" in args else len(args)
        ctx.obj = args[at + 1 :]
        rest = super().parse_args(ctx, args[:at])
        if not ctx.obj and not ctx.resilient_parsing:
            raise click.UsageError(
                f"no program to run; write it behind `--`: {ctx.info_name} [SCENARIOS]... -- COMMAND...", ctx
            )
        return rest

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Show the program too."""
        return [*super().collect_usage_pieces(ctx), "--", "COMMAND..."]


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
        stop(error)
    raise SystemExit(status)


@dataclass(slots=True)
class Tally:
    """What the program asked."""

    requests: int = 0
    tokens: int = 0
    results: Counter[str] = field(default_factory=Counter)
    leaks: Leaks = field(default_factory=Leaks)
    uses: Counter[str] = field(default_factory=Counter)
    """How often each rule has answered, by their keys; the program may reset its sessions, this stays."""

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
        """All of it in a line."""
        misses, hosts = self.results["miss"], self.leaks.hosts
        asked = count(self.requests, "request") if self.requests else "no request reached the emulator"
        facts = [
            asked + (f" and {count(self.tokens, 'token request')}" if self.tokens else ""),
            f"{misses} {'miss' if misses == 1 else 'misses'}",
            count(self.results["refusal"], "refusal"),
            count(hosts.total(), "leak") + (f" ({', '.join(sorted(hosts))})" if hosts else ""),
        ]
        return ", ".join(facts)


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
    if os.name != "posix":
        raise StartError("exec needs a POSIX system")
    from emulator.intercept.child_process import ChildProcess  # noqa: PLC0415  # --help is quicker without it

    tally, child, aims = Tally(), ChildProcess(), Aims(project=project, location=location, java=java, metadata=metadata)
    with child.handling_signals(), TemporaryDirectory(prefix="vertex-emulator-") as folder, ExitStack() as stack:
        service = _build_service(scenarios, tally, project=project, **settings)
        environment = start_interception(stack, Path(folder), service, tally.leaks.add, aims)
        for stream in (sys.stderr if verbose else None, log):
            if stream is not None:
                log_requests(service, stream)
        status = _run(child, command, environment)
    _say(tally.summary())
    return NOT_VERIFIED if verify and status == 0 and not _verify(tally, service if scenarios else None) else status


def _build_service(scenarios: tuple[str, ...], tally: Tally, **settings: Any) -> "Service":
    from emulator.cli.watch import read_rules  # noqa: PLC0415  # as above
    from emulator.server.clock import SystemClock  # noqa: PLC0415  # as above
    from emulator.server.service import Service  # noqa: PLC0415  # as above
    from emulator.server.settings import Settings  # noqa: PLC0415  # as above

    service = Service(read_rules(scenarios), Settings(**settings), clock=SystemClock())
    service.on_exchange.append(tally.add)
    service.on_token.append(tally.add_token)
    return service


def start_interception(
    stack: ExitStack, folder: Path, service: "Service", on_leak: Callable[[str], object], aims: Aims
) -> dict[str, str]:
    """Start all listeners until the stack is left, and return the program's environment."""
    from emulator.api.background import BackgroundServer, Interception, Listeners  # noqa: PLC0415  # as above
    from emulator.intercept.certificate_authority import CertificateAuthority, write_trust_files  # noqa: PLC0415  # as above
    from emulator.intercept.environment import child_environment  # noqa: PLC0415  # as above
    from emulator.server.listening import bind  # noqa: PLC0415  # as above

    authority = CertificateAuthority()
    bound = [stack.enter_context(bind("127.0.0.1", 0)) for _ in range(3)]
    for each in bound:
        # The program inherits open files, but these are not its own.
        each.set_inheritable(False)
    sockets = Sockets(*bound)
    interception = Interception(authority.server_context(folder), sockets.tls, sockets.proxy, on_leak)
    trust = write_trust_files(folder, authority)
    with ThreadPoolExecutor(1) as pool:
        # Making a key takes its time, in which the listeners can start.
        written = pool.submit(write_surroundings, folder, trust, service, sockets, aims)
        background = BackgroundServer(
            lambda on_answering: Listeners(service, sockets.plain, on_answering, interception)
        )
        background.start()
        stack.callback(background.stop)
        return child_environment(os.environ, written.result())


def _run(child: "ChildProcess", command: list[str], environment: dict[str, str]) -> int:
    from emulator.intercept.child_process import launch_failure_status  # noqa: PLC0415  # as above

    try:
        return child.run(command, environment)
    except OSError as error:
        _say(f"cannot run {command[0]}: {(error.strerror or str(error)).lower()}")
        raise SystemExit(launch_failure_status(error)) from None
    except ValueError as error:  # a NUL in an argument
        raise StartError(f"cannot run {command[0]!r}: {error}") from None


def _verify(tally: Tally, service: "Service | None") -> bool:
    """Whether every request was answered by a rule and every rule answered as it should; says what is wrong.

    Without a service the rules are not asked.
    """
    from emulator.verdicts.verification import verify  # noqa: PLC0415  # as above

    problems = verify(service.ruleset, tally.uses, service.journal, strict=True).rules if service else ()
    for problem in problems:
        _say(problem)
    if misses := tally.results["miss"]:
        _say(f"{count(misses, 'request')} that no rule answered; -v or --log tells which")
    return not problems and not misses


def _say(text: str) -> None:
    click.echo(f"vertex-emulator: {text}", err=True)
