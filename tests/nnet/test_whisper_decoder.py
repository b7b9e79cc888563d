"""Whisper's decoder: its tokens, its probabilities of texts against CTranslate2's, and n-best lists with its costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from encoder_task import POSITIONS, WORDS, tiny_encoder

from kaldi.util.kinds import FLOAT
from kaldi.util.table import read_table
from nnet.encoder import score_nbest
from nnet.encoder.decoder import Decoder, groups
from nnet.encoder.tokens import PIECES, Tokens

ctranslate2 = pytest.importorskip("ctranslate2")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("whisper") / "tiny")


def spectrum(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(1, 80, 60)).astype(np.float32)


def test_pieces_are_words_with_the_blank_before_them():
    text = " we're 12, Kinder’s gärten _x"
    assert PIECES.findall(text) == [" we", "'re", " 12", ",", " Kinder", "’", "s", " gärten", " _", "x"]


def test_neighbours_are_joined_to_the_earliest_token(tiny):
    """ "Ġa" comes after "ab", so that " ab" is " " + "ab" first, which "Ġab" then joins; ä has two bytes."""
    tokens = Tokens(tiny)
    assert [WORDS[number] for number in tokens.encode(" ab aab cä")] == ["Ġab", "Ġa", "ab", "Ġ", "c", "Ã", "¤"]


def test_probabilities_as_ctranslate2(tiny):
    """Of the texts that its beam search finds; several share their beginning."""
    model = ctranslate2.models.Whisper(str(tiny), "cpu", compute_type="float32")
    heard = model.encode(ctranslate2.StorageView.from_array(spectrum()), to_cpu=True)
    prompt = [WORDS.index("<|startoftranscript|>"), WORDS.index("<|notimestamps|>")]
    (found,) = model.generate(
        heard, [prompt], beam_size=8, num_hypotheses=8, length_penalty=0, return_scores=True, suppress_blank=False,
        suppress_tokens=[], max_length=6,
    )  # fmt: skip
    texts = found.sequences_ids  # of the full length, so that they have no end
    assert {len(text) for text in texts} == {3}
    assert len({tuple(text[:2]) for text in texts}) < len(texts)
    np.testing.assert_allclose(Decoder(tiny).log_probabilities(np.array(heard)[0], texts), found.scores, atol=1e-4)


def test_in_one_tree_or_several(tiny, monkeypatch):
    """The same to the last digits of float32, whatever the order; a text that alone has too many nodes has its tree."""
    decoder = Decoder(tiny)
    heard = np.random.default_rng(2).normal(size=(30, 8)).astype(np.float32)
    texts = [[4, 5, 6], [4], [7, 7, 7, 7, 7], [4, 5], [], [4, 5, 6], [4, 6]]
    assert groups(texts) == [[4, 1, 3, 0, 5, 6, 2]]
    whole = decoder.log_probabilities(heard, texts)
    monkeypatch.setattr("nnet.encoder.decoder.NODES", 4)
    assert groups(texts) == [[4, 1, 3, 0, 5, 6], [2]]
    np.testing.assert_allclose(decoder.log_probabilities(heard, texts), whole, rtol=1e-5)
    monkeypatch.setattr("nnet.encoder.decoder.NODES", 3)
    assert groups(texts) == [[4, 1, 3, 0, 5], [6], [2]]


def test_weights_of_8_bits(tmp_path):
    whole, rounded = (tiny_encoder(tmp_path / str(q), quantization=q) for q in (None, "int8"))
    heard, texts = np.random.default_rng(2).normal(size=(30, 8)).astype(np.float32), [" ab", " c", ""]
    first, second = (Decoder(folder)(heard, texts) for folder in (whole, rounded))
    assert not np.array_equal(first, second)
    np.testing.assert_allclose(first, second, atol=0.2)


def write_lists(folder: Path, lists: dict[str, list[list[int]]]) -> tuple[str, str]:
    """n-best lists with graph costs of 1, 2, ...; the rspecifiers of words and costs."""
    folder.mkdir()
    keys = [(f"{name}-{number}", words) for name, texts in lists.items() for number, words in enumerate(texts, 1)]
    (folder / "hypotheses").write_text("".join(f"{key} {' '.join(map(str, words))}\n" for key, words in keys))
    (folder / "costs").write_text("".join(f"{key} {key.rpartition('-')[2]}\n" for key, _ in keys))
    (folder / "words.txt").write_text("<eps> 0\nAB 1\nC 2\n<UNK> 3\n")
    soundfile.write(folder / "u.wav", np.random.default_rng(3).normal(0, 0.1, 8000), 16000)
    (folder / "wav.scp").write_text("".join(f"{name} {folder}/u.wav\n" for name in ("u-1", "v")))
    return f"ark,t:{folder}/hypotheses", f"ark,t:{folder}/costs"


def score(folder: Path, model: Path, rspecifiers: tuple[str, str], *options: str) -> dict[str, float] | None:
    out = folder / "out"
    arguments = [*options, str(model), str(folder), str(folder / "words.txt"), *rspecifiers, f"ark,t:{out}"]
    return dict(read_table(f"ark:{out}", FLOAT)) if score_nbest.main(arguments) == 0 else None


def test_costs_are_added_to_those_of_the_graph(tmp_path, tiny, caplog):
    folder = tmp_path / "lists"
    rspecifiers = write_lists(folder, {"u-1": [[1, 2], [2, 3], [2], []], "v": [[1] * POSITIONS, [1]]})
    added = score(folder, tiny, rspecifiers)
    assert added["u-1-2"] - 2 == pytest.approx(added["u-1-3"] - 3, abs=1e-4)  # <UNK> is no word
    assert len({round(cost, 3) for cost in added.values()}) == 6
    assert all(added[f"u-1-{number}"] > number for number in range(1, 5))
    assert (added["v-1"], added["v-2"]) == (1, 2)  # longer than the decoder has positions
    assert f"v keeps its costs: a text of {POSITIONS + 3} tokens" in caplog.text
    half = score(folder, tiny, rspecifiers, "--weight", "0.5")
    assert half["u-1-1"] - 1 == pytest.approx((added["u-1-1"] - 1) / 2, rel=1e-4)


def test_bad_input(tmp_path, tiny, capfd):
    rspecifiers = write_lists(tmp_path / "lists", {"w": [[1]]})
    assert score(tmp_path / "lists", tiny, rspecifiers) is None
    assert "has no recording of w" in capfd.readouterr().err
    rspecifiers = write_lists(tmp_path / "other", {"v": [[7]]})
    assert score(tmp_path / "other", tiny, rspecifiers) is None
    assert "word 7 is not in" in capfd.readouterr().err
    broken = tiny_encoder(tmp_path / "broken")
    next(broken.glob("vocabulary.*")).write_text('["a"]')
    rspecifiers = write_lists(tmp_path / "third", {"v": [[1]]})
    assert score(tmp_path / "third", broken, rspecifiers) is None
    assert "no vocabulary of Whisper's family" in capfd.readouterr().err
