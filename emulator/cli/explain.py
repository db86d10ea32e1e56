"""`vertex-emulator explain`."""

import json
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from emulator.cli.control_client import get_control
from emulator.cli.options import option
from emulator.cli.output import exit_with_error
from emulator.errors import EmulatorError, StartError
from emulator.redaction import clean_line, escape_controls
from emulator.suggestions import suggest
from emulator.wire.urls import parse_target

Header = tuple[bytes, bytes]

MAX_USES = 10_000
"""How often a request may be sent before the one that is explained."""
_SERVER = "http://127.0.0.1:8080"
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
@click.argument("arguments", metavar="[SCENARIOS]... REQUEST.json | NUMBER", nargs=-1, required=True)
@option(
    "--url",
    help=f"The URL, or its path, that the request is sent to ({_PATH}); with NUMBER, where the emulator is ({_SERVER}).",
)
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
@option(
    "--use",
    default=1,
    metavar="N",
    type=click.IntRange(1, MAX_USES),
    help="Explain the request when it is sent for the Nth time.",
)
@option("--control-token", help="With NUMBER: token of the control path, for emulators on other machines.")
@option("--json", "as_json", is_flag=True, help="Print everything as one JSON document.")
def explain(
    arguments: tuple[str, ...],
    *,
    url: str | None,
    headers: tuple[Header, ...],
    flags: tuple[str, ...],
    use: int,
    control_token: str | None,
    as_json: bool,
) -> None:
    """Say which rule answers a request, and why.

    Shows what the rules before it missed, and the answer. REQUEST.json is the body of the request, `-` for standard input. It is
    answered as the server would, as the first request of a session, in which only the flags named here are set. NUMBER is that of an
    exchange in the journal of a running emulator. The exit status is 1 if no rule answers.
    """
    try:
        if len(arguments) == 1 and arguments[0].isascii() and arguments[0].isdecimal():
            found = get_control(url or _SERVER, "explain", control_token, number=arguments[0])
        else:
            *scenarios, name = arguments
            if not scenarios:
                raise click.UsageError(
                    "give scenarios and a request: explain SCENARIOS... REQUEST.json, or the number of an exchange"
                )
            if name.endswith((".yaml", ".yml")) and any(one.endswith(".json") for one in scenarios):
                raise click.UsageError("the request comes last: explain SCENARIOS... REQUEST.json")
            found = _explain(scenarios, _read(name), url or _PATH, list(headers), frozenset(flags), use=use)
    except EmulatorError as error:
        exit_with_error(error)
    if as_json:
        click.echo(_dump(found))
    else:
        _print(found)
    raise SystemExit(0 if found["outcome"] == "answer" else 1)


def _read(name: str) -> bytes:
    """The body of the request; a file that cannot be read is wrong usage."""
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise click.UsageError(f"the request {name} cannot be read: {reason.lower()}") from None


def _dump(found: dict[str, Any]) -> str:
    return "\n".join(map(escape_controls, json.dumps(found, indent=2, ensure_ascii=False).split("\n")))


def _explain(
    scenarios: list[str], body: bytes, url: str, headers: list[Header], flags: frozenset[str], *, use: int
) -> dict[str, Any]:
    """Send a request `use` times to a server of its own without sockets, and explain the last."""
    from emulator.engine.request.facts import Facts
    from emulator.recording.loading import load_rules
    from emulator.server.clock import SystemClock
    from emulator.server.explaining import explain_exchange, state_before
    from emulator.server.service import Service
    from emulator.server.settings import Settings
    from emulator.wire.requests import MalformedRequestError, read_request

    ruleset = load_rules(scenarios).ruleset
    # `VERTEX_EMULATOR_URL` names a server only.
    path = urlsplit(url).path.rstrip("/") or _PATH
    target = parse_target(path) if path.endswith("/chat/completions") else None
    if target is None:
        raise StartError(f"{url} is no chat-completions URL; expected one such as {_PATH}")
    known = {name for rule in ruleset.rules if rule.flags for name in rule.flags.required | rule.flags.ruled_out}
    for name in sorted(flags - known):
        raise StartError(f'no rule requires the flag "{name}"{suggest(name, sorted(known))}')
    # With a seed the answer depends neither on time nor on chance, so that two runs print the same.
    settings = Settings(auth="off", seed=ruleset.seed or "", journal_exchanges=MAX_USES)
    service = Service(ruleset, settings, clock=SystemClock())
    service.sessions.find(target.project).flags = flags
    exchange = service.handle(target, b"", headers, body)
    for _ in range(use - 1):
        service.finish(exchange)
        exchange = service.handle(target, b"", headers, body)
    try:
        facts = Facts(target, headers, read_request(body))
    except MalformedRequestError:
        facts = None
    return explain_exchange(exchange, facts, ruleset, state_before(exchange, service.journal, ruleset, flags))


def _print(found: dict[str, Any]) -> None:
    """Print each rule up to the one that answers, with what its conditions want and what the request has; then the answer."""
    for note in found["notes"]:
        click.echo(clean_line(note))
    if refusal := found["refusal"]:
        click.echo(f"Vertex refuses this request ({refusal['name']}): {clean_line(refusal['explanation'] or '')}")
    for rule in found["rules"]:
        verdict = click.style("answers", fg="green") if rule["answers"] else "misses"
        click.echo(f'"{clean_line(rule["name"])}", {clean_line(rule["place"])}: {verdict}')
        for line in _describe(rule) or ["  holds for every request"]:
            click.echo(clean_line(line))
    if found["not_asked"]:
        click.echo(f"({found['not_asked']} more not asked)")
    if found["outcome"] == "miss":
        # Of a recording the report has the nearest request; rules have been shown above.
        for line in ["no rule answers this request"] if found["rules"] else found["report"].split("\n"):
            click.echo(clean_line(line))
        return
    if found["outcome"] == "error" and found["report"]:
        for line in found["report"].split("\n"):
            click.echo(clean_line(line))
    click.echo(f"\nstatus {found['status']}")
    for name, value in found["headers"]:
        click.echo(clean_line(f"{name}: {value}"))
    click.echo()
    for line in "".join(found["answer"]).rstrip().split("\n"):
        click.echo(escape_controls(line))


def _describe(rule: dict[str, Any]) -> list[str]:
    from emulator.engine.matching.conditions import Comparison
    from emulator.engine.matching.misses import describe

    lines = describe(tuple(Comparison(**{**one, "details": tuple(one["details"])}) for one in rule["conditions"]))
    return [*lines, f"  used up: {rule['used_up']} of {rule['used_up']}"] if rule["used_up"] is not None else lines
