"""The chart is an SVG that a browser draws."""

from xml.etree import ElementTree as ET

from benchmarks.chart import OTHERS, OURS, Panel, draw

SVG = "{http://www.w3.org/2000/svg}"
CHART = draw(
    "A < B & C",
    [Panel("plain", {"emulator": 200.0, "other <1>": 100.0}), Panel("streamed", {"emulator": 0.0})],
    {"emulator": OURS},
)


def test_chart_is_well_formed() -> None:
    """Whatever the names hold, the file is XML, and says what it shows."""
    root = ET.fromstring(CHART)  # noqa: S314  # our own
    assert root.tag == f"{SVG}svg"
    assert root.findtext(f"{SVG}title") == "A < B & C"


def test_bars_are_as_long_as_their_values() -> None:
    """Half the value is half the length, in the colour of its name."""
    _, first, second, third = ET.fromstring(CHART).iter(f"{SVG}rect")  # noqa: S314  # our own
    assert float(first.get("width", "")) == 2 * float(second.get("width", ""))
    assert (first.get("fill"), second.get("fill")) == (OURS, OTHERS)
    assert float(third.get("width", "")) == 1


def test_nothing_is_drawn_outside() -> None:
    """Every bar and every line of text is within the picture."""
    root = ET.fromstring(CHART)  # noqa: S314  # our own
    height = float(root.get("height", ""))
    assert all(0 <= float(each.get("y", "0")) < height for each in root.iter() if each.tag != f"{SVG}svg")
