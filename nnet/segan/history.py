"""What a training leaves to look at: the losses of every step and the validation of every epoch, as tables."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from local.whole_file import write_file
from nnet.segan.game import LOSSES


class LossLog:
    """losses.tsv, one line a step; lines after the step that training goes on from are dropped.

    A loss that an older version did not have was 0 in its steps.
    """

    def __init__(self, path: Path, steps: int) -> None:
        columns = ("step", "epoch", *LOSSES)
        kept = [line.split("\t") for line in path.read_text().splitlines()[1 : steps + 1]] if path.is_file() else []
        rows = [columns, *(row + ["0"] * (len(columns) - len(row)) for row in kept)]
        write_file(path, "".join("\t".join(row) + "\n" for row in rows))
        self._file = path.open("a")

    def write(self, step: int, epoch: int, losses: np.ndarray) -> None:
        self._file.write("\t".join([str(step), str(epoch), *(f"{loss:.9g}" for loss in losses)]) + "\n")

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def read_validations(path: Path) -> list[dict[str, float]]:
    """The lines of validation.tsv; none where there is no such file."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [{metric: float(value) for metric, value in row.items()} for row in csv.DictReader(file, delimiter="\t")]


def append_validation(path: Path, epoch: int, means: dict[str, float]) -> None:
    """Add the line of an epoch in place of it and of later ones; metrics may have come or gone since the others."""
    _write_validations(
        path, [row for row in read_validations(path) if row["epoch"] < epoch] + [{"epoch": epoch} | means]
    )


def drop_validations(path: Path, epoch: int) -> None:
    """Remove the lines of the epochs after the one that training goes on from."""
    if rows := read_validations(path):
        _write_validations(path, [row for row in rows if row["epoch"] <= epoch])


def _write_validations(path: Path, rows: list[dict[str, float]]) -> None:
    columns = dict.fromkeys(column for row in reversed(rows) for column in row)
    content = io.StringIO()
    writer = csv.DictWriter(content, list(columns), restval="nan", delimiter="\t", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {"epoch": f"{row['epoch']:.0f}"} | {name: f"{row[name]:.5f}" for name in row if name != "epoch"}
        )
    write_file(path, content.getvalue())
