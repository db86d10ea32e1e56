"""The arguments and options that commands share, above all those that become `Settings` or `ClientOptions`."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, NoReturn, TypeVar, get_args

import click

from emulator.catalogue.quirks import QUIRK_NAMES
from emulator.cli.output import exit_with_error
from emulator.errors import EmulatorError, StartError
from emulator.server.tokens import LIFETIME

Command = TypeVar("Command", bound=Callable[..., Any])


def option(*names: str, **settings: Any) -> Callable[[Command], Command]:
    """Declare an option with the environment variable VERTEX_EMULATOR_<NAME>; `names` are as for `click.option`, the long one first."""
    variable = "VERTEX_EMULATOR_" + names[0].lstrip("-").replace("-", "_").upper()
    settings.setdefault("show_default", settings.get("default") is not None and not settings.get("is_flag"))
    return click.option(*names, envvar=variable, show_envvar=True, **settings)


def scenarios_argument(*, required: bool = False) -> Callable[[Command], Command]:
    """Declare the argument SCENARIOS: files and folders."""
    return click.argument("scenarios", nargs=-1, required=required, type=click.Path())


CredentialKind = Literal["user", "service-account", "metadata", "external"]
"""Whose credentials a program finds: a user's, a service account's, those of a machine, or a federated identity's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """The options that decide what programs are told: where to send requests, with whose credentials, and what else is covered."""

    project: str
    location: str
    credentials: CredentialKind = "user"
    passed_hosts: tuple[str, ...] = ()
    """The hosts that programs reach over the network; `*.example.com` stands for all below a domain."""
    java: bool = False
    metadata: bool = False


