"""The figures of a run, exp/results.tsv: read, and laid out as tables."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from local.whole_file import write_file

CONDITIONS = ["clean", "noisy", "enhanced"]

FIELDS = ["system", "test_set", "condition", "metric"]  # that name a figure
Figures = dict[tuple[str, str, str, str], float]
Row = dict[str, str]


def read_table(path: Path) -> list[Row]:
    """The rows of a table with tabs and a header, without lines that begin with #; none where there is no such file."""
    if not path.exists():
        return []
    with path.open(newline="") as stream:
        return list(csv.DictReader((line for line in stream if not line.startswith("#")), delimiter="\t"))


def write_table(path: Path, header: str, rows: Iterable[list[str]]) -> None:
    """A table that read_table reads; header: the names of the columns, with blanks between. Raises OSError."""
    write_file(path, "".join("\t".join(row) + "\n" for row in [header.split(), *rows]))


def read_results(path: Path) -> Figures:
    """The figures by (system, test set, condition, metric). Raises ValueError naming the line that does not fit."""
    figures: Figures = {}
    with path.open(newline="") as stream:
        for number, row in enumerate(csv.DictReader(stream, delimiter="\t"), 2):
            try:
                key = (row["system"], row["test_set"], row["condition"], row["metric"])
                figures[key] = float(row["value"])
            except (KeyError, TypeError, ValueError):
                raise ValueError(f"{path}: line {number} is not 'system test_set condition metric value'") from None
    if not figures:
        raise ValueError(f"{path} holds no figures: run the recipe first")
    return figures


def tables(figures: Figures) -> list[tuple[str, str, list[str], list[tuple[str, list[float | None]]]]]:
    """(metric, test set, columns, rows): WER by system and condition, and with metric "" the audio's, by condition."""
    ordered = list(dict.fromkeys(figures))
    conditions = CONDITIONS + [c for c in dict.fromkeys(k[2] for k in ordered) if c not in CONDITIONS]
    out = []
    for test_set in dict.fromkeys(k[1] for k in ordered):
        systems = list(dict.fromkeys(k[0] for k in ordered if k[1] == test_set and k[3] == "WER"))
        used = [c for c in conditions if any((s, test_set, c, "WER") in figures for s in systems)]
        rows = [(s, [figures.get((s, test_set, c, "WER")) for c in used]) for s in systems]
        if rows:
            out.append(("WER", test_set, used, rows))
        metrics = list(dict.fromkeys(k[3] for k in ordered if k[1] == test_set and k[0] == "-"))
        heard = [c for c in conditions if any(("-", test_set, c, m) in figures for m in metrics)]
        if metrics:
            rows = [(c, [figures.get(("-", test_set, c, m)) for m in metrics]) for c in heard]
            out.append(("", test_set, metrics, rows))
    return out


def show(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def as_text(figures: Figures) -> str:
    lines: list[str] = []
    for metric, test_set, columns, rows in tables(figures):
        title = f"Word error rate (%), {test_set}" if metric == "WER" else f"The audio itself, {test_set}"
        width = max(len(name) for name, _ in rows) + 2
        lines += ["", title, " " * width + "".join(f"{c:>12}" for c in columns)]
        lines += [f"{name:<{width}}" + "".join(f"{show(v):>12}" for v in values) for name, values in rows]
    return "\n".join(lines).lstrip("\n")
