"""Features adapted to a speaker: a first pass with the GMM, and fMLLR from its lattices.

The same as steps/make_mfcc.sh, steps/compute_cmvn_stats.sh, steps/decode_fmllr.sh up to its second transform, and
steps/make_fmllr_feats.sh, without the files between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from kaldi.base.log import KaldiError
from kaldi.decoder.options import DecoderOptions
from kaldi.feat.context import add_deltas, splice
from kaldi.feat.spectral import FrontEnd, FrontEndOptions, MfccOptions
from kaldi.feat.wave import Wave
from kaldi.gmm.am_diag_gmm import AmDiagGmm, read_model
from kaldi.gmm.gaussian_posterior import GaussianPosterior, gaussian_posterior
from kaldi.hmm.phones import phone_list
from kaldi.hmm.posterior import Posterior
from kaldi.hmm.transition_model import TransitionModel
from kaldi.lat.determinize import determinized
from kaldi.lat.lattice import Lattice
from kaldi.lat.paths import frame_posteriors
from kaldi.matrix.io import FLOAT_MATRIX, read_matrix, write_compressed
from kaldi.programs import features as programs
from kaldi.programs.recordings import compute_mfcc_feats
from kaldi.programs.tables import compose
from kaldi.transform import cmvn
from kaldi.transform.fmllr import FmllrStats
from kaldi.util.io import Output, PipedFile, Reader
from kaldi.util.options import divided, parse
from kaldi.util.table import read_file
from nnet.recogniser.decoding import Graph
from nnet.recogniser.parallel import in_order

Features = Callable[[np.ndarray], np.ndarray]  # from one kind of features or from samples to another kind

# As steps/decode_fmllr.sh has them.
ACOUSTIC_SCALE = 0.083333
FIRST_BEAM, FIRST_MAX_ACTIVE = 10.0, 2000
DETERMINIZE_BEAM = 4.0  # of the lattices of the second pass, for posteriors
SILENCE_WEIGHT = 0.01
MIN_COUNT, ITERATIONS = 500.0, 40  # of gmm-est-fmllr


def read_options(program: Any, path: Path, *kinds: Any) -> dict[str, Any]:
    """The options of a program in a file of a model, "--name=value" by lines or blanks; none without the file.

    Raises KaldiError, also for those that are not fields of `kinds`, where these are given.
    """
    if not path.is_file():
        return {}
    words = [word for line in path.read_text().splitlines() for word in line.split("#")[0].split()]
    _, chosen, _ = parse(program, words)
    known = {field for kind in kinds for field in kind._fields}
    if kinds and not chosen.keys() <= known:
        raise KaldiError(f"{path}: not known here: {', '.join(sorted(chosen.keys() - known))}")
    return chosen


class Mfcc:
    """Computes MFCCs of recordings with the options of compute-mfcc-feats in a file."""

    def __init__(self, config: Path) -> None:
        """Raises KaldiError."""
        options = read_options(compute_mfcc_feats, config, FrontEndOptions, MfccOptions)
        self._options = divided(options, FrontEndOptions, MfccOptions)
        self.rate = int(self._options[0].sample_frequency)
        self.frame_shift: float = self._options[0].frame_shift / 1000  # seconds

    def of_speaker(self) -> Features:
        """What takes one piece after the other, samples [time] in [-1, 1] at `rate` Hz, to float32 [frames, dim].

        A piece shorter than a frame has none. Dither is drawn anew for each speaker, as for each job of the scripts.
        """
        front_end = FrontEnd(*self._options)

        def compute(samples: np.ndarray) -> np.ndarray:
            matrix = front_end.compute(Wave(32768 * samples[None], self.rate), 0)
            return uncompressed(compressed(matrix)) if len(matrix) else matrix

        return compute


def compressed(matrix: np.ndarray) -> bytes:
    """Features as copy-feats --compress=true writes them: the models have learned from such."""
    name = PipedFile("-")
    name.content = BytesIO()
    write_compressed(Output(name), matrix, True)
    return name.content.getvalue()


def uncompressed(content: bytes) -> np.ndarray:
    """What is left of features that were compressed: float32 [frames, dim]."""
    return read_matrix(Reader(BytesIO(content), "features"), True)


class Normalisation:
    """Mean and variance normalisation by speaker, with the options of apply-cmvn in a file."""

    def __init__(self, options: Path) -> None:
        chosen = read_options(programs.apply_cmvn, options)
        self._means = chosen.pop("norm_means", True)
        self._variances = chosen.pop("norm_vars", False)
        self._skipped = programs.parse_dimensions(chosen.pop("skip_dims", ""))
        if chosen:
            raise KaldiError(f"{options}: not known here: {', '.join(chosen)}")

    def of_speaker(self, matrices: Iterable[np.ndarray]) -> Features:
        """What normalises a speaker's features, from all of them."""
        if not self._means:
            return lambda matrix: matrix
        stats: np.ndarray = sum((cmvn.statistics(matrix) for matrix in matrices), np.zeros(()))
        stats = cmvn.skip_dimensions(stats, self._skipped) if self._skipped else stats
        return lambda matrix: cmvn.normalize(matrix, stats, self._variances)


