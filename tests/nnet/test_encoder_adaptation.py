"""Training of a Whisper model: its file, its layers in PyTorch, and a training that goes on where it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from encoder_task import tiny_encoder
from test_encoder import make_data, noise

from kaldi.util.kinds import INT_VECTOR
from kaldi.util.table import TableWriter
from nnet.encoder import adapt
from nnet.encoder.batches import IGNORED, Example, load, masked, plan, read_examples
from nnet.encoder.decoder import Decoder
from nnet.encoder.encoder import FACTOR, LONGEST, Encoder
from nnet.encoder.identity import WEIGHTS
from nnet.encoder.layers import DecoderNetwork, EncoderNetwork
from nnet.encoder.mel import log_mel
from nnet.encoder.model_file import ModelFile, read_model_file
from nnet.encoder.tokens import Tokens

pytest.importorskip("ctranslate2")

PDFS = 3


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("adapted") / "tiny")


@pytest.fixture(scope="module")
def model(tiny) -> ModelFile:
    return read_model_file(tiny / WEIGHTS)


@pytest.fixture
def task(tmp_path) -> Path:
    """A data directory, and an alignment of each of its frames of 10 ms with one of three pdfs."""
    data = make_data(tmp_path / "data")
    with TableWriter(f"ark,scp:{tmp_path}/pdfs.ark,{tmp_path}/pdfs.scp", INT_VECTOR) as writer:
        for id, frames in (("s0-u0", 98), ("s0-u2", 68), ("s0-u4", 28), ("s1-u1", 48)):
            writer.write(id, np.arange(frames) // 10 % PDFS)
    return data


def options(task: Path, tiny: Path, out: Path, *more: str) -> list[str]:
    pdfs = task.parent / "pdfs.scp"
    return [
        *("--num-pdfs", f"{PDFS}", "--layers", "1", "--use-gpu", "false", "--learning-rate", "1e-3", *more),
        *map(str, (tiny, f"{task},{task}", pdfs, task, pdfs, out)),
    ]


def outputs(layers: EncoderNetwork, samples: np.ndarray) -> np.ndarray:
    spectrum = torch.from_numpy(log_mel(samples, layers.bands))[None]
    with torch.no_grad():
        return layers.eval()(spectrum, torch.tensor([spectrum.shape[2]]))[0][0].numpy()


def test_layers_are_those_of_the_library(tiny, model):
    """CTranslate2 has weights of 8 bits."""
    samples = noise(1.3)
    theirs, ours = Encoder(tiny)(samples), outputs(EncoderNetwork(model), samples)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).mean() < 0.03 * np.abs(theirs).mean()


def test_texts_are_as_probable_as_to_the_decoder_of_recognition(tiny, model):
    """Two texts in a batch, of which one is shorter, as are its spectra."""
    recogniser = Decoder(tiny)
    start, end = recogniser.tokens.frame("en")
    texts = [[*start, *recogniser.tokens.encode(text), end] for text in (" ab c", " a")]
    mel = np.random.default_rng(5).normal(size=(2, 80, 60)).astype(np.float32)
    mel[1, :, 40:] = 0
    encoder, decoder = EncoderNetwork(model).eval(), DecoderNetwork(model).eval()
    tokens = torch.full((2, max(map(len, texts))), end)
    for row, text in enumerate(texts):
        tokens[row, : len(text)] = torch.tensor(text)
    with torch.no_grad():
        heard, valid = encoder(torch.from_numpy(mel), torch.tensor([60, 40]))
        scores = decoder.scores(decoder(tokens, heard, valid)).log_softmax(2)
    for row, (text, frames) in enumerate(zip(texts, (30, 20), strict=True)):
        ours = sum(scores[row, place - 1, text[place]].item() for place in range(len(start), len(text)))
        theirs = recogniser.log_probabilities(heard[row, :frames].numpy(), [text[len(start) :]])
        assert ours == pytest.approx(theirs[0], abs=1e-4)


def test_padding_changes_nothing(model):
    layers = EncoderNetwork(model).eval()
    short, long = (log_mel(noise(seconds, 2), layers.bands)[:, :-1] for seconds in (0.42, 0.9))
    both = np.zeros((2, *long.shape), np.float32)
    both[0, :, : short.shape[1]], both[1] = short, long
    with torch.no_grad():
        alone, _ = layers(torch.from_numpy(short)[None], torch.tensor([short.shape[1]]))
        padded, _ = layers(torch.from_numpy(both), torch.tensor([short.shape[1], long.shape[1]]))
    assert torch.allclose(alone[0], padded[0, : alone.shape[1]], atol=1e-5)


def test_a_model_file_comes_back(tmp_path, tiny, model):
    model.write(tmp_path / WEIGHTS)
    assert (tmp_path / WEIGHTS).read_bytes() == (tiny / WEIGHTS).read_bytes()
    values = {name: array + number for number, (name, array) in enumerate(EncoderNetwork(model).values().items())}
    model.with_values(values).write(tmp_path / WEIGHTS)
    changed = EncoderNetwork(read_model_file(tmp_path / WEIGHTS)).values()
    assert changed.keys() == values.keys() and all(np.array_equal(changed[name], values[name]) for name in values)
    # Equal arrays share one variable; those of the decoder stay.
    norm = read_model_file(tmp_path / WEIGHTS).named()["decoder/layer_norm/gamma"].array()
    assert "decoder/layer_norm/gamma" in model.aliases and (norm == 1).all()


@pytest.mark.parametrize(("damage", "message"), [(slice(0, 900), "ends too early"), (slice(4, None), "version")])
def test_files_that_are_no_model(tmp_path, tiny, damage, message):
    (tmp_path / WEIGHTS).write_bytes((tiny / WEIGHTS).read_bytes()[damage])
    with pytest.raises(ValueError, match=rf"{tmp_path}.*{message}"):
        read_model_file(tmp_path / WEIGHTS)


def read_task(tiny: Path, *data_dirs: Path) -> list[Example]:
    return read_examples(data_dirs, f"{data_dirs[0].parent}/pdfs.scp", Tokens(tiny), "en")


def test_batches_hold_every_example_once_and_little_padding(task, tiny):
    examples = read_task(tiny, task, task) * 300
    batches = plan(examples, None)
    assert sorted(id(e) for batch in batches for e in batch) == sorted(map(id, examples))
    assert all(len(batch) * max(len(e.pdfs) for e in batch) <= 3000 for batch in batches)


def test_targets_are_those_of_the_first_of_two_frames_and_the_tokens_of_the_text(task, tiny):
    (task / "text").write_text("s0-u0 a\ns0-u2 AB C <UNK>\ns0-u4 a\ns1-u1 a\n")
    examples = sorted(read_task(tiny, task), key=lambda example: example.id)
    assert [example.id for example in examples] == ["s0-u0", "s0-u2", "s0-u4", "s1-u1"]
    batch = load(examples[:2], 80, None)
    assert batch.lengths.tolist() == [98, 68] and batch.mel.shape == (2, 80, 128)
    assert batch.pdfs[0, :49].tolist() == (np.arange(0, 98, 2) // 10 % PDFS).tolist()
    assert (batch.pdfs[1, 34:] == IGNORED).all() and (batch.pdfs[0, 49:] == IGNORED).all()
    tokens = Tokens(tiny)
    start, end = tokens.frame("en")
    text = tokens.encode(" ab c")
    assert batch.tokens.shape == (2, 8) and batch.tokens[1].tolist()[: len(start) + len(text)] == [*start, *text]
    assert batch.tokens[0].tolist()[: len(start)] == start
    said = [[number for number in row if number != IGNORED] for row in batch.next_tokens.tolist()]
    assert said == [[*tokens.encode(" a"), end], [*text, end]]
    assert (batch.next_tokens[:, : len(start) - 1] == IGNORED).all() and batch.next_tokens[1, len(start) - 1] == text[0]


def test_recordings_of_half_a_minute(task, tiny, model, caplog):
    """What the encoder can hear at a time is padded to no more; what it cannot is left out."""
    frames = {"s0-u0": FACTOR * LONGEST - 4, "s0-u2": FACTOR * LONGEST + 2}
    with TableWriter(f"ark,scp:{task.parent}/long.ark,{task.parent}/long.scp", INT_VECTOR) as writer:
        for id, count in frames.items():
            writer.write(id, np.zeros(count, np.int32))
    soundfile.write(task / "s0-u0.wav", noise(30), 16000)
    (example,) = read_examples([task], f"{task.parent}/long.scp", Tokens(tiny), "en")
    assert "1 utterances" in caplog.text and "s0-u2" in caplog.text
    batch = load([example], 80, None)
    assert batch.pdfs.shape == (1, LONGEST)
    with torch.no_grad():
        heard, _ = EncoderNetwork(model)(torch.from_numpy(batch.mel), torch.from_numpy(batch.lengths))
    assert heard.shape[1] == LONGEST


def test_masks_hide_bands_and_frames():
    spectrum = np.random.default_rng(1).normal(size=(80, 200)).astype(np.float32)
    changed = masked(spectrum, np.random.default_rng(4)) != spectrum
    assert changed.all(axis=1).any() and changed.all(axis=0).any()
    assert changed.all(axis=1).sum() <= 26 and changed.all(axis=0).sum() <= 60


def test_no_bfloat16_where_the_processor_has_none(task: Path, tiny: Path, model: ModelFile, monkeypatch) -> None:
    """Where PyTorch would take many times as long for it."""
    network = adapt.Network(EncoderNetwork(model, 0.0), DecoderNetwork(model, 0.0), PDFS).eval()
    examples = read_examples([task], str(task.parent / "pdfs.scp"), Tokens(tiny), "en")
    batch = load(examples[:2], network.encoder.bands, None)
    types = []
    network.output.register_forward_hook(lambda layer, given, scores: types.append(scores.dtype))
    for able in (True, False):
        monkeypatch.setattr("nnet.ligru.device._processor_multiplies_bfloat16", lambda able=able: able)
        frames, _ = network(batch, torch.device("cpu"))
        assert frames.scores.dtype == torch.float32
    assert types == [torch.bfloat16, torch.float32]


@pytest.mark.slow
def test_training_learns_and_a_stopped_one_goes_on_as_if_nothing_had_happened(
    tmp_path, task, tiny, model, monkeypatch, capfd
):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert adapt.main(options(task, tiny, whole, "--epochs", "3")) == 0
    rows = [line.split("\t") for line in (whole / "log.tsv").read_text().splitlines()[1:]]
    assert len(rows) == 3 and float(rows[2][2]) < float(rows[0][2])
    assert Encoder(whole)(noise(0.5)).shape == (24, 8)
    halves = (EncoderNetwork, DecoderNetwork)
    before, after = (
        {name: value for half in halves for name, value in half(read_model_file(folder / WEIGHTS)).values().items()}
        for folder in (tiny, whole)
    )
    kept = {name for name in before if np.array_equal(before[name], after[name])}
    assert kept == {name for name in before if "conv" in name}
    assert float(rows[2][4]) < float(rows[0][4])
    assert Decoder(whole)(Encoder(whole)(noise(0.5)), [" ab"]).shape == (1,)

    evaluate, calls = adapt.Adaptation._evaluate, []

    def stopped(self: adapt.Adaptation) -> tuple[float, float, float]:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return evaluate(self)

    monkeypatch.setattr(adapt.Adaptation, "_evaluate", stopped)
    assert adapt.main(options(task, tiny, parts, "--epochs", "3")) == 130
    assert not (parts / WEIGHTS).exists()
    whole_file = (parts / "last.pt").read_bytes()
    (parts / "last.pt").write_bytes(whole_file[:1000])
    assert adapt.main(options(task, tiny, parts, "--epochs", "3")) == 1
    assert "last.pt: is damaged or not a checkpoint" in capfd.readouterr().err
    (parts / "last.pt").write_bytes(whole_file)
    assert adapt.main(options(task, tiny, parts, "--epochs", "3")) == 0
    assert (parts / WEIGHTS).read_bytes() == (whole / WEIGHTS).read_bytes()
    assert sorted(path.name for path in parts.iterdir()) == sorted(path.name for path in whole.iterdir())
    made = (parts / WEIGHTS).stat().st_mtime_ns
    assert adapt.main(options(task, tiny, parts, "--epochs", "3")) == 0
    assert (parts / WEIGHTS).stat().st_mtime_ns == made
    assert adapt.main(options(task, tiny, parts, "--epochs", "2")) == 1
    assert "other options: remove it" in capfd.readouterr().err


def test_what_cannot_be_trained(tmp_path, task, tiny, capfd):
    def error(*arguments: object) -> str:
        assert adapt.main([*map(str, arguments)]) == 1
        lines = capfd.readouterr().err.strip().splitlines()
        return lines[-1]

    assert "--layers: from 1 to 1" in error(*options(task, tiny, tmp_path / "out", "--layers", "2"))
    assert "is the encoder itself" in error(*options(task, tiny, tiny))
    (task / "wav.scp").write_text(f"s9 {tmp_path}/nosuch.wav\n")
    assert "none of its utterances has an alignment" in error(*options(task, tiny, tmp_path / "out"))
    (task / "wav.scp").write_text(f"s0-u0 {tmp_path}/nosuch.wav\n")
    assert "utterance s0-u0:" in error(*options(task, tiny, tmp_path / "out"))
