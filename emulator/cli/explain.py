"""`vertex-emulator explain`."""

import re
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlsplit

import click

from emulator.cli.options import option
from emulator.cli.output import exit_with_error
from emulator.errors import AnswerError, EmulatorError, StartError
from emulator.redaction import clean_line, escape_controls, redact
from emulator.suggestions import suggest
from emulator.wire.urls import Target, parse_target

if TYPE_CHECKING:
    from emulator.engine.ruleset import Ruleset
    from emulator.engine.session import State

Header = tuple[bytes, bytes]

_PATH = "/v1/projects/demo/locations/global/endpoints/openapi/chat/completions"


class HeaderType(click.ParamType[Header]):
    """A request header, `name: value`; in the environment variable, one on each line."""

    name = "header"
    envvar_list_splitter = "\n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Header:
        """Parse a header; anything else is wrong usage."""
        name, colon, rest = str(value).partition(":")
        if not colon or not re.fullmatch(r"[!#$%&'*+.^`|~\w-]+", name.strip(), re.ASCII):
            self.fail(f'"{value}" is no header; expected one such as "X-Team: blue"', param, ctx)
        return name.strip().lower().encode(), rest.strip().encode()


@click.command()
@click.argument("scenarios", nargs=-1, required=True, type=click.Path())
@click.argument("request_file", metavar="REQUEST.json", type=click.File("rb"))
@option("--url", default=_PATH, help="The URL, or its path, that the request is sent to.")
@option(
    "--header",
    "-H",
    "headers",
    multiple=True,
    type=HeaderType(),
    help="A request header, such as `X-Team: blue`; may be repeated.",
)
@option(
    "--flag",
    "flags",
    multiple=True,
    help="A flag that is set in the session, as by a rule that has answered before; may be repeated.",
)
def explain(
    scenarios: tuple[str, ...], request_file: BinaryIO, url: str, headers: tuple[Header, ...], flags: tuple[str, ...]
) -> None:
    """Say which rule answers a request, and why.

    Shows what the rules before it missed, and the answer. REQUEST.json is the body of the request, `-` for standard input. It is
    answered as the server would, as the first request of a session, in which only the flags named here are set. The exit status is 1 if no rule answers.
    """
    try:
        answered = _explain(scenarios, request_file.read(), url, list(headers), frozenset(flags))
    except EmulatorError as error:
        exit_with_error(error)
    raise SystemExit(0 if answered else 1)


def _explain(scenarios: tuple[str, ...], body: bytes, url: str, headers: list[Header], flags: frozenset[str]) -> bool:
    """Print which rule answers and what; return whether one does."""
    from emulator.engine.ruleset import compile_rules
    from emulator.engine.session import State
    from emulator.scenario.loading import read_paths
    from emulator.server.clock import SystemClock
    from emulator.server.service import Service
    from emulator.server.settings import Settings

    ruleset = compile_rules(read_paths(scenarios).scenarios)
    path = urlsplit(url).path
    target = parse_target(path) if path.endswith("/chat/completions") else None
    if target is None:
        raise StartError(f"{url} is no chat-completions URL; expected one such as {_PATH}")
    known = {name for rule in ruleset.rules if rule.flags for name in rule.flags.required | rule.flags.ruled_out}
    for name in sorted(flags - known):
        raise StartError(f'no rule requires the flag "{name}"{suggest(name, sorted(known))}')
    # With a seed the answer depends neither on time nor on chance, so that two runs print the same.
    service = Service(ruleset, Settings(auth="off", seed=ruleset.seed or ""), clock=SystemClock())
    service.sessions.find(target.project).flags = flags
    exchange = service.handle(target, b"", headers, body)
    for warning in exchange.warnings:
        click.echo(f"warning: {clean_line(warning)}")
    outcome = exchange.outcome
    if outcome.result == "refusal" and outcome.refusal is not None:
        click.echo(f"Vertex refuses this request ({outcome.refusal.rule}): {clean_line(outcome.refusal.explanation)}")
    else:
        _print_rules(ruleset, target, headers, body, State(flags=flags))
    if outcome.result == "miss":
        click.echo("no rule answers this request")
        return False
    click.echo(f"\nstatus {outcome.timeline.status}")
    for line in outcome.timeline.body.decode("utf-8", "replace").rstrip().split("\n"):
        click.echo(escape_controls(redact(line)))
    return outcome.result == "answer"


def _print_rules(ruleset: "Ruleset", target: Target, headers: list[Header], body: bytes, state: "State") -> None:
    """Print each rule up to the one that answers, with what its conditions want and what the request has."""
    from emulator.engine.matching.misses import compare_rule, describe
    from emulator.engine.request.facts import Facts
    from emulator.wire.requests import read_request

    facts = Facts(target, headers, read_request(body))
    for index, rule in enumerate(ruleset.rules):
        try:
            comparisons = compare_rule(rule, facts, state)
        except AnswerError as error:
            click.echo(clean_line(f"{error}"))
            return
        answers = all(one.holds for one in comparisons)
        verdict = click.style("answers", fg="green") if answers else "misses"
        click.echo(f'"{rule.name}", {rule.place}: {verdict}')
        for line in describe(comparisons) or ["  holds for every request"]:
            click.echo(clean_line(line))
        if answers:
            if left := len(ruleset.rules) - index - 1:
                click.echo(f"({left} more not asked)")
            return
