"""Statistics of word error rates: counts as compute-wer has them, intervals and significance of known cases."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from data_dirs import assert_fails_in_one_line, run
from scored_run import RATES, write_run

from local.bootstrap import draw_speakers, interval, resampled_ratios, significance
from local.phone_alignment import align_phones

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_run(tmp_path_factory.mktemp("run"))
    done = run("local/wer_statistics.py", "--data", folder / "data", folder / "exp/results.tsv", folder / "exp/wer")
    assert done.returncode == 0, done.stderr
    return folder


def rows(scored: Path, name: str, *key: str) -> list[list[str]]:
    """The rows of a table that begin with the key, without it."""
    with (scored / f"exp/wer/{name}.tsv").open() as stream:
        return [row[len(key) :] for row in csv.reader(stream, delimiter="\t") if tuple(row[: len(key)]) == key]


def test_errors_of_each_decoding(scored: Path) -> None:
    [[wer, low, high, *counts]] = rows(scored, "errors", "tri3b", "test", "clean")
    assert (wer, *counts) == ("42.86", "7", "1", "1", "1", "4", "3")
    # Of the 27 ways to draw three speakers, one has s3 alone, and eight are without s3.
    assert (low, high) == ("33.33", "100.00")
    # As compute-wer --mode=present has it, an utterance that was not recognised does not count.
    [[wer, *_, utterances, speakers]] = rows(scored, "errors", "ligru", "test", "noisy")
    assert (wer, utterances, speakers) == ("16.67", "3", "2")


def test_the_rates_are_those_of_the_results(scored: Path) -> None:
    for (system, suffix), rate in RATES.items():
        [[wer, *_]] = rows(scored, "errors", system, "test", suffix[1:] or "clean")
        assert float(wer) == rate


def test_differences_of_two_systems(scored: Path) -> None:
    [[difference, low, high, p]] = rows(scored, "differences", "test", "tri3b", "clean", "ligru", "clean")
    assert (difference, low, high, float(p)) == ("42.86", "33.33", "100.00", pytest.approx(2 / 10001, abs=1e-4))
    assert not rows(scored, "differences", "test", "tri3b", "noisy", "ligru", "noisy")  # not the same speakers


def test_rates_of_groups(scored: Path) -> None:
    noisy = rows(scored, "groups", "tri3b", "test", "noisy")
    rates = {(grouping, group): (wer, words) for grouping, group, wer, _, _, words, *_ in noisy}
    assert list(rates) == [
        ("speaker", "s1"), ("speaker", "s2"), ("speaker", "s3"), ("gender", "f"), ("gender", "m"), ("age", "9"),
        ("age", "10"), ("SNR", "-5dB"), ("SNR", "0dB"), ("SNR", "15dB"),
    ]  # fmt: skip
    assert rates["gender", "f"] == ("75.00", "4") and rates["age", "9"] == ("100.00", "3")
    assert rates["SNR", "0dB"] == ("100.00", "2") and rates["SNR", "-5dB"] == ("50.00", "2")
    assert not [row for row in rows(scored, "groups", "tri3b", "test", "clean") if row[0] == "SNR"]


def test_confused_words(scored: Path) -> None:
    assert rows(scored, "confusions", "tri3b", "test", "clean") == [
        ["1", "<eps>", "TWO"], ["1", "THREE", "TWO"], ["1", "TWO", "<eps>"],
    ]  # fmt: skip


def test_confused_phones(scored: Path) -> None:
    pairs = {(said, heard): int(count) for count, said, heard in rows(scored, "phones", "tri3b", "test", "clean")}
    assert {pair: count for pair, count in pairs.items() if pair[0] != pair[1]} == {
        # ONE TWO THREE as ONE THREE, and TWO as TWO TWO: a word missing, and one too much
        ("T", "<eps>"): 1, ("UW", "<eps>"): 1, ("<eps>", "T"): 1, ("<eps>", "UW"): 1,
        # THREE as TWO
        ("TH", "<eps>"): 1, ("R", "T"): 1, ("IY", "UW"): 1,
    }  # fmt: skip
    assert pairs["W", "W"] == 2


def test_phones_are_those_of_the_pronunciations_that_are_most_alike() -> None:
    pronunciations = {"A": [["AH"], ["EY"]], "EIGHT": [["EY", "T"]], "": [["SPN"]]}
    assert align_phones(["A", "A"], ["EIGHT", "A"], pronunciations) == [("EY", "EY"), ("<eps>", "T"), ("AH", "AH")]
    assert align_phones(["ZUG"], ["ZAG"], pronunciations) == [("SPN", "SPN")]
    assert align_phones([], ["EIGHT"], pronunciations) == [("<eps>", "EY"), ("<eps>", "T")]
    assert align_phones(["EIGHT"], [], pronunciations) == [("EY", "<eps>"), ("T", "<eps>")]


def test_an_utterance_of_no_speaker_is_named(scored: Path, tmp_path: Path) -> None:
    shutil.copytree(scored, tmp_path / "run")
    (tmp_path / "run/data/test/utt2spk").write_text("s1-a s1\n")
    command = ("local/wer_statistics.py", "--data", tmp_path / "run/data", tmp_path / "run/exp/results.tsv")
    assert_fails_in_one_line(run(*command, tmp_path / "wer"), "test/utt2spk: has no s1-b")
    assert not (tmp_path / "wer").exists()


def test_collected_are_all_systems_and_conditions(scored: Path, tmp_path: Path) -> None:
    shutil.copytree(scored, tmp_path / "run")
    exp = tmp_path / "run/exp"
    others = ("ligru/decode_test_noisy_15dB", "ligru/decode_test_noisy_-5dB_large", "own/decode_test")
    for name in (*others, "own/decode_test_cleaned"):
        (exp / name / "scoring_kaldi").mkdir(parents=True)
        (exp / name / "scoring_kaldi/best_wer").write_text("%WER 12.34 [")
    done = run("bash", "-c", f"cd {tmp_path}/run && {ROOT}/local/collect_results.sh")
    assert [line.split("\t")[:3] for line in done.stdout.splitlines()[1:]] == [
        ["tri3b", "test", "clean"], ["tri3b", "test", "noisy"], ["ligru", "test", "clean"], ["ligru", "test", "noisy"],
        ["ligru", "test", "noisy_15dB"], ["ligru_large", "test", "noisy_-5dB"], ["own", "test", "clean"],
        ["own", "test", "cleaned"],
    ]  # fmt: skip


def test_interval_and_significance() -> None:
    """Where each speaker has a rate of his own, the interval of the mean is that of the normal distribution."""
    rng = np.random.default_rng(1)
    words = np.full(200, 10)
    errors = rng.binomial(10, 0.3, 200)
    drawn = draw_speakers(200)
    low, high = interval(resampled_ratios(drawn, errors, words))
    reach = 1.96 * (errors / 10).std() / np.sqrt(200)
    assert (low, high) == pytest.approx((errors.mean() / 10 - reach, errors.mean() / 10 + reach), abs=0.004)
    fewer = resampled_ratios(drawn, rng.binomial(10, 0.2, 200), words)
    assert significance(resampled_ratios(drawn, errors, words) - fewer) < 0.001
    assert significance(np.zeros(10000)) == 1
