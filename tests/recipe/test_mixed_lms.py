"""Language models of several sources: arrays of n-grams, the English model, texts made alike, weights and pruning."""

from __future__ import annotations

import gzip
import itertools
import logging
import math
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from data_dirs import assert_fails_in_one_line, run
from kaldingram.prune import ArpaParser
from kaldingram.prune import prune as kaldingram_prune
from recipe_copy import link_recipe
from test_data_lm import TEXT, WORDS, log_probability, read_arpa

from local import ngram_model
from local.english_lm import BINS, LOG_BASE, MAGIC, of_vocabulary, read_trie
from local.ngram_model import NgramModel, Vocabulary, best_weights, events, mixture
from local.normalise_text import case_of, normalise

SPOKEN = ["BOOK", "BOX", "CLOSE", "DOOR", "MY", "OPEN", "PLEASE", "THE", "WINDOW"]
OTHER_TEXT = "v1 MY DOOR\nv2 CLOSE THE WINDOW PLEASE\nv3 OPEN THE WINDOW\nv4 CLOSE THE DOOR\n"


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """words.txt, the transcripts of three sets, and models of two texts."""
    folder = tmp_path_factory.mktemp("lms")
    (folder / "lang").mkdir()
    (folder / "lang/words.txt").write_text(WORDS)
    sets = {"train": TEXT, "other": OTHER_TEXT, "dev": "d1 OPEN THE DOOR\nd2 CLOSE MY HOUSE\n", "test": "t1 MY BOX\n"}
    for name, text in sets.items():
        (folder / name).mkdir()
        (folder / name / "text").write_text(text)
    for name in ("train", "other"):
        run("local/train_lm.py", folder / name / "text", folder / "lang/words.txt", folder / f"{name}.arpa.gz")
    return folder


def model(path: Path) -> NgramModel:
    return ngram_model.read_arpa(path, Vocabulary(SPOKEN), with_unknown=True)


def test_probabilities_are_those_of_the_file(task: Path) -> None:
    ngrams, read = read_arpa(task / "train.arpa.gz"), model(task / "train.arpa.gz")
    words = read.vocabulary.words
    rows = np.array(
        [row for row in itertools.product(range(len(words)), repeat=3) if 0 not in row[1:] and 1 not in row[:-1]]
    )
    wanted = [math.log(10) * log_probability(ngrams, (words[a], words[b]), words[c]) for a, b, c in rows]
    assert read.log_probs(rows) == pytest.approx(wanted, abs=2e-5)


def test_a_mixture_is_the_weighted_sum_and_proper(task: Path, tmp_path: Path) -> None:
    parts = [model(task / f"{name}.arpa.gz") for name in ("train", "other")]
    mixture(parts, [0.7, 0.3]).write(tmp_path / "mix.gz")
    ngrams = read_arpa(tmp_path / "mix.gz")
    seen = {ngram for part in ("train", "other") for ngram in read_arpa(task / f"{part}.arpa.gz")}
    assert set(ngrams) == seen
    numbers = parts[0].vocabulary.numbers
    for ngram in seen - {("<s>",)}:
        row = np.array([[numbers[word] for word in ngram]])
        wanted = 0.7 * np.exp(parts[0].log_probs(row)[0]) + 0.3 * np.exp(parts[1].log_probs(row)[0])
        assert 10 ** ngrams[ngram][0] == pytest.approx(wanted, rel=1e-4)
    for history in [(), ("OPEN",), ("<s>", "OPEN"), ("THE", "WINDOW"), ("BOX", "BOX")]:
        predicted = [word for (word, *rest) in seen if not rest and word != "<s>"]
        assert sum(10 ** log_probability(ngrams, history, word) for word in predicted) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("threshold", [1e-3, 1e-2, 0.03])