class FirstPass:
    """The models of a packed model's gmm/."""

    def __init__(self, folder: Path, graph: Graph, silence: str, settings: dict[str, Any]) -> None:
        """graph: of the same tree; silence: phones with colons between them; settings: of decoding, by their names.

        Raises KaldiError.
        """
        self.transitions, self._gmm = read_model(str(folder / "final.mdl"))
        self._first: tuple[TransitionModel, AmDiagGmm] = (self.transitions, self._gmm)
        if (folder / "final.alimdl").exists():
            self._first = read_model(str(folder / "final.alimdl"))
        self._graph = graph
        graph.check(self.transitions, folder / "final.mdl")
        self._normalise = Normalisation(folder / "cmvn_opts")
        self._transform = None
        if (folder / "final.mat").exists():
            self._transform = read_file(str(folder / "final.mat"), FLOAT_MATRIX)
        self._context = read_options(programs.splice_feats, folder / "splice_opts")
        self._deltas = read_options(programs.add_deltas, folder / "delta_opts")
        self._is_silence = np.isin(self.transitions.id2phone, phone_list(silence, "silence phones"))
        lattice_beam = settings["lattice_beam"]
        self._first_search = DecoderOptions(FIRST_BEAM, FIRST_MAX_ACTIVE, lattice_beam=lattice_beam)
        self._search = DecoderOptions(
            settings["beam"], int(settings["max_active"]), lattice_beam=lattice_beam, determinize_lattice=False
        )
        for _, gmm in (self._first, (self.transitions, self._gmm)):
            gmm.log_likelihoods(np.zeros((1, gmm.dim), np.float32))  # what it keeps is computed before threads come

    @property
    def dim(self) -> int:
        """Of the features."""
        return self._gmm.dim

    def of_speaker(self, mfccs: Sequence[np.ndarray], jobs: int) -> Features:
        """What makes a speaker's MFCCs features with fMLLR, from those of all pieces, none of which is without frames.

        jobs: pieces that are decoded at a time. The features are computed as often as they are needed: an hour's would
        take 60 MB. Raises KaldiError.
        """
        normalise = self._normalise.of_speaker(mfccs)

        def plain(mfcc: np.ndarray) -> np.ndarray:
            return self._with_context(normalise(mfcc))

        first = FmllrStats(self._gmm.dim)
        for matrix, gaussians in in_order(lambda mfcc: self._first_gaussians(plain(mfcc)), mfccs, jobs):
            if gaussians is not None:
                first.accumulate(self._gmm, matrix, gaussians)
        transform = _estimated(first)
        second = FmllrStats(self._gmm.dim)
        adapted = (programs.apply_transform(plain(mfcc), transform) for mfcc in mfccs)
        for matrix, gaussians in in_order(self._second_gaussians, adapted, jobs):
            if gaussians is not None:
                second.accumulate(self._gmm, matrix, gaussians)
        both = compose(_estimated(second), transform, b_is_affine=True)
        return lambda mfcc: programs.apply_transform(plain(mfcc), both)

    def _first_gaussians(self, matrix: np.ndarray) -> tuple[np.ndarray, GaussianPosterior | None]:
        """Features, and the posteriors of the Gaussians of the first model; None where nothing is recognised."""
        transitions, gmm = self._first
        lattice = self._graph.decode(gmm.log_likelihoods(matrix), transitions, ACOUSTIC_SCALE, self._first_search)
        if lattice is None:
            return matrix, None
        # the statistics are of the other model
        return matrix, gaussian_posterior(gmm, matrix, self._posterior(lattice).mapped(transitions.id2pdf))[0]

    def _second_gaussians(self, matrix: np.ndarray) -> tuple[np.ndarray, GaussianPosterior | None]:
        """Features with the first transform, and the posteriors of Gaussians; None where nothing is recognised."""
        scores = self._gmm.log_likelihoods(matrix)
        lattice = self._graph.decode(scores, self.transitions, ACOUSTIC_SCALE, self._search)
        if lattice is None:
            return matrix, None
        small, _ = determinized(lattice.scaled(np.diag([1.0, ACOUSTIC_SCALE])), DETERMINIZE_BEAM)
        posterior = self._posterior(small.scaled(np.diag([1.0, 1 / ACOUSTIC_SCALE])))
        return matrix, gaussian_posterior(self._gmm, matrix, posterior.mapped(self.transitions.id2pdf))[0]

    def _with_context(self, matrix: np.ndarray) -> np.ndarray:
        if self._transform is None:
            return add_deltas(matrix, self._deltas.get("delta_order", 2), self._deltas.get("delta_window", 2))
        spliced = splice(matrix, self._context.get("left_context", 4), self._context.get("right_context", 4))
        return programs.apply_transform(spliced, self._transform)

    def _posterior(self, lattice: Lattice) -> Posterior:
        """Of the transition-ids, those of silence with their weight."""
        posterior = frame_posteriors(lattice.scaled(np.diag([1.0, ACOUSTIC_SCALE])).connected())[0]
        return posterior.scaled(np.where(self._is_silence[posterior.ids], np.float32(SILENCE_WEIGHT), np.float32(1)))


def _estimated(stats: FmllrStats) -> np.ndarray:
    """The transform; where there is too little speech for one, that which changes nothing."""
    unit: np.ndarray = np.eye(len(stats.K), stats.K.shape[1], dtype=np.float32)
    if stats.beta <= MIN_COUNT:
        return unit
    try:
        return stats.estimate("full", ITERATIONS)[0].astype(np.float32)
    except KaldiError:  # singular statistics
        return unit
