"""Draws docs/architecture.svg from the import contracts (run as a module)."""

import ast
import textwrap
import tomllib
from html import escape
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PICTURE = PROJECT / "docs" / "architecture.svg"
_WIDTH, _MARGIN, _GAP, _HEAD, _LINE, _BETWEEN = 1000, 16, 12, 42, 16, 34
_LETTERS = 7.1  # pixels of a letter
_STYLE = """\
  text { font-family: system-ui, sans-serif; font-size: 12.5px; fill: #1f2328 }
  .name { font-weight: 600; font-size: 15px }
  .note { fill: #57606a }
  rect { fill: #eef4fb; stroke: #4a7ebb; rx: 6 }
  .plain rect { fill: #eef7ee; stroke: #4f9a55 }
  path { stroke: #57606a; fill: none; marker-end: url(#tip) }
"""


def layers() -> list[list[str]]:
    """The rooms of each layer of the contract "Rooms are layered", the highest first."""
    tool = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["tool"]
    contract = next(
        c for c in tool["importlinter"]["contracts"] if c["name"] == "Rooms are layered"
    )
    return [[name.strip().split(".")[1] for name in row.split("|")] for row in contract["layers"]]


def without_kedro() -> set[str]:
    """The rooms that import neither Kedro nor MLflow."""
    tool = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["tool"]
    contract = next(
        c for c in tool["importlinter"]["contracts"] if "kedro" in c.get("forbidden_modules", [])
    )
    return {name.split(".")[1] for name in contract["source_modules"]}


def about(room: str) -> str:
    """The first line of the room's docstring."""
    place = PROJECT / "src/gecko_kedro" / room
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    text = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
    return text.split("\n\n")[0].replace("\n", " ").replace("``", "")


def picture() -> str:
    """The SVG: one row for each layer; whoever stands higher may import what is below."""
    rows, plain = layers(), without_kedro()
    boxes: list[str] = []
    top = _MARGIN
    for rooms in rows:
        wide = (_WIDTH - 2 * _MARGIN - _GAP * (len(rooms) - 1)) / len(rooms)
        texts = [textwrap.wrap(about(room), int((wide - 20) / _LETTERS)) for room in rooms]
        tall = _HEAD + _LINE * max(map(len, texts))
        for place, (room, lines) in enumerate(zip(rooms, texts, strict=True)):
            left = _MARGIN + place * (wide + _GAP)
            kind = "plain" if room in plain else "kedro"
            boxes += [f'<g class="{kind}">', *_box(room, lines, (left, top, wide, tall)), "</g>"]
        top += tall + _BETWEEN
        if rooms is not rows[-1]:
            boxes.append(f'<path d="M{_WIDTH / 2:.0f} {top - _BETWEEN + 5}V{top - 5}"/>')
    height = top + _MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
            'aria-label="The rooms of gecko_kedro, layer by layer">',
            f"<style>\n{_STYLE}</style>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
            'markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8" style="marker-end:none"/>'
            "</marker></defs>",
            f'<rect width="{_WIDTH}" height="{height}" style="fill:#ffffff;stroke:none"/>',
            *boxes,
            f'<text class="note" x="{_MARGIN}" y="{height - 22}">A room may import what is below '
            "it; rooms side by side know nothing of each other. Green ones know neither Kedro nor "
            "MLflow.</text>",
            "</svg>",
            "",
        ]
    )


def _box(room: str, lines: list[str], place: tuple[float, float, float, float]) -> list[str]:
    left, top, wide, tall = place
    shown = [
        f'<text x="{left + 10:.1f}" y="{top + _HEAD + _LINE * i}">{escape(line)}</text>'
        for i, line in enumerate(lines)
    ]
    return [
        f'<rect x="{left:.1f}" y="{top}" width="{wide:.1f}" height="{tall - 8}"/>',
        f'<text class="name" x="{left + 10:.1f}" y="{top + 22}">{escape(room)}</text>',
        *shown,
    ]


if __name__ == "__main__":
    PICTURE.write_text(picture(), "utf-8")
