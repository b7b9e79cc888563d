"""local/cut_at_pauses.py: long recordings in pieces, bad ones named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from scripts import run

from local.audio import RATE
from local.cut_at_pauses import LONG_PAUSE, MARGIN, PAUSE_MARGIN, QUIET_DB, cut, spoken, without_zeros

PAUSES = [(18.0, 18.6), (44.0, 44.5)]  # seconds without sound


def blocks_of(samples: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (samples[start : start + size] for start in range(0, len(samples), size))


def with_pauses(seconds: float) -> np.ndarray:
    samples = np.random.default_rng(1).normal(scale=0.1, size=int(seconds * RATE)).astype(np.float32)
    for start, end in PAUSES:
        samples[int(start * RATE) : int(end * RATE)] = 0
    return samples


def test_pieces_end_in_pauses_wherever_blocks_end() -> None:
    samples = with_pauses(70)
    for size in (1000, 400_000):
        pieces = list(cut(blocks_of(samples, size)))
        np.testing.assert_array_equal(np.concatenate(pieces), samples)
        ends = np.cumsum([len(piece) for piece in pieces])[:-1] / RATE
        assert len(ends) == 2
        assert all(start < end < stop for end, (start, stop) in zip(ends, PAUSES, strict=True))


def test_last_piece_is_no_scrap() -> None:
    for seconds in (30.0, 30.001, 31.0, 31.001, 60.5):
        lengths = [len(piece) / RATE for piece in cut([np.zeros(int(seconds * RATE), np.float32)])]
        assert sum(lengths) == int(seconds * RATE) / RATE
        assert max(lengths) <= 31 and min(lengths) >= min(seconds, 1)


def test_tables(tmp_path: Path) -> None:
    """A short recording stays where it is; a long one, of another rate and with two channels, becomes pieces."""
    soundfile.write(tmp_path / "short.wav", np.zeros(RATE, np.int16), RATE)
    long = np.repeat(with_pauses(40)[::2, None], 2, axis=1)
    soundfile.write(tmp_path / "a long one.flac", long, RATE // 2)
    (tmp_path / "text.wav").write_text("no audio")
    data = tmp_path / "data"
    data.mkdir()
    recordings = [tmp_path / name for name in ("short.wav", "text.wav", "a long one.flac")]
    done = run("local/cut_at_pauses.py", data, tmp_path / "wav", *recordings)
    assert done.stderr.strip() == f"cut_at_pauses.py: recording is not audio that soundfile reads: {tmp_path}/text.wav"
    rows = [line.split() for line in (data / "pieces").read_text().splitlines()]
    assert [row[1] for row in rows] == ["a_long_one", "a_long_one", "short"]
    cut_at = rows[0][3]
    assert 18 < float(cut_at) < 18.6 and rows[1][2] == cut_at and rows[1][3] == "40.000"
    assert rows[0][0] == f"a_long_one-0000000-{round(100 * float(cut_at)):07d}"
    assert rows[2] == ["short", "short", "0.000", "1.000"]
    places = dict(line.split() for line in (data / "wav.scp").read_text().splitlines())
    assert places["short"] == str(tmp_path / "short.wav")
    lengths = [soundfile.info(places[row[0]]).frames for row in rows[:2]]
    assert sum(lengths) == 40 * RATE
    assert (data / "bad").read_text().startswith("text: recording is not audio")


def test_same_names_and_nothing_good(tmp_path: Path) -> None:
    done = run(
        "local/cut_at_pauses.py", tmp_path, tmp_path / "wav", tmp_path / "a.wav", tmp_path / "b/a.flac", fails=True
    )
    assert "2 recordings have the name a: rename them" in done.stderr
    done = run("local/cut_at_pauses.py", tmp_path, tmp_path / "wav", tmp_path / "none.wav", fails=True)
    assert "cannot be read (No such file or directory)" in done.stderr
    assert (tmp_path / "pieces").read_text() == ""


def test_digital_zeros_are_parts_of_their_own() -> None:
    zeros, signal = np.zeros(RATE + 4000), np.ones(5000)
    parts = [zeros, signal, zeros, signal, np.zeros(8000), signal, zeros]  # the short ones are a pause
    found = [(len(samples), has_signal) for samples, has_signal in without_zeros(np.concatenate(parts))]
    rest, margin = len(zeros), MARGIN
    assert found == [
        (rest - margin, False),
        (5000 + 2 * margin, True),
        (rest - 2 * margin, False),
        (18000 + 2 * margin, True),
        (rest - margin, False),
    ]
    assert [has_signal for _, has_signal in without_zeros(zeros)] == [False]
    assert [has_signal for _, has_signal in without_zeros(zeros[:100])] == [False]
    assert list(without_zeros(zeros[:0])) == []


def with_long_pauses(quiet_db: float) -> np.ndarray:
    """35 s of noise, much quieter from 2 to 4, from 6 to 10 and from 33 s on: a short pause and two long ones."""
    samples = np.random.default_rng(1).normal(scale=0.1, size=35 * RATE).astype(np.float32)
    for start, end in ((2, 4), (6, 10), (33, 35.5)):
        samples[start * RATE : int(end * RATE)] *= 10 ** (-quiet_db / 20)
    return samples


def test_long_pauses_are_left_out_where_they_are_quiet() -> None:
    samples = with_long_pauses(QUIET_DB + 3)
    found = list(spoken(blocks_of(samples, 100_000)))
    np.testing.assert_array_equal(np.concatenate([part for part, _ in found]), samples)
    pauses, position = [], 0
    for part, is_spoken in found:
        if not is_spoken:
            pauses.append((position / RATE, (position + len(part)) / RATE))
        position += len(part)
    margin = PAUSE_MARGIN / RATE
    assert LONG_PAUSE == 2 * RATE and len(pauses) == 1
    np.testing.assert_allclose(pauses[0], (6 + margin, 10 - margin), atol=0.1)
    for others in (with_long_pauses(QUIET_DB - 3), samples[: 30 * RATE]):  # not so quiet; a short recording stays whole
        assert all(is_spoken for _, is_spoken in spoken(blocks_of(others, 100_000)))


def test_tables_without_long_pauses(tmp_path: Path) -> None:
    """The pieces' times are those of the recording; one that is all zeros is named."""
    samples = with_long_pauses(60)
    samples[12 * RATE :] = 0
    soundfile.write(tmp_path / "long.wav", samples, RATE)
    soundfile.write(tmp_path / "zeros.wav", np.zeros(40 * RATE), RATE)
    done = run("local/cut_at_pauses.py", tmp_path, tmp_path / "wav", tmp_path / "long.wav", tmp_path / "zeros.wav")
    assert "recording has nothing but digital zeros" in done.stderr and "zeros.wav" in done.stderr
    times = [tuple(map(float, line.split()[2:])) for line in (tmp_path / "pieces").read_text().splitlines()]
    np.testing.assert_allclose(times, [(0, 6.5), (9.5, 12)], atol=0.1)
    names = [line.split()[0] for line in (tmp_path / "pieces").read_text().splitlines()]
    assert names[0].startswith("long-0000000-000065") and len(set(names)) == 2
