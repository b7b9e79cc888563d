"""steps/nnet: from alignments of Kaldi to lattices of Kaldi, on the golden recordings of tests/kaldi."""

from __future__ import annotations

import fcntl
import gzip
import io
import json
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from encoder_task import tiny_encoder
from ligru_task import read_matrices, write_table
from network_recipe import Recipe
from recipe_copy import golden, link_recipe

from nnet.ligru.data import Corpus
from nnet.recogniser import Recogniser
from nnet.recogniser.formats import ctm

ROOT = Path(__file__).parents[2]
# Networks that have learned little tell few words from others: a wide search takes far longer.
DECODE = "steps/nnet/decode.sh --nj 2 --use-gpu false --skip-scoring true --max-active 500".split()

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    return Recipe(tmp_path_factory.mktemp("ligru_steps"))


def test_train_and_decode(recipe):
    assert "1 epochs, frame error" in recipe.train("--epochs", "1")
    nnet = recipe.directory / "ligru"
    assert {"final.pt", "final.onnx", "final.mdl", "tree", "cmvn_opts", "ali_train_pdf.counts", "log.tsv"} <= {
        path.name for path in nnet.iterdir()
    }
    assert "training anew" in recipe.train("--stage", "1")
    for nnets, output in (("ligru", "decode"), ("ligru,ligru", "decode_mean")):
        recipe(
            *DECODE,
            "graph",
            "data_dev",
            nnets,
            f"ligru/{output}",
        )
        recipe(
            "bash",
            "-c",
            f"gunzip -c ligru/{output}/lat.*.gz | lattice-best-path --lm-scale=10 ark:- ark,t:- | "
            f"utils/int2sym.pl -f 2- graph/words.txt > {output}.txt",
        )
    assert (recipe.directory / "decode.txt").read_text() == (recipe.directory / "decode_mean.txt").read_text()
    wer = recipe("compute-wer", "--text", "--mode=present", "ark:data_dev/text", "ark:decode.txt")
    assert float(wer.split("%WER")[1].split()[0]) < 60