def test_pruning_as_kaldingram(task: Path, tmp_path: Path, threshold: float) -> None:
    parts = [model(task / f"{name}.arpa.gz") for name in ("train", "other")]
    whole = mixture(parts, [0.5, 0.5])
    whole.write(tmp_path / "whole.gz")
    whole.pruned(threshold).write(tmp_path / "pruned.gz")
    wanted = ArpaParser().loadf(tmp_path / "whole.gz", encoding="utf-8")[0]
    logging.getLogger().setLevel(logging.WARNING)
    kaldingram_prune(wanted, threshold, 1)
    ArpaParser().dumpf(wanted, tmp_path / "wanted.gz", encoding="utf-8")
    ours, theirs = read_arpa(tmp_path / "pruned.gz"), read_arpa(tmp_path / "wanted.gz")
    # kaldingram 0.1.2 gives <s> a probability of 1e-99 and so prunes what follows it, where SRILM takes that of </s>.
    ours, theirs = ({n: v for n, v in ngrams.items() if n[0] != "<s>"} for ngrams in (ours, theirs))
    assert set(ours) == set(theirs) and len(ours) < sum(whole.counts())
    for ngram, (log_prob, backoff) in theirs.items():
        assert ours[ngram] == pytest.approx((log_prob, backoff), abs=1e-4)


def round_about(lms: NgramModel, order: int) -> np.ndarray:
    """The log-probabilities of the last words of all n-grams by backing off."""
    grams = lms.orders[order - 1]
    return lms.orders[order - 2].backoffs[grams.parents] + lms.log_probs(lms.rows(order)[:, 1:])


def test_an_interpolated_ngram_has_its_discounted_count_and_a_share(task: Path) -> None:
    backing_off = model(task / "train.arpa.gz")
    grams, others = backing_off.orders[1], backing_off.orders[0].log_probs
    counts = [np.exp(grams.log_probs[grams.parents == parent]).sum() for parent in range(len(others))]
    wanted = np.exp(grams.log_probs) + (1 - np.array(counts)[grams.parents]) * np.exp(others[grams.words])
    got = backing_off.interpolated()
    assert np.exp(got.orders[1].log_probs) == pytest.approx(wanted)
    for order in (2, 3):
        assert np.all(got.orders[order - 1].log_probs > round_about(got, order))


def test_no_path_of_a_graph_goes_round_an_ngram(task: Path) -> None:
    parts = [model(task / f"{name}.arpa.gz") for name in ("train", "other")]
    whole = mixture(parts, [0.5, 0.5])
    for grams in whole.orders[1:]:
        grams.log_probs[::3] -= 2
    rows = [whole.rows(order) for order in (1, 2, 3)]
    some_bypassed = NgramModel(whole.vocabulary, rows, [grams.log_probs for grams in whole.orders])
    kept = some_bypassed.without_bypassed()
    assert sum(some_bypassed.counts()) > sum(kept.counts()) and len(kept.orders) == 3
    histories = set(kept.orders[2].parents.tolist())
    for order in (2, 3):
        bypassed = np.flatnonzero(kept.orders[order - 1].log_probs < round_about(kept, order)).tolist()
        assert not bypassed if order == 3 else set(bypassed) <= histories


def test_weights_of_the_likeliest_mixture() -> None:
    log_probs = np.log([[0.5, 0.1], [0.5, 0.1], [0.1, 0.5], [0.2, 0.2]])
    first = best_weights(log_probs)[0]
    tried = np.linspace(0.01, 0.99, 981)
    likelihoods = [np.log(np.exp(log_probs) @ [weight, 1 - weight]).sum() for weight in tried]
    assert first == pytest.approx(tried[np.argmax(likelihoods)], abs=1e-3)


def test_events_of_a_text() -> None:
    vocabulary = Vocabulary(["A", "B"])
    rows, unknown = events([["A", "X", "B"]], vocabulary, 3)
    words = [[vocabulary.words[number] for number in row] for row in rows]
    assert words == [["<s>", "<s>", "A"], ["A", "<UNK>", "B"], ["<UNK>", "B", "</s>"]]
    assert unknown == 1


def mix(task: Path, out: Path, *parts: Path):
    return run(
        *("local/mix_lms.py", "--dev", task / "dev/text", "--test", task / "test/text"),
        *("--report", out / "report", "--prune", "1e-3", "--pruned", out / "small.gz"),
        *(task / "lang/words.txt", out / "large.gz", *parts),
    )


