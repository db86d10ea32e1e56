"""`vertex-emulator verify`."""

import json
from typing import Any

import click

from emulator.cli.control_client import get_control, note_other_sessions
from emulator.cli.options import option
from emulator.cli.output import exit_with_error
from emulator.errors import EmulatorError
from emulator.redaction import clean_line, escape_controls


@click.command()
@option("--url", default="http://127.0.0.1:8080", help="Where the emulator is.")
@option("--session", help="Only what belongs to this project.")
@option("--control-token", help="Token of the control path, for emulators on other machines.")
@option("--strict", is_flag=True, help="Rules that were never used are problems too.")
@option("--json", "as_json", is_flag=True, help="Print one JSON text a line.")
def verify(*, url: str, session: str | None, control_token: str | None, strict: bool, as_json: bool) -> None:
    """Say what went wrong at a running emulator.

    That is: a request that no rule answered, that led nowhere, that Vertex would have refused, or whose model it would not have found; a
    rule that was not used as its `expect` says; no request at all. The exit status is then 1.
    """
    try:
        found = get_control(url, "verify", control_token, session=session, strict="true" if strict else None)
        refused = get_control(url, "journal", control_token, session=session, outcome="refusal")["exchanges"]
        verdicts = get_control(url, "verdicts", control_token, session=session)["verdicts"]
        note_other_sessions(url, control_token, session)
        last = get_control(url, "journal", control_token, session=session, limit="1")["exchanges"]
    except EmulatorError as error:
        exit_with_error(error)
    problems = [
        *found["unanswered"],
        *map(_describe_refusal, filter(_is_unexpected, refused)),
        *(_describe_verdict(one) for one in verdicts if one["name"] in _NOT_FOUND),
        *found["rules"],
    ]
    if not last:
        problems.append("no request reached the emulator")
    for problem in problems:
        shown = json.dumps(problem, ensure_ascii=False) if as_json else "\n".join(map(clean_line, problem.split("\n")))
        click.echo(escape_controls(shown) if as_json else shown)
    raise SystemExit(1 if problems else 0)


_NOT_FOUND = frozenset({"model_not_found", "endpoint_misspelt", "location_misspelt", "id_missing"})
"""The verdicts on requests that were answered but would have been refused in the cloud."""


def _is_unexpected(exchange: dict[str, Any]) -> bool:
    """Whether the service would have refused it, and neither scenario nor settings were meant to."""
    return not exchange["refusal"]["scripted"]


def _describe_refusal(exchange: dict[str, Any]) -> str:
    number, session, refusal = exchange["number"], exchange["session"], exchange["refusal"]
    where = f"exchange {number}{f', session {session}' if session else ''}"
    return f"{where}: refused by Vertex ({refusal['name']}): {refusal['explanation']}"


def _describe_verdict(verdict: dict[str, Any]) -> str:
    numbers = verdict["exchanges"]
    where = f"exchange {numbers[0]}" + (f" and {len(numbers) - 1} more" if len(numbers) > 1 else "")
    return f"{where}: not found in the cloud: {verdict['sentence']}"
