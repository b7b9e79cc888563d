"""Programs that make, train and change Gaussian mixture models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kaldi.base.log import KaldiError, done, log, warn
from kaldi.gmm.accs import GMM_ACCS, Accumulator, GmmAccs
from kaldi.gmm.am_diag_gmm import AmDiagGmm, read_model, write_model
from kaldi.hmm.phones import phone_list, read_phone_sets
from kaldi.hmm.posterior import POSTERIOR, Posterior
from kaldi.matrix.io import DOUBLE_MATRIX, FLOAT_MATRIX, FLOAT_VECTOR
from kaldi.programs.loops import counted, labelled, sum_files
from kaldi.util.kinds import INT_VECTOR
from kaldi.util.options import with_options_of
from kaldi.util.table import RandomAccess, program, read_file, read_table, write_file

if TYPE_CHECKING:
    from kaldi.hmm.transition_model import TransitionModel


def gmm_init_mono(
    topo: str,
    dim: str,
    model_out: str,
    tree_out: str,
    *,
    binary: bool = True,
    train_feats: str = "",
    shared_phones: str = "",
    perturb_factor: float = 0.0,
) -> None:
    """Start a context-independent system: one Gaussian a pdf, all with the mean and variance of some features.

    Usage: gmm-init-mono [options] <topology-in> <dim> <model-out> <tree-out>
    """
    from kaldi.hmm.topology import read_topology
    from kaldi.tree.context_dependency import TREE, init_transition_model, monophone_tree

    if not dim.isdigit() or not 0 < int(dim) < 10000:
        raise KaldiError(f"the feature dimension must be a positive number, not {dim!r}")
    mean, variance = np.ones(int(dim)), np.ones(int(dim))
    if train_feats:
        mean, variance = global_moments(train_feats, int(dim))
    topology = read_topology(topo)
    sets = read_phone_sets(shared_phones) if shared_phones else [[phone] for phone in topology.phones.tolist()]
    tree = monophone_tree(sets, topology)
    count = tree.num_pdfs
    means = np.tile(mean, (count, 1))
    if perturb_factor:
        means += perturb_factor * np.sqrt(variance) * np.random.default_rng(0).standard_normal(means.shape)
    model = AmDiagGmm.from_means(np.ones(count), means, np.tile(variance, (count, 1)), np.arange(count + 1))
    write_model(model_out, init_transition_model(tree, topology), model, binary)
    write_file(tree_out, TREE, tree, binary)


def global_moments(rspecifier: str, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of all frames of a table of features."""
    count, total, squares = 0, np.zeros(dim), np.zeros(dim)
    for utterance, feats in read_table(rspecifier, DOUBLE_MATRIX):
        if len(feats) == 0:
            continue
        if feats.shape[1] != dim:
            raise KaldiError(f"{utterance}: features of dimension {feats.shape[1]}, expected {dim}")
        count += len(feats)
        total += feats.sum(axis=0)
        squares += np.square(feats).sum(axis=0)
    if count == 0:
        raise KaldiError(f"--train-feats={rspecifier}: no features were seen")
    variance = squares / count - np.square(total / count)
    if variance.min() <= 0:
        raise KaldiError(f"--train-feats={rspecifier}: a dimension has no variance, so no Gaussian can model it")
    return total / count, variance


def gmm_init_model(
    tree: str,
    tree_stats: str,
    topo: str,
    model_out: str,
    old_tree: str = "",
    old_model: str = "",
    *,
    binary: bool = True,
    write_occs: str = "",
    var_floor: float = 0.01,
) -> None:
    """Start a context-dependent system from a tree and its statistics, one Gaussian a pdf, or with an old model's pdfs.

    Usage: gmm-init-model [options] <tree-in> <tree-stats-in> <topo-file> <model-out> [<old-tree> <old-model>]
    """
    from kaldi.hmm.topology import read_topology
    from kaldi.tree.context_dependency import init_transition_model, read_tree
    from kaldi.tree.stats import model_from_old, model_from_stats, pdf_counts, read_tree_stats

    if bool(old_tree) != bool(old_model):
        raise KaldiError("an old tree needs an old model: give both or none")
    new_tree, stats = read_tree(tree), read_tree_stats(tree_stats)
    log(f"statistics of {len(stats)} events")
    transitions = init_transition_model(new_tree, read_topology(topo))
    if old_tree:
        model = model_from_old(new_tree, stats, read_tree(old_tree), read_model(old_model)[1], var_floor)
    else:
        model = model_from_stats(new_tree, stats, transitions, var_floor)
    if write_occs:
        write_file(write_occs, FLOAT_VECTOR, pdf_counts(new_tree, stats), binary)
    write_model(model_out, transitions, model, binary)


