"""Features and targets from Kaldi files, and the batches that are made of them."""

from __future__ import annotations

import subprocess
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from ligru_task import make_task, read_matrices, write_table

from kaldi.base.log import KaldiError
from kaldi.matrix.io import FLOAT_MATRIX
from kaldi.util.table import TableWriter
from nnet.ligru.data import (
    Corpus,
    DataError,
    Segment,
    cut_segments,
    divide,
    in_background,
    load_batch,
    plan_batches,
    splice_context,
)
from nnet.ligru.packing import pack
from nnet.ligru.tables import TableError, matrix_shape, read_matrix, read_scp, read_vector

ROOT = Path(__file__).parents[2]


def corpus(task: Path, name: str = "train", data: list[Path] | None = None, **changes) -> Corpus:
    settings = {"cmvn": "mean-variance", "context": (0, 0), "tolerance": 5, "num_pdfs": 12} | changes
    return Corpus(data or [task / f"data-{name}"], task / f"{name}_pdf.scp", None, **settings)


def replace_matrix(task: Path, id: str, matrix: np.ndarray) -> None:
    """Give one utterance of train other features."""
    table = read_scp(task / "data-train/feats.scp")
    write_table(task / "changed", {id: matrix.astype(np.float32)})
    table[id] = read_scp(task / "changed.scp")[id]
    (task / "data-train/feats.scp").write_text("".join(f"{key} {place}\n" for key, place in table.items()))


@pytest.fixture
def task(tmp_path):
    return make_task(tmp_path / "task")


def test_packing_keeps_every_frame_once():
    lengths = [5, 5, 3, 1]
    packing = pack(lengths)
    assert packing.sizes == [4, 3, 3, 2, 2]
    assert sorted(packing.source) == list(range(14))
    starts = np.cumsum([0, *lengths])
    mirrored = packing.source[packing.reverse]  # the frame as far from the end as source is from the start
    for source, mirror in zip(packing.source, mirrored, strict=True):
        sequence = np.searchsorted(starts, source, side="right") - 1
        assert source - starts[sequence] == starts[sequence + 1] - 1 - mirror
    with pytest.raises(ValueError, match="longest first"):
        pack([1, 2])


def test_cmvn_is_that_of_apply_cmvn(task):
    data = task / "data-train"
    for options, cmvn in (("--norm-vars=true", "mean-variance"), ("--norm-vars=false", "mean")):
        output = task / "normalised.ark"
        subprocess.run(
            [
                ROOT / "kaldi/bin/apply-cmvn",
                options,
                f"--utt2spk=ark:{data}/utt2spk",
                f"scp:{data}/cmvn.scp",
                f"scp:{data}/feats.scp",
                f"ark:{output}",
            ],
            check=True,
            capture_output=True,
        )
        ours = corpus(task, cmvn=cmvn)
        for utterance, (id, feats) in zip(ours.utterances, read_matrices(f"ark:{output}"), strict=True):
            assert utterance.id == id
            np.testing.assert_allclose(ours.features(utterance), feats, atol=1e-4)


def test_context_repeats_the_border_frames():
    feats = np.arange(6, dtype=np.float32).reshape(3, 2)
    np.testing.assert_array_equal(
        splice_context(feats, 1, 2), [[0, 1, 0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5, 4, 5], [2, 3, 4, 5, 4, 5, 4, 5]]
    )


def test_several_features_are_pasted(task):
    both = corpus(task, data=[task / "data-train", task / "data-train"])
    assert both.dim == 16
    feats = both.features(both.utterances[0])
    np.testing.assert_array_equal(feats[:, :8], feats[:, 8:])


def test_length_tolerance(task, caplog):
    ids = list(read_scp(task / "data-train/feats.scp"))
    for id, extra in ((ids[0], 4), (ids[1], 6)):
        feats = read_matrix(read_scp(task / "data-train/feats.scp")[id])
        replace_matrix(task, id, np.vstack([feats, feats[:extra]]))
        (task / "changed.ark").rename(task / f"{id}.ark")
        scp = task / "data-train/feats.scp"
        scp.write_text(scp.read_text().replace(str(task / "changed.ark"), str(task / f"{id}.ark")))
    train = corpus(task)
    kept = {utterance.id: utterance for utterance in train.utterances}
    assert ids[1] not in kept and len(kept) == 31
    assert len(train.features(kept[ids[0]])) == len(train.targets(kept[ids[0]])[0]) == kept[ids[0]].frames
    assert f"utterance {ids[1]} is left out" in caplog.text and "align it again" in caplog.text


