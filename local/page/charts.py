"""Line charts as SVG that stands in a page: its colours are the page's, its text is text."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.artist import Artist

SERIES = 10  # colours of the page
MANY = 30  # points, which are not marked
# Colours that stand for the page's own until the picture is drawn.
INK = "#0f0e0d"
PLACES = {f"#fe{number:02d}ef": f"var(--series-{number})" for number in range(SERIES)} | {INK: "currentColor"}


class Line(NamedTuple):
    """Points of a line, and where known the limits of their intervals."""

    x: list[float]
    y: list[float]
    low: list[float] | None = None
    high: list[float] | None = None


def line_chart(
    name: str,
    description: str,
    panels: Mapping[str, Mapping[str, Line]],
    x_label: str,
    y_label: str,
    names: Sequence[str] = (),
) -> str:
    """A chart with a panel for each title, side by side with one legend.

    name: unique in the page; description: what it shows, for those who cannot see it; names: lines of other charts of
    the page, whose colours these are to keep.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(dict.fromkeys([*names, *(line for lines in panels.values() for line in lines)]))
    colours = {line: list(PLACES)[number % SERIES] for number, line in enumerate(names)}
    style = {"svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10, "savefig.transparent": True}
    style |= {f"{part}.color": INK for part in ("text", "xtick", "ytick")}
    style |= {"axes.labelcolor": INK, "axes.edgecolor": INK, "axes.spines.top": False, "axes.spines.right": False}
    with pyplot.rc_context(style):
        figure, grid = pyplot.subplots(
            1, len(panels), figsize=(max(4.6, 3.4 * len(panels)), 3.4), squeeze=False, layout="constrained"
        )
        shown: dict[str, Artist] = {}
        for axes, (title, lines) in zip(grid[0], panels.items(), strict=True):
            for line, points in lines.items():
                # Lines also differ in how they are drawn, for those who do not tell the colours apart.
                marker = "o" if len(points.x) < MANY else ""
                dashes = ["-", "--", ":", "-."][names.index(line) % 4]
                drawn = axes.plot(
                    points.x, points.y, color=colours[line], linestyle=dashes, marker=marker, markersize=3
                )
                shown.setdefault(line, drawn[0])
                if points.low and points.high:
                    axes.fill_between(points.x, points.low, points.high, color=colours[line], alpha=0.12, linewidth=0)
            axes.set(title=title, xlabel=x_label)
            axes.grid(alpha=0.25, color=INK)
        grid[0, 0].set(ylabel=y_label)
        figure.legend(shown.values(), shown, loc="outside lower center", ncols=min(len(shown), 5), frameon=False)
        drawing = io.StringIO()
        figure.savefig(drawing, format="svg", metadata={"Date": None})
        pyplot.close(figure)
    return f"<figure>{in_page(name, description, drawing.getvalue())}</figure>"


def in_page(name: str, description: str, svg: str) -> str:
    """The svg element alone, with the page's colours, its own ids, and a description."""
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    for colour, place in PLACES.items():
        svg = svg.replace(colour, place)
    svg = re.sub(r'(\bid="|="#|url\(#)', rf"\g<1>{name}-", svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(description)}" ', 1)
