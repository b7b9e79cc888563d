"""The recogniser with networks on an encoder's features pasted to fMLLR ones, and with chain models at a lower rate."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from encoder_task import tiny_encoder
from recipe_copy import GOLDEN, golden
from recogniser_task import (
    NAMES,
    PRIOR_SCALE,
    normalised,
    pack,
    run_script,
    save,
    train,
    trained,
    training_data,
    write_decoding,
)

from kaldi.feat.context import side_by_side
from kaldi.hmm.transition_model import read_transition_model
from kaldi.lat.io import COMPACT_LATTICE
from kaldi.util.table import TableWriter, read_table
from local.model_folder import ModelError, describe
from nnet.encoder.encoder import FACTOR, Encoder
from nnet.encoder.identity import identify
from nnet.recogniser import Recogniser, __main__
from nnet.recogniser.first_pass import compressed, uncompressed

pytest.importorskip("ctranslate2")
DIM = 16  # of the encoder's features
Pasted = tuple[list[np.ndarray], list[np.ndarray]]
TEXTS = dict(line.split(maxsplit=1) for line in golden("data/text").decode().splitlines())


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("encoder") / "tiny", dim=DIM)


@pytest.fixture(scope="module")
def pasted(packed: Path, encoder: Path, recordings: list[Path], tmp_path_factory) -> Pasted:
    """Inputs of a network on both streams, 50 frames a second, and their pdfs."""
    encode, feats, pdfs = Encoder(encoder), [], []
    samples_of = {path.stem: soundfile.read(path, dtype="float32")[0] for path in recordings}
    for utterance, (fmllr, of_frames) in training_data(packed / "gmm", tmp_path_factory.mktemp("pasted")).items():
        slow = side_by_side(fmllr, FACTOR)
        encoded = np.zeros((len(slow), DIM), np.float32)
        if utterance in samples_of:  # the recordings of the others are not there
            encoded = normalised(uncompressed(compressed(encode(samples_of[utterance]))))
        feats.append(np.concatenate([slow, encoded], axis=1))
        pdfs.append(of_frames[::FACTOR])
    return feats, pdfs


@pytest.fixture(scope="module")
def slow(packed: Path, encoder: Path, pasted: Pasted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A packed model on both streams, and its encoder."""
    folder = shutil.copytree(packed, tmp_path_factory.mktemp("slow") / "model")
    (folder / "nnet/streams").write_text(f"40 1 -\n{DIM} {FACTOR} tiny {identify(encoder).sha256} encoder\n")
    train(folder / "nnet", *pasted)
    shutil.copytree(encoder, folder / "encoder")
    pack(folder)
    return folder


@pytest.fixture(scope="module")
def chain_exp(
    packed: Path, encoder: Path, pasted: Pasted, recogniser: Recogniser, recordings: list[Path], tmp_path_factory
) -> Path:
    """exp/ of a chain model on both streams."""
    exp = tmp_path_factory.mktemp("chain") / "exp"
    chain = exp / "ligru_chain_encoder"
    shutil.copytree(packed / "gmm", exp / "tri3b")
    for graph in (chain / "graph", exp / "tri3b/graph"):
        shutil.copytree(packed / "graph", graph)
    for name in ("final.mdl", "tree", "cmvn_opts"):
        shutil.copy(packed / "nnet" / name, chain)
    (chain / "streams").write_text(f"40 1 -\n{DIM} {FACTOR} tiny {identify(encoder).sha256} {encoder}\n")
    (chain / "frame_subsampling_factor").write_text(f"{FACTOR}\n")
    num_pdfs = read_transition_model(str(chain / "final.mdl")).num_pdfs
    model, config = trained(*pasted, num_pdfs, objective="lf-mmi", max_frames=(0,))
    counts = np.maximum(1, np.bincount(np.concatenate(pasted[1]), minlength=num_pdfs))
    with torch.no_grad():  # a chain model's output is neither scaled nor reduced by priors
        model.pdfs.bias -= torch.from_numpy(PRIOR_SCALE * np.log(counts / counts.sum())).float()
        model.pdfs.bias *= 0.2
        model.pdfs.weight *= 0.2
    save(chain, model, config)
    judged = write_decoding(chain / "decode_dev_noisy", recogniser, recordings, copies=12)
    (exp / "judged.json").write_text(json.dumps(judged))
    return exp


