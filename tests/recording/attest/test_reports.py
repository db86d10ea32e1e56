"""Reports: what they keep, how they read, and how one is taken over as evidence."""

import json
from pathlib import Path

import pytest
import yaml

from emulator.errors import StartError
from emulator.recording.attest.applying import Changes, plan_changes
from emulator.recording.attest.judging import Evidence, Judgement, Result
from emulator.recording.attest.probes import all_probes
from emulator.recording.attest.reports import Report, read_report
from emulator.recording.attest.rows import FACTS, all_rows

EVIDENCE = Evidence(
    "POST aiplatform.googleapis.com/v1/projects/PROJECT_1/locations/global/endpoints/openapi/chat/completions",
    "google/gemini-3.8-flash",
    200,
    (("content-type", "application/json"),),
    '{"a": "b|c"}',
)


def judgement(probe: str, result: Result, detail: str = "") -> Judgement:
    """What a probe has shown."""
    return Judgement(probe, probe.partition(":")[0], result, detail, 0, EVIDENCE)


@pytest.fixture
def report() -> Report:
    """A report of a few probes."""
    found = Report("aiplatform.googleapis.com", "global", "google/gemini-3.8-flash", "2026-11-29T01:02:03+00:00")
    for one in (
        judgement("routes.final-slash", "holds"),
        judgement("requests.whole-numbers", "holds"),
        judgement("answers.key-order:plain", "holds"),
        judgement(
            "answers.key-order:streamed", "differs", "order of chunks.0: expected alphabetical keys, found b | a"
        ),
        judgement("routes.foreign-region", "differs", "status: expected 404, found 200"),
        judgement("error.function_name_invalid:a blank", "holds"),
        judgement("error.function_name_invalid:a digit first", "refused", "503"),
        judgement("model.google/gemini-4-neon:choices", "holds"),
        judgement("counting.cached", "not testable", "no such key"),
    ):
        found.add(one)
    found.known_errors["out_of_capacity"] = None
    found.unknown_errors["429: No more."] = None
    return found


def test_a_report_is_read_as_it_was_written(report: Report, tmp_path: Path) -> None:
    """With all that it has; only what was refused is asked again."""
    report.write(tmp_path / "attest.json")
    read = read_report(tmp_path / "attest.json")
    assert read == report
    assert read.is_done("counting.cached")
    assert not read.is_done("error.function_name_invalid:a digit first")
    assert not read.is_done("routes.paths:v1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["attest.json", "attest.md"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"report": 1}', "\0", '{"report": 1, "judgements": [{"evidence": {}}]}']
)
def test_what_is_no_report(tmp_path: Path, text: str) -> None:
    """One sentence names the file."""
    path = tmp_path / "other.json"
    path.write_text(text, "utf-8")
    with pytest.raises(StartError, match=r"other\.json is no report of `vertex-emulator attest`"):
        read_report(path)


def test_reports_of_other_versions(report: Report, tmp_path: Path) -> None:
    """Their format is named."""
    path = tmp_path / "attest.json"
    path.write_text(json.dumps(report.to_json() | {"report": 9}), "utf-8")
    with pytest.raises(StartError, match="the report has format 9, and this version reads format 1"):
        read_report(path)


def test_rows_are_made_of_their_probes(report: Report) -> None:
    """One difference is enough to differ, one probe that holds is enough to hold; errors that came by themselves count."""
    rows = {one.row.id: one for one in report.rows()}
    assert {name: (one.result, one.counts) for name, one in rows.items() if one.judgements} == {
        "routes.final-slash": ("holds", ""),
        "routes.foreign-region": ("differs", ""),
        "requests.whole-numbers": ("holds", ""),
        "answers.key-order": ("differs", "1 of 2"),
        "counting.cached": ("not testable", ""),
        "error.function_name_invalid": ("holds", "1 of 2"),
        "model.google/gemini-4-neon": ("holds", ""),
    }
    assert rows["error.out_of_capacity"].result == "holds"
    assert rows["quotas.refill"].result == "not testable"


def test_the_report_for_people(report: Report) -> None:
    """What differs stands first, with its evidence, then every row."""
    text = report.to_markdown()
    assert text.startswith(
        "# What the real service answered\n\n2026-11-29T01:02:03+00:00, aiplatform.googleapis.com, location global;"
    )
    assert "Models: google/gemini-3.8-flash.\n" in text
    assert "## answers.key-order:streamed\n\nkeys in alphabetical order at every level (documented)\n" in text
    assert "- 429: No more.\n" in text
    assert "found b \\| a" in text
    assert text.index("## routes.foreign-region") < text.index("## Rows") < text.index("| `routes.final-slash` | holds")


def lines_of(changes: Changes) -> set[str]:
    """The lines that a patch adds and removes."""
    return {
        line.rstrip(",") for line in changes.diff().splitlines() if line[:1] in "+-" and line[:3] not in {"+++", "---"}
    }


def test_what_holds_becomes_observed(report: Report) -> None:
    """The patch changes status and source of what was assumed and holds, and nothing else; what differs is listed."""
    changes = plan_changes(report)
    assert [one.row.id for one in changes.contradicted] == ["routes.foreign-region", "answers.key-order"]
    rows = all_rows()
    mark = "; attested 2026-11-29 with google/gemini-3.8-flash"
    sources = {name: rows[name].source for name in ("routes.final-slash", "requests.whole-numbers")}
    # Of the error one probe was refused, and of the model not all were asked.
    assert lines_of(changes) == {
        "-    status: assumed",
        "+    status: observed",
        f"-    source: {sources['routes.final-slash']}",
        f"+    source: {sources['routes.final-slash']}{mark}",
        f"-    source: {sources['requests.whole-numbers']}",
        f"+    source: {sources['requests.whole-numbers']}{mark}",
    }
    assert changes.is_source_tree


def test_every_row_can_become_observed() -> None:
    """The file of the facts stays YAML, with the same facts, whichever rows hold."""
    found = Report("aiplatform.googleapis.com", "global", "google/gemini-3.8-flash", "2026-11-29T01:02:03+00:00")
    for name in all_rows():
        for probe in [one.id for one in all_probes().probes if one.row == name] or [name]:
            found.add(judgement(probe, "holds"))
    changes = plan_changes(found)
    errors = next(text for path, text in changes.files.items() if path.name == "errors.json")
    named = next(one for one in json.loads(errors) if one["name"] == "function_name_invalid")
    assert named["confidence"] == "high"
    assert named["source"].endswith("; attested 2026-11-29 with google/gemini-3.8-flash")
    text = plan_changes(found).files[FACTS]
    before, after = yaml.safe_load(FACTS.read_text("utf-8")), yaml.safe_load(text)
    assert {row["status"] for rows in after.values() for row in rows} == {"documented", "observed"}
    for chapter, rows in before.items():
        for old, new in zip(rows, after[chapter], strict=True):
            assert {key: one for key, one in old.items() if key not in {"status", "source"}} == {
                key: one for key, one in new.items() if key not in {"status", "source"}
            }
            assert new["source"].startswith(old["source"])


def test_an_emulator_is_no_evidence(report: Report) -> None:
    """Its report changes nothing."""
    report.is_emulator = True
    with pytest.raises(
        StartError, match="the report is of an emulator, so that it says nothing about the real service"
    ):
        plan_changes(report)
    assert report.to_markdown().startswith("# What an emulator answered")