def gmm_info(model: str) -> None:
    """Print the sizes of a GMM system.

    Usage: gmm-info [options] <model-in>
    """
    transitions, am = read_model(model)
    print(
        f"number of phones {len(transitions.phones)}\nnumber of pdfs {transitions.num_pdfs}\n"
        f"number of transition-ids {transitions.num_tids}\nnumber of transition-states {transitions.num_states}\n"
        f"feature dimension {am.dim}\nnumber of gaussians {am.num_gauss}"
    )


def gmm_copy(model_in: str, model_out: str, *, binary: bool = True, copy_am: bool = True, copy_tm: bool = True) -> None:
    """Copy a GMM system, in binary or text, or only one of its parts.

    Usage: gmm-copy [options] <model-in> <model-out>
    """
    from kaldi.gmm.am_diag_gmm import AM_DIAG_GMM
    from kaldi.hmm.transition_model import TRANSITION_MODEL, read_transition_model

    if copy_am and copy_tm:
        write_model(model_out, *read_model(model_in), binary)
    elif copy_tm:
        write_file(model_out, TRANSITION_MODEL, read_transition_model(model_in), binary)
    elif copy_am:
        write_file(model_out, AM_DIAG_GMM, read_file(model_in, AM_DIAG_GMM), binary)
    else:
        raise KaldiError("nothing to copy: --copy-am and --copy-tm are both false")


def mixed(
    model: AmDiagGmm,
    counts: np.ndarray,
    *,
    mix_up: int = 0,
    mix_down: int = 0,
    min_count: float = 20.0,
    power: float = 0.2,
    perturb_factor: float = 0.01,
) -> AmDiagGmm:
    """The model merged down and split up to these numbers of Gaussians, as far as they are not 0."""
    from kaldi.gmm import mixtures

    if mix_down:
        model = mixtures.mix_down(model, counts, mix_down, power, min_count)
    if mix_up:
        model = mixtures.mix_up(model, counts, mix_up, perturb_factor, power, min_count)
    return model


@with_options_of(mixed)
def gmm_mixup(model_in: str, occs: str, model_out: str, *, binary: bool = True, **mixing: Any) -> None:
    """Split Gaussians up to, or merge them down to, a number in all.

    Usage: gmm-mixup [options] <model-in> <state-occs-in> <model-out>
    """
    transitions, model = read_model(model_in)
    if mixing.get("mix_up") or mixing.get("mix_down"):
        model = mixed(model, read_file(occs, FLOAT_VECTOR), **mixing)
    write_model(model_out, transitions, model, binary)


@with_options_of(mixed)
def gmm_est(
    model_in: str,
    stats_in: str,
    model_out: str,
    *,
    binary: bool = True,
    update_flags: str = "mvwt",
    write_occs: str = "",
    transition_floor: float = 0.01,
    transition_min_count: float = 5.0,
    share_for_pdfs: bool = False,
    min_gaussian_weight: float = 1e-5,
    min_gaussian_occupancy: float = 10.0,
    min_variance: float = 0.001,
    remove_low_count_gaussians: bool = True,
    **mixing: Any,
) -> None:
    """Maximum-likelihood re-estimation of a GMM system, with mixing up and down.

    Usage: gmm-est [options] <model-in> <stats-in> <model-out>
    """
    from kaldi.gmm.update import parse_flags, update_gmms

    flags = parse_flags(update_flags)
    transitions, model = read_model(model_in)
    accs = read_file(stats_in, GMM_ACCS)
    if len(accs.transitions) != transitions.num_tids + 1 or not np.array_equal(accs.offsets, model.offsets):
        raise KaldiError(f"{stats_in}: statistics of another model than {model_in}: transition-ids or Gaussians differ")
    if "t" in flags:
        transitions.mle_update(accs.transitions, transition_floor, transition_min_count, share_for_pdfs)
    model = update_gmms(
        model,
        accs,
        flags,
        min_gaussian_weight=min_gaussian_weight,
        min_gaussian_occupancy=min_gaussian_occupancy,
        min_variance=min_variance,
        remove_low_count_gaussians=remove_low_count_gaussians,
    )
    counts = accs.pdf_occupancy()
    model = mixed(model, counts, **mixing)
    if write_occs:
        write_file(write_occs, FLOAT_VECTOR, counts, binary=False)
    write_model(model_out, transitions, model, binary)