class ProgramCommand(click.Command):
    """A command that takes a program and its arguments behind `--`; `ctx.obj` has them as a list.

    Its function gets `client_options` instead of the options of `interception_options`, if it has them, and returns the exit status.
    With an option whose parameter is `list_only` or `import_file` it needs no program.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the program out, so that its arguments are not parsed as options of ours."""
        at = args.index("--") if "--" in args else len(args)
        ctx.obj = args[at + 1 :]
        rest = super().parse_args(ctx, args[:at])
        is_alone = any(ctx.params.get(name) for name in ("list_only", "import_file"))
        if not ctx.obj and not ctx.resilient_parsing and not is_alone:
            arguments = "".join(
                f"[{each.human_readable_name}]... " for each in self.params if isinstance(each, click.Argument)
            )
            raise click.UsageError(
                f"no program to run; write it behind `--`: {ctx.info_name} {arguments}-- COMMAND...", ctx
            )
        return rest

    def invoke(self, ctx: click.Context) -> NoReturn:
        """Run the command; an EmulatorError is printed and makes the status 1."""
        names = [field.name for field in fields(ClientOptions)]
        if set(names) <= set(ctx.params):
            ctx.params["client_options"] = ClientOptions(**{name: ctx.params.pop(name) for name in names})
        try:
            if os.name != "posix":
                raise StartError(f"{ctx.info_name} needs a POSIX system")
            status: int = super().invoke(ctx)
        except EmulatorError as error:
            exit_with_error(error)
        raise SystemExit(status)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Add the program to the usage line."""
        return [*super().collect_usage_pieces(ctx), "--", "COMMAND..."]


TOKEN_LIFETIME = 365 * 24 * 3600
"""Seconds that a printed token is valid: longer than anybody leaves a server running."""


def _choice(name: str, choices: Sequence[str], text: str) -> Callable[[Command], Command]:
    """Declare an option that takes one of several words, the first of which is the default."""
    return option(name, default=choices[0], type=click.Choice(choices), help=text)


_AUTH = _choice(
    "--auth",
    ("any", "issued", "off"),
    "any: every bearer but API keys and expired tokens; issued: only tokens of this emulator; off: no check.",
)
_SEED = option("--seed", help="Makes every answer repeatable to the byte, ids and times included.")
_FALLBACK = _choice(
    "--fallback",
    ("miss", "default"),
    "What answers when no rule does: the miss report, or the built-in default scenario.",
)
_QUIRK = option(
    "--quirk",
    "quirks",
    multiple=True,
    metavar="NAME",
    type=click.Choice(QUIRK_NAMES),
    callback=lambda _context, _parameter, names: frozenset(names),
    help="Turn on a quirk for all answers; may be repeated, `vertex-emulator quirks` lists them.",
)
_VETTING = _choice(
    "--vetting",
    ("enforce", "strict", "warn", "off"),
    "What becomes of requests that Vertex refuses: refused too (strict: also what only its other routes are known to refuse), answered "
    "with a warning, or not looked at.",
)
_MODELS = _choice(
    "--models",
    ("any", "known"),
    "Which models are answered: any, or only those of `vertex-emulator models`; others get the documented 404.",
)
_STRICT_JSON = option(
    "--strict-json",
    is_flag=True,
    help="Refuse bodies with backslashes before line ends, as documented curl samples send.",
)
_TOKEN_LIFETIME = option(
    "--token-lifetime",
    default=LIFETIME,
    metavar="SECONDS",
    type=click.IntRange(min=1),
    help="Seconds that tokens of the token endpoints live; a client that asks again can be tested with few.",
)
_PACE = option(
    "--pace",
    metavar="PACE",
    help="How fast rules without a pace answer: slow-train, gemini-flash, ..., or first_token_ms=300,tokens_per_second=50.",
)
_SPEED = option(
    "--speed",
    default=1.0,
    metavar="FACTOR",
    type=click.FloatRange(min=0, min_open=True),
    help="How many times as fast everything is that takes its time: paces, pauses, stalls.",
)
_FAULT = option(
    "--fault",
    "faults",
    multiple=True,
    metavar="FAULT",
    help="What goes wrong with every answer: reset_mid_stream, ..., or cut=reset,after_chunks=2; may be repeated.",
)
_PROJECT = option(
    "--project",
    default="demo",
    help="The project of the URLs and credentials that programs are given; the server answers to any.",
)
_LOCATION = option(
    "--location", default="global", help="The location of the URLs that programs are given; the server answers to any."
)
_CREDENTIALS = _choice(
    "--credentials",
    get_args(CredentialKind),
    "Whose credentials programs find: a user's, as after `gcloud auth application-default login`, a service account's, a machine's, "
    "or a federated identity's.",
)
_JAVA = option("--java", is_flag=True, help="Lead Java programs too; the JVM then says so on stderr.")
_METADATA = option("--metadata", is_flag=True, help="Let programs find a metadata server, as on Google's machines.")
_HOST = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*")


def _check_hosts(_context: click.Context, _parameter: click.Parameter, hosts: tuple[str, ...]) -> tuple[str, ...]:
    for host in hosts:
        if not _HOST.fullmatch(host.lower()):
            raise click.BadParameter(f'"{host}" is no name of a host; expected one such as pypi.org or *.example.com')
    return tuple(host.lower() for host in hosts)


_PASS = option(
    "--pass",
    "passed_hosts",
    multiple=True,
    metavar="HOST",
    callback=_check_hosts,
    help="Let programs reach this host over the network, or with *.example.com all below a domain; may be repeated.",
)


def _compile(
    _context: click.Context, _parameter: click.Parameter, patterns: tuple[str, ...]
) -> tuple[re.Pattern[str], ...]:
    compiled = []
    for pattern in patterns:
        try:
            compiled.append(re.compile(pattern))
        except re.error as error:
            raise click.BadParameter(f'"{pattern}" is no regular expression: {error}') from None
    return tuple(compiled)


_UPSTREAM = option(
    "--upstream",
    metavar="URL",
    help="Where requests are sent instead of Google's hosts: a gateway, or another emulator.",
)
_REDACT = option(
    "--redact",
    "patterns",
    multiple=True,
    metavar="REGEX",
    callback=_compile,
    help="What is a secret too and must not be recorded; of an expression with a group, the group. May be repeated.",
)


def recording_options(command: Command) -> Command:
    """Add the options of what records: --upstream and --redact."""
    return _apply(command, (_UPSTREAM, _REDACT))


def settings_options(command: Command) -> Command:
    """Add the options that become `Settings`: --auth to --token-lifetime."""
    return _apply(
        command,
        (_AUTH, _SEED, _FALLBACK, _QUIRK, _VETTING, _MODELS, _STRICT_JSON, _PACE, _SPEED, _FAULT, _TOKEN_LIFETIME),
    )


def undisturbed_options(command: Command) -> Command:
    """Add the options that become `Settings`, without those that `sweep` varies."""
    return _apply(command, (_AUTH, _SEED, _FALLBACK, _VETTING, _MODELS, _STRICT_JSON, _SPEED, _TOKEN_LIFETIME))


def interception_options(command: Command) -> Command:
    """Add the options that become `ClientOptions`."""
    return _apply(command, (_CREDENTIALS, _PASS, _JAVA, _METADATA, _PROJECT, _LOCATION))


def proxy_options(command: Command) -> Command:
    """Add those of `ClientOptions` that `serve` has: --credentials, --pass, --project and --location."""
    return _apply(command, (_CREDENTIALS, _PASS, _PROJECT, _LOCATION))


def _apply(command: Command, options: Sequence[Callable[[Command], Command]]) -> Command:
    # Decorators are applied from the last to the first, and click lists the options in the order of the decorators.
    for decorator in reversed(options):
        command = decorator(command)
    return command
