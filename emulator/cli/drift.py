"""`vertex-emulator drift`."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emulator.cli.options import option
from emulator.cli.output import count, exit_with_error
from emulator.cli.real_service import (
    choose_interval,
    choose_token,
    confirm,
    is_on_this_machine,
    name_upstream,
    real_service_options,
)
from emulator.errors import EmulatorError, StartError

if TYPE_CHECKING:
    from emulator.recording.drift import Drift


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@option(
    "--project", metavar="PROJECT", help="The project that is asked and pays, in place of the recording's placeholder."
)
@real_service_options
@option("--json", "as_json", is_flag=True, help="Print the changes as JSON.")
def drift(folder: Path, **options: Any) -> None:
    """Send the requests of a recording again, and say what has changed.

    Compares status, header names, framing, keys, their order and the kinds of values, never what the model says. The exit status is 1 if
    something has changed.
    """
    try:
        status = _drift(folder, **options)
    except EmulatorError as error:
        exit_with_error(error)
    raise SystemExit(status)


def _drift(
    folder: Path,
    *,
    project: str | None,
    upstream: str | None,
    token: str | None,
    rate: float | None,
    timeout: float,
    yes: bool,
    as_json: bool,
) -> int:
    from emulator.cli.sweep import Progress
    from emulator.recording.drift import DriftCheck, cost_of_recording, project_of
    from emulator.recording.recording import Recording, is_recording
    from emulator.recording.secrets import Secrets
    from emulator.recording.sender import Sender

    if not is_recording(folder):
        raise StartError(f"{folder} is no recording: it has no recording.yaml; `vertex-emulator record` makes one")
    exchanges = Recording.read(folder).exchanges
    if not exchanges:
        raise StartError(f"{folder} has no exchanges, so there is nothing to compare")
    is_local = is_on_this_machine(upstream)
    if project is None and not is_local:
        raise click.UsageError(
            f'the project "{project_of(exchanges)}" of the recording is a placeholder; name the one that pays: --project PROJECT'
        )
    cost = cost_of_recording(exchanges)
    where = name_upstream(upstream, exchanges[0].request.host)
    if not is_local and not yes:
        confirm(cost.requests, cost.tokens, cost.dollars, cost.unpriced, where)
    secrets = Secrets()
    used = choose_token(token, upstream)
    secrets.learn("token", used)
    found: list[Drift] = []
    names = [f"{exchange.number:04}" for exchange in exchanges]
    with Sender(upstream or "", timeout) as sender, Progress(names, sys.stderr) as progress:
        check = DriftCheck(sender.send, used, project or "", choose_interval(rate, upstream), secrets)
        try:
            for one in progress.show(check.run(exchanges)):
                found.append(one)
                if not as_json:
                    _print(one)
        finally:
            if as_json:
                click.echo(json.dumps([_to_json(one) for one in found], indent=2))
            else:
                changed = sum(bool(one.changes) for one in found)
                skipped = sum(bool(one.skipped) for one in found)
                same = len(found) - changed - skipped
                click.echo(
                    f"\n{count(len(found), 'request')}: {same} as recorded, {changed} changed, {skipped} not compared"
                )
    return 1 if any(one.changes for one in found) else 0


def _print(one: "Drift") -> None:
    request = one.exchange.request
    name = f"{one.exchange.number:04}  {request.method} {request.path.rpartition('/endpoints/')[2]}"
    if one.skipped:
        click.echo(f"not compared  {name}: {one.skipped}")
    elif not one.changes:
        click.echo(f"{click.style('as recorded ', fg='green')}  {name}")
    else:
        click.echo(f"{click.style('changed     ', fg='red')}  {name}")
        for change in one.changes:
            click.echo(f"    {change.where}: was {change.expected}, is {change.found}")


def _to_json(one: "Drift") -> dict[str, Any]:
    changes = [{"where": change.where, "was": change.expected, "is": change.found} for change in one.changes]
    result = "not compared" if one.skipped else "changed" if changes else "as recorded"
    return {"exchange": one.exchange.number, "result": result, "reason": one.skipped or None, "changes": changes}
