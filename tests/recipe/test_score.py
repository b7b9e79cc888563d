"""local/score.sh and the filters of Kaldi's recipes. The error rates are those of Kaldi's score_kaldi_wer.sh."""

import gzip
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORDS = ["<eps>", "<UNK>", "uh", "one", "two", "#0"]
HYPOTHESES = {"u1": ["one", "two", "<UNK>"], "u2": ["two", "one"]}
WITHOUT_FILLERS = "sed -E 's/ (uh|<UNK>)( |$)/ /g'"


def write_decoding(directory: Path, hypotheses: dict[str, list[str]]) -> None:
    """Lattices of one path each."""
    directory.mkdir()
    (directory / "num_jobs").write_text("1\n")
    with gzip.open(directory / "lat.1.gz", "wt") as lattices:
        for utterance, words in hypotheses.items():
            arcs = "".join(f"{n}\t{n + 1}\t{WORDS.index(word)}\t1,2,1\n" for n, word in enumerate(words))
            lattices.write(f"{utterance}\n{arcs}{len(words)}\t0,0,\n\n")


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe of links with a folder local/ of its own, and a decoding of two utterances."""
    for part in ("kaldi", "steps", "utils", ".venv", "path.sh"):
        (tmp_path / part).symlink_to(ROOT / part)
    for folder in ("local", "data", "lang"):
        (tmp_path / folder).mkdir()
    for program in ("score.sh", "score_combine.sh", "common_scoring.sh", "score_lattices.py"):
        (tmp_path / "local" / program).symlink_to(ROOT / "local" / program)
    (tmp_path / "data/text").write_text("u1 uh one two\nu2 two uh two\n")
    (tmp_path / "lang/words.txt").write_text("".join(f"{word} {number}\n" for number, word in enumerate(WORDS)))
    write_decoding(tmp_path / "decode", HYPOTHESES)
    return tmp_path


def score(recipe: Path) -> subprocess.CompletedProcess:
    command = "local/score.sh --min-lmwt 10 --max-lmwt 10 --word-ins-penalty 0.0 data lang decode"
    return subprocess.run(command.split(), cwd=recipe, capture_output=True, text=True, check=False)


def test_weights_and_penalties(recipe: Path) -> None:
    """The word costs 1 in the graph, silence 5.5 in the sound: graph costs count weight times, with the penalty."""
    with gzip.open(recipe / "decode/lat.1.gz", "wt") as lattices:
        lattices.write("u1\n0\t1\t3\t1,0,1\n0\t1\t0\t0,5.5,1\n1\t0,0,\n\n")
    (recipe / "data/text").write_text("u1 one\nu2 two\n")
    done = subprocess.run(
        "local/score.sh --min-lmwt 4 --max-lmwt 6 --word-ins-penalty 0.0,0.5 data lang decode".split(),
        cwd=recipe,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "%WER 0.00 [ 0 / 1, 0 ins, 0 del, 0 sub ] [PARTIAL] decode/wer_4_0.0\n"
    heard = {path.parent.name + "/" + path.name: path.read_text() for path in recipe.glob("decode/scoring_kaldi/p*/*")}
    assert heard == {
        f"penalty_{penalty}/{weight}.txt": "u1 one\n" if weight * (1 + float(penalty)) < 5.5 else "u1\n"
        for penalty in ("0.0", "0.5")
        for weight in (4, 5, 6)
    }
    assert (recipe / "decode/wer_6_0.5").read_text() == (
        "%WER 100.00 [ 1 / 1, 0 ins, 1 del, 0 sub ] [PARTIAL]\n%SER 100.00 [ 1 / 1 ]\n"
        "Scored 1 sentences, 1 not present in hyp.\n"
    )


def write_filters(recipe: Path, **filters: str) -> None:
    for name, command in filters.items():
        path = recipe / "local" / name
        path.write_text(f"#!/usr/bin/env bash\n{command}\n")
        path.chmod(0o755)


@pytest.mark.parametrize(
    ("filters", "wer"),
    [
        ({}, "66.67 [ 4 / 6, 1 ins, 2 del, 1 sub ]"),
        ({"wer_output_filter": WITHOUT_FILLERS}, "25.00 [ 1 / 4, 0 ins, 0 del, 1 sub ]"),
        (
            {"wer_output_filter": WITHOUT_FILLERS, "wer_hyp_filter": "sed 's/one/two/'"},
            "50.00 [ 2 / 4, 1 ins, 0 del, 1 sub ]",
        ),
        (
            {"wer_output_filter": "exit 1", "wer_ref_filter": "cat", "wer_hyp_filter": WITHOUT_FILLERS},
            "50.00 [ 3 / 6, 0 ins, 2 del, 1 sub ]",
        ),
    ],
)
def test_filters(recipe: Path, filters: dict[str, str], wer: str) -> None:
    write_filters(recipe, **filters)
    assert score(recipe).stdout == f"%WER {wer} decode/wer_10_0.0\n"


def test_filter_that_cannot_be_run(recipe: Path) -> None:
    write_filters(recipe, wer_output_filter="cat")
    (recipe / "local/wer_output_filter").chmod(0o644)
    done = score(recipe)
    assert done.returncode != 0 and "wer_output_filter is not executable" in done.stderr
    assert not (recipe / "decode/scoring_kaldi").exists()


def test_filter_that_fails(recipe: Path) -> None:
    write_filters(recipe, wer_hyp_filter="exit 3")
    done = score(recipe)
    assert done.returncode != 0 and not (recipe / "decode/scoring_kaldi/best_wer").exists()


@pytest.mark.slow
def test_two_decodings_together(recipe: Path) -> None:
    """Of lattices with one path each, the weightier one is heard; an utterance that one lacks is the other's."""
    write_decoding(recipe / "other", {"u1": ["uh", "one", "two"]})

    def combine(*options: str, out: str = "both") -> subprocess.CompletedProcess:
        command = ["local/score_combine.sh", *options, "data", "lang", "decode", "other", out]
        return subprocess.run(command, cwd=recipe, capture_output=True, text=True, check=False)

    few = ("--min-lmwt", "9", "--max-lmwt", "10")
    done = combine(*few, "--lat-weights", "0.6:0.4")
    assert done.stdout == "%WER 66.67 [ 4 / 6, 1 ins, 2 del, 1 sub ] both/wer_9_0.0\n", done.stderr
    done = combine(*few, "--lat-weights", "0.4:0.6")
    assert done.stdout == "%WER 33.33 [ 2 / 6, 0 ins, 1 del, 1 sub ] both/wer_9_0.0\n", done.stderr
    assert (recipe / "both/scoring_kaldi/penalty_0.0/9.txt").read_text() == "u1 uh one two\nu2 two one\n"
    assert combine("--tuned-on", "both", out="again").stdout.endswith("again/wer_9_0.0\n")
    assert not (recipe / "again/wer_10_0.0").exists()
    done = combine(*few, out="other")
    assert done.returncode == 1 and "other is one of the decodings that are combined" in done.stderr
    (recipe / "other/lat.1.gz").unlink()
    assert "other/lat.1.gz is missing or empty" in combine(*few).stderr
