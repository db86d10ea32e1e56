"""`vertex-emulator attest`."""

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

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
from emulator.suggestions import did_you_mean, find_near

if TYPE_CHECKING:
    from emulator.recording.attest.asking import Client, Cost
    from emulator.recording.attest.judging import Judgement, Result
    from emulator.recording.attest.probes import Probe
    from emulator.recording.attest.reports import Report, RowResult

_COLOURS: "dict[Result, str | None]" = {"not testable": None, "holds": "green", "refused": "yellow", "differs": "red"}
"""The colours of results, in the order in which the table has them: what matters most stands at its end."""
_WIDTH = len("not testable")
_WRITTEN_EVERY = 1.0
"""Seconds after which what was found is written again; a run that is killed loses no more than that."""


@click.command()
@option("--project", metavar="PROJECT", help="The project that is asked and pays.")
@option(
    "--location", default="global", help="The location that is asked; models that it lacks are asked where they are."
)
@option("--model", metavar="MODEL", help="The Gemini that is asked what any of them could answer.")
@real_service_options
@option(
    "--only", multiple=True, metavar="ID", help="Only rows or probes with this id, such as streams.*; may be repeated."
)
@option(
    "--max-cost",
    type=click.FloatRange(min=0),
    metavar="DOLLARS",
    help="Stop before more than about so much is spent; the next run goes on.",
)
@option("--expired-token", metavar="TOKEN", help="An access token whose time is over, for the rows about it.")
@option(
    "--report",
    default="attest.json",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The report, with a .md beside it; what it has is not asked again.",
)
@option("--list", "list_only", is_flag=True, help="Print the probes, and send nothing.")
@option("--json", "as_json", is_flag=True, help="Print the report as JSON instead of the table.")
@option(
    "--apply",
    "applied",
    metavar="REPORT",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Take a report over: what was assumed and holds becomes observed; send nothing.",
)
def attest(*, applied: Path | None, list_only: bool, only: tuple[str, ...], as_json: bool, **options: object) -> None:
    """Ask the real service whether the emulator is right.

    Sends the probes of the rows of docs/fidelity.md with your own credentials, compares the answers with what the rows claim, prints what
    holds and what differs, and writes a report. The exit status is 1 if a row differs, or if none could be judged.
    """
    try:
        if applied is not None:
            _apply(applied)
        probes = _choose(only)
        if list_only:
            _list(probes, as_json=as_json)
            return
        status = _attest(probes, is_partial=bool(only), as_json=as_json, **options)  # type: ignore[arg-type]  # click's
    except EmulatorError as error:
        exit_with_error(error)
    raise SystemExit(status)


def _choose(only: Sequence[str]) -> "tuple[Probe, ...]":
    """The probes with an id, or of a row with an id, that fits one of the patterns. Raises StartError for a pattern without any."""
    from emulator.recording.attest.probes import all_probes
    from emulator.recording.attest.rows import all_rows

    everything = all_probes()
    if not only:
        return everything.probes
    for pattern in only:
        if any(_fits(probe, (pattern,)) for probe in everything.probes):
            continue
        reason = everything.not_testable.get(pattern)
        if reason is not None:
            raise StartError(f"the row {pattern} is not testable: {reason}")
        near = find_near(pattern, [*all_rows(), *(probe.id for probe in everything.probes)])
        hint = f"; {did_you_mean(near)}" if near else ""
        raise StartError(f'no row and no probe is called "{pattern}"{hint or "; --list prints them all"}')
    return tuple(probe for probe in everything.probes if _fits(probe, only))


def _fits(probe: "Probe", patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in (probe.row, probe.id) for pattern in patterns)


def _list(probes: "Sequence[Probe]", *, as_json: bool) -> None:
    from emulator.recording.attest.rows import all_rows

    rows = all_rows()
    if as_json:
        documents = [
            {"probe": probe.id, "row": probe.row, "claim": rows[probe.row].claim, "status": rows[probe.row].status}
            for probe in probes
        ]
        click.echo(json.dumps(documents, indent=2, ensure_ascii=False))
        return
    width = max(len(probe.id) for probe in probes)
    for probe in probes:
        click.echo(f"{probe.id:<{width}}  {rows[probe.row].claim}")


