"""docs/attest.md says of every row without a probe why it has none, and its example is a probe."""

import re
from typing import Any

import yaml

from emulator.recording.attest.probes import Probe, all_probes
from emulator.recording.attest.rows import all_rows


def test_rows_without_probes(assert_generated: Any) -> None:
    """The table has them all but the quirks, each of which is off by default."""
    reasons = all_probes().not_testable
    lines = ["| row | why |", "| --- | --- |"]
    lines += [f"| `{row}` | {reasons[row]} |" for row in all_rows() if row in reasons and not row.startswith("quirk.")]
    lines += ["| `quirk.*` | they are off by default; the rows that a quirk contradicts have the probes |"]
    assert_generated("attest.md", "\n".join(lines))


def test_the_example_is_a_probe(read_guide: Any) -> None:
    """As it stands in the package."""
    (example,) = re.findall(r"(?m)^    ends\.stop:\n(?:    .+\n)+", read_guide("attest.md"))
    ((row, (shown,)),) = yaml.safe_load("\n".join(line[4:] for line in example.splitlines())).items()
    assert Probe.model_validate({"row": row, **shown}) in all_probes().probes
