"""A large language model that run.sh made, and Whisper, go into the packed model, and rescore as the scripts do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from encoder_task import tiny_encoder
from recipe_copy import GOLDEN, golden
from recogniser_task import NAMES, pack, run_script, write_decoding

from kaldi.base.log import KaldiError
from kaldi.fstext.fst import from_arcs
from kaldi.fstext.io import write_fst
from kaldi.lat.io import COMPACT_LATTICE
from kaldi.lat.lattice import Lattice
from kaldi.util.table import read_table
from local.model_folder import ModelError
from nnet.recogniser import Recogniser, Transcription

pytestmark = pytest.mark.slow

# Words that are there, and two n-grams that are not to be believed.
TRIGRAM = """
\\data\\
ngram 1={count}
ngram 2=2
ngram 3=1

\\1-grams:
-99 <s> 0
-1.2 </s>
{words}

\\2-grams:
-9 <s> FIVE 0
-0.5 ONE SIX -0.1

\\3-grams:
-9 ONE SIX </s>

\\end\\
"""


@pytest.fixture(scope="module")
def exp(packed: Path, recogniser: Recogniser, recordings: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """exp/ of the packed model, beside data/lang_test and data/lang_test_large."""
    root = tmp_path_factory.mktemp("recipe")
    exp, lang = root / "exp", root / "data/lang_test"
    shutil.copytree(packed / "nnet", exp / "ligru")
    shutil.copytree(packed / "gmm", exp / "tri3b")
    shutil.copytree(packed / "graph", exp / "tri3b/graph")
    shutil.copytree(GOLDEN / "lang", lang)
    (lang / "G.fst").write_bytes(golden("out/arpa2fst/G.fst"))
    words = [line.split()[0] for line in (lang / "words.txt").read_text().splitlines()[3:-3]]
    lines = "\n".join(f"-1.2 {word} 0" for word in words)
    (root / "large.arpa").write_text(TRIGRAM.format(count=len(words) + 2, words=lines))
    run_script("utils/build_const_arpa_lm.sh", root / "large.arpa", lang, root / "data/lang_test_large")
    for name, lmwt in (("decode_dev", 10), ("decode_dev_large", 8), ("decode_dev_whisper", 9)):
        details = exp / "ligru" / name / "scoring_kaldi/wer_details"
        judged = write_decoding(exp / "ligru" / name, recogniser, recordings, copies=12 if name == "decode_dev" else 14)
        details.mkdir()
        (details / "lmwt").write_text(f"{lmwt}\n")
        (details / "wip").write_text("0.0\n")
        (details.parent / "best_wer").write_text(f"%WER {lmwt}.5 [ 5 / 931, 1 ins, 2 del, 2 sub ]\n")
        (details / "judged.json").write_text(json.dumps(judged))
    return exp


@pytest.fixture(scope="module")
def rescoring(exp: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packed with the large model."""
    folder = tmp_path_factory.mktemp("rescoring") / "model"
    run_script("local/pack_model.sh", exp / "ligru", folder)
    return folder


def heard_by_both(
    model: Path, recordings: list[Path], folder: Path, decoding: str
) -> tuple[list[Transcription], list[tuple[Lattice, Lattice]]]:
    """The recognised recordings of one speaker, and the lattices of the recogniser and of the scripts' decoding; the
    words of both are the same."""
    options = ["--use-gpu", "false", "--nj", 1, "--one-speaker", "true", "--dir", folder]
    said = run_script("local/transcribe.sh", *options, model, *recordings)
    speaker = Recogniser(model).speaker()
    for recording in recordings:
        speaker.add(recording)
    heard = speaker.transcribe(lattice=True)
    assert said == "".join(f"{name} {found.text}\n" for name, found in zip(NAMES, heard, strict=True))
    lattices = dict(read_table(f"ark:gunzip -c {folder}/{decoding}/lat.1.gz |", COMPACT_LATTICE))
    both = []
    for name, found in zip(NAMES, heard, strict=True):
        ours, theirs = found.pieces[0].lattice, lattices[name]
        assert ours is not None and ours.words.tolist() == theirs.words.tolist()
        both.append((ours, theirs))
    return heard, both