@pytest.fixture(scope="module")
def chain(chain_exp: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packed by the script, with the encoder."""
    folder = tmp_path_factory.mktemp("packed_chain") / "model"
    run_script("local/pack_model.sh", "--lang-dir", GOLDEN / "lang", chain_exp / "ligru_chain_encoder", folder)
    return folder


@pytest.mark.slow
def test_an_encoder_whose_decoder_rescores_is_there_once(
    chain_exp: Path, chain: Path, encoder: Path, recordings: list[Path], tmp_path: Path, monkeypatch
) -> None:
    """In the folder, and in its work."""
    network, model = chain_exp / "ligru_chain_encoder", tmp_path / "model"
    run_script("local/pack_model.sh", "--lang-dir", GOLDEN / "lang", "--whisper", encoder, network, model)
    assert not (model / "whisper").exists() and (model / "encoder/model.bin").exists()
    said = run_script("local/transcribe.sh", "--use-gpu", "false", "--dir", tmp_path / "kept", model, recordings[0])
    assert (tmp_path / "kept/decode_whisper/lat.1.gz").exists()
    calls, compute = [], Encoder.__call__

    def counted(self: Encoder, samples: np.ndarray) -> np.ndarray:
        calls.append(self)
        return compute(self, samples)

    monkeypatch.setattr(Encoder, "__call__", counted)
    assert said == f"{NAMES[0]} {Recogniser(model).transcribe(recordings[0]).text}\n"
    assert len(calls) == 1


@pytest.mark.parametrize("kind", ["slow", "chain"])
def test_words_and_times(kind: str, recogniser: Recogniser, recordings: list[Path], request) -> None:
    """Those of the network on fMLLR features alone, at its rate."""
    ours = Recogniser(request.getfixturevalue(kind))
    for name, recording in zip(NAMES, recordings, strict=True):
        found, other = ours.transcribe(recording), recogniser.transcribe(recording)
        assert found.text == TEXTS[name]
        times = np.array([word[1:3] for word in found.words])
        np.testing.assert_allclose(times, [word[1:3] for word in other.words], atol=0.06)
        if kind == "chain":
            np.testing.assert_allclose(times, 0.02 * np.round(times / 0.02), atol=1e-6)
        assert all(0.3 < word.confidence <= 1 for word in found.words)


@pytest.mark.parametrize("kind", ["slow", "chain"])
def test_backends_and_alignment(kind: str, recordings: list[Path], request) -> None:
    ours, theirs = (Recogniser(request.getfixturevalue(kind), backend=name) for name in ("onnxruntime", "pytorch"))
    found = ours.transcribe(recordings[0])
    assert [word[:3] for word in theirs.transcribe(recordings[0]).words] == [word[:3] for word in found.words]
    aligned = ours.align(recordings[0], found.text)
    assert [word[:3] for word in aligned.words] == [word[:3] for word in found.words]
    assert [phone.text for phone in aligned.phones] == [phone.text for phone in found.phones]


def test_lattices_of_chain_models_are_scaled_as_those_of_the_scripts(chain: Path, recordings: list[Path]) -> None:
    """By 10 for a language-model weight of 10: as lat.*.gz of steps/nnet/decode.sh."""
    ours = Recogniser(chain)
    piece = ours.transcribe(recordings[0], lattice=True).pieces[0]
    assert piece.lattice is not None
    path = piece.lattice.scaled(np.diag([1.0, 0.1])).best_path()
    assert path is not None
    features = ours._streams.of_speaker([kept := ours._streams.of_recordings()(read(recordings[0]))])(kept)
    transitions = ours._transitions.id2pdf[path.alignment]
    loglikes = ours._network(features)[np.arange(len(path.alignment)), transitions]
    assert path.weight[1] == pytest.approx(-loglikes.sum(), rel=1e-3)


def test_lattices_of_chain_models_are_rescored_as_they_are_written(chain: Path, recordings, tmp_path: Path) -> None:
    """By what the programs make of them: with ten times the acoustic scale other paths of a word sequence are best."""
    folder = shutil.copytree(chain, tmp_path / "model")
    (folder / "lm").mkdir()
    (folder / "lm/G.fst").write_bytes(golden("out/arpa2fst/G.fst"))
    (folder / "lm/G.carpa").write_bytes(golden("out/arpa-to-const-arpa/G.carpa"))
    facts = json.loads((folder / "model.json").read_text())
    describe(folder, **{name: fact for name, fact in facts.items() if name not in ("format", "versions", "files")})
    plain, ours = (Recogniser(one).transcribe(recordings[0], lattice=True).pieces[0].lattice for one in (chain, folder))
    assert plain is not None and ours is not None
    written, without, rescored = (f"ark:{tmp_path}/{name}" for name in ("written", "without", "rescored"))
    with TableWriter(written, COMPACT_LATTICE) as writer:
        writer.write("a", plain)
    run_script("lattice-lmrescore", "--lm-scale=-1.0", written, folder / "lm/G.fst", without)
    run_script("lattice-lmrescore-const-arpa", without, folder / "lm/G.carpa", rescored)
    ((_, theirs),) = read_table(rescored, COMPACT_LATTICE)
    np.testing.assert_array_equal(ours.words, theirs.words)
    np.testing.assert_allclose(ours.weights, theirs.weights, atol=1e-3)


def read(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="float32")[0]


def test_the_folder_of_a_chain_model(chain: Path, chain_exp: Path) -> None:
    calibration = json.loads((chain / "model.json").read_text())["calibration"]
    judged = json.loads((chain_exp / "judged.json").read_text())
    assert [calibration["words"], calibration["wrong"]] == judged and calibration["slope"] > 0
    files = {str(path.relative_to(chain)) for path in chain.rglob("*") if path.is_file()}
    assert {"gmm/graph/HCLG.fst", "nnet/frame_subsampling_factor", "encoder/model.bin", "lang/L.fst"} <= files
    assert "nnet/ali_train_pdf.counts" not in files
    (chain / "gmm/graph/HCLG.fst").rename(chain / "graph.tmp")
    with pytest.raises(ModelError, match=r"gmm/graph/HCLG\.fst is missing"):
        Recogniser(chain)
    (chain / "graph.tmp").rename(chain / "gmm/graph/HCLG.fst")


def test_an_encoder_that_is_not_packed(slow: Path, encoder: Path, recordings: list[Path], tmp_path: Path) -> None:
    folder = shutil.copytree(slow, tmp_path / "model")
    shutil.rmtree(folder / "encoder")
    pack(folder)
    with pytest.raises(ModelError, match=r"needs the encoder tiny .* not packed: say where it lies"):
        Recogniser(folder)
    with pytest.raises(ModelError, match=r"other is not the encoder tiny"):
        Recogniser(folder, encoder=tiny_encoder(tmp_path / "other", dim=DIM, seed=2))
    assert Recogniser(folder, encoder=encoder).transcribe(recordings[1]).text == "FIVE NINE"
    assert __main__.main(["--encoder", str(encoder), str(folder), str(recordings[1])]) == 0
