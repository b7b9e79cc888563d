"""Recordings and features: reading, computing, compressing, context, normalisation."""

from __future__ import annotations

from pathlib import Path

import kaldi_native_fbank
import kaldi_native_io as native
import numpy as np
import pytest
from embedded import Run

from kaldi.feat import plp
from kaldi.feat.context import add_deltas, splice
from kaldi.feat.spectral import FilterbankOptions, FrontEnd, FrontEndOptions, MfccOptions, PlpOptions
from kaldi.feat.wave import WAVE, Wave, resample
from kaldi.main import main
from kaldi.matrix.io import FLOAT_MATRIX
from kaldi.programs.features import parse_selection, paste
from kaldi.transform import cmvn
from kaldi.util.table import read_file, read_table, write_file

RANDOM = np.random.default_rng(0)


def noise(seconds: float, frequency: int = 16000, channels: int = 1) -> Wave:
    samples = 1000 * RANDOM.standard_normal((channels, int(seconds * frequency)))
    return Wave(samples.astype(np.int16), float(frequency))


def write_matrices(path: Path, **matrices: np.ndarray) -> str:
    with native.FloatMatrixWriter(f"ark:{path}") as writer:
        for key, matrix in matrices.items():
            writer.write(key, np.asarray(matrix, np.float32))
    return f"ark:{path}"


@pytest.mark.parametrize("snip_edges", [True, False])
def test_filterbank_agrees_with_kaldi_native_fbank(snip_edges: bool) -> None:
    wave = noise(0.5)
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.dither, options.frame_opts.snip_edges, options.mel_opts.num_bins = 0, snip_edges, 40
    reference = kaldi_native_fbank.OnlineFbank(options)
    reference.accept_waveform(16000, wave.samples[0].astype(np.float32).tolist())
    reference.input_finished()
    wanted = [reference.get_frame(i) for i in range(reference.num_frames_ready)]
    options = FrontEndOptions(dither=0, snip_edges=snip_edges, num_mel_bins=40)
    found = FrontEnd(options, FilterbankOptions()).compute(wave, 0)
    np.testing.assert_allclose(found, wanted, atol=1e-3)


def test_linear_prediction_finds_the_poles() -> None:
    """Of a process x(t) = 0.9 x(t - 1) - 0.5 x(t - 2) + noise, whose cepstrum is that of its poles."""
    poles = np.roots([1, -0.9, 0.5])
    spectrum = 1 / np.abs(np.polyval([1, -0.9, 0.5], np.exp(1j * np.pi * np.arange(65) / 64))) ** 2
    inner = spectrum[None, 1:-1]  # the ends are repeated: they cost the little that is allowed below
    coefficients, energy = plp.linear_prediction(plp.autocorrelation(inner, 4))
    np.testing.assert_allclose(coefficients[0], [-0.9, 0.5, 0, 0], atol=1e-2)
    wanted = [(poles**n).sum().real / n for n in range(1, 5)]
    np.testing.assert_allclose(plp.cepstra(coefficients, energy)[0, 1:], wanted, atol=1e-2)


def test_plp_of_silence_is_finite() -> None:
    silence = Wave(np.zeros((1, 800), np.int16), 16000.0)
    found = FrontEnd(FrontEndOptions(dither=0), PlpOptions()).compute(silence, 0)
    assert np.isfinite(found).all()
    assert not found[:, 1:].any()


