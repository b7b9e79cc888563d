"""Section of the page on confidences: whether they are the share of right words."""

from __future__ import annotations

from pathlib import Path

from local.page.charts import Line, line_chart
from local.page.elements import cell, details, table
from local.page.errors import SHOWN_SET, shown_rows
from local.results import CONDITIONS

FEWEST_WORDS = 20  # of a point
IDEAL = "right as often as said"
COLUMNS = {
    "words": "words heard",
    "wrong": "wrong",
    "posterior_error": "posteriors off by",
    "confidence_error": "confidences off by",
    "area_under_curve": "area under the curve",
    "calibrated": "calibrated",
}
EXPLANATION = """<p>The share of right words over their confidence: of words of confidence 0.8 eight of ten should be
right. Confidences are made from the posteriors of the lattices by what dev teaches, where it has enough wrong words
(calibrated). Below is how far both are from the share of right words, on average, and the probability that a right
word has a higher confidence than a wrong one.</p>"""


def confidence_section(statistics: Path) -> str:
    """The reliability diagram, and its figures as a table."""
    rows = [
        [f"{row['system']}, {row['condition']}", *(cell(row[column]) for column in COLUMNS)]
        for row in shown_rows(statistics / "confidences.tsv")
    ]
    if not rows:
        return ""
    panels: dict[str, dict[str, Line]] = {}
    for row in shown_rows(statistics / "reliability.tsv"):
        if int(row["words"]) >= FEWEST_WORDS:
            panel = panels.setdefault(row["condition"], {})
            line = panel.setdefault(row["system"], Line([], []))
            line.x.append(float(row["confidence"]))
            line.y.append(int(row["right"]) / int(row["words"]))
    chart = ""
    if panels:
        shown = {name: panels[name] | {IDEAL: Line([0, 1], [0, 1])} for name in CONDITIONS if name in panels}
        systems = list(dict.fromkeys(row["system"] for row in shown_rows(statistics / "errors.tsv")))
        description = f"Share of right words over their confidence: {', '.join(shown)}; the bins are in exp/wer"
        chart = line_chart("reliability", description, shown, "confidence", "share of right words", [*systems, IDEAL])
    caption = f"Confidences of words, {SHOWN_SET}"
    listing = table("confidence-figures", caption, ["decoding", *COLUMNS.values()], rows)
    return EXPLANATION + chart + details("How far off they are", listing)