def gmm_sum_accs(stats_out: str, stats_in: str, *more_stats: str, binary: bool = True) -> None:
    """Sum the statistics of several jobs.

    Usage: gmm-sum-accs [options] <stats-out> <stats-in1> <stats-in2> ...
    """
    total = sum_files((stats_in, *more_stats), GMM_ACCS)
    write_file(stats_out, GMM_ACCS, total, binary)
    log(
        f"{1 + len(more_stats)} files, {total.total_frames:.7g} frames, log-likelihood per frame "
        f"{total.total_like / max(total.total_frames, 1e-10):.7g}"
    )


def gmm_boost_silence(
    silence_phones: str, model_in: str, model_out: str, *, binary: bool = True, boost: float = 1.5
) -> None:
    """Multiply the mixture weights of the silence phones' pdfs by a factor.

    Usage: gmm-boost-silence [options] <silence-phones-list> <model-in> <model-out>
    """
    phones = phone_list(silence_phones, "silence phones")
    if not phones:
        warn("no silence phones given: the model is copied unchanged")
    transitions, model = read_model(model_in)
    pdfs = transitions.pdfs_of_phones(np.array(phones, int))
    weights = np.where(np.isin(model.pdf_of, pdfs), np.float32(boost) * model.weights, model.weights)
    log(f"weights of {len(pdfs)} pdfs multiplied by {boost:g}")
    write_model(model_out, transitions, AmDiagGmm(weights, model.means_invvars, model.inv_vars, model.offsets), binary)


def gmm_transform_means(transform: str, model_in: str, model_out: str, *, binary: bool = True) -> None:
    """Apply a linear or affine transform to the means.

    Usage: gmm-transform-means [options] <transform-matrix> <model-in> <model-out>
    """
    matrix = read_file(transform, DOUBLE_MATRIX)
    transitions, model = read_model(model_in)
    if matrix.shape not in ((model.dim, model.dim), (model.dim, model.dim + 1)):
        raise KaldiError(
            f"{transform}: a transform of {matrix.shape[0]} x {matrix.shape[1]} does not fit the model's "
            f"dimension {model.dim}"
        )
    means = model.means() @ matrix[:, : model.dim].T + (matrix[:, model.dim] if matrix.shape[1] > model.dim else 0.0)
    write_model(
        model_out, transitions, AmDiagGmm(model.weights, means * model.inv_vars, model.inv_vars, model.offsets), binary
    )


def gmm_acc_stats_ali(model_in: str, feats_in: str, alignments: str, stats_out: str, *, binary: bool = True) -> None:
    """Accumulate training statistics along alignments.

    Usage: gmm-acc-stats-ali [options] <model-in> <feature-rspecifier> <alignments-rspecifier> <stats-out>
    """
    transitions, model = read_model(model_in)
    accumulator = Accumulator(model, transitions.num_tids)
    utterances = labelled(read_table(feats_in, FLOAT_MATRIX), RandomAccess(alignments, INT_VECTOR), "alignment")
    count = errors = 0
    for utterance, feats, alignment in utterances:
        if alignment is None:
            errors += 1
            continue
        model.check_dim(feats, utterance)
        transitions.check_alignment(alignment, utterance)
        accumulator.accs.transitions += np.bincount(alignment, minlength=transitions.num_tids + 1)
        accumulator.add(transitions.id2pdf[alignment], feats)
        count += 1
    finish_stats(accumulator, count, errors, stats_out, binary)


def finish_stats(accumulator: Accumulator, count: int, errors: int, stats_out: str, binary: bool) -> None:
    """Report the likelihood and write the statistics; fails when there are none."""
    done(count, "files", errors)
    accumulator.flush()
    accs = accumulator.accs
    log(
        f"Overall avg like per frame (Gaussian only) = {accs.total_like / max(accs.total_frames, 1e-10):.7g} "
        f"over {accs.total_frames:.10g} frames."
    )
    write_file(stats_out, GMM_ACCS, accs, binary)


