"""Reports of what probes have shown: written after each probe, so that a run can go on later, as JSON and for people as Markdown."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

from emulator import __version__
from emulator.errors import StartError
from emulator.recording.attest.judging import Evidence, Judgement, Result, result_of
from emulator.recording.attest.probes import ProbeSet, all_probes
from emulator.recording.attest.rows import Row, all_rows

FORMAT = 1
"""The version of a report's format."""
RESULTS: tuple[Result, ...] = ("holds", "differs", "refused", "not testable")


@dataclass(frozen=True, slots=True)
class RowResult:
    """What the probes of a row have shown together."""

    row: Row
    result: Result
    detail: str
    """The first difference, or why it could not be judged."""
    judgements: tuple[Judgement, ...] = ()

    @property
    def counts(self) -> str:
        """How many of its probes have the row's result, where there are several: `2 of 3`."""
        if len(self.judgements) <= 1:
            return ""
        same = sum(one.result == self.result for one in self.judgements)
        return f"{same} of {len(self.judgements)}"


@dataclass(slots=True)
class Report:
    """What a run has shown so far."""

    upstream: str
    """The host that was asked, or the host of `--upstream`."""
    location: str
    model: str
    date: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    version: str = __version__
    probes: str = field(default_factory=lambda: digest_probes(all_probes()))
    """A digest of the probes, so that a run only goes on with the same ones."""
    is_emulator: bool = False
    """Whether it was an emulator that answered."""
    judgements: dict[str, Judgement] = field(default_factory=dict)
    """By the probe's id."""
    known_errors: dict[str, None] = field(default_factory=dict)
    """Entries of the catalogue that came without having been asked for."""
    unknown_errors: dict[str, None] = field(default_factory=dict)
    """Refusals that the catalogue does not know."""

    @property
    def models(self) -> list[str]:
        """The models that answered, in the order in which they were asked."""
        return list(
            dict.fromkeys(
                one.evidence.model
                for one in self.judgements.values()
                if one.evidence is not None and one.evidence.model and one.result in {"holds", "differs"}
            )
        )

    def is_done(self, probe: str) -> bool:
        """Whether a probe need not be asked again: what was refused is."""
        return probe in self.judgements and self.judgements[probe].result != "refused"

    def add(self, judgement: Judgement) -> None:
        """Add what a probe has shown."""
        self.judgements[judgement.probe] = judgement

    def rows(self) -> Iterator[RowResult]:
        """Every row with its result, in the order of the page; rows whose probes were not asked are left out."""
        by_row: dict[str, list[Judgement]] = {}
        for judgement in self.judgements.values():
            by_row.setdefault(judgement.row, []).append(judgement)
        reasons = all_probes().not_testable
        for row in all_rows().values():
            if row.id in by_row:
                yield summarize_row(row, by_row[row.id])
            elif row.id.removeprefix("error.") in self.known_errors and row.id.startswith("error."):
                yield RowResult(row, "holds", "came without being asked for")
            elif row.id in reasons:
                yield RowResult(row, "not testable", reasons[row.id])

    def to_json(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "report": FORMAT,
            "written_by": f"vertex-emulator {self.version}",
            "date": self.date,
            "upstream": self.upstream,
            "location": self.location,
            "model": self.model,
            "models": self.models,
            "is_emulator": self.is_emulator,
            "probes": self.probes,
            "known_errors": list(self.known_errors),
            "unknown_errors": list(self.unknown_errors),
            "judgements": [asdict(one) for one in self.judgements.values()],
        }

    def to_markdown(self) -> str:
        """The report for people: what differs with its evidence first, then every row."""
        rows = list(self.rows())
        counts = ", ".join(f"{count_results(rows)[result]} {result}" for result in RESULTS)
        models = ", ".join(self.models) or "none"
        head = f"{self.date}, {self.upstream}, location {self.location}; vertex-emulator {self.version}. Models: {models}.\n"
        answered = "an emulator" if self.is_emulator else "the real service"
        parts = [f"# What {answered} answered\n", head, f"Rows: {counts}.\n"]
        parts += [
            _describe_difference(one.row, judgement, judgement.evidence)
            for one in rows
            for judgement in one.judgements
            if judgement.result == "differs" and judgement.evidence is not None
        ]
        if self.unknown_errors:
            errors = "\n".join(f"- {_cell(text)}" for text in self.unknown_errors)
            parts.append(f"## Errors that the catalogue does not know\n\n{errors}\n")
        lines = [
            f"| `{one.row.id}` | {one.result} {one.counts} | {_cell(one.detail)} | {one.row.status} | {_cell(one.row.claim)} |"
            for one in rows
        ]
        table = "\n".join(
            ["| row | result | detail | status so far | claim |", "| --- | --- | --- | --- | --- |", *lines]
        )
        return "\n".join([*parts, f"## Rows\n\n{table}\n"])

    def write(self, path: Path) -> None:
        """Write the JSON file and the Markdown beside it, each whole or not at all. Raises StartError."""
        try:
            _write(path, json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n")
            _write(path.with_suffix(".md"), self.to_markdown())
        except OSError as error:
            raise StartError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None


def summarize_row(row: Row, judgements: Sequence[Judgement]) -> RowResult:
    """The result of a row from those of its probes."""
    result = result_of(judgements)
    first = next(one for one in judgements if one.result == result)
    more = f" (and {first.others} more)" if first.others else ""
    name = first.probe.partition(":")[2]
    detail = f"{first.detail}{more}"
    return RowResult(row, result, f"{name}: {detail}" if name and detail else detail, tuple(judgements))


def count_results(rows: Iterable[RowResult]) -> dict[Result, int]:
    """How many rows have each result."""
    counts: dict[Result, int] = dict.fromkeys(RESULTS, 0)
    for one in rows:
        counts[one.result] += 1
    return counts


def read_report(path: Path) -> Report:
    """Read a report. Raises StartError for what is none."""
    try:
        data = json.loads(path.read_text("utf-8"))
        if data["report"] != FORMAT:
            raise StartError(f"{path}: the report has format {data['report']}, and this version reads format {FORMAT}")
        judgements = [Judgement(**{**one, "evidence": _read_evidence(one["evidence"])}) for one in data["judgements"]]
        return Report(
            upstream=str(data["upstream"]),
            location=str(data["location"]),
            model=str(data["model"]),
            date=str(data["date"]),
            version=str(data["written_by"]).removeprefix("vertex-emulator "),
            probes=str(data["probes"]),
            is_emulator=bool(data["is_emulator"]),
            judgements={one.probe: one for one in judgements if one.result in RESULTS},
            known_errors=dict.fromkeys(map(str, data["known_errors"])),
            unknown_errors=dict.fromkeys(map(str, data["unknown_errors"])),
        )
    except OSError as error:
        raise StartError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise StartError(f"{path} is no report of `vertex-emulator attest`, or was changed by hand") from None


def _read_evidence(data: Any) -> Evidence | None:
    if data is None:
        return None
    return Evidence(**{**data, "headers": tuple((name, value) for name, value in data["headers"])})


def digest_probes(probes: ProbeSet) -> str:
    """A digest of all probes."""
    text = "\n".join(probe.model_dump_json() for probe in probes.probes)
    return blake2b(text.encode(), digest_size=8).hexdigest()


def _describe_difference(row: Row, judgement: Judgement, evidence: Evidence) -> str:
    headers = "\n".join(f"{name}: {value}" for name, value in evidence.headers)
    answer = f"{evidence.status}\n{headers}\n\n{evidence.body}".replace("````", "```")
    return (
        f"## {judgement.probe}\n\n{_cell(row.claim)} ({row.status})\n\n{_cell(judgement.detail)}\n\n"
        f"`{evidence.request}`{f', model `{evidence.model}`' if evidence.model else ''}\n\n````text\n{answer}\n````\n"
    )


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(text.encode("utf-8", "replace"))
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