def test_report(task: Path, tmp_path: Path) -> None:
    done = mix(task, tmp_path, task / "train.arpa.gz", task / "other.arpa.gz")
    assert done.returncode == 0, done.stderr
    report = (tmp_path / "report").read_text()
    assert report in done.stderr
    figures = {row.split()[0] if "," not in row else "pruned": row.split() for row in report.splitlines()[1:]}
    assert set(figures) == {"train", "other", "all", "pruned"}
    assert float(figures["train"][1]) + float(figures["other"][1]) == pytest.approx(1, abs=2e-3)
    assert figures["all"][4] == f"{100 / 6:.2f}" and figures["all"][6] == "0.00"  # HOUSE, of the six words of dev
    ngrams = read_arpa(tmp_path / "large.gz")
    sentences = [["<s>", "OPEN", "THE", "DOOR", "</s>"], ["<s>", "CLOSE", "MY"]]
    asked = [(s[max(0, i - 2) : i], s[i]) for s in sentences for i in range(1, len(s))]
    log10 = [log_probability(ngrams, tuple(history), word) for history, word in asked]
    log10.append(log_probability(ngrams, ("MY", "<UNK>"), "</s>"))  # after HOUSE
    assert float(figures["all"][3]) == pytest.approx(10 ** -np.mean(log10), abs=0.1)
    assert len(read_arpa(tmp_path / "small.gz")) < len(ngrams)


