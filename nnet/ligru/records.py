"""What a training leaves to look at: log.tsv, TensorBoard events, a picture of the learning curves."""

from __future__ import annotations

import logging
import sys
import types
from pathlib import Path

from kaldi.base.whole_file import WholeFile
from local.whole_file import write_file

log = logging.getLogger("ligru")


class Records:
    """One row an epoch. Without a directory (processes other than the first) nothing is written."""

    def __init__(self, directory: Path | None) -> None:
        self.directory = directory
        self.rows: list[dict[str, float]] = []

    def add(self, row: dict[str, float]) -> None:
        """Add an epoch and write everything anew, so that a restart never leaves a row twice."""
        self.rows.append(row)
        log.info(
            "epoch %d: loss %.4f, dev %.4f; frame error %.2f %%, dev %.2f %%; %.0f frames/s, learning rate %.3g",
            row["epoch"],
            row["train_loss"],
            row["dev_loss"],
            100 * row["train_frame_error"],
            100 * row["dev_frame_error"],
            row["frames_per_second"],
            row["learning_rate"],
        )
        if self.directory is not None:
            self._write_table(self.directory / "log.tsv")
            self._draw(self.directory / "learning_curves.png")
            self._write_events(self.directory / "tensorboard", row)

    def _write_table(self, path: Path) -> None:
        lines = ["\t".join(self.rows[0])]
        lines += ["\t".join(f"{value:.6g}" for value in row.values()) for row in self.rows]
        write_file(path, "\n".join(lines) + "\n")

    def _draw(self, path: Path) -> None:
        from matplotlib.figure import Figure

        epochs = [row["epoch"] for row in self.rows]
        figure = Figure(figsize=(9, 3.5), layout="constrained")
        panels = zip(
            figure.subplots(1, 2), (("loss", "loss per frame", 1), ("frame_error", "frame error (%)", 100)), strict=True
        )
        for axes, (name, label, scale) in panels:
            for part in ("train", "dev"):
                axes.plot(epochs, [scale * row[f"{part}_{name}"] for row in self.rows], marker=".", label=part)
            axes.set_xlabel("epoch")
            axes.set_ylabel(label)
            axes.legend()
        with WholeFile(path) as partial:
            figure.savefig(partial, dpi=120, format="png")

    def _write_events(self, directory: Path, row: dict[str, float]) -> None:
        # TensorBoard takes this module as the sign to do without TensorFlow, which would take seconds to import
        sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("notf"))
        from torch.utils.tensorboard import SummaryWriter

        with SummaryWriter(directory, purge_step=int(row["epoch"])) as writer:
            for name, value in row.items():
                if name != "epoch":
                    writer.add_scalar(name, value, int(row["epoch"]))
