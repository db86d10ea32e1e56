"""`vertex-emulator explain`."""

from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit

import click

from emulator.cli.options import option, stop
from emulator.errors import EmulatorError, StartError

if TYPE_CHECKING:
    from emulator.engine.compiling import Ruleset
    from emulator.engine.facts import Facts
    from emulator.wire.targets import Target

_PATH = "/v1/projects/demo/locations/us-central1/endpoints/openapi/chat/completions"


@click.command()
@click.argument("scenarios", nargs=-1, required=True, type=click.Path())
@click.argument("request_file", metavar="REQUEST.json", type=click.File("rb"))
@option("--url", default=_PATH, help="The URL, or its path, that the request is sent to.")
@click.option("--header", "-H", "headers", multiple=True, help="A request header, as `name: value`; may be repeated.")
def explain(scenarios: tuple[str, ...], request_file: BinaryIO, url: str, headers: tuple[str, ...]) -> None:
    """Say which rule answers a request and why, and what the rules before it missed.

    REQUEST.json is the body of the request, `-` for standard input. It is answered by the same engine as the server's, as the
    first request of a session. The exit status is 1 if no rule answers.
    """
    try:
        answered = _explain(scenarios, request_file.read(), url, headers)
    except EmulatorError as error:
        stop(error)
    raise SystemExit(0 if answered else 1)


def _explain(scenarios: tuple[str, ...], body: bytes, url: str, headers: tuple[str, ...]) -> bool:
    from emulator.engine.compiling import compile_rules  # noqa: PLC0415  # --help is quicker without it
    from emulator.engine.facts import Facts  # noqa: PLC0415  # as above
    from emulator.engine.vetting import refuse_malformed, vet  # noqa: PLC0415  # as above
    from emulator.scenario.reading import read_paths  # noqa: PLC0415  # as above
    from emulator.wire.requests import MalformedRequestError, parse_request  # noqa: PLC0415  # as above

    ruleset = compile_rules(read_paths(scenarios).scenarios)
    target = _target(url)
    try:
        parsed = parse_request(body)
    except MalformedRequestError as error:
        click.echo(f"Vertex refuses this ({refuse_malformed(error, target).rule}): {error.explanation}")
        return False
    facts = Facts(target, _headers(headers), parsed.request)
    refusal = vet(facts)
    if refusal is not None:
        click.echo(f"Vertex refuses this ({refusal.rule}): {refusal.explanation}")
        return False
    return _trace(ruleset, facts)


def _target(url: str) -> "Target":
    from emulator.wire.targets import parse_target  # noqa: PLC0415  # as above

    target = parse_target(urlsplit(url).path)
    if target is None:
        raise StartError(f"{url} is no chat-completions URL; expected one such as {_PATH}")
    return target


def _headers(headers: tuple[str, ...]) -> list[tuple[bytes, bytes]]:
    pairs = [header.partition(":") for header in headers]
    return [(name.strip().lower().encode(), value.strip().encode()) for name, _, value in pairs]


def _trace(ruleset: "Ruleset", facts: "Facts") -> bool:
    from emulator.engine.choosing import describe  # noqa: PLC0415  # as above
    from emulator.engine.matching import compare  # noqa: PLC0415  # as above

    for at, rule in enumerate(ruleset.rules):
        comparisons = tuple(compare(rule.conditions, facts))
        answers = all(one.holds for one in comparisons)
        verdict = click.style("answers", fg="green") if answers else "misses"
        click.echo(f'"{rule.name}", {rule.place}: {verdict}')
        for line in describe(comparisons) or ["  holds for every request"]:
            click.echo(line)
        if answers:
            _show_answer(ruleset, facts)
            left = len(ruleset.rules) - at - 1
            if left:
                click.echo(f"({left} more not asked)")
            return True
    click.echo("no rule answers this request")
    return False


def _show_answer(ruleset: "Ruleset", facts: "Facts") -> None:
    from emulator.engine.answering import answer  # noqa: PLC0415  # as above
    from emulator.engine.dice import Occasion  # noqa: PLC0415  # as above
    from emulator.server.settings import SEEDED_MOMENT  # noqa: PLC0415  # as above

    outcome = answer([ruleset], facts, {}, Occasion(SEEDED_MOMENT, ruleset.seed or "", b""))
    click.echo(f"\nstatus {outcome.timeline.status}")
    click.echo(outcome.timeline.body.decode("utf-8", "replace").rstrip() + "\n")