def _attest(
    probes: "Sequence[Probe]",
    *,
    is_partial: bool,
    as_json: bool,
    project: str | None,
    location: str,
    model: str | None,
    upstream: str | None,
    token: str | None,
    rate: float | None,
    timeout: float,
    yes: bool,
    max_cost: float | None,
    expired_token: str | None,
    report: Path,
) -> int:
    """Ask, print and write the report; return the exit status."""
    from emulator.recording.attest.asking import DEFAULT_MODEL, Client, host_of
    from emulator.recording.attest.judging import Judge
    from emulator.recording.secrets import Secrets
    from emulator.recording.sender import Sender

    is_local = is_on_this_machine(upstream)
    if project is None and not is_local:
        raise click.UsageError("no project to ask with; name the one that pays: --project PROJECT")
    asked = name_upstream(upstream, host_of(location))
    found = _open_report(report, asked, location, model or DEFAULT_MODEL)
    left = [probe for probe in probes if not found.is_done(probe.id)]
    if len(left) < len(probes):
        click.echo(f"{report} has {len(probes) - len(left)} of {count(len(probes), 'probe')} already", err=True)
    client = Client(project or "demo", location, "", model or DEFAULT_MODEL, (expired_token or "").strip())
    cost = _estimate(left, client)
    if left and not is_local and not yes:
        confirm(cost.requests, cost.tokens, cost.dollars, cost.unpriced, f"{asked} for project {client.project}")
    client = Client(
        client.project, location, choose_token(token, upstream) if left else "", client.model, client.expired_token
    )
    # Before anything is sent and paid for it is known that it can be kept.
    found.write(report)
    secrets = Secrets()
    for kind, secret in (("token", client.token), ("token", client.expired_token), ("project", client.project)):
        secrets.learn(kind, secret)
    with Sender(upstream or "", timeout) as sender:
        written = time.monotonic()
        judge = Judge(client, sender.send, choose_interval(rate, upstream), max_cost, secrets)
        try:
            for judgement in _show_progress(left, judge.run(left)):
                found.add(judgement)
                found.is_emulator |= judge.is_emulated
                found.known_errors |= judge.known_errors
                found.unknown_errors |= judge.unknown_errors
                if time.monotonic() - written > _WRITTEN_EVERY:
                    found.write(report)
                    written = time.monotonic()
        finally:
            # After Ctrl-C, or if the service answers no more, what there is.
            found.write(report)
            rows = _rows_of(found, probes if is_partial else None)
            _print(found, rows, report, judge.cost, as_json=as_json)
    missing = sum(probe.id not in found.judgements for probe in probes)
    if missing:
        click.echo(f"{count(missing, 'probe')} left for want of --max-cost; run it again to go on", err=True)
    results = {one.result for one in rows}
    return 1 if "differs" in results or "holds" not in results else 0


def _open_report(path: Path, upstream: str, location: str, model: str) -> "Report":
    """The report to go on with, or a new one. Raises StartError for one of another run."""
    from emulator.recording.attest.reports import Report, read_report

    new = Report(upstream, location, model)
    old = read_report(path) if path.exists() else new
    if not old.judgements:
        return new
    for what, was, now in (
        ("host", old.upstream, new.upstream),
        ("location", old.location, new.location),
        ("model", old.model, new.model),
        ("set of probes", old.probes, new.probes),
    ):
        if was != now:
            raise StartError(
                f"{path} is the report of another run, whose {what} was {was} and not {now}; remove it, or name another --report"
            )
    return old


def _estimate(probes: "Iterable[Probe]", client: "Client") -> "Cost":
    """What probes are likely to cost; equal requests are sent once."""
    from emulator.recording.attest.asking import Cost, estimate_step

    total, seen = Cost(), set[str]()
    for probe in probes:
        before = ""
        for step in probe.steps:
            before += step.request.model_dump_json()
            if probe.once or before not in seen:
                total += estimate_step(step, client)
            seen.add(before)
    return total


def _show_progress(probes: "Sequence[Probe]", judgements: "Iterator[Judgement]") -> "Iterator[Judgement]":
    from emulator.cli.sweep import Progress

    with Progress([probe.id for probe in probes], sys.stderr) as progress:
        yield from progress.show(judgements)


def _rows_of(report: "Report", probes: "Sequence[Probe] | None") -> "list[RowResult]":
    """All rows of a report, or those of some probes."""
    asked = None if probes is None else {probe.row for probe in probes}
    return [one for one in report.rows() if asked is None or one.row.id in asked]


def _print(report: "Report", rows: "Sequence[RowResult]", path: Path, cost: "Cost", *, as_json: bool) -> None:
    from emulator.recording.attest.reports import RESULTS, count_results

    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2))
        return
    for one in sorted(rows, key=lambda one: list(_COLOURS).index(one.result)):
        result = click.style(f"{one.result:<{_WIDTH}}", fg=_COLOURS[one.result])
        some = f" ({one.counts})" if one.counts else ""
        click.echo(f"{result}  {one.row.id}{some}{f': {one.detail}' if one.detail else ''}")
    counts = count_results(rows)
    click.echo(f"\n{count(len(rows), 'row')}: {', '.join(f'{counts[result]} {result}' for result in RESULTS)}")
    for text in report.unknown_errors:
        click.echo(f"an error that the catalogue does not know: {text}")
    if report.is_emulator:
        click.echo("an emulator answered, so that this says nothing about the real service")
    spent = f"; {count(cost.requests, 'request')}, {cost.tokens:,} tokens" if cost.requests else ""
    spent += f", about ${cost.dollars:.2f}" if spent and not report.is_emulator else ""
    click.echo(f"report: {path} and {path.with_suffix('.md')}{spent}")


def _apply(path: Path) -> NoReturn:
    """Take a report over: change the files of a source tree, else print a patch; the exit status is 1 if rows are contradicted."""
    from emulator.recording.attest.applying import plan_changes
    from emulator.recording.attest.reports import read_report

    changes = plan_changes(read_report(path))
    for one in changes.confirmed:
        click.echo(f"observed      {one.row.id} (was {one.row.status}): {one.row.claim}")
    for one in changes.contradicted:
        click.echo(f"contradicted  {one.row.id} ({one.row.status}): {one.detail}")
    if not changes.files:
        click.echo("nothing to change: no row that was assumed holds")
    elif changes.is_source_tree:
        changes.write()
        click.echo(f"changed {', '.join(str(file.name) for file in changes.files)}")
        click.echo("now run: UPDATE_EXPECTED=1 pytest tests/docs")
    else:
        click.echo(f"\n{changes.diff()}", nl=False)
        click.echo("\nthis patch is for the source tree; open an issue with it and with the report", err=True)
    raise SystemExit(1 if changes.contradicted else 0)
