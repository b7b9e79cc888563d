"""OpenFst's command-line programs, as far as Kaldi's scripts call them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kaldi.base.log import KaldiError
from kaldi.fstext import ops
from kaldi.fstext.io import read_fst, write_fst
from kaldi.fstext.native import from_native, to_native
from kaldi.util.io import Output, open_input, read_lines, split
from kaldi.util.symbols import read_names, read_symbols

if TYPE_CHECKING:
    from collections.abc import Callable


def fstcompile(
    text: str = "-",
    out: str = "-",
    *,
    isymbols: str = "",
    osymbols: str = "",
    acceptor: bool = False,
    keep_isymbols: bool = False,
    keep_osymbols: bool = False,
    fst_type: str = "vector",
) -> None:
    """Make a transducer of its text form.

    Usage: fstcompile [options] [<text-in> [<fst-out>]]
    """
    from kaldi.fstext.text import parse

    if keep_isymbols or keep_osymbols:
        raise KaldiError("--keep_isymbols and --keep_osymbols are not supported: keep the symbol tables as files")
    with open_input(text) as reader:
        lines = reader.lines()
    fst = parse(
        lines,
        reader.name,
        read_symbols(isymbols) if isymbols else None,
        read_symbols(osymbols) if osymbols else None,
        acceptor,
    )
    write_fst(out, fst, _is_const(fst_type))


def _is_const(fst_type: str) -> bool:
    if fst_type not in ("vector", "const"):
        raise KaldiError(f"--fst_type={fst_type}: expected vector or const")
    return fst_type == "const"


def fstprint(
    fst_in: str = "-", text_out: str = "-", *, isymbols: str = "", osymbols: str = "", acceptor: bool = False
) -> None:
    """Write the text form of a transducer.

    Usage: fstprint [options] [<fst-in> [<text-out>]]
    """
    from kaldi.fstext.text import lines_of

    inputs, outputs = (read_names(table) if table else None for table in (isymbols, osymbols))
    fst = read_fst(fst_in)
    with Output(text_out) as out:
        out.text("".join(f"{line}\n" for line in lines_of(fst, inputs, outputs, acceptor)))


def fstarcsort(fst_in: str = "-", fst_out: str = "-", *, sort_type: str = "ilabel") -> None:
    """Sort the arcs of each state.

    Usage: fstarcsort [--sort_type=ilabel|olabel] [<fst-in> [<fst-out>]]
    """
    if sort_type not in ("ilabel", "olabel"):
        raise KaldiError(f"--sort_type={sort_type}: expected ilabel or olabel")
    write_fst(fst_out, ops.arcsort(read_fst(fst_in), sort_type))


def fstconvert(fst_in: str = "-", fst_out: str = "-", *, fst_type: str = "vector") -> None:
    """Change how a transducer is stored.

    Usage: fstconvert [--fst_type=vector|const] [<fst-in> [<fst-out>]]
    """
    write_fst(fst_out, read_fst(fst_in), _is_const(fst_type))


def fstproject(
    fst_in: str = "-", fst_out: str = "-", *, project_output: bool = False, project_type: str = "input"
) -> None:
    """Keep only the input labels, or only the output labels.

    Usage: fstproject [--project_output=true|--project_type=output] [<fst-in> [<fst-out>]]
    """
    if project_type not in ("input", "output"):
        raise KaldiError(f"--project_type={project_type}: expected input or output")
    write_fst(fst_out, ops.project(read_fst(fst_in), project_output or project_type == "output"))


def fstinvert(fst_in: str = "-", fst_out: str = "-") -> None:
    """Exchange input and output.

    Usage: fstinvert [<fst-in> [<fst-out>]]
    """
    write_fst(fst_out, ops.invert(read_fst(fst_in)))


def _read_pairs(rxfilename: str) -> dict[int, int]:
    """An old and a new label a line."""
    pairs = {}
    for line in read_lines(rxfilename):
        words = split(line)
        if len(words) != 2 or not all(word.isdecimal() for word in words):
            raise KaldiError(f"{rxfilename}: expected lines of an old and a new label, found {line.strip()[:60]!r}")
        pairs[int(words[0])] = int(words[1])
    return pairs


def fstrelabel(fst_in: str = "-", fst_out: str = "-", *, relabel_ipairs: str = "", relabel_opairs: str = "") -> None:
    """Change input and output labels by files of pairs: an old and a new label a line.

    Usage: fstrelabel [--relabel_ipairs=FILE] [--relabel_opairs=FILE] [<fst-in> [<fst-out>]]
    """
    if not (relabel_ipairs or relabel_opairs):
        raise KaldiError("--relabel_ipairs or --relabel_opairs is needed")
    fst = read_fst(fst_in)
    if relabel_ipairs:
        fst = ops.relabel(fst, _read_pairs(relabel_ipairs))
    if relabel_opairs:
        fst = ops.relabel(fst, _read_pairs(relabel_opairs), output=True)
    write_fst(fst_out, fst)


def _sides(option: str, value: str) -> tuple[bool, bool]:
    """Whether the input and the output side are meant."""
    if value not in ("input", "output", "both", "neither"):
        raise KaldiError(f"--{option}={value}: expected input, output, both or neither")
    return value in ("input", "both"), value in ("output", "both")


def fstreplace(
    root: str,
    root_label: str,
    *rules_and_out: str,
    epsilon_on_replace: bool = False,
    call_arc_labeling: str = "input",
    return_arc_labeling: str = "neither",
    return_label: int = 0,
) -> None:
    """Replace the arcs that have a transducer's label on the output by that transducer.

    Usage: fstreplace [options] <root-fst> <root-label> [<rule1-fst> <label1> ...] [<fst-out>]
    """
    from kaldi.fstext.replace import Labelling, replaced

    words = [root, root_label, *rules_and_out]
    out = words.pop() if len(words) % 2 else "-"
    if not all(label.isdecimal() for label in words[1::2]):
        raise KaldiError(f"expected a label behind each transducer, found: {' '.join(words)}")
    fsts = {int(label): read_fst(name) for name, label in zip(words[::2], words[1::2], strict=True)}
    call, back = _sides("call_arc_labeling", call_arc_labeling), _sides("return_arc_labeling", return_arc_labeling)
    if epsilon_on_replace:
        call = back = (False, False)
    write_fst(out, replaced(fsts, int(root_label), Labelling(*call, *(return_label * side for side in back))))


def fstconnect(fst_in: str = "-", fst_out: str = "-") -> None:
    """Drop states and arcs that are on no successful path.

    Usage: fstconnect [<fst-in> [<fst-out>]]
    """
    write_fst(fst_out, ops.connect(read_fst(fst_in)))


def fstcompose(first: str, second: str, fst_out: str = "-") -> None:
    """Compose two transducers; the first must be sorted by output labels or the second by input labels.

    Usage: fstcompose <fst1-in> <fst2-in> [<fst-out>]
    """
    import kaldifst

    left, right = read_fst(first), read_fst(second)
    if not (ops.is_sorted(left, "olabel") or ops.is_sorted(right, "ilabel")):
        raise KaldiError(
            f"{first}, {second}: not sorted; run fstarcsort --sort_type=olabel on the first, "
            "or --sort_type=ilabel on the second"
        )
    if ops.is_sorted(right, "ilabel"):
        native = kaldifst.compose(to_native(left), to_native(right), match_side="right")
    else:
        native = kaldifst.compose(to_native(left), to_native(right), match_side="left")
    write_fst(fst_out, from_native(native))


def _by_kaldifst(fst_in: str, fst_out: str, change: Callable) -> None:
    native = to_native(read_fst(fst_in))
    write_fst(fst_out, from_native(change(native) or native))


def fstdeterminize(fst_in: str = "-", fst_out: str = "-", *, delta: float = 2.0**-10) -> None:
    """Determinize; epsilon counts as a symbol.

    Usage: fstdeterminize [--delta=D] [<fst-in> [<fst-out>]]
    """
    import kaldifst

    _by_kaldifst(fst_in, fst_out, lambda fst: kaldifst.determinize(fst, delta=delta))


def fstminimize(fst_in: str = "-", fst_out: str = "-", *, delta: float = 1e-6, allow_nondet: bool = False) -> None:
    """Minimize a deterministic transducer.

    Usage: fstminimize [options] [<fst-in> [<fst-out>]]
    """
    import kaldifst

    _by_kaldifst(fst_in, fst_out, lambda fst: kaldifst.minimize(fst, delta=delta, allow_nondet=allow_nondet))


def fstrmepsilon(fst_in: str = "-", fst_out: str = "-", *, connect: bool = True, delta: float = 1e-6) -> None:
    """Remove arcs that have epsilon on both sides.

    Usage: fstrmepsilon [options] [<fst-in> [<fst-out>]]
    """
    import kaldifst

    _by_kaldifst(fst_in, fst_out, lambda fst: kaldifst.rmepsilon(fst, connect=connect, delta=delta))


def fsttopsort(fst_in: str = "-", fst_out: str = "-") -> None:
    """Number the states so that arcs lead to higher numbers; a cyclic transducer stays as it is.

    Usage: fsttopsort [<fst-in> [<fst-out>]]
    """
    write_fst(fst_out, ops.topsort(read_fst(fst_in)))


def fstrandgen(fst_in: str = "-", fst_out: str = "-", *, seed: int = 0, max_length: int = 1 << 30) -> None:
    """A random path, each choice at a state being as likely as the others.

    Usage: fstrandgen [--seed=N] [--max_length=N] [<fst-in> [<fst-out>]]
    """
    write_fst(fst_out, ops.random_path(read_fst(fst_in), np.random.default_rng(seed or None), max_length))


def fstinfo(fst_in: str = "-") -> None:
    """Sizes and properties of a transducer.

    Usage: fstinfo [<fst-in>]
    """
    from kaldi.fstext.info import facts

    print("\n".join(f"{name:<50}{value}" for name, value in facts(read_fst(fst_in))))


def fstcopy(fsts_in: str, fsts_out: str) -> None:
    """Copy tables of transducers.

    Usage: fstcopy <fst-rspecifier> <fst-wspecifier>
    """
    from kaldi.base.log import done
    from kaldi.fstext.io import FST
    from kaldi.util.table import TableWriter, read_table

    count = 0
    with TableWriter(fsts_out, FST) as writer:
        for key, fst in read_table(fsts_in, FST):
            writer.write(key, fst)
            count += 1
    done(count, "transducers")
