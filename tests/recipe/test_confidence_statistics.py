"""Confidences of a run's words: posteriors of its lattices, calibrated on dev, beside the share of right words."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest
from data_dirs import assert_fails_in_one_line, run
from scripts import write

from local.reliability import Bin, area_under_curve, calibration_error, reliability

WEIGHT = 10


def write_decoding(decode_dir: Path, words: list[tuple[float, bool]]) -> None:
    """A word an utterance, of a posterior, and whether it is right."""
    write(decode_dir / "scoring_kaldi/wer_details/lmwt", f"{WEIGHT}")
    write(decode_dir / "scoring_kaldi/wer_details/wip", "0.0")
    texts = []
    with gzip.open(decode_dir / "lat.1.gz", "wt") as lattices:
        for number, (posterior, is_right) in enumerate(words):
            cost = WEIGHT * np.log(posterior / (1 - posterior))
            lattices.write(f"u{number:03d}\n0\t1\t1\t0,0,1\n0\t1\t2\t0,{cost:.6f},1\n1\t0,0,\n\n")
            texts.append(f"u{number:03d} {'ONE' if is_right else 'THREE'}")
    write(decode_dir / "scoring_kaldi/test_filt.txt", *texts)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A system that says 0.9 of words of which 0.7 are right, and 0.6 of words of which half is."""
    write(tmp_path / "data/lang_test/words.txt", "<eps> 0", "ONE 1", "TWO 2", "THREE 3")
    of_dev = [(0.9, number < 140) for number in range(200)] + [(0.6, number < 100) for number in range(200)]
    write_decoding(tmp_path / "exp/ligru/decode_dev", of_dev)
    write_decoding(tmp_path / "exp/ligru/decode_test", [(0.9, number < 7) for number in range(10)] + [(0.6, False)])
    lines = [f"ligru\t{test_set}\tclean\tWER\t50" for test_set in ("dev", "test")]
    write(tmp_path / "exp/results.tsv", "system\ttest_set\tcondition\tmetric\tvalue", *lines)
    return tmp_path


def statistics_of(folder: Path):
    return run("local/confidence_statistics.py", "--data", folder / "data", folder / "exp/results.tsv", folder / "wer")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def test_dev_calibrates_test(folder: Path) -> None:
    done = statistics_of(folder)
    assert done.returncode == 0, done.stderr
    [row] = rows(folder / "wer/confidences.tsv")
    assert [row[name] for name in ("test_set", "words", "wrong", "calibrated")] == ["test", "11", "4", "yes"]
    assert float(row["posterior_error"]) == pytest.approx((10 * 0.2 + 0.6) / 11, abs=2e-3)
    assert float(row["confidence_error"]) == pytest.approx(0.5 / 11, abs=5e-3)
    assert float(row["area_under_curve"]) == pytest.approx((1 + 3 / 2) / 4, abs=1e-3)
    bins = [(float(row["confidence"]), row["words"], row["right"]) for row in rows(folder / "wer/reliability.tsv")]
    assert [one[1:] for one in bins] == [("1", "0"), ("10", "7")]
    assert [one[0] for one in bins] == pytest.approx([0.5, 0.7], abs=0.01)


def test_too_little_of_dev_to_learn_from(folder: Path) -> None:
    write_decoding(folder / "exp/ligru/decode_dev", [(0.9, True)] * 30)
    assert statistics_of(folder).returncode == 0
    [row] = rows(folder / "wer/confidences.tsv")
    assert row["calibrated"] == "no" and row["confidence_error"] == row["posterior_error"]


def test_lattices_that_were_removed_are_left_out(folder: Path) -> None:
    (folder / "exp/ligru/decode_test/lat.1.gz").unlink()
    assert statistics_of(folder).returncode == 0
    assert rows(folder / "wer/confidences.tsv") == rows(folder / "wer/reliability.tsv") == []


def test_a_decoding_that_was_not_scored_is_named(folder: Path) -> None:
    (folder / "exp/ligru/decode_test/scoring_kaldi/wer_details/lmwt").unlink()
    assert_fails_in_one_line(statistics_of(folder), "decode_test/scoring_kaldi/wer_details/lmwt")
    assert not (folder / "wer").exists()


def test_bins_and_their_error() -> None:
    confidences = np.array([0.05, 0.31, 0.39, 1.0])
    bins = reliability(confidences, np.array([False, True, False, True]))
    assert bins == [Bin(0.05, 1, 0), Bin(pytest.approx(0.35), 2, 1), Bin(1.0, 1, 1)]
    assert calibration_error(bins) == pytest.approx((0.05 + 2 * 0.15) / 4)


def test_area_under_the_curve() -> None:
    area = area_under_curve(np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False]))
    assert area == (1 + 1 + 0.5 + 1) / 4
    assert np.isnan(area_under_curve(np.array([0.9]), np.array([True])))
