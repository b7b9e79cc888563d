"""Programs for phonetic decision trees: statistics, questions, building."""

from __future__ import annotations

from kaldi.base.log import KaldiError, done, log, warn
from kaldi.hmm.phones import phone_list, read_phone_sets
from kaldi.hmm.topology import read_topology
from kaldi.hmm.transition_model import read_transition_model
from kaldi.matrix.io import FLOAT_MATRIX
from kaldi.programs.loops import labelled
from kaldi.util.io import Output, read_lines
from kaldi.util.kinds import INT_VECTOR
from kaldi.util.table import RandomAccess, read_file, read_table, write_file


def acc_tree_stats(
    model: str,
    feats_in: str,
    alignments: str,
    stats_out: str,
    *,
    binary: bool = True,
    ci_phones: str = "",
    context_width: int = 3,
    central_position: int = 1,
    var_floor: float = 0.01,
) -> None:
    """Accumulate the statistics of phones in context for building a tree.

    Usage: acc-tree-stats [options] <model-in> <features-rspecifier> <alignments-rspecifier> <tree-accs-out>
    """
    from kaldi.tree.stats import TREE_STATS, TreeAccumulator

    if not 0 <= central_position < context_width:
        raise KaldiError(f"--central-position={central_position} is not in a window of --context-width={context_width}")
    transitions = read_transition_model(model)
    phones = phone_list(ci_phones, "--ci-phones")
    accumulator = TreeAccumulator(transitions, context_width, central_position, phones, var_floor)
    utterances = labelled(read_table(feats_in, FLOAT_MATRIX), RandomAccess(alignments, INT_VECTOR), "alignment")
    count = errors = 0
    for utterance, feats, alignment in utterances:
        if alignment is None:
            errors += 1
            continue
        transitions.check_alignment(alignment, utterance)
        if not accumulator.add(feats, alignment):
            warn(f"{utterance}: the alignment is not one of whole phones; it is left out")
            errors += 1
            continue
        count += 1
    done(count, "files", errors)
    stats = accumulator.stats()
    write_file(stats_out, TREE_STATS, stats, binary)
    log(f"statistics of {len(stats)} events")


def sum_tree_stats(stats_out: str, stats_in: str, *more_stats: str, binary: bool = True) -> None:
    """Sum the tree statistics of several jobs.

    Usage: sum-tree-stats [options] <tree-accs-out> <tree-accs-in1> <tree-accs-in2> ...
    """
    import numpy as np

    from kaldi.tree.stats import TREE_STATS, TreeStats, merge, read_tree_stats

    total = read_tree_stats(stats_in)
    for name in more_stats:
        stats = read_tree_stats(name)
        if stats.sums.shape[1] != total.sums.shape[1] or stats.events.shape[1] != total.events.shape[1]:
            raise KaldiError(f"{name}: another feature dimension or context width than in {stats_in}")
        merged = merge(np.concatenate([total.events, stats.events]), np.concatenate([total.sums, stats.sums]))
        total = TreeStats(*merged, total.var_floor)
    write_file(stats_out, TREE_STATS, total, binary)
    log(f"statistics of {len(total)} events")


def cluster_phones(
    stats_in: str,
    phone_sets: str,
    out: str,
    *,
    central_position: int = 1,
    context_width: int = 3,
    pdf_class_list: str = "1",
    mode: str = "questions",
    num_classes: int = -1,
) -> None:
    """Cluster phones, or sets of phones, into the questions of a tree, or into classes.

    Usage: cluster-phones [options] <tree-stats-in> <phone-sets-in> <clustered-phones-out>
    """
    from kaldi.tree.questions import cluster_into_classes, cluster_into_questions
    from kaldi.tree.stats import read_tree_stats

    stats, sets = read_tree_stats(stats_in), read_phone_sets(phone_sets)
    pdf_classes = phone_list(pdf_class_list, "--pdf-class-list")
    if mode == "questions":
        clusters = cluster_into_questions(stats, sets, pdf_classes, central_position)
    elif mode == "k-means":
        if not 1 < num_classes <= len(sets):
            raise KaldiError(f"--num-classes={num_classes} must be from 2 to the number of phone sets, {len(sets)}")
        clusters = cluster_into_classes(stats, sets, pdf_classes, central_position, num_classes)
    else:
        raise KaldiError(f"--mode={mode}: expected questions or k-means")
    with Output(out) as output:
        output.write("".join(" ".join(map(str, phones)) + "\n" for phones in clusters).encode())


def compile_questions(
    topo: str,
    questions_in: str,
    questions_out: str,
    *,
    binary: bool = True,
    context_width: int = 3,
    central_position: int = 1,
    num_iters_refine: int = 0,
) -> None:
    """Turn lines of phones into questions about every position of the context window and about the pdf class.

    Usage: compile-questions [options] <topo> <questions-text-file> <questions-out>
    """
    from kaldi.tree.questions import QUESTIONS, compile_sets

    questions = compile_sets(
        read_topology(topo), read_phone_sets(questions_in), context_width, num_iters_refine, questions_in
    )
    write_file(questions_out, QUESTIONS, questions, binary)


def build_tree(
    stats_in: str,
    roots: str,
    questions: str,
    topo: str,
    tree_out: str,
    *,
    binary: bool = True,
    context_width: int = 3,
    central_position: int = 1,
    max_leaves: int = 0,
    thresh: float = 300.0,
    cluster_thresh: float = -1.0,
    round_num_leaves: bool = True,
) -> None:
    """Build a decision tree.

    Usage: build-tree [options] <tree-stats-in> <roots-file> <questions-file> <topo-file> <tree-out>
    """
    from kaldi.tree import build as builder
    from kaldi.tree.context_dependency import TREE
    from kaldi.tree.questions import QUESTIONS
    from kaldi.tree.stats import read_tree_stats

    if thresh <= 0 and max_leaves <= 0:
        raise KaldiError("one of --thresh and --max-leaves must be positive, or splitting would not end")
    parsed = builder.parse_roots(read_lines(roots), roots)
    stats = read_tree_stats(stats_in)
    log(f"statistics of {len(stats)} events")
    tree = builder.build_tree(
        stats,
        parsed,
        read_file(questions, QUESTIONS),
        read_topology(topo),
        width=context_width,
        central=central_position,
        threshold=thresh,
        max_leaves=max_leaves,
        cluster_threshold=cluster_thresh,
        round_num_leaves=round_num_leaves,
    )
    write_file(tree_out, TREE, tree, binary)


def tree_info(tree_in: str) -> None:
    """Print the number of pdfs and the context of a tree.

    Usage: tree-info <tree-in>
    """
    from kaldi.tree.context_dependency import read_tree

    tree = read_tree(tree_in)
    print(f"num-pdfs {tree.num_pdfs}\ncontext-width {tree.width}\ncentral-position {tree.central}")
