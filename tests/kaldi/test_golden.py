"""Every program writes what real Kaldi wrote (see golden/README.md)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from comparisons import DEFAULT_TOLERANCE, assert_close, compare
from embedded import GOLDEN, Run

NAMES = sorted(file.parent.name for file in GOLDEN.glob("out/*/cmd"))
FIRST = {name.partition("_")[0]: name for name in reversed(NAMES)}  # of each program
CASES = [pytest.param(name, marks=[] if name in FIRST.values() else pytest.mark.slow) for name in NAMES]
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]\d+)?(?!\w)")
LATTICES = ("lat.ark", "1best.ark")  # compared by their best paths


@pytest.mark.parametrize("case", CASES)
def test_case(case: str, golden: Path, kaldi: Run, tmp_path: Path) -> None:
    folder = golden / "out" / case
    done = kaldi((folder / "cmd").read_text(), golden, IN=golden / "out", OUT=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    (tmp_path / "stdout").write_bytes(done.stdout)
    if (folder / "log").exists():
        compare_messages((folder / "log").read_text(), done.stderr.decode())
    for wanted in sorted(folder.iterdir()):
        if wanted.name not in ("cmd", "log") and wanted.name not in LATTICES and not wanted.name.startswith("lat."):
            compare(wanted, tmp_path / wanted.name, case, golden)
    for wanted in sorted(folder.glob("lat.best.*")):
        compare_best_paths(wanted, tmp_path / "lat.ark", golden, kaldi)


def compare_messages(wanted: str, found: str) -> None:
    """Each of the wanted messages is among those that were found, with numbers that agree."""

    def words_and_numbers(message: str) -> tuple[str, list[float]]:
        words = NUMBER.sub("#", message)
        return words, [float(number) for number in NUMBER.findall(message)]

    messages = dict(words_and_numbers(line.split("]) ", 1)[-1]) for line in found.splitlines())
    for words, numbers in map(words_and_numbers, wanted.splitlines()):
        assert words in messages, f"{words}: no such message in {found}"
        for number, value in zip(numbers, messages[words], strict=True):
            assert_close(number, value, DEFAULT_TOLERANCE, words)


def compare_best_paths(wanted: Path, lattices: Path, golden: Path, kaldi: Run) -> None:
    """Words and costs of the best paths at the acoustic scale that the name of the golden file ends with."""
    scale = wanted.name.removeprefix("lat.best.")
    done = kaldi(
        f"lattice-1best --acoustic-scale={scale} ark:{lattices} ark:- | "
        "nbest-to-linear ark:- ark:/dev/null ark,t:words ark,t:lmcost ark,t:accost",
        lattices.parent,
    )
    assert done.returncode == 0, done.stderr.decode()
    found = [line.split() for line in (lattices.parent / "words").read_text().splitlines()]
    transcripts = sorted([words[0].removesuffix("-1"), *words[1:]] for words in found)
    assert transcripts == sorted(line.split() for line in wanted.read_text().splitlines())
    for kind in ("lmcost", "accost"):
        costs = [
            (file.read_text().split())[1::2]
            for file in (wanted.with_name(f"lat.{kind}.{scale}"), lattices.parent / kind)
        ]
        assert_close(*costs, 2e-3, kind)