ARPA = "\\data\\\nngram 1=4\nngram 2=1\n\n\\1-grams:\n-99\t<s>\t0\n-1\t</s>\n-1\t{0}\t-0.1\n-1\t{1}\n"
ARPA += "\n\\2-grams:\n-0.5\t{0} {1}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ARPA.format("OPEN", "BOX"), "without \\end\\"),
        (ARPA.format("OPEN", "BOX").replace("-0.5", "x") + "\n\\end\\\n", "line 12"),
        (ARPA.format("ouvre", "porte") + "\n\\end\\\n", "another language"),
        (ARPA.format("open", "box") + "\n\\end\\\n", "bring them to upper case: perl -pe"),
    ],
)
def test_bad_models(task: Path, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.arpa").write_text(text)
    done = mix(task, tmp_path, task / "train.arpa.gz", tmp_path / "bad.arpa")
    assert_fails_in_one_line(done, f"{tmp_path}/bad.arpa", message)
    assert not (tmp_path / "large.gz").exists() and not (tmp_path / "report").exists()


def test_the_remedy_for_another_case(task: Path, tmp_path: Path) -> None:
    (tmp_path / "lower.arpa").write_text(ARPA.format("open", "box") + "\n\\end\\\n")
    message = mix(task, tmp_path, task / "train.arpa.gz", tmp_path / "lower.arpa").stderr
    remedy = message[message.index("perl") :].strip()
    run("bash", "-c", f"{remedy} {tmp_path}/lower.arpa > {tmp_path}/upper.arpa")
    assert (tmp_path / "upper.arpa").read_text() == ARPA.format("OPEN", "BOX") + "\n\\end\\\n"


def test_a_truncated_gzip_file(task: Path, tmp_path: Path) -> None:
    data = gzip.compress(ARPA.format("OPEN", "BOX").encode() * 50)
    (tmp_path / "cut.arpa.gz").write_bytes(data[: len(data) // 2])
    done = mix(task, tmp_path, task / "train.arpa.gz", tmp_path / "cut.arpa.gz")
    assert_fails_in_one_line(done, f"{tmp_path}/cut.arpa.gz", "truncated")


def bits(entries: list[list[tuple[int, int]]]) -> bytes:
    """Entries of (value, width), packed from the least bit on, with the eight bytes behind that pocketsphinx leaves."""
    number = place = 0
    for entry in entries:
        for value, width in entry:
            number |= value << place
            place += width
    return number.to_bytes((place + 7) // 8 + 8, "little")


def test_pocketsphinx_trie(tmp_path: Path) -> None:
    """A model of a, b and c with the bigrams 'a b', 'c b', 'b c' and the trigram 'a b c', written bit by bit."""
    bins = [np.zeros(BINS, "<f4") for _ in range(3)]
    bins[0][7:10] = [-7000, -8000, -9000]
    bins[2][5] = -5000
    unigrams = np.array([(-1000, -10, 0), (-2000, -20, 0), (-3000, -30, 2), (0, 0, 3)], "<f4,<f4,<u4")
    bigrams = [(0, 8, 0), (2, 9, 0), (1, 7, 0)]  # first word, bin, trigrams before; of last words b, b, c
    middle = [[(w, 2), (0, 16), (p, 16), (n, 1)] for w, p, n in bigrams] + [[(0, 2), (0, 32), (1, 1)]]
    data = MAGIC + bytes([3]) + np.array([3, 3, 1, 1], "<u4").tobytes() + b"".join(b.tobytes() for b in bins)
    data += unigrams.tobytes() + bits(middle) + bits([[(0, 2), (5, 16)], [(0, 18)]])
    data += np.array([6], "<u4").tobytes() + b"a\0b\0c\0"
    (tmp_path / "lm.bin").write_bytes(data)
    trie = read_trie(tmp_path / "lm.bin")
    assert trie.words == ["a", "b", "c"]
    assert [rows.tolist() for rows in trie.rows] == [[[0], [1], [2]], [[0, 1], [2, 1], [1, 2]], [[0, 1, 2]]]
    decoded = [(values / LOG_BASE).round().tolist() for values in trie.log_probs]
    assert decoded == [[-1000, -2000, -3000], [-8000, -9000, -7000], [-5000]]
    assert of_vocabulary(trie, Vocabulary(["A", "C", "X"])).counts() == [3]
    with pytest.raises(ValueError, match="another language"):
        of_vocabulary(trie, Vocabulary(["OUVRE"]))
    (tmp_path / "lm.bin").write_bytes(data[5:])
    with pytest.raises(ValueError, match="not a trigram model"):
        read_trie(tmp_path / "lm.bin")


@pytest.mark.skipif(not find_spec("pocketsphinx"), reason="the package pocketsphinx is not installed")
def test_english_as_pocketsphinx_reads_it(task: Path, tmp_path: Path) -> None:
    from pocketsphinx import Config, LogMath, NGramModel, get_model_path

    theirs = NGramModel(Config(), LogMath(), get_model_path("en-us/en-us.lm.bin"))
    from local.english_lm import model_file

    trie = read_trie(model_file())
    number = {word: place for place, word in enumerate(trie.words)}
    for words in (["of"], ["of", "the"], ["one", "of", "the"], ["close", "the", "door"]):
        rows = trie.rows[len(words) - 1]
        place = np.flatnonzero((rows == [number[word] for word in words]).all(axis=1))
        ours = trie.log_probs[len(words) - 1][place] / LOG_BASE
        assert ours == pytest.approx([theirs.prob(words[::-1])], abs=1.5)
    vocabulary = Vocabulary(SPOKEN)
    english = of_vocabulary(trie, vocabulary)
    rows, _ = events([["CLOSE", "THE", "DOOR"], ["DOOR", "THE", "CLOSE"]], vocabulary, 3)
    log_probs = english.log_probs(rows)
    assert log_probs[:4].sum() > log_probs[4:].sum() + 3


CHANGES = [
    ("<p>The cat</p> [laughs] sat.", "THE CAT SAT", {"marks": 3}),
    ("It\u2019s 3 o'clock \u2014 'so-so'!", "IT'S <UNK> O'CLOCK SO SO", {"numbers": 1, "words with punctuation": 2}),
    ("a T.V. tv-set, na\u00efve", "A T.V. TV SET NA\u00cfVE", {"words with punctuation": 1}),
    ("... ?", "", {"words with punctuation": 2}),
]  # fmt: skip


@pytest.mark.parametrize(("line", "words", "changed"), CHANGES)
def test_texts_are_made_alike(line: str, words: str, changed: dict[str, int]) -> None:
    vocabulary, changes = {"THE", "CAT", "SAT", "A", "T.V."}, Counter[str]()
    assert normalise(line, vocabulary, case_of(vocabulary), changes) == words.split()
    assert +changes == changed


def test_texts_without_known_words(task: Path, tmp_path: Path) -> None:
    for text, message in (("\n", "no words"), ("ouvre la porte\n", "another language"), ("caf\xe9", "not UTF-8")):
        (tmp_path / "text.txt").write_bytes(text.encode("latin1"))
        done = run("local/normalise_text.py", task / "lang/words.txt", tmp_path / "text.txt", tmp_path / "out")
        assert_fails_in_one_line(done, f"{tmp_path}/text.txt", message)
        assert not (tmp_path / "out").exists()


def test_all_sources_to_two_models(task: Path, tmp_path: Path) -> None:
    stories, ready = tmp_path / "stories.txt.gz", tmp_path / "ready.arpa"
    stories.write_bytes(gzip.compress(b"Close the window, please.\nOpen my door!\n"))
    ready.write_text(ARPA.format("OPEN", "BOX") + "\n\\end\\\n")
    options = ("--text", stories, "--arpa", ready, "--prune", "1e-2")
    done = run(
        "bash", "-c", '. ./path.sh; local/prepare_lms.sh "$@"', "", *options, task, task / "lang", tmp_path / "lm"
    )
    assert done.returncode == 0, done.stderr
    names = [line.split()[0] for line in (tmp_path / "lm/perplexity.txt").read_text().splitlines()]
    assert names == ["model", "transcripts", "text.stories", "ready", "all", "all,"]
    large, small = (read_arpa(tmp_path / f"lm/{name}.arpa.gz") for name in ("large", "small"))
    assert ("OPEN", "BOX") in large and len(small) < len(large)


@pytest.mark.slow
def test_run_sh_makes_both_models_when_asked(task: Path, tmp_path: Path) -> None:
    link_recipe(tmp_path)
    (tmp_path / "data/local/dict").mkdir(parents=True)
    for name in ("train", "dev", "test"):
        (tmp_path / "data" / name).symlink_to(task / name)
    (tmp_path / "lexicon.txt").write_text("".join(f"{word} {' '.join(word)}\n" for word in SPOKEN))
    run("local/prepare_dict.sh", tmp_path / "lexicon.txt", tmp_path / "data/local/dict")
    (tmp_path / "stories.txt").write_text("Close the window, please.\nOpen my door!\n")
    stage = ["./run.sh", "--stage", "1", "--stop-stage", "1"]
    done = run("env", "-C", tmp_path, "-u", "KALDI_ROOT", *stage, "--lm-text", "stories.txt", "--lm-prune", "1e-2")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data/lang_test_large/G.carpa").exists() and (tmp_path / "data/lang_test/G.fst").exists()
    assert "text.stories" in (tmp_path / "data/local/lm/perplexity.txt").read_text()
    assert run("env", "-C", tmp_path, "-u", "KALDI_ROOT", *stage).returncode == 0
    assert not (tmp_path / "data/lang_test_large").exists() and (tmp_path / "data/local/lm.arpa.gz").exists()
    done = run("env", "-C", tmp_path, *stage, "--lm-text", "nosuch.txt")
    assert_fails_in_one_line(done, "nosuch.txt of --lm-text or --lm-arpa is missing or empty")


def test_words_of_texts_and_of_models_for_the_dictionary(tmp_path: Path) -> None:
    (tmp_path / "lexicon.txt").write_text("<UNK> SPN\nOPEN OW\nDOOR D\n")
    (tmp_path / "stories.txt").write_text("Robot, robot! The zebra 42 can't open.\nThe robot can't; once.\n")
    unigrams = "-1\tONCE\n-2\tX-RAY\n-0.5\tYAK\n-3\tROBOT\n-2\tDOOR\n-99\t<s>\n-1\t</s>\n"
    (tmp_path / "ready.arpa").write_text(
        f"\\data\\\nngram 1=7\nngram 2=1\n\n\\1-grams:\n{unigrams}\n\\2-grams:\n-1\tYAK GNU\n\n\\end\\\n"
    )
    sources = ("--text", tmp_path / "stories.txt", "--arpa", tmp_path / "ready.arpa")
    for most, wanted in ((20, ["ROBOT", "CAN'T", "THE", "YAK", "ONCE"]), (4, ["ROBOT", "CAN'T"]), (1, [])):
        done = run(
            "local/lm_vocabulary.py", *sources, "--words", most, tmp_path / "lexicon.txt", tmp_path / "words.txt"
        )
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "words.txt").read_text().split() == wanted