def _add_posterior(
    accumulator: Accumulator,
    transitions: TransitionModel,
    utterance: str,
    posterior: Posterior,
    feats: np.ndarray,
    sum_feats: np.ndarray | None = None,
) -> None:
    """Add an utterance with posteriors of transition-ids to statistics, which may be of other features."""
    transitions.check_alignment(posterior.ids, utterance)
    accumulator.accs.transitions += np.bincount(posterior.ids, posterior.weights, transitions.num_tids + 1)
    by_pdf = posterior.mapped(transitions.id2pdf)
    others = None if sum_feats is None else sum_feats[by_pdf.frames]
    accumulator.add(by_pdf.ids, feats[by_pdf.frames], by_pdf.weights, others)


def _accumulate_posteriors(
    model_in: str,
    feats_in: str,
    posteriors: str,
    binary: bool,
    outputs: Sequence[tuple[str, Callable[[Posterior], Posterior]]],
) -> tuple[int, list[GmmAccs]]:
    """Write statistics to each of the outputs: those of what its function takes of an utterance's posteriors.

    Returns the number of frames, and the statistics.
    """
    transitions, model = read_model(model_in)
    accumulators = [Accumulator(model, transitions.num_tids) for _ in outputs]
    count = errors = frames = 0
    for utterance, feats, value in labelled(
        read_table(feats_in, FLOAT_MATRIX), RandomAccess(posteriors, POSTERIOR), "posteriors"
    ):
        if value is None:
            errors += 1
            continue
        model.check_dim(feats, utterance)
        posterior = Posterior.of(value)
        for accumulator, (_, taken) in zip(accumulators, outputs, strict=True):
            _add_posterior(accumulator, transitions, utterance, taken(posterior), feats)
        count += 1
        frames += len(posterior)
    for accumulator, (stats_out, _) in zip(accumulators, outputs, strict=True):
        finish_stats(accumulator, count, errors, stats_out, binary)
    return frames, [accumulator.accs for accumulator in accumulators]


def gmm_acc_stats(model_in: str, feats_in: str, posteriors: str, stats_out: str, *, binary: bool = True) -> None:
    """Accumulate training statistics from posteriors.

    Usage: gmm-acc-stats [options] <model-in> <feature-rspecifier> <posteriors-rspecifier> <stats-out>
    """
    _accumulate_posteriors(model_in, feats_in, posteriors, binary, [(stats_out, lambda posterior: posterior)])


def gmm_acc_stats2(
    model_in: str, feats_in: str, posteriors: str, num_stats_out: str, den_stats_out: str, *, binary: bool = True
) -> None:
    """Accumulate statistics from posteriors, those above zero and, with the opposite sign, those below apart.

    Usage: gmm-acc-stats2 [options] <model-in> <feature-rspecifier> <posteriors-rspecifier> <num-stats-out>
        <den-stats-out>
    """
    outputs = [
        (num_stats_out, lambda posterior: posterior.of_entries(posterior.weights > 0)),
        (den_stats_out, lambda posterior: posterior.of_entries(~(posterior.weights > 0)).scaled(-1.0)),
    ]
    frames, (num, den) = _accumulate_posteriors(model_in, feats_in, posteriors, binary, outputs)
    like, weight = num.total_like - den.total_like, num.total_frames - den.total_frames
    log(  # train_mmi.sh reads this line
        f"Overall weighted acoustic likelihood per frame was {like / max(frames, 1):.6g} over {frames} frames; "
        f"average weight per frame was {weight / max(frames, 1):.6g}"
    )


def gmm_acc_stats_twofeats(
    model_in: str, feats1: str, feats2: str, posteriors: str, stats_out: str, *, binary: bool = True
) -> None:
    """Accumulate statistics of the second features, with Gaussian posteriors from the first ones.

    Usage: gmm-acc-stats-twofeats [options] <model-in> <feature1-rspecifier> <feature2-rspecifier>
        <posteriors-rspecifier> <stats-out>
    """
    transitions, model = read_model(model_in)
    accumulator: Accumulator | None = None
    others, table = RandomAccess(feats2, FLOAT_MATRIX), RandomAccess(posteriors, POSTERIOR)
    count = errors = 0
    for utterance, feats in read_table(feats1, FLOAT_MATRIX):
        other, posterior = others.get(utterance), table.get(utterance)
        if other is None or posterior is None or not len(feats) == len(other) == len(posterior):
            warn(f"{utterance}: second features or posteriors are missing or of another length; it is left out")
            errors += 1
            continue
        model.check_dim(feats, utterance)
        if accumulator is None:
            accumulator = Accumulator(model, transitions.num_tids, other.shape[1])
        _add_posterior(accumulator, transitions, utterance, Posterior.of(posterior), feats, other)
        count += 1
    if accumulator is None:
        done(0, "files", errors)
    else:
        finish_stats(accumulator, count, errors, stats_out, binary)


