"""Windows, overlap-add, metrics, configuration and the pairing of recordings; none of it needs TensorFlow."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from local.audio import AudioError, Segment
from local.levels import snr_band
from nnet.segan.config import load_config, read_config
from nnet.segan.evaluate import choose, result_lines
from nnet.segan.make_tfrecords import read_sets
from nnet.segan.metrics import measure, si_sdr, stoi
from nnet.segan.pictures import smooth
from nnet.segan.recordings import find_recordings, pair_recordings, read_pair
from nnet.segan.shuffle import WindowFiles, shuffled
from nnet.segan.signal import (
    Deemphasis,
    Emphasis,
    OverlapAdd,
    Windows,
    cut_windows,
    deemphasise,
    overlap_add,
    preemphasise,
    window_starts,
)

CONF = Path("conf/segan.toml")


def test_windows_cover_everything_once_or_twice() -> None:
    assert list(window_starts(10, 16, 8)) == [0]
    assert list(window_starts(16, 16, 8)) == [0]
    assert list(window_starts(17, 16, 8)) == [0, 8]
    windows = cut_windows(np.arange(20), 8, 4)
    np.testing.assert_array_equal(windows, [np.arange(start, start + 8) for start in (0, 4, 8, 12)])
    np.testing.assert_array_equal(cut_windows(np.arange(1, 4), 8, 4), [[1, 2, 3, 0, 0, 0, 0, 0]])


@pytest.mark.parametrize("length", [5, 16, 17, 100, 1000])
@pytest.mark.parametrize("hop", [4, 8, 12, 16])
def test_overlap_add_gives_a_ramp_back(length: int, hop: int) -> None:
    ramp = np.arange(length, dtype=np.float32)
    np.testing.assert_array_equal(overlap_add(cut_windows(ramp, 16, hop), hop, length), ramp)


@pytest.mark.parametrize("length", [1, 15, 16, 17, 100, 1000])
@pytest.mark.parametrize("hop", [4, 12, 16])
def test_blocks_of_two_channels_are_windowed_and_joined_as_the_whole(length: int, hop: int) -> None:
    random = np.random.default_rng(length)
    signal = random.normal(size=(length, 2)).astype(np.float32)
    emphasis, windows, deemphasis = Emphasis(0.9), Windows(16, hop, 2), Deemphasis(0.9, 2)
    joined = OverlapAdd(16, hop, 2)
    cut, out = [], []
    for block in np.split(signal, sorted(random.integers(0, length, 9))):
        cut.append(windows.push(emphasis(block)))
        out.append(deemphasis(joined.push(cut[-1])))
    cut.append(windows.finish())
    out += [deemphasis(joined.push(cut[-1])), deemphasis(joined.finish())]
    for channel in range(2):
        whole = cut_windows(preemphasise(signal[:, channel], 0.9), 16, hop)
        np.testing.assert_array_equal(np.concatenate(cut)[:, channel], whole)
        rejoined = deemphasise(overlap_add(whole, hop, length), 0.9)
        np.testing.assert_array_equal(np.concatenate(out)[:length, channel], rejoined)


def test_overlap_add_fades_between_windows_that_differ() -> None:
    joined = overlap_add(np.array([[0.0] * 16, [1.0] * 16]), 8, 24)
    assert joined[:8].max() == 0
    assert joined[16:].min() == 1
    assert np.abs(np.diff(joined)).max() < 0.25  # a cut would be a step of 1


def test_deemphasis_undoes_preemphasis() -> None:
    x = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    emphasised = preemphasise(x, 0.95)
    assert emphasised[0] == x[0]
    assert emphasised[5] == pytest.approx(x[5] - 0.95 * x[4], abs=1e-6)
    np.testing.assert_allclose(deemphasise(emphasised, 0.95), x, atol=1e-5)


def test_si_sdr_of_orthogonal_noise_is_the_snr() -> None:
    time = np.arange(16000) / 16000
    clean, noise = np.sin(2 * np.pi * 100 * time), np.sin(2 * np.pi * 200 * time)
    assert si_sdr(clean, 3 * (clean + noise / np.sqrt(10))) == pytest.approx(10, abs=1e-6)
    assert stoi(clean + 0.01 * np.random.default_rng(0).normal(size=16000), clean, 16000) > 0
    assert np.isnan(stoi(clean[:100], clean[:100], 16000))


def test_pesq_of_a_recording_itself_is_the_best_there_is() -> None:
    pytest.importorskip("pesq")
    from nnet.segan.metrics import pesq

    speech = np.random.default_rng(0).normal(size=16000) * (1 + np.sin(np.arange(16000) / 800)) * 0.05
    assert pesq(speech, speech, 16000) > 4.5


@pytest.mark.parametrize("fault", ["raise RuntimeError('no speech')", "import a_compiler"])
def test_a_faulty_optional_package_costs_its_metric_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: str
) -> None:
    (tmp_path / "pesq.py").write_text(f"def pesq(*_):\n    {fault}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pesq", raising=False)
    speech = np.random.default_rng(0).normal(size=8000) * 0.05
    found = measure(speech, speech, 8000)
    assert np.isnan(found["PESQ"]) and found["SI-SDR"] > 100


def test_pesq_of_another_rate_is_measured_at_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def pesq(rate: int, clean: np.ndarray, degraded: np.ndarray, mode: str) -> float:
        assert (rate, len(clean), len(degraded), mode) == (16000, 16000, 16000, "wb")
        return 3.5

    monkeypatch.setitem(sys.modules, "pesq", SimpleNamespace(pesq=pesq, __spec__=object()))
    assert measure(np.ones(8000), np.ones(8000), 8000)["PESQ"] == 3.5


def test_result_lines_leave_out_what_could_not_be_measured() -> None:
    rows = [{"PESQ": float("nan"), "SI-SDR": 1.0}, {"PESQ": 2.0, "SI-SDR": 2.0}]
    assert result_lines(rows, "dev", "noisy") == ["-\tdev\tnoisy\tPESQ\t2.000", "-\tdev\tnoisy\tSI-SDR\t1.500"]
    assert [snr_band(snr, 5) for snr in (-5.0, -0.4, 7.6)] == ["-5dB", "0dB", "10dB"]
    assert choose(list("abcde"), 3) == ["a", "c", "e"]
    assert choose(list("ab"), 0) == ["a", "b"]


def test_smoothing_is_unbiased_at_the_start() -> None:
    np.testing.assert_allclose(smooth(np.array([2.0, 2.0, 2.0])), 2)
    np.testing.assert_allclose(smooth(np.array([0.0, 3.0])), [0, 2])


def test_configurations(tmp_path: Path) -> None:
    for name in ("published", "plus", "small", "noise", "spectral", "spectral_small", "spectral_large"):
        config = read_config(CONF, name)
        config.save(tmp_path)
        assert load_config(tmp_path) == config
    with pytest.raises(ValueError, match="no configuration 'huge'; there are: published, plus, small, noise"):
        read_config(CONF, "huge")
    with pytest.raises(ValueError, match="window 1000 cannot"):
        read_config(CONF, "small").with_overrides(window=1000)
    with pytest.raises(ValueError, match="no SEGAN was trained there"):
        load_config(tmp_path / "nothing")
    assert read_config(CONF, "spectral_small").g_strides == read_config(CONF, "spectral").g_strides
    for values, complaint in (
        ({"g_strides": (2, 2)}, "one for each of the 4 g_depths"),
        ({"g_strides": (3, 2, 2, 2)}, "half of it cannot be divided"),
        ({"frame_hop": 128}, "half of frame 512"),
        ({"z": True}, "without a latent z"),
    ):
        with pytest.raises(ValueError, match=complaint):
            read_config(CONF, "spectral").with_overrides(**values)
    (tmp_path / "bad.toml").write_text(CONF.read_text().replace("kernel = 31", "kernal = 31"))
    with pytest.raises(ValueError, match="unknown or missing: kernal, kernel"):
        read_config(tmp_path / "bad.toml", "small")


def write_wav(path: Path, samples: np.ndarray, rate: int = 16000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate)


def test_data_directories_and_folders_pair_up_or_say_what_is_lonely(tmp_path: Path) -> None:
    samples = np.linspace(-0.5, 0.5, 32000)
    for name in ("clean/a.wav", "clean/deep/b.flac", "noisy/a.wav"):
        write_wav(tmp_path / name, samples)
    assert list(find_recordings(tmp_path / "clean")) == ["a.wav", "deep/b.flac"]
    with pytest.raises(ValueError, match=r"do not pair up: deep/b.flac \(only in .*clean\)"):
        pair_recordings(tmp_path / "clean", tmp_path / "noisy")
    data = tmp_path / "data"
    data.mkdir()
    (data / "wav.scp").write_text(f"rec {tmp_path}/clean/a.wav\n")
    assert find_recordings(data)["rec"].read(16000).shape == (32000,)
    (data / "segments").write_text("utt1 rec 0.5 1.5\n")
    cut = find_recordings(data)["utt1"].read(16000)
    np.testing.assert_allclose(cut, samples[8000:24000], atol=1e-4)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="neither a Kaldi data directory"):
        find_recordings(tmp_path / "empty")


def test_folders_with_all_that_libsndfile_reads(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    samples = np.linspace(-0.5, 0.5, 4800)
    (tmp_path / "set").mkdir()
    (tmp_path / "elsewhere").mkdir()
    for name, kind, subtype in (
        ("a.w64", "W64", "PCM_24"),
        ("b.caf", "CAF", "PCM_16"),
        ("c.oga", "OGG", "VORBIS"),
        ("d.opus", "OGG", "OPUS"),
        ("e.WAV", "WAV", "PCM_16"),
        ("f.voc", "VOC", "PCM_16"),
        ("recording_7", "FLAC", "PCM_16"),
    ):
        soundfile.write(tmp_path / "set" / name, samples, 48000, subtype, format=kind)
    soundfile.write(tmp_path / "elsewhere" / "g.wav", samples, 48000)
    (tmp_path / "set" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "set")
    for name in ("notes.txt", "._e.WAV", "data.raw"):
        (tmp_path / "set" / name).write_bytes(b"\0\5\x16\7 not audio")
    found = find_recordings(tmp_path / "set")
    names = ["a.w64", "b.caf", "c.oga", "d.opus", "e.WAV", "f.voc", "linked/g.wav", "recording_7"]
    assert list(found) == names
    assert all(len(recording.read(16000)) == 1600 for recording in found.values())
    assert "left out 3 files that are not audio: ._e.WAV, data.raw, notes.txt" in caplog.text


def test_pairs_are_found_by_their_names_without_the_ending(tmp_path: Path) -> None:
    samples = np.linspace(-0.5, 0.5, 100)
    for name in ("clean/a.flac", "clean/b.wav", "clean/deep/c.wav", "noisy/a.wav", "noisy/b.WAV", "noisy/deep/c.wav"):
        write_wav(tmp_path / name, samples)
    pairs = pair_recordings(tmp_path / "clean", tmp_path / "noisy")
    assert {name: Path(noisy.recording).name for name, (_, noisy) in pairs.items()} == {
        "a.flac": "a.wav",
        "b.wav": "b.WAV",
        "deep/c.wav": "c.wav",
    }
    data = tmp_path / "data"
    data.mkdir()
    (data / "wav.scp").write_text("".join(f"{name} {tmp_path}/noisy/a.wav\n" for name in ("a", "b", "deep/c")))
    assert list(pair_recordings(data, tmp_path / "clean")) == ["a", "b", "deep/c"]
    write_wav(tmp_path / "noisy/a.aiff", samples)
    with pytest.raises(ValueError, match="noisy: a.aiff and a.wav are both a: rename one of them"):
        pair_recordings(tmp_path / "clean", tmp_path / "noisy")


def test_pairs_of_different_length_and_samples_that_are_no_numbers(tmp_path: Path) -> None:
    write_wav(tmp_path / "long.wav", np.zeros(200))
    write_wav(tmp_path / "short.wav", np.zeros(150))
    pair = Segment(str(tmp_path / "long.wav")), Segment(str(tmp_path / "short.wav"))
    with pytest.raises(ValueError, match="x: clean has 200 samples and noisy 150; --cut"):
        read_pair("x", pair, 16000, cut=False)
    assert [len(side) for side in read_pair("x", pair, 16000, cut=True)] == [150, 150]
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan]), 16000, subtype="FLOAT")
    with pytest.raises(AudioError, match="not numbers: .*nan.wav"):
        Segment(str(tmp_path / "nan.wav")).read(16000)


def test_a_cfg_of_several_sets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("c1/a.wav", "n1/a.wav", "c2/a.wav", "n2/a.wav"):
        write_wav(tmp_path / name, np.zeros(100))
    cfg = tmp_path / "sets.cfg"
    cfg.write_text("".join(f'[set{n}]\nclean = "{tmp_path}/c{n}"\nnoisy = "{tmp_path}/n{n}"\n' for n in (1, 2)))
    assert list(read_sets(cfg).pairs) == ["set1/a.wav", "set2/a.wav"]
    monkeypatch.setenv("HOME", str(tmp_path))
    cfg.write_text('[home]\nclean = "~/c1"\nnoisy = "~/n1"\n')
    assert read_sets(cfg).pairs["home/a.wav"][0].recording == f"{tmp_path}/c1/a.wav"
    cfg.write_text('[set]\nclean = "x"\n')
    with pytest.raises(ValueError, match="set 'set' needs a clean and a noisy directory"):
        read_sets(cfg)
    cfg.write_text('[set]\nclean = "x"\nnoisy = "y"\nrate = 16000\n')
    with pytest.raises(ValueError, match="set 'set' has 'rate', but only clean, noisy, noise, rooms are known"):
        read_sets(cfg)


def test_pairs_are_shuffled_as_a_whole() -> None:
    """Speakers that lie one after the other come evenly in every part."""
    order = shuffled(4000, seed=3)
    assert sorted(order) == list(range(4000))
    for part in np.split(order // 1000, 10):
        assert np.bincount(part, minlength=4).min() > 70  # of 400, 100 of each on the average
    assert np.array_equal(order, shuffled(4000, seed=3))
    # As the first models' windows were thrown into files one by one, and these permuted.
    random = np.random.default_rng(3)
    files: list[list[int]] = [[] for _ in range(64)]
    for number in range(4000):
        files[random.integers(64)].append(number)
    assert order.tolist() == [file[number] for file in files for number in random.permutation(len(file))]


def test_windows_of_several_files(tmp_path: Path) -> None:
    paths = [tmp_path / str(number) for number in range(3)]
    windows = np.arange(40, dtype=np.int16).reshape(5, 2, 4)
    for path, part in zip(paths, (windows[:2], windows[:0], windows[2:]), strict=True):
        path.write_bytes(part.tobytes())
    files = WindowFiles(paths, (2, 4))
    assert len(files) == 5
    assert all(np.array_equal(files[number], window) for number, window in enumerate(windows))
    assert len(WindowFiles(paths[1:2], (2, 4))) == len(WindowFiles([], (2, 4))) == 0
