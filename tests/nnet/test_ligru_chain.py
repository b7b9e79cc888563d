"""Chain models: subsampling, training by lattice-free MMI on supervisions, and what they give to the decoder."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from gradients_task import check_two_processes
from ligru_task import make_task, read_matrices, write_table

from kaldi.chain.supervision import SUPERVISION, Supervision
from kaldi.fstext.fst import Fst, from_arcs
from kaldi.fstext.io import write_fst
from kaldi.matrix.io import FLOAT_MATRIX
from kaldi.util.kinds import INT_VECTOR
from kaldi.util.table import TableWriter, read_table
from nnet.ligru import checkpoint, forward, graph_supervisions, scorer, table_scorer, train
from nnet.ligru.chain_data import ChainCorpus
from nnet.ligru.config import Config, read_config
from nnet.ligru.data import DataError, Segment, load_batch
from nnet.ligru.lfmmi import Normalization, denominator_graph
from nnet.ligru.model import AcousticModel
from nnet.ligru.objectives import LatticeFreeMMI
from nnet.ligru.packing import pack, subsample
from nnet.ligru.tables import read_graph
from nnet.ligru.trainer import Training, run_training

ROOT = Path(__file__).parents[2]
PDFS = 12
FACTOR = 3


def loops(start_apart: bool) -> Fst:
    """A state for each pdf, arcs from each to each, as likely; by option a state to start in behind them."""
    states = PDFS + start_apart
    source, target = np.indices((states, PDFS)).reshape(2, -1)
    start = PDFS if start_apart else 0
    cost = np.full(len(source), np.log(PDFS))
    return from_arcs(start, np.zeros(states), source, target + 1, target + 1, cost, target)


def linear(pdfs: np.ndarray, label_dim: int = PDFS) -> Supervision:
    """One path."""
    frames = len(pdfs)
    final = np.append(np.full(frames, np.inf), 0)
    states, labels = np.arange(frames), pdfs + 1
    return Supervision(1.0, 1, frames, label_dim, from_arcs(0, final, states, labels, labels, 0 * states, states + 1))


def write_supervisions(path: Path, supervisions: dict[str, Supervision]) -> Path:
    with TableWriter(f"ark,scp:{path}.ark,{path}.scp", SUPERVISION) as writer:
        for id, supervision in supervisions.items():
            writer.write(id, supervision)
    return Path(f"{path}.scp")


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    """That of ligru_task, with supervisions by every third frame of the alignments."""
    root = make_task(tmp_path_factory.mktemp("chain") / "task", utterances=6)
    for name in ("train", "dev"):
        alignments = read_table(f"scp:{root}/{name}_pdf.scp", INT_VECTOR)
        write_supervisions(root / f"{name}_sup", {id: linear(pdfs[::FACTOR]) for id, pdfs in alignments})
    write_fst(f"{root}/den.fst", loops(False))
    write_fst(f"{root}/normalization.fst", loops(True))
    return root


def small(**changes) -> Config:
    settings = {"layers": 2, "units": 16, "batch_frames": 300, "learning_rate": 5e-3, "weight_average": 0.0} | changes
    return dataclasses.replace(read_config(ROOT / "conf/ligru.toml", "small_chain"), **settings)


def arguments(task: Path, directory: Path, **changes) -> list[str]:
    given = {"pdfs": PDFS, "den": "den.fst", "normalization": "normalization.fst", "sup": "train_sup.scp"} | changes
    return [
        *f"--use-gpu false --num-pdfs {given['pdfs']} --den-fst {task / given['den']}".split(),
        *f"--normalization-fst {task / given['normalization']} {task}/data-train {task / given['sup']}".split(),
        *f"{task}/data-dev {task}/dev_sup.scp {directory}".split(),
    ]


def run(task: Path, directory: Path, config: Config, **changes) -> list[dict[str, float]]:
    run_training(train.parse_args(arguments(task, directory, **changes)), config)
    return checkpoint.load_last(directory)["records"]


def corpus(task: Path, **changes) -> ChainCorpus:
    given = {"name": "dev", "pdfs": PDFS} | changes
    supervisions = given.get("sup", f"{given['name']}_sup.scp")
    normalization = Normalization(read_graph(f"{task}/normalization.fst"), PDFS)
    options = {"cmvn": "mean-variance", "context": (0, 0), "tolerance": 5, "num_pdfs": given["pdfs"]}
    return ChainCorpus([task / f"data-{given['name']}"], task / supervisions, normalization, FACTOR, **options)


@pytest.mark.parametrize("lengths", [[7, 6, 4, 1], [3], [9, 9]])
@pytest.mark.parametrize("factor", [2, 3])
def test_subsample(lengths, factor):
    packing = pack(lengths)
    values = np.concatenate([100 * i + np.arange(frames) for i, frames in enumerate(lengths)])[packing.source]
    rows, low = subsample(packing.sizes, factor)
    stacked = np.empty((len(rows), factor), int)
    stacked[low.source] = values[rows]
    wanted = [
        [100 * i + min(begin + shift, frames - 1) for shift in range(factor)]
        for i, frames in enumerate(lengths)
        for begin in range(0, frames, factor)
    ]
    assert stacked.tolist() == wanted and low.sizes == packing.sizes[::factor]


@pytest.mark.slow
def test_learns_and_gives_a_frame_for_three(task, tmp_path):
    rows = run(task, tmp_path / "nnet", small(epochs=3, units=32, batch_frames=200, learning_rate=1e-2, dropout=0.0))
    best = min(row["dev_loss"] for row in rows)
    assert best < 0.8 * rows[0]["dev_loss"] and rows[-1]["dev_frame_error"] < 0.8 * rows[0]["dev_frame_error"]
    assert (tmp_path / "nnet/frame_subsampling_factor").read_text() == "3\n"
    assert checkpoint.load(tmp_path / "nnet" / checkpoint.FINAL)["error"] == best
    dev = corpus(task)
    ark = f"ark:{tmp_path}/x.ark"
    with TableWriter(f"ark:{tmp_path}/feats.ark", FLOAT_MATRIX) as writer:
        for utterance in dev.utterances:
            writer.write(utterance.id, dev.features(utterance))
    assert forward.main([str(tmp_path / "nnet"), f"ark:{tmp_path}/feats.ark", ark]) == 0
    outputs, right, frames = dict(read_matrices(ark)), 0, 0
    for id, pdfs in read_table(f"scp:{task}/dev_pdf.scp", INT_VECTOR):
        assert outputs[id].shape == (-(-len(pdfs) // FACTOR), PDFS)
        right += (outputs[id].argmax(1) == pdfs[::FACTOR]).sum()
        frames += len(outputs[id])
    assert right > 0.4 * frames  # one in twelve by chance


@pytest.mark.slow
def test_goes_on_with_the_same_numbers(task, tmp_path):
    config = small(epochs=2, weight_average=0.5, feature_shift=0.1, time_masks=1)
    whole = run(task, tmp_path / "whole", config)
    run(task, tmp_path / "broken", dataclasses.replace(config, epochs=1))
    for row, other in zip(run(task, tmp_path / "broken", config), whole, strict=True):
        assert {**row, "frames_per_second": 0} == {**other, "frames_per_second": 0}


def _for_gradients(task: Path, directory: Path, batch_frames: int) -> Training:
    config = small(dropout=0.0, batch_frames=batch_frames, max_gradient=1e9)
    train = corpus(task, name="train")
    objective = LatticeFreeMMI(config, denominator_graph(read_graph(f"{task}/den.fst"), PDFS, np.float64))
    return Training(config, objective, train, corpus(task), directory, torch.device("cpu"))


@pytest.mark.slow
def test_two_processes_have_the_gradients_of_one(task, tmp_path):
    check_two_processes(_for_gradients, task, tmp_path)


def test_unusable_utterances_are_named(task, tmp_path, caplog):
    """Another length, no path in the denominator; nothing else is lost."""
    caplog.set_level(logging.WARNING, "ligru")
    supervisions = dict(read_table(f"scp:{task}/dev_sup.scp", SUPERVISION))
    one, other, *_ = supervisions
    supervisions[one] = linear(np.zeros(40, int))
    normalization = loops(True)
    kept = normalization.ilabel != 5
    write_fst(f"{tmp_path}/normalization.fst", normalization.select(kept))
    supervisions[other] = linear(np.full(supervisions[other].num_frames, 4))
    dev = corpus(task, sup=write_supervisions(tmp_path / "sup", supervisions))
    dev.normalization = Normalization(read_graph(f"{tmp_path}/normalization.fst"), PDFS)
    assert f"utterance {one} is left out: its features have" in caplog.text
    assert len(dev.utterances) == len(supervisions) - 1
    batch = load_batch(dev, [Segment(0, 0, dev.utterances[0].frames)], set())
    assert f"utterance {other} is left out: the denominator's graph has none of its phone sequences" in caplog.text
    assert batch.ids == [] and [numerator.weight for numerator in batch.numerators] == [0]  # counts for nothing


def test_dev_needs_no_phone_language_model(task, tmp_path, caplog):
    """Dev has sequences of phones that it has never seen."""
    caplog.set_level(logging.WARNING, "ligru")
    alignments = read_table(f"scp:{task}/train_pdf.scp", INT_VECTOR)
    sup = write_supervisions(
        tmp_path / "sup", {id: linear(np.where(pdfs == 4, 3, pdfs)[::FACTOR]) for id, pdfs in alignments}
    )
    normalization = loops(True)
    write_fst(f"{tmp_path}/normalization.fst", normalization.select(normalization.ilabel != 5))
    (row,) = run(task, tmp_path / "nnet", small(epochs=1), sup=sup, normalization=tmp_path / "normalization.fst")
    assert not caplog.text and np.isfinite(row["dev_loss"])


def halved(task: Path, root: Path) -> Path:
    """The task with every second frame of the features, and supervisions by every fourth frame of the alignments."""
    for name in ("train", "dev"):
        data = shutil.copytree(task / f"data-{name}", root / f"data-{name}")
        write_table(
            data / "feats", {id: matrix[::2] for id, matrix in read_matrices(f"scp:{task}/data-{name}/feats.scp")}
        )
        (data / "frame_subsampling_factor").write_text("2\n")
        alignments = read_table(f"scp:{task}/{name}_pdf.scp", INT_VECTOR)
        write_supervisions(root / f"{name}_sup", {id: linear(pdfs[::4]) for id, pdfs in alignments})
    for name in ("den", "normalization"):
        shutil.copy(task / f"{name}.fst", root)
    return root


def test_features_of_a_lower_frame_rate(task, tmp_path):
    half = halved(task, tmp_path / "half")
    run(half, tmp_path / "nnet", small(epochs=1, subsampling=4))
    assert (tmp_path / "nnet/frame_subsampling_factor").read_text() == "4\n"
    ark = f"ark:{tmp_path}/x.ark"
    assert forward.main([str(tmp_path / "nnet"), f"scp:{half}/data-dev/feats.scp", ark]) == 0
    frames = {id: len(matrix) for id, matrix in read_matrices(f"scp:{half}/data-dev/feats.scp")}
    assert {id: len(matrix) for id, matrix in read_matrices(ark)} == {
        id: -(-count // 2) for id, count in frames.items()
    }
    with pytest.raises(DataError, match="features for 2 and one of the output for 3 do not fit"):
        run(half, tmp_path / "nnet", small(epochs=1, subsampling=3))


def test_supervisions_of_another_tree(task, tmp_path):
    supervisions = dict(read_table(f"scp:{task}/dev_sup.scp", SUPERVISION))
    changed = {id: dataclasses.replace(one, label_dim=PDFS + 1) for id, one in supervisions.items()}
    with pytest.raises(DataError, match="has a supervision of 13 pdfs, the model has 12: .* another tree"):
        corpus(task, sup=write_supervisions(tmp_path / "sup", changed)).check_targets()


def test_supervisions_of_training_graphs(tmp_path, capfd):
    """Those without features or with too few are named; a model that is not there is one line."""
    golden = ROOT / "tests/kaldi/golden/out"
    graphs = f"ark:{ROOT}/tests/nnet/golden_lfmmi/end_to_end/graphs.ark"
    (tmp_path / "lengths").write_text("s1-00 89\ns1-01 15\n")
    arguments = [graphs, f"ark:{tmp_path}/lengths", f"ark:{tmp_path}/sup"]
    model = f"xz -dc {golden}/copy-transition-model_chain/trans.mdl.xz |"
    assert graph_supervisions.main(["--frame-subsampling-factor", "3", model, *arguments]) == 0
    ((key, supervision),) = read_table(f"ark:{tmp_path}/sup", SUPERVISION)
    assert (key, supervision.num_frames, supervision.label_dim) == ("s1-00", 30, 40)
    said = capfd.readouterr().err
    assert "s1-01 is left out: the shortest path through its graph has" in said
    assert "s1-02 is left out: it has no features in" in said and "Done 1 utterances, 2 with errors" in said
    assert graph_supervisions.main([f"{tmp_path}/none.mdl", *arguments]) == 1
    assert capfd.readouterr().err.startswith("nnet.ligru.graph_supervisions: error: ")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"den": "none.fst"}, "none.fst"),
        ({"den": "train_sup.ark"}, "train_sup.ark: "),
        ({"pdfs": 5}, "normalization.fst: its labels are 1 to 12, not those of 5 pdfs: make it anew"),
        ({"sup": "train_pdf.scp"}, "no utterance has both features and a target in"),
    ],
)
def test_bad_input_is_one_line(task, tmp_path, capsys, changes, message):
    config = f"--config {ROOT}/conf/ligru.toml --model small_chain".split()
    assert train.main([*config, *arguments(task, tmp_path / "exp", **changes)]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "nnet.ligru.train: error:" in error and message in error


def test_options_that_do_not_go_together(task, tmp_path, capsys):
    config = f"--config {ROOT}/conf/ligru.toml --model small".split()
    assert train.main([*config, *arguments(task, tmp_path)]) == 1
    assert "[small]: the objective cross-entropy has no --den-fst" in capsys.readouterr().err
    for changes in ({"max_frames": (100, 0)}, {"tempo": 0.1}, {"objective": "cross-entropy"}):
        with pytest.raises(ValueError, match=r"lf-mmi"):
            small(**changes)


def untrained(directory: Path, network: str = "sligru") -> Path:
    config = small(dropout=0.0, network=network)
    torch.manual_seed(1)
    model = AcousticModel(config, 8, PDFS)
    contents = checkpoint.describe(model, config) | {"weights": model.state_dict(), "error": 0.5}
    checkpoint.save(directory / checkpoint.FINAL, contents)
    return directory


def test_onnx_gives_the_same(tmp_path):
    """A batch of several lengths, no multiples of the factor (onnx_graph itself compares it)."""
    onnxruntime = pytest.importorskip("onnxruntime")
    onnx_graph = pytest.importorskip("nnet.ligru.onnx_graph", exc_type=ImportError)
    path = tmp_path / "x.onnx"
    assert onnx_graph.write_onnx(scorer.Scorer([untrained(tmp_path)], "false"), path) < 1e-4
    session = onnxruntime.InferenceSession(path)
    assert session.get_modelmeta().custom_metadata_map["frame_subsampling_factor"] == "3"
    feats = np.random.default_rng(1).normal(size=(1, 10, 8)).astype(np.float32)
    (loglikes,) = session.run(None, {"feats": feats, "lengths": np.array([10])})
    assert loglikes.shape == (1, 4, PDFS)


def test_long_recordings_in_blocks(tmp_path, monkeypatch):
    """As many frames as at once, and the same numbers, up to what lies beyond the margin."""
    nnet = untrained(tmp_path, "ligru")  # which at random forgets sooner
    feats = np.random.default_rng(1).normal(size=(1000, 8)).astype(np.float32)
    ours = scorer.Scorer([nnet], "false")
    ((_, whole),) = ours([("u", feats)])
    for name, frames in (("LONGEST", 400), ("BLOCK", 200), ("MARGIN", 100)):
        monkeypatch.setattr(table_scorer, name, frames)
    with TableWriter(f"ark:{tmp_path}/feats.ark", FLOAT_MATRIX) as writer:
        writer.write("u", feats)
    for _, blocks in ours.of_table(f"ark:{tmp_path}/feats.ark", 1):
        parts = np.vstack(list(blocks.blocks))
    assert parts.shape == whole.shape == (blocks.rows, PDFS) == (334, PDFS)
    np.testing.assert_allclose(parts, whole, atol=1e-3)