def test_two_trainings_in_one_directory(recipe):
    targets = recipe.directory / "busy/targets"
    targets.mkdir(parents=True)
    with (targets / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another training works in busy: wait for its end" in recipe.train(fails=True, directory="busy")
    assert [path.name for path in targets.iterdir()] == [".lock"]


def test_pasted_features(recipe, monkeypatch):
    """Decoding sees the features that training saw, from two directories, also if an utterance of one is shorter."""
    monkeypatch.chdir(recipe.directory)
    shutil.copytree("mfcc_dev", "mfcc_cut")
    feats = dict(read_matrices("scp:mfcc_dev/feats.scp"))
    cut = next(iter(feats))
    write_table(Path("mfcc_cut/feats"), feats | {cut: feats[cut][:-3]})
    recipe(
        "steps/nnet/train_ligru.sh",
        "--use-gpu",
        "false",
        "--nnet-config",
        "tables.toml",
        "--epochs",
        "1",
        "data_train,mfcc_train",
        "data_dev,mfcc_cut",
        "ali_train",
        "ali_dev",
        "pasted",
    )
    Path("forward.sh").write_text('#!/bin/sh\ncopy-feats "$6" ark:seen.$$.ark && python3 -m nnet.ligru.forward "$@"\n')
    Path("forward.sh").chmod(0o755)

    def decode(data: str, nnets: str = "pasted", fails: bool = False) -> str:
        return recipe(
            *DECODE,
            "--forward-cmd",
            "./forward.sh",
            "graph",
            data,
            nnets,
            "pasted/decode",
            fails=fails,
        )

    def check(cmvn: str) -> None:
        archives = list(Path().glob("seen.*.ark"))
        seen = {id: feats for archive in archives for id, feats in read_matrices(f"ark:{archive}")}
        trained = Corpus(
            [Path("data_dev"), Path("mfcc_cut")],
            Path("pasted/targets/dev_pdf.scp"),
            None,
            cmvn=cmvn,
            context=(0, 0),
            tolerance=5,
            num_pdfs=10**6,
        )
        assert len(archives) == 2 and seen.keys() == feats.keys() == {one.id for one in trained.utterances}
        assert len(seen[cut]) == len(feats[cut]) - 3
        for utterance in trained.utterances:
            np.testing.assert_allclose(seen[utterance.id], trained.features(utterance), atol=1e-4)
        for archive in archives:
            archive.unlink()

    decode("data_dev,mfcc_cut")
    check("mean-variance")
    for data in ("data_dev", "mfcc_cut"):
        Path(data, "cmvn.scp").rename(f"{data}.cmvn")
    assert "data_dev/cmvn.scp is missing or empty" in decode("data_dev,mfcc_cut", fails=True)
    Path("pasted/cmvn_opts").write_text("--norm-means=false --norm-vars=false\n")
    decode("data_dev,mfcc_cut")
    check("none")
    Path("data_dev.cmvn").rename("data_dev/cmvn.scp")

    assert "data_dev/utt2spk and mfcc_train/utt2spk differ" in decode("data_dev,mfcc_train", fails=True)
    Path("other").mkdir()
    Path("other/tree").write_bytes(golden("out/mono/tree"))
    assert "pasted and other were trained on different trees" in decode("data_dev,mfcc_cut", "pasted,other", fails=True)


@pytest.fixture(scope="module")
def encoder(recipe) -> Path:
    """A network of the features of an encoder alone, and one with other features beside them."""
    if not find_spec("ctranslate2"):
        pytest.skip("CTranslate2 is not installed")
    tiny = tiny_encoder(recipe.directory / "models/tiny")
    frames = {id: len(feats) for id, feats in read_matrices(f"ark:{recipe.directory}/data.ark")}
    for name in ("train", "dev"):
        data = recipe.directory / f"wav_{name}"
        shutil.copytree(recipe.directory / f"mfcc_{name}", data)
        lines = []
        for line in (data / "utt2spk").read_text().splitlines():  # recordings of as many frames
            id = line.split()[0]
            wav = data / f"{id}.wav"
            samples = np.random.default_rng(1).normal(0, 0.1, 400 + 160 * (frames[id] - 1))
            soundfile.write(wav, samples, 16000)
            lines.append(f"{id} {wav}\n")
        (data / "wav.scp").write_text("".join(lines))
        recipe("steps/make_encoder_feats.sh", "--nj", "2", "models/tiny", f"wav_{name}", f"enc_{name}")
        recipe("steps/compute_cmvn_stats.sh", f"enc_{name}")
    train = "steps/nnet/train_ligru.sh --use-gpu false --nnet-config tables.toml --epochs 1".split()
    for nnet, data in (("enc", "enc_NAME"), ("both", "data_NAME,enc_NAME")):
        recipe(*train, *(data.replace("NAME", name) for name in ("train", "dev")), "ali_train", "ali_dev", nnet)
    return tiny


def test_features_of_an_encoder(recipe, encoder, monkeypatch):
    """Decoding sees what training saw, gives lattices of 10 ms a frame, and takes no other encoder's features."""
    monkeypatch.chdir(recipe.directory)
    assert [line.split()[:3] for line in Path("both/streams").read_text().splitlines()] == [
        ["40", "1", "-"],
        ["8", "2", "tiny"],
    ]
    Path("see.sh").write_text('#!/bin/sh\ncopy-feats "$6" ark:heard.$$.ark && python3 -m nnet.ligru.forward "$@"\n')
    Path("see.sh").chmod(0o755)
    for nnet, data in (("both", "data_dev,enc_dev"), ("enc", "enc_dev")):
        recipe(*DECODE, "--forward-cmd", "./see.sh", "graph", data, nnet, f"{nnet}/decode")
        archives = list(Path().glob("heard.*.ark"))
        seen = {id: feats for archive in archives for id, feats in read_matrices(f"ark:{archive}")}
        trained = Corpus(
            [Path(directory) for directory in data.split(",")],
            Path(f"{nnet}/targets/dev_pdf.scp"),
            None,
            cmvn="mean-variance",
            context=(0, 0),
            tolerance=5,
            num_pdfs=10**6,
        )
        assert seen.keys() == {utterance.id for utterance in trained.utterances}
        for utterance in trained.utterances:
            np.testing.assert_allclose(seen[utterance.id], trained.features(utterance), atol=1e-4)
        for archive in archives:
            archive.unlink()
        states = "lattice-1best 'ark:gunzip -c NNET/decode/lat.*.gz |' ark:- | nbest-to-linear ark:- ark,t:NNET/states"
        recipe("bash", "-c", f". ./path.sh; {states}".replace("NNET", nnet))
        frames = {id: len(numbers) for id, *numbers in map(str.split, Path(f"{nnet}/states").read_text().splitlines())}
        assert frames == {utterance.id: 2 * utterance.frames for utterance in trained.utterances}
    assert "both was trained on 2 streams" in recipe(*DECODE, "graph", "data_dev", "both", "both/decode", fails=True)
    shutil.copytree("enc_dev", "enc_other")
    Path("enc_other/encoder").write_text("tiny 0123456789abcdef0123 /models/tiny\n")
    told = recipe(*DECODE, "graph", "enc_other", "enc", "enc/decode", fails=True)
    assert "enc_other has features of the encoder tiny (SHA-256 0123456789abcdef" in told


def test_transcribe_by_an_encoder(recipe, encoder):
    """The encoder is where the model says it is, or where the user says; without fMLLR no GMM is needed."""
    options = ["--use-gpu", "false", "--graph-dir", "graph", "--one-speaker", "true"]
    (recipe.directory / "s1-00.wav").write_bytes(golden("data/wav/s1-00.wav"))
    command = ["local/transcribe.sh", *options, "--dir", "heard"]
    assert recipe(*command, "--gmm-dir", "none", "enc", "s1-00.wav").split()[0] == "s1-00"
    assert not (recipe.directory / "heard/gmm").exists()
    assert recipe(*command, "--gmm-dir", "gmm", "both", "s1-00.wav").split()[0] == "s1-00"
    encoder.rename(recipe.directory / "moved")
    told = recipe(*command, "--gmm-dir", "none", "enc", "s1-00.wav", fails=True)
    assert "the encoder tiny of" in told and "models/tiny any more: say where it is, by --encoder DIR" in told
    assert recipe(*command, "--encoder", "moved", "--gmm-dir", "none", "enc", "s1-00.wav").split()[0] == "s1-00"
    recipe("local/pack_model.sh", "--graph-dir", "graph", "--encoder", "moved", "enc", "packed_enc")
    assert (recipe.directory / "packed_enc/nnet/streams").read_text().split()[-1] == "encoder"
    assert recipe("local/transcribe.sh", "--use-gpu", "false", "packed_enc", "s1-00.wav").split()[0] == "s1-00"
    tiny_encoder(recipe.directory / "another", seed=2)
    told = recipe(*command, "--encoder", "another", "--gmm-dir", "none", "enc", "s1-00.wav", fails=True)
    assert "has features of the encoder another" in told


def transcribe(recipe: Recipe, *options: str) -> str:
    """The words of two recordings by the network of test_train_and_decode."""
    for name in ("s1-00", "s1-01"):
        (recipe.directory / f"{name}.wav").write_bytes(golden(f"data/wav/{name}.wav"))
    return recipe(
        "local/transcribe.sh",
        "--use-gpu",
        "false",
        "--gmm-dir",
        "gmm",
        "--graph-dir",
        "graph",
        "--one-speaker",
        "true",
        *options,
        "ligru",
        "s1-00.wav",
        "s1-01.wav",
    )


@pytest.fixture(scope="module")
def spoken(recipe) -> str:
    return transcribe(recipe, "--dir", "work")


def test_transcribe(recipe, spoken):
    texts = dict(line.split(maxsplit=1) for line in golden("data/text").decode().splitlines())
    words = [line.split() for line in spoken.splitlines()]
    assert [line[0] for line in words] == ["s1-00", "s1-01"]
    assert any(set(line[1:]) & set(texts[line[0]].split()) for line in words)
    ctm = [line.split() for line in (recipe.directory / "work/ctm").read_text().splitlines()]
    assert [[line[0], line[4]] for line in ctm] == [[name, word] for name, *rest in words for word in rest]
    assert all(float(line[2]) >= 0 and float(line[3]) > 0 for line in ctm)


def test_transcribe_by_a_packed_model(recipe, spoken, tmp_path):
    """The folder has all that is needed: the words are the same where nothing else of the training is."""
    (recipe.directory / "lang/phones").mkdir(parents=True)
    for file in ("L.fst", "words.txt", "phones/disambig.int"):
        (recipe.directory / "lang" / file).write_bytes(golden(f"lang/{file}"))
    options = ["--gmm-dir", "gmm", "--graph-dir", "graph", "--lang-dir", "lang", "--corpus", "tiny"]
    recipe("local/pack_model.sh", *options, "ligru", "packed")
    model = shutil.move(recipe.directory / "packed", tmp_path / "a model")
    assert json.loads((model / "model.json").read_text())["corpus"] == "tiny"
    link_recipe(tmp_path)
    done = subprocess.run(
        ["local/transcribe.sh", "--use-gpu", "false", "--one-speaker", "true", "a model"]
        + [str(recipe.directory / f"{name}.wav") for name in ("s1-00", "s1-01")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout == spoken, done.stderr
    recogniser = Recogniser(model)
    assert recogniser.align(recipe.directory / "s1-01.wav", "FIVE NINE").text == "FIVE NINE"
    speaker = recogniser.speaker()
    for name in ("s1-00", "s1-01"):
        speaker.add(recipe.directory / f"{name}.wav")
    heard = "".join(map(ctm, ("s1-00", "s1-01"), speaker.transcribe()))
    ours, theirs = (
        [(name, float(start), float(duration), word) for name, _, start, duration, word, *_ in map(str.split, lines)]
        for lines in (heard.splitlines(), (recipe.directory / "work/ctm").read_text().splitlines())
    )
    assert ours == theirs
    shutil.copytree(model, tmp_path / "cut")
    for name in ("graph/HCLG.fst", "nnet/final.pt"):
        (tmp_path / "cut" / name).unlink()
    done = subprocess.run(["local/transcribe.sh", "cut", "x.wav"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "graph/HCLG.fst is missing; nnet/final.pt is missing" in done.stderr


def test_transcribe_enhanced(recipe, spoken):
    """A SEGAN that lets everything through does not change the words."""
    if not find_spec("tensorflow"):
        pytest.skip("TensorFlow is not installed")
    segan = recipe.directory / "segan"
    shutil.copytree(ROOT / "nnet/segan/pretrained", segan)
    config = json.loads((segan / "config.json").read_text())
    (segan / "config.json").write_text(json.dumps(config | {"dry": 1.0}))
    assert transcribe(recipe, "--segan-dir", "segan", "--dir", "enhanced_work") == spoken
    assert (recipe.directory / "enhanced_work/enhanced/wav/s1-00.wav").stat().st_size > 0
    options = ["--gmm-dir", "gmm", "--graph-dir", "graph", "--segan-dir", "segan"]
    recipe("local/pack_model.sh", *options, "ligru", "packed_segan")
    options = ["--use-gpu", "false", "--one-speaker", "true", "--dir", "packed_work"]
    assert recipe("local/transcribe.sh", *options, "packed_segan", "s1-00.wav", "s1-01.wav") == spoken
    assert (recipe.directory / "packed_work/enhanced/wav/s1-00.wav").stat().st_size > 0
    recogniser = ["python3", "-m", "nnet.recogniser", "--one-speaker", "packed_segan", "s1-00.wav", "s1-01.wav"]
    assert set(spoken.splitlines()) <= set(recipe(*recogniser).splitlines())  # TensorFlow has words of its own


def test_transcribe_bad_recordings(recipe, spoken):
    """The good ones are done, the bad ones named; the status is 1 where there is none, or on request."""
    soundfile.write(recipe.directory / "click.wav", np.zeros(1000, np.int16), 16000)
    (recipe.directory / "._x.wav").write_bytes(b"\0\5\26\7Mac OS X")
    (recipe.directory / "nothing.wav").write_bytes(b"")
    one = ["local/transcribe.sh", "--use-gpu", "false", "--gmm-dir", "gmm", "--graph-dir", "graph"]
    told = recipe(*one, "ligru", "click.wav", "._x.wav", "nothing.wav", "none.wav", fails=True)
    assert "recording is shorter than 100 ms" in told and "click.wav" in told
    assert "recording is not audio that soundfile reads" in told
    assert "recording is empty" in told and "recording cannot be read (No such file or directory)" in told
    assert "there is nothing to transcribe" in told
    assert "Mac" not in told and "Traceback" not in told

    (recipe.directory / "a child.wav").write_bytes(golden("data/wav/s1-00.wav"))
    told = recipe(*one, "--dir", "some", "--strict", "true", "ligru", "click.wav", "a child.wav", fails=True)
    assert "1 recordings or parts of them could not be used" in told
    assert (recipe.directory / "some/text").read_text().split()[0] == "a_child"


def test_transcribe_long_recording_from_standard_input_elsewhere(recipe, tmp_path):
    """What is said is in pieces of their own, and the times are those of the whole."""
    samples, rate = soundfile.read(io.BytesIO(golden("data/wav/s1-00.wav")), dtype="int16")
    long = np.zeros(45 * rate, np.int16)
    for start in (1, 20, 40):
        long[start * rate : start * rate + len(samples)] = samples
    soundfile.write(tmp_path / "long.wav", long, rate)
    done = subprocess.run(
        [recipe.directory / "local/transcribe.sh", "--use-gpu", "false"]
        + ["--gmm-dir", recipe.directory / "gmm", "--graph-dir", recipe.directory / "graph"]
        + ["--dir", "work", recipe.directory / "ligru", "-"],
        cwd=tmp_path,
        stdin=(tmp_path / "long.wav").open("rb"),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == "stdin"
    pieces = [line.split() for line in (tmp_path / "work/data/pieces").read_text().splitlines()]
    assert [piece[1] for piece in pieces] == ["stdin"] * 3
    seconds = len(samples) / rate  # the zeros before the first are a second and no more, which stay
    spans = [(0, 1 + seconds), (20, 20 + seconds), (40, 40 + seconds)]
    np.testing.assert_allclose([[float(time) for time in piece[2:]] for piece in pieces], spans, atol=0.1)
    times = [float(line.split()[2]) for line in (tmp_path / "work/ctm").read_text().splitlines()]
    assert times == sorted(times) and times[-1] > 40


def test_monophones(recipe):
    tables = recipe.directory / "tables.toml"
    text = tables.read_text()
    tables.write_text(text.replace("monophone_weight = 0.0", "monophone_weight = 1.0"))
    assert "2 epochs" in recipe.train("--epochs", "2")
    assert torch.load(recipe.directory / "ligru/final.pt", weights_only=True)["num_phones"] > 1
    tables.write_text(text)


def test_alignments_of_different_trees(recipe):
    other = recipe.directory / "ali_other"
    other.mkdir()
    for file in ("final.mdl", "tree"):
        (other / file).write_bytes(golden(f"out/mono/{file}"))
    (other / "ali.1.gz").write_bytes(gzip.compress(golden("out/mono_ali/ali.ark")))
    (other / "phones.txt").write_bytes(golden("lang/phones.txt"))
    assert "made with different trees" in recipe.train(fails=True, ali="ali_other")
    assert "ali_none/final.mdl is missing or empty" in recipe.train(fails=True, ali="ali_none")
