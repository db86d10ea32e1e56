"""`vertex-emulator journal`."""

import json
import time
from datetime import datetime
from typing import Any

import click

from emulator.cli.control_client import get_control
from emulator.cli.options import option
from emulator.cli.output import exit_with_error
from emulator.errors import EmulatorError
from emulator.redaction import clean_line, escape_controls

_POLL_INTERVAL = 0.25
"""Seconds between two requests with --follow."""


@click.command()
@option("--url", default="http://127.0.0.1:8080", help="Where the emulator is.")
@option("--session", help="Only the exchanges of this project.")
@option("--control-token", help="Token of the control path, for emulators on other machines.")
@option("--follow", "-f", is_flag=True, help="Go on with those that follow, until Ctrl-C.")
@option("--json", "as_json", is_flag=True, help="Print everything that is known, one JSON object a line.")
def journal(*, url: str, control_token: str | None, session: str | None, follow: bool, as_json: bool) -> None:
    """Print the exchanges of a running emulator.

    A line for each, the oldest first: when, project, rule (or why none), status, how long it took. What went wrong is said below it.
    """
    after = 0
    try:
        while True:
            exchanges = get_control(url, "journal", control_token, session=session, after=str(after))["exchanges"]
            for exchange in exchanges:
                click.echo(escape_controls(json.dumps(exchange, ensure_ascii=False)) if as_json else _format(exchange))
                after = exchange["position"]
            if not follow:
                return
            time.sleep(_POLL_INTERVAL)
    except EmulatorError as error:
        exit_with_error(error)
    except KeyboardInterrupt:
        # The documented way to end --follow, so the status is 0.
        return


def _format(exchange: dict[str, Any]) -> str:
    when = datetime.fromisoformat(exchange["time"]).astimezone().strftime("%H:%M:%S")
    source = f'"{exchange["rule"]}"' if exchange["rule"] else exchange["outcome"]
    columns = [
        exchange["session"],
        source,
        str(exchange["status"]),
        f"{exchange['duration_ms']:.1f} ms",
        exchange["ended"],
    ]
    lines = [f"{exchange['number']:>5}  {when}  {'  '.join(column for column in columns if column)}"]
    lines += [f"warning: {warning}" for warning in exchange.get("warnings") or ()]
    if refusal := exchange["refusal"]:
        lines.append(": ".join(part for part in (refusal["name"], refusal["explanation"]) if part))
    lines += report.split("\n") if (report := exchange.get("report")) else ()
    return "\n                 ".join(map(clean_line, lines))
