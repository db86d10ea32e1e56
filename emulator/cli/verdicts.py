"""`vertex-emulator verdicts`."""

import json

import click

from emulator.cli.control_client import get_control, note_other_sessions
from emulator.cli.options import option
from emulator.cli.output import count, exit_with_error
from emulator.errors import EmulatorError
from emulator.redaction import clean_line, escape_controls


@click.command()
@option("--url", default="http://127.0.0.1:8080", help="Where the emulator is.")
@option("--session", help="Only what the client of this project did.")
@option("--control-token", help="Token of the control path, for emulators on other machines.")
@option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def verdicts(*, url: str, session: str | None, control_token: str | None, as_json: bool) -> None:
    """Say what the clients of a running emulator did wrong.

    Each verdict comes with the numbers of the exchanges that show it and with advice; docs/verdicts.md lists them all. The exit
    status is 1 if one of them is an error.
    """
    try:
        found = get_control(url, "verdicts", control_token, session=session)["verdicts"]
        note_other_sessions(url, control_token, session)
    except EmulatorError as error:
        exit_with_error(error)
    for verdict in found:
        if as_json:
            click.echo(escape_controls(json.dumps(verdict, ensure_ascii=False)))
            continue
        shown = ", ".join(f"#{number}" for number in verdict["exchanges"])
        colour = "red" if verdict["severity"] == "error" else "yellow"
        click.echo(
            f"{click.style(verdict['severity'], fg=colour)}: {verdict['name']} ({shown}): {clean_line(verdict['sentence'])}"
        )
        click.echo(f"  {verdict['advice']}")
    errors = sum(verdict["severity"] == "error" for verdict in found)
    if not as_json:
        click.echo(f"{count(errors, 'error')}, {count(len(found) - errors, 'warning')}")
    raise SystemExit(1 if errors else 0)
