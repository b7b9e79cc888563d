"""local/train_lm.py: a proper distribution over a closed vocabulary, the same bytes every time."""

import gzip
import math
from pathlib import Path

import pytest
from data_dirs import assert_fails_in_one_line, run

TEXT = """u1 OPEN THE BOX
u2 OPEN THE BOOK
u3 CLOSE THE BOX PLEASE
u4 OPEN MY BOX
u5 CLOSE MY BOOK PLEASE
u6 PLEASE OPEN THE STRANGE BOX
"""
WORDS = "<eps> 0\n!SIL 1\n<UNK> 2\nBOOK 3\nBOX 4\nCLOSE 5\nDOOR 6\nMY 7\nOPEN 8\nPLEASE 9\nTHE 10\nWINDOW 11\n#0 12\n"


def read_arpa(path: Path) -> dict[tuple[str, ...], tuple[float, float]]:
    """N-grams with log10 probability and back-off weight."""
    ngrams = {}
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        fields = line.split("\t")
        if len(fields) >= 2:
            ngrams[tuple(fields[1].split())] = (float(fields[0]), float(fields[2]) if len(fields) == 3 else 0.0)
    return ngrams


def log_probability(ngrams: dict, history: tuple[str, ...], word: str) -> float:
    if (*history, word) in ngrams:
        return ngrams[(*history, word)][0]
    backoff = ngrams[history][1] if history in ngrams else 0.0
    return backoff + log_probability(ngrams, history[1:], word)


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    (tmp_path / "text").write_text(TEXT)
    (tmp_path / "words.txt").write_text(WORDS)
    for name in ("lm.gz", "again.gz"):
        done = run("local/train_lm.py", tmp_path / "text", tmp_path / "words.txt", tmp_path / name)
        assert done.returncode == 0, done.stderr
    assert "1 words (1 different) are outside the vocabulary" in done.stderr
    return tmp_path


@pytest.mark.parametrize("history", [(), ("OPEN",), ("<s>", "OPEN"), ("THE", "BOX"), ("WINDOW",)])
def test_probabilities_sum_to_one(trained: Path, history: tuple[str, ...]) -> None:
    ngrams = read_arpa(trained / "lm.gz")
    words = {ngram[0] for ngram in ngrams if len(ngram) == 1} - {"<s>"}
    assert sum(10 ** log_probability(ngrams, history, word) for word in words) == pytest.approx(1, abs=1e-4)


def test_vocabulary_is_closed(trained: Path) -> None:
    ngrams = read_arpa(trained / "lm.gz")
    unigrams = {ngram[0] for ngram in ngrams if len(ngram) == 1}
    spoken = {line.split()[0] for line in WORDS.splitlines()} - {"<eps>", "#0", "!SIL"}
    assert unigrams == spoken | {"<s>", "</s>"}
    assert math.isclose(ngrams[("DOOR",)][0], ngrams[("WINDOW",)][0])
    assert ngrams[("DOOR",)][0] < ngrams[("BOX",)][0]
    assert max(map(len, ngrams)) == 3


def test_same_text_same_bytes(trained: Path) -> None:
    assert (trained / "lm.gz").read_bytes() == (trained / "again.gz").read_bytes()


def test_text_that_is_not_utf_8_is_named(trained: Path) -> None:
    (trained / "latin").write_bytes("u1 OPEN\nu2 CAFÉ\n".encode("latin1"))
    done = run("local/train_lm.py", trained / "latin", trained / "words.txt", trained / "no.gz")
    assert_fails_in_one_line(done, f"{trained}/latin:2: not UTF-8")


def test_no_text(trained: Path) -> None:
    (trained / "empty").touch()
    done = run("local/train_lm.py", trained / "empty", trained / "words.txt", trained / "no.gz")
    assert_fails_in_one_line(done, str(trained / "empty"))
    assert not (trained / "no.gz").exists()
