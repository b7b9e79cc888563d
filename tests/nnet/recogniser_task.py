"""A packed model of the golden recordings of tests/kaldi: real Kaldi's tri2b as first pass, and a small network."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from recipe_copy import GOLDEN, ROOT, golden

from kaldi.feat.context import splice
from kaldi.hmm.transition_model import read_transition_model
from kaldi.lat.io import COMPACT_LATTICE
from kaldi.matrix.io import FLOAT_MATRIX
from kaldi.programs.features import apply_transform
from kaldi.util.kinds import INT_VECTOR
from kaldi.util.table import TableWriter, read_file, read_table
from local.model_folder import describe
from nnet.ligru import checkpoint
from nnet.ligru.config import CMVN_OPTIONS, Config, read_config
from nnet.ligru.data import apply_cmvn, splice_context
from nnet.ligru.model import AcousticModel
from nnet.ligru.onnx_graph import write_onnx
from nnet.ligru.rmsprop import RMSprop
from nnet.ligru.scorer import Scorer
from nnet.ligru.table_scorer import COUNTS
from nnet.recogniser import Recogniser
from nnet.recogniser.first_pass import Normalisation

NAMES = ("s1-00", "s1-01", "s1-02")
PRIOR_SCALE = 0.4
UTTERANCES = 16  # to train on


def write_recordings(folder: Path) -> list[Path]:
    for name in NAMES:
        (folder / f"{name}.wav").write_bytes(golden(f"data/wav/{name}.wav"))
    return [folder / f"{name}.wav" for name in NAMES]


def training_data(gmm: Path, work: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Normalised LDA features of golden utterances, and their pdfs."""
    (work / "ali.ark").write_bytes(golden("out/tri2b_ali/ali.ark"))
    (work / "mfcc.ark").write_bytes(golden("out/compute-mfcc-feats/mfcc.ark"))
    transitions = read_transition_model(str(gmm / "final.mdl"))
    alignments = dict(read_table(f"ark:{work}/ali.ark", INT_VECTOR))
    lda = read_file(str(gmm / "final.mat"), FLOAT_MATRIX)
    normalise = Normalisation(work / "none")
    return {
        utterance: (
            normalised(apply_transform(splice(normalise.of_speaker([mfcc])(mfcc), 3, 3), lda)),
            transitions.id2pdf[alignments[utterance]],
        )
        for utterance, mfcc in islice(read_table(f"ark:{work}/mfcc.ark", FLOAT_MATRIX), UTTERANCES)
        if utterance in alignments
    }


def normalised(matrix: np.ndarray) -> np.ndarray:
    """To mean 0 and variance 1."""
    stats = np.zeros((2, matrix.shape[1] + 1))
    stats[:, :-1], stats[0, -1] = [matrix.sum(0), (matrix**2).sum(0)], len(matrix)
    return apply_cmvn(matrix, stats, True)


def train(folder: Path, feats: list[np.ndarray], pdfs: list[np.ndarray]) -> None:
    """A small MLP in a folder with final.mdl."""
    model, config = trained(feats, pdfs, read_transition_model(str(folder / "final.mdl")).num_pdfs)
    save(folder, model, config)
    counts = np.bincount(np.concatenate(pdfs), minlength=model.num_pdfs)
    (folder / COUNTS).write_text(f" [ {' '.join(map(str, counts))} ]\n")


def trained(
    feats: list[np.ndarray], pdfs: list[np.ndarray], num_pdfs: int, **options: object
) -> tuple[AcousticModel, Config]:
    """An MLP whose output tells the pdfs apart; options: of its configuration."""
    torch.manual_seed(1)
    changes = {"context": (3, 3), "layers": 1, "units": 64, "normalisation": "layer", "dropout": 0.0}
    config = read_config(ROOT / "conf/ligru.toml", "small_mlp")
    config = type(config)(**vars(config) | changes | options)
    inputs = torch.from_numpy(np.concatenate([splice_context(matrix, *config.context) for matrix in feats]))
    targets = torch.from_numpy(np.concatenate(pdfs).astype(np.int64))
    model = AcousticModel(config, inputs.shape[1], num_pdfs)
    optimizer = RMSprop(model.parameters())
    for _ in range(40):
        model.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs, [], targets)[0], targets).backward()
        optimizer.step(2e-3)
    return model, config