def test_utterance_without_alignment(task, caplog):
    scp = task / "train_pdf.scp"
    first, *rest = scp.read_text().splitlines(keepends=True)
    scp.write_text("".join(rest))
    assert len(corpus(task).utterances) == 31
    assert f"utterance {first.split()[0]} has no alignment" in caplog.text


def test_pdf_beyond_the_model(task):
    with pytest.raises(DataError, match=r"utterance train000-\d+ has pdf-id 1\d, the model only 10 pdfs"):
        train = corpus(task, num_pdfs=10)
        for utterance in train.utterances:
            train.targets(utterance)


def test_other_dimension(task, caplog):
    ids = list(read_scp(task / "data-train/feats.scp"))
    replace_matrix(task, ids[3], np.zeros((read_matrix(read_scp(task / "data-train/feats.scp")[ids[3]]).shape[0], 5)))
    assert len(corpus(task).utterances) == 31
    assert f"utterance {ids[3]} is left out: its features have dimension (5,)" in caplog.text


def test_features_that_are_not_finite(task, caplog):
    ids = list(read_scp(task / "data-train/feats.scp"))
    feats = read_matrix(read_scp(task / "data-train/feats.scp")[ids[2]]).copy()
    feats[3, 1] = np.nan
    replace_matrix(task, ids[2], feats)
    train = corpus(task)
    said = set()
    segments = sorted((Segment(i, 0, train.utterances[i].frames) for i in (1, 2, 3)), key=lambda s: -s.frames)
    for _ in range(2):
        batch = load_batch(train, segments, said)
        assert ids[2] not in batch.ids and len(batch.ids) == 2
    assert caplog.text.count(f"utterance {ids[2]} is left out: its features are not finite") == 1


def test_statistics_that_are_not_finite(task, caplog):
    """The fault is the speaker's statistics', not that of all utterances."""
    stats = {speaker: read_matrix(place).copy() for speaker, place in read_scp(task / "data-train/cmvn.scp").items()}
    stats["train001"][0, 2] = np.nan
    stats["train002"][0, -1] = 0
    write_table(task / "data-train/cmvn", stats)
    train = corpus(task)
    batch = load_batch(train, [Segment(i, 0, 5) for i in range(32)], set())
    assert {id.split("-")[0] for id in batch.ids} == {"train000", "train003"}
    assert "train001-000 is left out: the CMVN statistics of its speaker train001" in caplog.text


def test_targets_that_cannot_be_used(task, caplog):
    scp = task / "train_pdf.scp"
    table = read_scp(scp)
    write_table(task / "bad", {"one": np.full(50, -1, np.int32)})
    train = corpus(task)
    train.utterances[0].pdfs = f"{task}/none.ark:5"
    assert len(load_batch(train, [Segment(i, 0, 5) for i in range(3)], set()).ids) == 2
    assert f"utterance {next(iter(table))} is left out: cannot open {task}/none.ark: No such file" in caplog.text
    train.check_targets()
    train.utterances[1].pdfs = read_scp(task / "bad.scp")["one"]
    with pytest.raises(DataError, match="has pdf-id -1, the model only 12 pdfs"):
        train.check_targets()


def test_utterance_without_speaker(task, caplog):
    utt2spk = task / "data-train/utt2spk"
    utt2spk.write_text(utt2spk.read_text().replace("train000-000 train000\n", ""))
    assert len(corpus(task).utterances) == 31
    assert "utterance train000-000 is left out: it is not in utt2spk" in caplog.text


def test_empty_set(task):
    (task / "data-train/feats.scp").write_text("")
    with pytest.raises(DataError, match="no utterance has both"):
        corpus(task)


def test_missing_statistics(task, caplog):
    (task / "data-train/cmvn.scp").write_text("")
    with pytest.raises(DataError, match="no utterance has both"):
        corpus(task)
    assert "no CMVN statistics for its speaker 'train000': run steps/compute_cmvn_stats.sh" in caplog.text


def test_headers_without_reading_the_matrix(task):
    place = next(iter(read_scp(task / "data-train/feats.scp").values()))
    assert matrix_shape(place) == read_matrix(place).shape
    compressed = task / "c.ark"
    subprocess.run(
        [
            ROOT / "kaldi/bin/copy-feats",
            "--compress=true",
            f"scp:{task}/data-train/feats.scp",
            f"ark,scp:{compressed},{compressed.with_suffix('.scp')}",
        ],
        check=True,
        capture_output=True,
    )
    for id, place in read_scp(compressed.with_suffix(".scp")).items():
        assert matrix_shape(place) == read_matrix(place).shape
        original = read_matrix(read_scp(task / "data-train/feats.scp")[id])
        np.testing.assert_allclose(read_matrix(place), original, atol=0.1)


