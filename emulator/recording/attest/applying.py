"""Takes a report over as evidence: what was assumed and holds becomes observed, and what contradicts is listed."""

import difflib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from emulator.catalogue import errors
from emulator.errors import StartError
from emulator.recording.attest.probes import all_probes
from emulator.recording.attest.reports import Report, RowResult
from emulator.recording.attest.rows import FACTS, IS_SOURCE_TREE

_MARK = "attested"
_MOST_MODELS = 3
_CATALOGUE = Path(errors.__file__).parent


@dataclass(frozen=True, slots=True)
class Changes:
    """What a report changes: the rows, and the texts of the files that say what is known of them."""

    confirmed: tuple[RowResult, ...]
    contradicted: tuple[RowResult, ...]
    files: Mapping[Path, str]
    """The new texts of the files that change."""
    is_source_tree: bool
    """Whether the files are those of a source tree, which can be changed in place."""

    def diff(self) -> str:
        """The changes as a patch, for a tree that is elsewhere."""
        parts: list[str] = []
        for path, text in self.files.items():
            name = "emulator/recording/attest/fidelity.yaml" if path == FACTS else f"emulator/catalogue/{path.name}"
            old = path.read_text("utf-8").splitlines(keepends=True)
            parts += difflib.unified_diff(old, text.splitlines(keepends=True), f"a/{name}", f"b/{name}")
        return "".join(parts)

    def write(self) -> None:
        """Write the files."""
        for path, text in self.files.items():
            path.write_text(text, "utf-8")


def plan_changes(report: Report) -> Changes:
    """What a report changes. Raises StartError for one of an emulator, which is no evidence."""
    if report.is_emulator:
        raise StartError(
            "the report is of an emulator, so that it says nothing about the real service; nothing is changed"
        )
    rows = list(report.rows())
    probes = Counter(probe.row for probe in all_probes().probes)
    confirmed = [
        one
        for one in rows
        if _is_confirmed(one, probes[one.row.id]) and one.row.is_open and _MARK not in one.row.source
    ]
    texts = {
        FACTS: _change_facts(FACTS.read_text("utf-8"), confirmed, report),
        _CATALOGUE / "errors.json": _change_catalogue("errors.json", "error.", "name", confirmed, report),
        _CATALOGUE / "models.json": _change_catalogue("models.json", "model.", "id", confirmed, report),
    }
    return Changes(
        tuple(confirmed),
        tuple(one for one in rows if one.result == "differs"),
        {path: text for path, text in texts.items() if text != path.read_text("utf-8")},
        IS_SOURCE_TREE,
    )


def _is_confirmed(one: RowResult, probes: int) -> bool:
    """Whether a row holds, all of its probes were asked, and none was refused."""
    is_whole = not one.judgements or len(one.judgements) >= probes
    return one.result == "holds" and is_whole and all(each.result != "refused" for each in one.judgements)


def _note(one: RowResult, report: Report) -> str:
    """The source that a report is: the day, and the models that showed it."""
    models = dict.fromkeys(
        judgement.evidence.model
        for judgement in one.judgements
        if judgement.result == "holds" and judgement.evidence is not None and judgement.evidence.model
    )
    named = " and ".join(list(models)[:_MOST_MODELS])
    return f"{_MARK} {report.date[:10]}{' with ' if named else ''}{named}"


def _change_facts(text: str, confirmed: Sequence[RowResult], report: Report) -> str:
    """The facts with status and source of confirmed rows changed, all else as it was written."""
    for one in confirmed:
        found = re.search(rf"(?m)^  - id: {re.escape(one.row.id)}\n(?:    .*\n)*", text)
        if found is None:
            continue
        block = re.sub(r"(?m)^    status: assumed$", "    status: observed", found[0])
        source = json.dumps(f"{one.row.source}; {_note(one, report)}", ensure_ascii=False)
        plain = source[1:-1]
        is_plain = "\\" not in plain and yaml.safe_load(f"source: {plain}") == {"source": plain}
        block = re.sub(r"(?m)^    source: .*$", lambda _: f"    source: {plain if is_plain else source}", block)  # noqa: B023  # called at once
        text = text[: found.start()] + block + text[found.end() :]
    return text


def _change_catalogue(file: str, prefix: str, key: str, confirmed: Sequence[RowResult], report: Report) -> str:
    """A file of the catalogue with sources, and how sure its texts are, changed."""
    notes = {one.row.id: _note(one, report) for one in confirmed}
    text = (_CATALOGUE / file).read_text("utf-8")
    entries = json.loads(text)
    for each in entries:
        note = notes.get(f"{prefix}{each[key]}")
        if note is not None:
            each["source"] = f"{each['source']}; {note}"
            if "confidence" in each:
                each["confidence"] = "high"
    return json.dumps(entries, indent=2, ensure_ascii=False) + "\n" if notes else text
