"""Features of an encoder: their times, long recordings, jobs and restarts, bad input."""

from __future__ import annotations

import functools
import http.server
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
from encoder_task import tiny_encoder
from ligru_task import read_matrices

from nnet.encoder import extract, identity, mel, models
from nnet.encoder.encoder import LONGEST, Encoder

pytest.importorskip("ctranslate2")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("encoder") / "tiny")


@pytest.fixture(scope="module")
def encoder(tiny) -> Encoder:
    return Encoder(tiny)


def noise(seconds: float, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(16000 * seconds)).astype(np.float32)


def make_data(folder: Path, seconds: tuple[float, ...] = (1.0, 0.5, 0.7, 2.0, 0.3)) -> Path:
    """A data directory of two speakers."""
    folder.mkdir()
    names = [f"s{number % 2}-u{number}" for number in range(len(seconds))]
    for number, (name, length) in enumerate(zip(names, seconds, strict=True)):
        soundfile.write(folder / f"{name}.wav", noise(length, number), 16000)
    for table, values in (
        ("wav.scp", [f"{folder}/{name}.wav" for name in names]),
        ("text", ["one two" for name in names]),
        ("utt2spk", [name[:2] for name in names]),
    ):
        lines = sorted(f"{name} {value}\n" for name, value in zip(names, values, strict=True))
        (folder / table).write_text("".join(lines))
    spk2utt = [f"{spk} {' '.join(sorted(name for name in names if name[:2] == spk))}\n" for spk in ("s0", "s1")]
    (folder / "spk2utt").write_text("".join(spk2utt[: len(names)]))
    return folder


def run(*arguments: object) -> int:
    return extract.main([*map(str, arguments)])


def last_line(capfd) -> str:
    told = capfd.readouterr().err
    assert "Traceback" not in told
    return told.strip().splitlines()[-1]


def test_log_mel_of_a_tone():
    """1000 Hz lie on bin 25: a quarter of the power is on each side of it, and each band takes its share."""
    samples = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000).astype(np.float32)
    bins = 2500 * np.bincount([24, 25, 26], [0.25, 1, 0.25], minlength=201)
    expected = np.log10(np.maximum(mel.mel_filters(80) @ bins, 1e-10))
    expected = (np.maximum(expected, expected.max() - 8) + 4) / 4
    found = mel.log_mel(samples, 80)
    assert found.shape == (80, 98)
    loud = expected > expected.max() - 0.5
    assert 1 < loud.sum() < 6
    np.testing.assert_allclose(found[loud], np.repeat(expected[loud, None], 98, 1), atol=1e-3)
    np.testing.assert_allclose(found.max() - found.min(), 2, atol=1e-5)


@pytest.mark.parametrize("bands", [80, 128])
def test_mel_filters(bands):
    """Slaney's scale is linear up to 1000 Hz, which is 15 mel of 45.25; all triangles have the same area."""
    filters = mel.mel_filters(bands)
    centres = (filters * np.arange(201)).sum(1) / filters.sum(1) * 40
    wide = filters.astype(bool).sum(1) > 6
    np.testing.assert_allclose(filters[wide].sum(1) * 40, 1, rtol=0.05)
    top = 15 + 27 * np.log(8) / np.log(6.4)
    number = round(30 / top * (bands + 1))  # at 30 mel: 1000 Hz times 6.4 to the power of 15 / 27
    assert centres[number - 1] == pytest.approx(1000 * 6.4 ** ((number * top / (bands + 1) - 15) / 27), rel=0.02)


@pytest.mark.parametrize("samples", [400, 559, 560, 720, 16000, 480000, 480240])
def test_as_many_frames_as_kaldi_has(encoder, samples):
    """A frame for two of Kaldi's, which takes a window of 400 samples every 160."""
    frames = 1 + (samples - 400) // 160
    assert mel.log_mel(noise(samples / 16000), 80).shape[1] == frames
    assert len(encoder(noise(samples / 16000))) == (frames + 1) // 2


