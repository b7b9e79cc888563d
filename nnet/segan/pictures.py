"""Pictures of a training: the generator's losses as in the paper's figures, and spectrograms of an example."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kaldi.base.whole_file import WholeFile
from nnet.segan.log import stop_on_errors

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMOOTHING = 0.5
AXES = {"g_l1": "L1 loss of the generator", "g_adv": "adversarial loss of the generator"}


def smooth(values: np.ndarray, smoothing: float = SMOOTHING) -> np.ndarray:
    """Exponential smoothing as TensorBoard draws it: s[n] = a s[n-1] + (1 - a) x[n], without a bias at the start."""
    smoothed, weight, current = np.empty(len(values)), 0.0, 0.0
    for index, value in enumerate(values):
        current = smoothing * current + (1 - smoothing) * value
        weight = smoothing * weight + (1 - smoothing)
        smoothed[index] = current / weight
    return smoothed


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure  # which takes most of a second, and not every program draws

    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: Figure, path: Path) -> None:
    with WholeFile(path) as partial:
        figure.savefig(partial, dpi=100, format="png")


def draw_losses(directory: Path) -> None:
    """g_l1_loss.png and g_adv_loss.png from losses.tsv."""
    path = directory / "losses.tsv"
    if not path.is_file():
        raise ValueError(f"{path}: no such file, so no SEGAN was trained there")
    lines = path.read_text().splitlines()
    names = lines[0].split("\t")
    values = np.array([[float(field) for field in line.split("\t")] for line in lines[1:]]).reshape(-1, len(names))
    for name, label in AXES.items():
        figure = _figure(7, 4)
        axes = figure.subplots()
        column = values[:, names.index(name)]
        axes.plot(values[:, 0], column, color="tab:orange", alpha=0.25, linewidth=0.8)
        axes.plot(values[:, 0], smooth(column), color="tab:orange")
        axes.set(xlabel="step", ylabel=label)
        axes.grid(alpha=0.3)
        _save(figure, directory / f"{name}_loss.png")


def draw_spectrograms(signals: dict[str, np.ndarray], rate: int, path: Path) -> None:
    """Spectrograms in dB of named signals of one rate, one above the other."""
    count = len(signals)
    figure = _figure(8, 2.5 * count)
    grid = figure.subplots(count, 1, sharex=True, squeeze=False)
    for axes, (name, samples) in zip(grid[:, 0], signals.items(), strict=True):
        axes.specgram(samples + 1e-6, NFFT=512, Fs=rate, noverlap=384, vmin=-140, vmax=-30)
        axes.set(ylabel=f"{name}\nHz")
    grid[-1, 0].set(xlabel="s")
    _save(figure, path)


@stop_on_errors(ValueError, OSError)
def main() -> None:
    parser = argparse.ArgumentParser(prog="pictures", description=__doc__)
    parser.add_argument("model", type=Path, help="directory of a training, finished or running")
    draw_losses(parser.parse_args().model)


if __name__ == "__main__":
    sys.exit(main())