@program(FLOAT_MATRIX)
def gmm_compute_likes(model_in: str, feats_in: str, likes_out: str) -> Iterator[tuple[str, np.ndarray]]:
    """Log-likelihoods of all pdfs, a matrix of frames by pdfs for each utterance.

    Usage: gmm-compute-likes [options] <model-in> <features-rspecifier> <likes-wspecifier>
    """
    _, model = read_model(model_in)
    for utterance, feats in counted(read_table(feats_in, FLOAT_MATRIX), "utterances"):
        model.check_dim(feats, utterance)
        yield utterance, model.log_likelihoods(feats)


def gmm_ismooth_stats(
    source: str,
    stats_in: str,
    stats_out: str,
    *,
    binary: bool = False,
    tau: float = 100.0,
    smooth_from_model: bool = False,
) -> None:
    """Add tau frames to the statistics of each Gaussian, as they are on average in other statistics, or in a model.

    Usage: gmm-ismooth-stats [options] <source-stats-in>|<model-in> <stats-in> <stats-out>
    """
    from kaldi.gmm.ebw import averages_of_model, averages_of_stats

    accs = read_file(stats_in, GMM_ACCS)
    if smooth_from_model:
        _, model = read_model(source)
        averages, offsets = averages_of_model(model), model.offsets
    else:
        other = read_file(source, GMM_ACCS)
        averages, offsets = averages_of_stats(other), other.offsets
    if not np.array_equal(offsets, accs.offsets) or averages.shape != accs.stats.shape:
        raise KaldiError(f"{source} and {stats_in}: not of one model, the numbers of pdfs or Gaussians differ")
    accs.stats += tau * averages
    write_file(stats_out, GMM_ACCS, accs, binary)


def _read_two_stats(model: AmDiagGmm, num_stats: str, den_stats: str) -> tuple[GmmAccs, GmmAccs]:
    """Statistics of numerator and denominator. Raises KaldiError unless both are of the model."""
    both = read_file(num_stats, GMM_ACCS), read_file(den_stats, GMM_ACCS)
    for name, accs in zip((num_stats, den_stats), both, strict=True):
        if not np.array_equal(accs.offsets, model.offsets) or accs.dim != model.dim:
            raise KaldiError(f"{name}: statistics of another model: the numbers of pdfs or Gaussians differ")
    return both


def gmm_est_gaussians_ebw(
    model_in: str,
    num_stats: str,
    den_stats: str,
    model_out: str,
    *,
    binary: bool = False,
    e: float = 2.0,
    tau: float = 0.0,
    update_flags: str = "mv",
) -> None:
    """Extended Baum-Welch update of means and variances, for discriminative training.

    Usage: gmm-est-gaussians-ebw [options] <model-in> <num-stats-in> <den-stats-in> <model-out>
    """
    from kaldi.gmm.ebw import update_gaussians
    from kaldi.gmm.update import parse_flags

    flags = parse_flags(update_flags)
    transitions, model = read_model(model_in)
    updated = update_gaussians(model, *_read_two_stats(model, num_stats, den_stats), flags, e, tau)
    write_model(model_out, transitions, updated, binary)


def gmm_est_weights_ebw(
    model_in: str,
    num_stats: str,
    den_stats: str,
    model_out: str,
    *,
    binary: bool = False,
    update_flags: str = "w",
    min_gaussian_weight: float = 1e-5,
    min_num_count_weight_update: float = 10.0,
    weight_tau: float = 0.0,
) -> None:
    """Extended Baum-Welch update of mixture weights, for discriminative training.

    Usage: gmm-est-weights-ebw [options] <model-in> <num-stats-in> <den-stats-in> <model-out>
    """
    from kaldi.gmm.ebw import update_weights
    from kaldi.gmm.update import parse_flags

    flags = parse_flags(update_flags)
    transitions, model = read_model(model_in)
    both = _read_two_stats(model, num_stats, den_stats)
    if "w" in flags:
        model = update_weights(model, *both, min_gaussian_weight, min_num_count_weight_update, weight_tau)
    write_model(model_out, transitions, model, binary)