def test_frames_lie_where_kaldis_lie(encoder):
    """A click changes the features around the frame that it is in, of a network that looks no further."""
    quiet = np.full(16000, 1e-3, np.float32)
    click = quiet.copy()
    click[200 + 160 * 50] = 1.0  # in the middle of Kaldi's frame 50
    change = np.abs(mel.log_mel(click, 80) - mel.log_mel(quiet, 80)).sum(0)
    assert change.argmax() == 50 or change[50] == pytest.approx(change.max(), rel=0.05)


def test_long_recordings_have_no_seams(encoder):
    """The windows fade into each other: the same as their weighted mean, frame by frame."""
    samples = noise(75.0)
    found = encoder(samples)
    spectrum = mel.log_mel(samples, 80)
    total = len(found)
    starts = [round(number * (total - LONGEST) / 3) for number in range(4)]  # three would overlap by less than 10 s
    windows = [encoder._encode(spectrum[:, 2 * start : 2 * (start + LONGEST)]) for start in starts]
    for frame in [0, 1, 400, 749, 760, 1200, 1499, 1500, 1501, 2300, total - 1]:
        parts = [
            (min(1.0, (frame - start + 1) / 500, (start + LONGEST - frame) / 500), window[frame - start])
            for start, window in zip(starts, windows, strict=True)
            if 0 <= frame - start < LONGEST
        ]
        mean = sum(weight * part for weight, part in parts) / sum(weight for weight, _ in parts)
        np.testing.assert_allclose(found[frame], mean, atol=1e-4)
    jumps = np.abs(np.diff(found, axis=0)).max(1)
    borders = [border - 1 for start in starts for border in (start, start + LONGEST) if 0 < border < total]
    assert max(jumps[borders]) <= np.quantile(jumps, 0.999)


def test_silence_is_finite(tmp_path, tiny):
    data = make_data(tmp_path / "data", (1.0,))
    soundfile.write(data / "s0-u0.wav", np.zeros(16000), 16000)
    assert run(tiny, data, tmp_path / "out") == 0
    ((_, found),) = read_matrices(f"scp:{tmp_path}/out/feats.scp")
    assert found.shape == (49, 8) and np.isfinite(found).all() and found.std() > 0


def test_data_directory(tmp_path, tiny, encoder):
    data = make_data(tmp_path / "data")
    utterances = [line.split()[0] for line in (data / "utt2spk").read_text().splitlines()]
    (data / "feats.scp").write_text("".join(f"{name} mfcc.ark:6\n" for name in utterances))  # of the source
    (data / "cmvn.scp").write_text("s0 cmvn.ark:3\ns1 cmvn.ark:90\n")
    assert run(tiny, data, tmp_path / "out") == 0
    out = tmp_path / "out"
    found = dict(read_matrices(f"scp:{out}/feats.scp"))
    assert list(found) == ["s0-u0", "s0-u2", "s0-u4", "s1-u1", "s1-u3"]
    for name, matrix in found.items():
        samples, _ = soundfile.read(data / f"{name}.wav", dtype="float32")
        expected = encoder(samples)
        np.testing.assert_allclose(matrix, expected, atol=(expected.max() - expected.min()) / 50)
    for table in ("text", "utt2spk", "spk2utt", "wav.scp"):
        assert (out / table).read_text() == (data / table).read_text()
    assert (out / "frame_shift").read_text() == "0.02\n"
    assert (out / "frame_subsampling_factor").read_text() == "2\n"
    assert not (out / "cmvn.scp").exists()
    known = identity.read(out)
    assert known and known.name == "tiny" and known == identity.identify(tiny)
    size = sum(path.stat().st_size for path in (out / "data").glob("*.ark"))
    assert size < 1.5 * sum(matrix.size for matrix in found.values()) + 100 * len(found)  # a byte a number


def archives(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (out / "data").glob("feats_*.ark")}


