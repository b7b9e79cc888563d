"""Sections of the page on how the systems were made: learning curves, time of the stages, configuration."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from local.page.charts import Line, line_chart
from local.page.elements import cell, details, escape, table
from local.results import read_table

POINTS = 60  # of a curve over steps
NOT_LEARNT = ("epoch", "step", "frames_per_second", "learning_rate")
CONFIGURATIONS = (
    "conf/mfcc.conf",
    "conf/decode.conf",
    "conf/decode_nnet.conf",
    "conf/decode_whisper.conf",
    "conf/segan.toml",
    "conf/ligru.toml",
)


def curves(exp: Path) -> str:
    """Of SEGAN's losses and validations, and of every network's log.tsv."""
    parts = []
    losses = columns_of(exp / "segan/losses.tsv")
    steps = losses.pop("step", [])
    panels = {
        name: {"SEGAN": thinned(steps, values)}
        for name, values in losses.items()
        if name not in NOT_LEARNT and len(set(values)) > 1
    }
    if panels:
        parts.append(
            line_chart("segan-losses", f"Losses of SEGAN over steps: {', '.join(panels)}", panels, "step", "loss")
        )
    validation = columns_of(exp / "segan/validation.tsv")
    epochs = validation.pop("epoch", [])
    panels = {name: {"SEGAN": Line(epochs, values)} for name, values in validation.items()}
    if len(epochs) > 1:
        description = f"Validation of SEGAN over epochs: {', '.join(panels)}"
        parts.append(line_chart("segan-validation", description, panels, "epoch", "mean over dev"))
    networks: dict[str, dict[str, Line]] = {}
    for log in sorted(exp.glob("*/log.tsv")):
        columns = columns_of(log)
        epochs = columns.pop("epoch", [])
        for name, values in columns.items():
            if name not in NOT_LEARNT:
                networks.setdefault(name.replace("_", " "), {})[log.parent.name] = Line(epochs, values)
    if networks:
        description = f"Training of the Li-GRUs over epochs: {', '.join(networks)}"
        parts.append(line_chart("ligru", description, networks, "epoch", ""))
    return "".join(parts)


def columns_of(path: Path) -> dict[str, list[float]]:
    """A table of numbers by its columns; none where there is no such file."""
    rows = read_table(path)
    return {name: [float(row[name]) for row in rows] for name in (rows[0] if rows else ())}


def thinned(steps: list[float], values: list[float]) -> Line:
    """Means of as many steps as leave few points."""
    groups = np.array_split(np.array([steps, values]), min(POINTS, len(steps)), axis=1)
    return Line(*([float(group[row].mean()) for group in groups] for row in (0, 1)))


def stage_table(exp: Path) -> str:
    """What run.sh noted of each stage; runs of earlier versions did not note memory."""
    rows = [
        [
            row["stage"],
            cell(row["name"], classes="name"),
            cell(row["seconds"], shown=clock(int(row["seconds"]))),
            cell(row.get("largest_mib") or ""),
            cell(row.get("together_mib") or ""),
            cell(row["command"], classes="name"),
        ]
        for row in read_table(exp / "stages.tsv")
    ]
    caption = (
        "The last run of each stage: time; peak resident memory of its largest process, and of all at a time without "
        "files that they share (jobs on other machines are not seen); the command that it was part of"
    )
    columns = ["stage", "name", "time", "largest process (MiB)", "all together (MiB)", "command"]
    return table("stages", caption, columns, rows) if rows else ""


def clock(seconds: int) -> str:
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def configuration(exp: Path) -> str:
    """The files with the numbers, as they are now; the options of the commands stand beside the stages."""
    corpus = exp / ".corpus"
    files = [Path(name) for name in CONFIGURATIONS]
    if corpus.exists():
        files.insert(0, Path("egs", corpus.read_text().strip(), "corpus.conf"))
    parts = [details(str(path), f"<pre>{escape(path.read_text())}</pre>") for path in files if path.exists()]
    trained = exp / "segan/config.json"
    if trained.exists():
        values = json.dumps(json.loads(trained.read_text()), indent=1)
        parts.append(details(f"{trained}: SEGAN as it was trained", f"<pre>{escape(values)}</pre>"))
    return "".join(parts)