def test_segments_of_features(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    """Times are rounded to frames, and the two frames are missing that a cut recording would not have: as in Kaldi."""
    feats = write_matrices(tmp_path / "feats", a=np.arange(160)[:, None])
    lines = ["b a 0.104 0.306", "short a 0.1 0.22", "cut a 0.1 1.65", "beyond a 0.1 1.73", "no-end a 0.1 -1"]
    (tmp_path / "segments").write_text("\n".join(lines) + "\n")
    arguments = ["--max-overshoot=0.1", feats, str(tmp_path / "segments"), f"ark:{tmp_path}/o"]
    assert main("extract-feature-segments", arguments) == 0
    found = {key: matrix[:, 0].tolist() for key, matrix in read_table(f"ark:{tmp_path}/o", FLOAT_MATRIX)}
    assert found == {"b": list(range(10, 29)), "cut": list(range(10, 160))}
    assert "Successfully processed 2 lines out of 5" in capfd.readouterr().err


def test_long_recordings_are_the_same_in_blocks() -> None:
    wave = noise(60)
    front_end = FrontEnd(FrontEndOptions(dither=0), MfccOptions())
    tail = Wave(wave.samples[:, 5000 * 160 :], 16000.0)
    np.testing.assert_allclose(front_end.compute(wave, 0)[5000:], front_end.compute(tail, 0), atol=2e-4)


def test_dither_is_the_same_in_every_run() -> None:
    wave = noise(0.2)
    np.testing.assert_array_equal(*(FrontEnd(FrontEndOptions(), MfccOptions()).compute(wave, 0) for _ in range(2)))


def test_resampling_keeps_a_tone() -> None:
    time = np.arange(16000) / 16000
    tone = np.sin(2 * np.pi * 440 * time).astype(np.float32)
    lower = resample(tone, 16000, 11025)
    assert len(lower) == 11025
    wanted = np.sin(2 * np.pi * 440 * np.arange(11025) / 11025)
    np.testing.assert_allclose(lower[100:-100], wanted[100:-100], atol=5e-3)


def test_a_channel_is_chosen_and_a_missing_one_is_reported(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    write_file(str(tmp_path / "stereo.wav"), WAVE, noise(0.3, channels=2))
    (tmp_path / "wav.scp").write_text(f"stereo {tmp_path}/stereo.wav\n")
    arguments = [f"scp:{tmp_path}/wav.scp", f"ark:{tmp_path}/feats.ark"]
    assert main("compute-mfcc-feats", ["--channel=1", *arguments]) == 0
    assert main("compute-mfcc-feats", ["--channel=2", *arguments]) == 1
    assert "stereo has 2 channels" in capfd.readouterr().err


@pytest.mark.parametrize(("snip_edges", "longest"), [("true", 399), ("false", 79)])
def test_a_recording_too_short_for_a_frame_is_left_out(
    snip_edges: str, longest: int, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    """The longest such recording is Kaldi's."""
    for samples in (1, longest, longest + 1):
        write_file(str(tmp_path / f"{samples}.wav"), WAVE, Wave(np.ones((1, samples), np.int16), 16000.0))
    lines = (f"{i} {tmp_path}/{samples}.wav\n" for i, samples in enumerate((1, longest, longest + 1)))
    (tmp_path / "wav.scp").write_text("".join(lines))
    arguments = [f"--snip-edges={snip_edges}", f"scp:{tmp_path}/wav.scp", f"ark:{tmp_path}/o"]
    assert main("compute-mfcc-feats", arguments) == 0
    assert [(key, len(matrix)) for key, matrix in read_table(f"ark:{tmp_path}/o", FLOAT_MATRIX)] == [("2", 1)]
    assert capfd.readouterr().err.count("it is shorter than one frame") == 2


ROOM = "--impulse-response=room.wav"
HUM = "--additive-signals=hum.wav --snrs=6 --start-times=0.01"


@pytest.mark.parametrize(
    ("options", "length", "every_37th"),
    [
        (ROOM, 300, [31, 971, -563, 917, 476, -60, -304, 8, -50]),
        (f"{ROOM} --shift-output=false", 339, [-235, 1070, -101, 737, 744, -29, -85, -456, 101, -988]),
        (f"{ROOM} {HUM} --normalize-output=false", 300, [38, 1160, -1293, 1419, 587, -357, -363, 9, -59]),
        (
            f"{HUM} --duration=0.05 --volume=1.5",
            400,
            [-1350, -408, -583, 618, -607, 1485, -454, -214, -1092, -940, 465],
        ),
    ],
)
def test_reverberation_and_noise(
    options: str, length: int, every_37th: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The samples are what Kaldi's wav-reverberate wrote, but for rounding."""
    monkeypatch.chdir(tmp_path)
    i, k = np.arange(300), np.arange(40)
    samples = {"speech": 37 * i * i % 2001 - 900, "hum": i[:120] * 53 % 201 - 100}
    samples["room"] = 20000 * np.cos(k) * 0.9 ** abs(k - 6)
    for name, values in samples.items():
        write_file(f"{name}.wav", WAVE, Wave(values.astype(np.int16)[None], 8000.0))
    assert main("wav-reverberate", [*options.split(), "speech.wav", "out.wav"]) == 0
    found = read_file("out.wav", WAVE)
    assert found.samples.shape == (1, length)
    np.testing.assert_allclose(found.samples[0, ::37], every_37th, atol=1)


def test_bad_noises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(tmp_path)
    for name, frequency, channels in (("speech", 16000, 1), ("slow", 8000, 1), ("stereo", 16000, 2)):
        write_file(f"{name}.wav", WAVE, noise(0.1, frequency, channels))
    for options, message in (
        ("--additive-signals=slow.wav --snrs=6 --start-times=0", "slow.wav has 8000 Hz, speech.wav has 16000 Hz"),
        ("--additive-signals=speech.wav --snrs=6,3 --start-times=0", "--snrs=6,3: 2 numbers for 1 additive signals"),
        ("--additive-signals=stereo.wav --snrs=6 --start-times=0 --noise-channel=2", "stereo.wav has 2 channels"),
        ("--additive-signals=speech.wav --snrs=6 --start-times=-1", "a start time below 0"),
    ):
        assert main("wav-reverberate", [*options.split(), "speech.wav", "out.wav"]) == 1
        assert message in capfd.readouterr().err
    assert not Path("out.wav").exists()


def test_streamed_wave_files_run_to_their_end(tmp_path: Path) -> None:
    file = tmp_path / "streamed.wav"
    write_file(str(file), WAVE, noise(0.3))
    data = bytearray(file.read_bytes())
    data[40:44] = b"\xff\xff\xff\xff"
    file.write_bytes(data)
    ((_, wave),) = read_table(f"scp:echo one {file} |", WAVE)
    assert wave.samples.shape == (1, 4800)


@pytest.mark.parametrize("method", range(1, 8))
@pytest.mark.parametrize("frames", [3, 60])
def test_compressed_matrices_are_read_as_kaldi_reads_them(tmp_path: Path, method: int, frames: int) -> None:
    matrix = RANDOM.random((frames, 13)).astype(np.float32) * (1 if method in (3, 5, 7) else 200)
    source, out = write_matrices(tmp_path / "in.ark", utt=matrix), f"ark:{tmp_path}/out.ark"
    assert main("copy-feats", ["--compress=true", f"--compression-method={method}", source, out]) == 0
    ((_, found),) = read_table(out, FLOAT_MATRIX)
    with native.SequentialFloatMatrixReader(out) as reader:
        wanted = next(np.array(value) for _, value in reader)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    step = {4: 1.0, 6: 1.0}.get(method, np.ptp(matrix) / 60)
    np.testing.assert_allclose(found, matrix, atol=step)


def test_splicing_repeats_the_edges() -> None:
    features = np.arange(8, dtype=np.float32).reshape(4, 2)
    assert splice(features, 1, 2).tolist()[0] == [0, 1, 0, 1, 2, 3, 4, 5]
    assert splice(features, 1, 2).tolist()[3] == [4, 5, 6, 7, 6, 7, 6, 7]


def test_deltas_of_a_line_are_its_slope() -> None:
    line = 3 * np.arange(20, dtype=np.float32)[:, None]
    deltas = add_deltas(line, order=2, window=2)
    np.testing.assert_allclose(deltas[4:-4, 1], 3, rtol=1e-5)
    np.testing.assert_allclose(deltas[4:-4, 2], 0, atol=1e-5)


def test_normalisation_and_its_reverse() -> None:
    features = (RANDOM.standard_normal((200, 5)) * [1, 2, 3, 4, 5] + 7).astype(np.float32)
    stats = cmvn.statistics(features)
    normal = cmvn.normalize(features, stats, norm_vars=True)
    np.testing.assert_allclose(normal.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(normal.std(axis=0), 1, atol=1e-4)
    np.testing.assert_allclose(cmvn.normalize(normal, stats, norm_vars=True, reverse=True), features, atol=1e-4)
    kept = cmvn.normalize(features, cmvn.skip_dimensions(stats, [1]), norm_vars=True)
    np.testing.assert_allclose(kept[:, 1], features[:, 1])


STATISTICS = "  [\n  4 6 2 \n  10 20 0 ]\n"  # of frames (1, 2) and (3, 4)


@pytest.mark.parametrize("form", ["text", "binary", "binary, with columns"])
def test_features_without_frames_have_no_statistics(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    """Kaldi stops where the dimension is asked for, and passes them by where it is known."""
    monkeypatch.chdir(tmp_path)
    Path("feats").write_text("a [ 1 2\n 3 4 ]\nb [ ]\n")
    if form != "text":
        write_matrices(Path("feats"), a=np.array([[1, 2], [3, 4]]), b=np.zeros((0, 0)))
    if form == "binary, with columns":
        Path("feats").write_bytes(Path("feats").read_bytes()[:-4] + b"\2\0\0\0")
    assert main("compute-cmvn-stats", ["ark:feats", "ark:o"]) == 1
    assert "ERROR (compute-cmvn-stats[embedded]) b: features without frames" in capfd.readouterr().err
    for lines, status in (("s a b\n", 0), ("s b a\n", 1), ("s b\n", 1)):
        Path("spk2utt").write_text(lines)
        assert main("compute-cmvn-stats", ["--spk2utt=ark:spk2utt", "ark:feats", "ark,t:o"]) == status
    assert Path("o").read_text() == "s" + STATISTICS
    assert main("compute-cmvn-stats", ["--binary=false", "ark:feats", "o"]) == 0
    assert Path("o").read_text() == STATISTICS[1:]


def test_statistics_of_features_that_differ_in_dimension(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    feats = write_matrices(tmp_path / "feats", a=np.ones((3, 2)), b=np.ones((3, 4)))
    assert main("compute-cmvn-stats", [feats, str(tmp_path / "o")]) == 1
    assert "b: features of dimension 4, those before have 2" in capfd.readouterr().err


def test_selections() -> None:
    assert parse_selection("0,5-3,7-8", 9) == [0, 5, 4, 3, 7, 8]


def test_pasting_cuts_to_the_shortest() -> None:
    assert paste([np.zeros((5, 2)), np.ones((4, 3))], tolerance=1).shape == (4, 5)


def test_a_pipe_of_programs_gives_what_a_shell_gives(golden: Path, kaldi: Run, tmp_path: Path) -> None:
    feats = golden / "out/compute-mfcc-feats/mfcc.ark"
    pipe = f"subset-feats --n=3 ark:{feats} ark:- | add-deltas ark:- ark:- | splice-feats ark:- ark:-"
    inside = kaldi(f"copy-feats 'ark:{pipe} |' ark:inside.ark", tmp_path)
    outside = kaldi(f"{pipe} | copy-feats ark:- ark:outside.ark", tmp_path)
    assert inside.returncode == outside.returncode == 0
    assert (tmp_path / "inside.ark").read_bytes() == (tmp_path / "outside.ark").read_bytes()
