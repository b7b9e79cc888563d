"""Sections of the page on word errors: rates with intervals, over SNR and age, differences, groups, confused words."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from local.page.charts import Line, line_chart
from local.page.elements import cell, details, escape, table
from local.results import CONDITIONS, Figures, Row, read_table, tables

SHOWN_SET = "test"  # dev chose weights and penalties, so that only its plain rates are shown
RATES = "Word error rate (%)"
KINDS = ["words", "insertions", "deletions", "substitutions"]


def rate_tables(figures: Figures, statistics: Path) -> str:
    """Rates of every system and condition, with their 95 % intervals where there are statistics."""
    intervals = {
        (row["system"], row["test_set"], row["condition"]): row for row in read_table(statistics / "errors.tsv")
    }
    parts = []
    for number, (metric, test_set, columns, rows) in enumerate(tables(figures)):
        if metric != "WER":
            continue
        known = [[value for _, row in rows if (value := row[i]) is not None] for i in range(len(columns))]
        best = [min(values) for values in known]
        most = max(map(max, known)) or 1
        lines = []
        for system, values in rows:
            cells = [system]
            for column, value, least in zip(columns, values, best, strict=True):
                if value is None:
                    cells.append("<td></td>")
                    continue
                found = intervals.get((system, test_set, column))
                limits = f"<small>{found['low']} to {found['high']}</small>" if found else ""
                classes = "bar best" if value == least else "bar"
                cells.append(cell(value, shown=f"{value:.2f}{limits}", classes=classes,
                                  style=f"--width: {100 * value / most:.0f}%"))  # fmt: skip
            lines.append(cells)
        caption = f"{RATES}, {test_set}; below: 95 % interval over speakers" if intervals else f"{RATES}, {test_set}"
        rates = table(f"rates-{number}", caption, ["system", *columns], lines)
        parts.append(rates if test_set == SHOWN_SET else details(f"The same of {test_set}", rates))
    counts = [
        [row["system"], cell(row["condition"]), *(cell(row[kind]) for kind in KINDS)]
        for row in intervals.values()
        if row["test_set"] == SHOWN_SET
    ]
    if counts:
        listing = table("kinds", f"Kinds of errors, {SHOWN_SET}", ["system", "condition", *KINDS], counts)
        parts.append(details("Insertions, deletions, substitutions", listing))
    return "".join(sorted(parts, key=lambda part: part.startswith("<details")))


def audio_tables(figures: Figures) -> str:
    """Figures of the recordings themselves."""
    parts = []
    for number, (metric, test_set, columns, rows) in enumerate(tables(figures)):
        if metric != "WER":
            lines = [
                [name, *("<td></td>" if value is None else cell(value) for value in values)] for name, values in rows
            ]
            parts.append(table(f"audio-{number}", f"Means over recordings, {test_set}", ["condition", *columns], lines))
    return "".join(parts)


def charts(statistics: Path) -> str:
    """Error rates over SNR and over age."""
    rows = [row for row in read_table(statistics / "groups.tsv") if row["test_set"] == SHOWN_SET]
    systems = list(dict.fromkeys(row["system"] for row in rows))
    parts = []
    for grouping, name, unit in (("SNR", "snr", "SNR (dB)"), ("age", "age", "age (years)")):
        panels = lines_over(grouping, rows)
        if panels:
            description = f"{RATES} over {unit} of each system: {', '.join(panels)}; the figures are in a table below"
            parts.append(line_chart(name, description, panels, unit, RATES, systems))
    return "".join(parts)


def lines_over(grouping: str, rows: Iterable[Row]) -> dict[str, dict[str, Line]]:
    """Lines by condition and system; test sets of one SNR each, noisy_5dB and so on, are points of one line."""
    lines: dict[str, dict[str, Line]] = defaultdict(dict)
    for row in rows:
        condition, fixed = re.sub(r"_-?\d+dB$", "", row["condition"]), re.search(r"_-?\d+dB$", row["condition"])
        if row["grouping"] != grouping or (fixed and grouping != "SNR"):
            continue
        line = lines[f"{condition}, fixed SNR" if fixed else condition].setdefault(row["system"], Line([], [], [], []))
        x = float(row["group"].removesuffix("dB"))
        for values, value in zip(line, (x, *(float(row[name]) for name in ("WER", "low", "high"))), strict=True):
            if values is not None:
                values.append(value)
    return {panel: of for panel, of in lines.items() if any(len(line.x) > 1 for line in of.values())}


def shown_rows(path: Path) -> list[Row]:
    """Rows of the test set. Of test sets of one SNR each, only the error rates at that SNR are on the page."""
    rows = [row for row in read_table(path) if row["test_set"] == SHOWN_SET]
    return [row for row in rows if row["condition"] in CONDITIONS or row.get("grouping") == "SNR"]


def difference_table(statistics: Path) -> str:
    rows = [
        [
            f"{row['system']}, {row['condition']}",
            cell(f"{row['other_system']}, {row['other_condition']}", classes="name"),
            cell(row["difference"], shown=f"{row['difference']}<small>{row['low']} to {row['high']}</small>"),
            cell(row["p"]),
        ]
        for row in shown_rows(statistics / "differences.tsv")
        if row["other_condition"] in CONDITIONS
    ]
    if not rows:
        return ""
    columns = ["decoding", "less", "difference (points)", "p"]
    caption = f"Differences of word error rates, {SHOWN_SET}: paired bootstrap over speakers (Bisani and Ney 2004)"
    return table("differences", caption, columns, rows, search=True)


def group_table(statistics: Path) -> str:
    rows = [
        [
            f"{row['system']}, {row['condition']}",
            cell(row["grouping"]),
            cell(row["group"].removesuffix("dB"), shown=escape(row["group"])),
            *(cell("" if row[name] == "nan" else row[name]) for name in ("WER", "low", "high", "words", "speakers")),
        ]
        for row in shown_rows(statistics / "groups.tsv")
    ]
    columns = ["decoding", "by", "group", "WER", "low", "high", "words", "speakers"]
    return table("groups", f"{RATES} of groups, {SHOWN_SET}", columns, rows, search=True) if rows else ""


def confusion_table(statistics: Path) -> str:
    rows = [
        [f"{row['system']}, {row['condition']}", cell(row["transcript"]), cell(row["heard"]), cell(row["count"])]
        for row in shown_rows(statistics / "confusions.tsv")
    ]
    columns = ["decoding", "said", "heard", "times"]
    caption = f"Words most confused, {SHOWN_SET}; <eps>: no word"
    return table("confusions", caption, columns, rows, search=True) if rows else ""