def save(folder: Path, model: AcousticModel, config: Config) -> None:
    checkpoint.save(folder / checkpoint.FINAL, checkpoint.describe(model, config) | {"weights": model.state_dict()})


def make_model(folder: Path, work: Path) -> None:
    """A model folder as local/pack_model.sh makes it."""
    for part in ("nnet", "gmm", "graph/phones", "lang"):
        (folder / part).mkdir(parents=True)
    for name in ("final.mdl", "final.mat", "tree"):
        (folder / "gmm" / name).write_bytes(golden(f"out/tri2b/{name}"))
    (folder / "gmm/splice_opts").write_text("--left-context=3 --right-context=3\n")
    (folder / "graph/HCLG.fst").write_bytes(golden("out/add-self-loops/HCLG.fst"))
    for name in ("words.txt", "phones.txt", "phones/silence.csl", "phones/word_boundary.int"):
        shutil.copy(GOLDEN / "lang" / name, folder / "graph" / name)
    shutil.copy(GOLDEN / "lang/L.fst", folder / "lang")
    shutil.copy(GOLDEN / "lang/phones/disambig.int", folder / "lang")
    shutil.copy(ROOT / "conf/mfcc.conf", folder)
    shutil.copy(folder / "gmm/final.mdl", folder / "nnet")
    shutil.copy(folder / "gmm/tree", folder / "nnet")
    train(folder / "nnet", *map(list, zip(*training_data(folder / "gmm", work).values(), strict=True)))
    (folder / "nnet/cmvn_opts").write_text(CMVN_OPTIONS["mean-variance"] + "\n")
    (folder / "nnet/streams").write_text("40 1 -\n")
    pack(folder)


def write_decoding(folder: Path, recogniser: Recogniser, recordings: Sequence[Path], copies: int) -> tuple[int, int]:
    """A scored decoding: each recording so many times; in every second reference the less certain words are others.

    Returns the number of words, and of wrong ones.
    """
    (folder / "scoring_kaldi").mkdir(parents=True)
    references, words, wrong = [], 0, 0
    with TableWriter(f"ark:| gzip -c >{folder}/lat.1.gz", COMPACT_LATTICE) as writer:
        for path in recordings:
            found = recogniser.transcribe(path, lattice=True)
            usual = np.median([word.confidence for word in found.words])
            other = ["OTHER" if word.confidence <= usual else word.text for word in found.words]
            for copy in range(copies):
                key = f"{path.stem}-{copy}"
                writer.write(key, found.pieces[0].lattice)
                words += len(found.words)
                wrong += other.count("OTHER") * (copy % 2)
                references.append(f"{key} {' '.join(other) if copy % 2 else found.text}\n")
    (folder / "scoring_kaldi/test_filt.txt").write_text("".join(references))
    return words, wrong


def pack(folder: Path) -> None:
    """Export the network and describe the folder anew."""
    write_onnx(Scorer([folder / "nnet"], "false", PRIOR_SCALE), folder / "nnet/network.onnx")
    search = {"max_active": 3000, "beam": 10.0, "lattice_beam": 6.0}
    decoding = {"gmm": search, "network": search | {"prior_scale": PRIOR_SCALE}}
    describe(folder, lmwt=10, word_ins_penalty=0.0, decoding=decoding)


def run_script(script: str, *arguments: object) -> str:
    """Run a script of the recipe; returns what it printed."""
    command = ["bash", "-c", '. ./path.sh && "$@"', "test", script, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