def test_any_number_of_jobs_and_restarts_give_the_same(tmp_path, tiny, monkeypatch):
    monkeypatch.setattr(extract, "PART", 2)
    data = make_data(tmp_path / "data")
    assert run(tiny, data, tmp_path / "one") == 0
    for job in (3, 1, 2, 4):
        assert run("--job", job, "--num-jobs", 4, tiny, data, tmp_path / "four") == 0
    assert not (tmp_path / "four/feats.scp").exists()
    assert run(tiny, data, tmp_path / "four") == 0
    assert archives(tmp_path / "four") == archives(tmp_path / "one") and len(archives(tmp_path / "one")) == 3

    computed = []
    original = extract.features

    def killed(encoder, segment):
        computed.append(segment)
        if len(computed) == 4:
            raise KeyboardInterrupt
        return original(encoder, segment)

    monkeypatch.setattr(extract, "features", killed)
    assert run(tiny, data, tmp_path / "killed") == 130
    assert not (tmp_path / "killed/feats.scp").exists()
    assert run(tiny, data, tmp_path / "killed") == 0
    assert archives(tmp_path / "killed") == archives(tmp_path / "one")
    assert len(computed) == 4 + 3  # the first part of two was kept
    assert run(tiny, data, tmp_path / "killed") == 0
    assert len(computed) == 4 + 3

    (data / "wav.scp").write_text((data / "wav.scp").read_text())  # other recordings, perhaps
    assert run(tiny, data, tmp_path / "killed") == 0
    assert len(computed) == 4 + 3 + 5


def test_another_encoder_begins_anew(tmp_path, tiny):
    data = make_data(tmp_path / "data")
    other = tiny_encoder(tmp_path / "other", seed=2)
    assert run(tiny, data, tmp_path / "out") == 0
    before = archives(tmp_path / "out")
    assert run(other, data, tmp_path / "out") == 0
    assert identity.read(tmp_path / "out") == identity.identify(other)
    assert len(before) == len(archives(tmp_path / "out")) == 1
    assert before.keys() != archives(tmp_path / "out").keys()


def test_recordings_that_cannot_be_used(tmp_path, tiny, capfd):
    data = make_data(tmp_path / "data", (1.0, 0.01, 0.7))
    (data / "s0-u2.wav").write_bytes(b"nonsense")
    assert run(tiny, data, tmp_path / "out") == 1
    told = last_line(capfd)
    assert "2 utterances have no features" in told and "s1-u1 recording is shorter than a frame of 25 ms" in told
    assert "s0-u2 recording is not audio" in told and "--skip-unreadable" in told
    assert not (tmp_path / "out/feats.scp").exists()
    assert run("--skip-unreadable", tiny, data, tmp_path / "out") == 0
    assert (tmp_path / "out/feats.scp").read_text().split()[0] == "s0-u0"
    assert (tmp_path / "out/utt2spk").read_text() == "s0-u0 s0\n"
    soundfile.write(data / "s0-u2.wav", noise(0.7), 16000)
    soundfile.write(data / "s1-u1.wav", noise(0.7), 16000)
    assert run(tiny, data, tmp_path / "out") == 0
    assert len((tmp_path / "out/feats.scp").read_text().splitlines()) == 3


def test_nothing_can_be_used(tmp_path, tiny, capfd):
    data = make_data(tmp_path / "data", (0.01,))
    assert run("--skip-unreadable", tiny, data, tmp_path / "out") == 1
    assert "not a single utterance has features: s0-u0 recording is shorter" in last_line(capfd)