@pytest.mark.parametrize("content", [b"", b"utt1 \0BFM \4\5\0\0\0\4\5\0\0\0short", b"no archive at all", b"\xff\xfe\0"])
def test_damaged_archive(tmp_path, content):
    path = tmp_path / "x.ark"
    path.write_bytes(content)
    if content:
        with pytest.raises(KaldiError, match=str(path)):
            list(read_matrices(f"ark:{path}"))
    else:
        assert list(read_matrices(f"ark:{path}")) == []


def test_tables_by_pipe(tmp_path):
    with TableWriter(f"ark:| cat > {tmp_path}/x.ark", FLOAT_MATRIX) as writer:
        writer.write("a", np.ones((2, 3)))
    assert not list(tmp_path.glob("*.tmp*"))
    ((key, matrix),) = read_matrices(f"ark:cat {tmp_path}/x.ark |")
    assert key == "a" and (matrix == 1).all()
    with pytest.raises(KaldiError, match="the command failed with status 3: exit 3"):
        list(read_matrices("ark:exit 3 |"))
    with pytest.raises(KaldiError, match="not an rspecifier"):
        list(read_matrices("x.ark"))
    with pytest.raises(TableError, match="cannot open"):
        read_vector(str(tmp_path / "none"))


def test_failed_writing_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), TableWriter(f"ark:{tmp_path}/x.ark", FLOAT_MATRIX) as writer:
        writer.write("a", np.ones((2, 3)))
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_batches_hold_every_frame_once_within_the_budget():
    lengths = [int(n) for n in np.random.default_rng(1).integers(1, 300, 200)]
    segments = cut_segments(lengths, 100)
    assert max(segment.frames for segment in segments) <= 100
    batches = plan_batches(segments, 700, np.random.default_rng(2), at_least=2)
    assert batches == plan_batches(segments, 700, np.random.default_rng(2), at_least=2)
    assert batches != plan_batches(segments, 700, np.random.default_rng(3), at_least=2)
    seen = {
        (segment.utterance, frame)
        for batch in batches
        for segment in batch
        for frame in range(segment.begin, segment.end)
    }
    assert len(seen) == sum(lengths) == sum(segment.frames for batch in batches for segment in batch)
    for batch in batches:
        frames = [segment.frames for segment in batch]
        assert frames == sorted(frames, reverse=True) and len(batch) >= 2
        assert sum(frames) <= 700 or len(batch) <= 3
    assert len(divide(batches[0], 1)) == len(batches[0])


@pytest.mark.parametrize("at_least", [1, 2, 3])
@pytest.mark.parametrize("batch_frames", [1, 100, 250])
def test_every_process_has_a_part_of_every_batch(at_least, batch_frames):
    for count in range(at_least, 60):
        segments = cut_segments([int(n) for n in np.random.default_rng(count).integers(1, 100, count)], 0)
        batches = plan_batches(segments, batch_frames, np.random.default_rng(0), at_least)
        assert sorted((one for batch in batches for one in batch), key=lambda one: one.utterance) == segments
        assert min(map(len, batches)) >= at_least


def test_batch_is_packed(task):
    train = corpus(task)
    segments = sorted((Segment(i, 2, train.utterances[i].frames) for i in range(4)), key=lambda s: -s.frames)
    batch = load_batch(train, segments, set())
    first = train.utterances[segments[0].utterance]
    rows = np.cumsum([0, *batch.sizes[:-1]])[: segments[0].frames]
    np.testing.assert_array_equal(batch.feats[rows], train.features(first)[2:])
    np.testing.assert_array_equal(batch.pdfs[rows], train.targets(first)[0][2:])
    assert batch.to(torch.device("cpu")).sizes == batch.sizes


def test_errors_of_the_background_are_raised():
    def items():
        yield 1
        raise DataError("broken")

    background = in_background(items())
    assert next(background) == 1
    with pytest.raises(DataError, match="broken"):
        next(background)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_corpus(tmp_path):
    """Five times the utterances: only their index grows, not by their features."""
    peaks, sizes = [], []
    for number, utterances in enumerate((40, 200)):
        # So much data that Python's table of strings, which may grow by megabytes in between, does not matter.
        task = make_task(tmp_path / str(number), dim=400, utterances=utterances)
        sizes.append((task / "data-train/feats.ark").stat().st_size)
        tracemalloc.start()
        train = corpus(task)
        segments = cut_segments([utterance.frames for utterance in train.utterances], 0)
        plan = plan_batches(segments, 500, np.random.default_rng(1))
        frames = sum(len(batch.feats) for batch in in_background(load_batch(train, part, set()) for part in plan))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert frames == sum(utterance.frames for utterance in train.utterances)
    assert peaks[1] - peaks[0] < (sizes[1] - sizes[0]) / 4