def test_words_and_lattices_are_those_of_the_scripts(rescoring: Path, recordings: list[Path], tmp_path: Path) -> None:
    """steps/nnet/decode.sh and steps/lmrescore_const_arpa.sh, at the weight of what was rescored of dev."""
    heard, lattices = heard_by_both(rescoring, recordings, tmp_path, "decode_large")
    assert heard[1].text == "NINE NINE" and heard[2].text != "ZERO ONE SIX"  # without it FIVE NINE and this
    for ours, theirs in lattices:
        np.testing.assert_allclose(ours.weights, theirs.weights, atol=0.01)


def test_a_trained_system_is_rescored_before_it_is_packed(exp: Path, rescoring: Path, recordings: list[Path]) -> None:
    said = run_script("local/transcribe.sh", "--use-gpu", "false", exp / "ligru", recordings[1])
    assert said == "s1-01 NINE NINE\n"


def test_what_the_folder_says(exp: Path, rescoring: Path, recordings: list[Path], tmp_path: Path) -> None:
    """Weight, error rates and calibration are of what was rescored; without it, of what was not."""
    run_script("local/pack_model.sh", "--rescore", "false", exp / "ligru", tmp_path / "small")
    for folder, decoding, lmwt in ((rescoring, "decode_dev_large", 8), (tmp_path / "small", "decode_dev", 10)):
        description = json.loads((folder / "model.json").read_text())
        judged = json.loads((exp / "ligru" / decoding / "scoring_kaldi/wer_details/judged.json").read_text())
        assert description["lmwt"] == lmwt and description["word_error_rates"] == {"dev": lmwt + 0.5}
        assert [description["calibration"][name] for name in ("words", "wrong")] == judged
    assert not (tmp_path / "small/lm").exists()
    assert Recogniser(tmp_path / "small").transcribe(recordings[1]).text == "FIVE NINE"


def test_another_grammar_of_the_same_words_is_not_rescored(exp: Path, tmp_path: Path) -> None:
    graph = shutil.copytree(exp / "tri3b/graph", tmp_path / "graph_grammar")
    run_script("local/pack_model.sh", "--graph-dir", graph, exp / "ligru", tmp_path / "model")
    assert not (tmp_path / "model/lm").exists() and (tmp_path / "model/lang/L.fst").exists()


def test_models_that_are_not_whole(rescoring: Path, recordings: list[Path], tmp_path: Path) -> None:
    model = shutil.copytree(rescoring, tmp_path / "model")
    (model / "lm/G.carpa").write_bytes((model / "lm/G.carpa").read_bytes()[:-100])
    (model / "lm/G.fst").unlink()
    with pytest.raises(ModelError, match=r"lm/G\.carpa is truncated; lm/G\.fst is missing"):
        Recogniser(model)
    with pytest.raises(ModelError, match=r"does not name lm/G\.fst"):
        pack(model)
    (model / "lm/G.fst").write_bytes(golden("out/arpa2fst/G.fst"))
    pack(model)
    with pytest.raises(KaldiError, match=r"lm/G\.carpa"):
        Recogniser(model)
    shutil.copy(rescoring / "lm/G.carpa", model / "lm")
    write_fst(str(model / "lm/G.fst"), from_arcs(0, [0.0], [0], [3], [3], [0.0], [0]))  # EIGHT and nothing else
    pack(model)
    with pytest.raises(KaldiError, match=r"lm/G\.fst is not the language model of the graph: pack the model again"):
        Recogniser(model).transcribe(recordings[0])


def test_whispers_decoder_after_it(exp: Path, recordings: list[Path], tmp_path: Path) -> None:
    """Words and costs of steps/whisper_rescore.sh; the weights are those of dev after it."""
    pytest.importorskip("ctranslate2")
    (exp / "ligru/decode_dev_whisper/whisper_weight").write_text("1.5\n")
    model = tmp_path / "model"
    run_script("local/pack_model.sh", "--whisper", tiny_encoder(tmp_path / "tiny"), exp / "ligru", model)
    description = json.loads((model / "model.json").read_text())
    assert description["lmwt"] == 9 and description["word_error_rates"] == {"dev": 9.5}
    assert description["whisper_weight"] == 1.5
    _, lattices = heard_by_both(model, recordings, tmp_path / "kept", "decode_whisper")
    for ours, theirs in lattices:
        ends = ours.final_states
        np.testing.assert_allclose(ours.final_weights[ends], theirs.final_weights[ends], atol=0.05)

    (model / "whisper/model.bin").write_bytes((model / "whisper/model.bin").read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"whisper/model\.bin is truncated"):
        Recogniser(model)
