"""A bar chart as SVG, made by hand so that it needs nothing and stays small."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 760
BAR = 16
STEP = 22
LABELS = 170
FIGURES = 70
HEAD = 34
GAP = 14
OURS, LIMIT, OTHERS = "#1a73e8", "#9aa0a6", "#c58af9"


@dataclass(frozen=True)
class Panel:
    """Bars that share a scale; a bar without a value is left out."""

    title: str
    bars: Mapping[str, float]


def draw(title: str, panels: Sequence[Panel], colours: Mapping[str, str]) -> str:
    """The chart; bars without a colour of their own have that of the others."""
    parts: list[str] = []
    top = HEAD + 8
    for panel in panels:
        drawn, height = _draw_panel(panel, top, colours)
        parts += drawn
        top += height + GAP
    return "\n".join(
        [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}"'
                f' font-family="sans-serif" font-size="12" role="img" aria-label="{escape(title)}">'
            ),
            f"<title>{escape(title)}</title>",
            f'<rect width="{WIDTH}" height="{top}" rx="8" fill="#fff"/>',
            f'<text x="16" y="26" font-size="15" font-weight="bold" fill="#202124">{escape(title)}</text>',
            *parts,
            "</svg>\n",
        ]
    )


def _draw_panel(panel: Panel, top: int, colours: Mapping[str, str]) -> tuple[list[str], int]:
    room = WIDTH - LABELS - FIGURES - 16
    most = max(panel.bars.values(), default=0.0) or 1.0
    lines = [f'<text x="16" y="{top + 14}" font-weight="bold" fill="#3c4043">{escape(panel.title)}</text>']
    for number, (name, value) in enumerate(panel.bars.items()):
        y = top + STEP + number * STEP
        width = max(1.0, value / most * room)
        lines += [
            f'<text x="{LABELS - 8}" y="{y + 12}" text-anchor="end" fill="#3c4043">{escape(name)}</text>',
            f'<rect x="{LABELS}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2" fill="{colours.get(name, OTHERS)}"/>',
            f'<text x="{LABELS + width + 6:.1f}" y="{y + 12}" fill="#202124">{value:,.0f}</text>',
        ]
    return lines, STEP + len(panel.bars) * STEP