def test_folders_that_are_no_encoder(tmp_path, tiny, capfd):
    data = make_data(tmp_path / "data", (0.5,))
    (tmp_path / "empty").mkdir()
    (tmp_path / "halves").mkdir()
    (tmp_path / "halves/model.bin.part1").write_bytes(b"half")
    half = tiny_encoder(tmp_path / "half")
    content = (half / "model.bin").read_bytes()
    (half / "model.bin").write_bytes(content[: len(content) // 2])
    (tmp_path / "nonsense").mkdir()
    (tmp_path / "nonsense/model.bin").write_bytes(b"nonsense" * 100)
    for folder, reason in (
        ("empty", "no encoder in CTranslate2's format, there is no model.bin"),
        ("halves", "join its halves: cat model.bin.part* > model.bin"),
        ("half", "no encoder of Whisper's family that can be loaded"),
        ("nonsense", "no encoder of Whisper's family that can be loaded"),
        ("bands", "a model for 40 mel bands, Whisper's have 80 or 128"),
        ("translator", "no encoder of Whisper's family that can be loaded"),
    ):
        if folder == "bands":
            tiny_encoder(tmp_path / folder, bands=40)
        if folder == "translator":
            translator(tmp_path / folder)
        assert run(tmp_path / folder, data, tmp_path / "out") == 1
        told = last_line(capfd)
        assert reason in told and str(tmp_path / folder) in told, told
    assert run(tiny, tmp_path / "none", tmp_path / "out") == 1
    assert f"{tmp_path}/none/wav.scp" in last_line(capfd)
    assert run(tiny, data, data) == 1
    assert "is the source itself" in last_line(capfd)


def translator(folder: Path) -> None:
    """A model of the same library, of another architecture."""
    from ctranslate2.specs import TransformerSpec

    spec = TransformerSpec.from_config(num_layers=1, num_heads=2)

    def fill(layer) -> None:
        for name, value in list(vars(layer).items()):
            if isinstance(value, list):
                for one in value:
                    fill(one)
            elif hasattr(value, "validate"):
                fill(value)
            elif value is None:
                setattr(layer, name, np.ones((8, 8) if name in ("weight", "encodings") else 8, np.float32))

    fill(spec)
    words = [f"w{number}" for number in range(8)]
    spec.register_source_vocabulary(words)
    spec.register_target_vocabulary(words)
    spec.validate()
    folder.mkdir()
    spec.save(str(folder))


def test_package_not_installed(tmp_path, tiny, monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    assert run(tiny, make_data(tmp_path / "data"), tmp_path / "out") == 1
    told = last_line(capfd)
    assert "ctranslate2 is not installed" in told
    assert "local/install_packages.sh requirements.txt requirements-encoder.txt" in told


def test_a_name_is_downloaded_once(tmp_path, tiny, monkeypatch, capfd):
    hub = tmp_path / "hub/Systran/faster-whisper-tiny.en/resolve"
    hub.mkdir(parents=True)
    (hub / "main").symlink_to(tiny)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "hub"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    folder = models.find_encoder("tiny.en")
    server.shutdown()
    server.server_close()
    assert folder == Path("exp/encoders/tiny.en")
    assert identity.identify(folder).sha256 == identity.identify(tiny).sha256
    assert models.find_encoder("tiny.en") == folder
    with pytest.raises(ValueError, match="the encoder base cannot be downloaded from http://127.0.0.1"):
        models.find_encoder("base")
    with pytest.raises(ValueError, match="huge: neither a folder nor one of tiny.en, "):
        models.find_encoder("huge")


def test_step(tmp_path, tiny):
    """In two jobs, with a log of each."""
    data = make_data(tmp_path / "data")
    step = f"""cd {ROOT} && . ./path.sh &&
        steps/make_encoder_feats.sh --nj 2 {tiny} {data} {tmp_path}/out &&
        steps/compute_cmvn_stats.sh {tmp_path}/out && utils/validate_data_dir.sh {tmp_path}/out"""
    done = subprocess.run(["bash", "-c", step], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "5 utterances of" in done.stdout and "have features of tiny" in done.stdout
    assert (tmp_path / "out/log/make_encoder_feats_out.2.log").exists()
    assert run(tiny, data, tmp_path / "one") == 0
    assert archives(tmp_path / "one") == archives(tmp_path / "out")
    (data / "frame_shift").write_text("0.0125\n")
    done = subprocess.run(["bash", "-c", step], capture_output=True, text=True)
    assert done.returncode == 1 and "are 0.0125 s apart" in done.stderr


def test_thirty_seconds_are_one_window(monkeypatch, encoder):
    calls = []
    monkeypatch.setattr(Encoder, "_encode", lambda self, part: calls.append(part.shape[1]) or np.zeros((1499, 8)))
    encoder(noise(30.0))
    assert calls == [2998]
