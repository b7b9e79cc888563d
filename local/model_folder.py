"""A packed model: a folder with all that recognition needs, which local/pack_model.sh makes.

    model.json       what it is: versions, corpus, licence, word error rates, settings of decoding, hashes of the files
    mfcc.conf        options of compute-mfcc-feats
    nnet/            the network (final.pt, and network.onnx of the same), transition model, CMVN, priors and streams
    gmm/             models, transforms and tree of the first pass, where the network works on fMLLR features
                     of a chain model with a graph of their own, gmm/graph/, as its graph is of another tree
    graph/           HCLG.fst, words.txt, phones.txt, phones/{silence.csl,word_boundary.int}
    lm/              G.fst of the graph and G.carpa, a larger model that rescores lattices, where there is one
    lang/            L.fst and disambig.int, to align texts
    segan/ encoder/  where they belong to it
    whisper/         a Whisper model whose decoder rescores, where there is one

Whoever opens one trusts nothing in it: files are compared with their hashes, and what the scripts put on command lines
(options, names, numbers) must have no characters that a shell or an rspecifier gives a meaning to.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from local.decodings import LARGE, WHISPER
from local.whole_file import write_file
from nnet.ligru import streams

DESCRIPTION, FORMAT = "model.json", 1
NETWORK = tuple(f"nnet/{name}" for name in ("final.pt", "final.mdl", "cmvn_opts", "streams"))
PRIORS, SUBSAMPLING = "nnet/ali_train_pdf.counts", "nnet/frame_subsampling_factor"  # a chain model has the second
ONNX = "nnet/network.onnx"
GRAPH = tuple(
    f"graph/{name}"
    for name in ("HCLG.fst", "words.txt", "phones.txt", "phones/silence.csl", "phones/word_boundary.int")
)
NEEDED = ("mfcc.conf", *NETWORK, ONNX, *GRAPH)
FIRST_PASS = ("gmm/final.mdl", "gmm/tree")  # of a network on fMLLR features
FIRST_GRAPH = tuple(f"gmm/graph/{name}" for name in ("HCLG.fst", "words.txt", "phones/silence.csl"))
SMALL_LM, LARGE_LM = LMS = ("lm/G.fst", "lm/G.carpa")
OPTIONAL = (
    *(f"gmm/{name}" for name in ("final.alimdl", "final.mat", "cmvn_opts", "splice_opts", "delta_opts")),
    *("nnet/tree", "graph/num_pdfs", "gmm/graph/num_pdfs", "lang/L.fst", "lang/disambig.int"),
)
KNOWN = {*NEEDED, PRIORS, SUBSAMPLING, *FIRST_PASS, *FIRST_GRAPH, *LMS, *OPTIONAL}
WHISPER_MODEL = "whisper"  # the folder of a Whisper model whose decoder rescores
OTHERS = ("segan/", "encoder/", f"{WHISPER_MODEL}/")  # whose programs know what is in there
SEARCH = ("max_active", "beam", "lattice_beam")  # settings of decoding
SETTINGS = {"gmm": SEARCH, "network": (*SEARCH, "prior_scale")}
PACKAGES = ("numpy", "torch", "onnxruntime", "kaldifst")
OPTION = re.compile(r"--[a-z-]+=[\w.,:+-]+", re.ASCII)
COMMENT = re.compile(r"#.*")


def _are_options(text: str) -> bool:
    return all(OPTION.fullmatch(word) for word in text.split())


# What small files may hold, as it ends up on command lines.
CONTENTS: dict[str, Callable[[str], object]] = {
    "mfcc.conf": lambda text: _are_options(COMMENT.sub("", text)),
    **{f"{folder}/{name}_opts": _are_options for folder in ("nnet", "gmm") for name in ("cmvn", "splice", "delta")},
    **{
        f"{graph}/phones/silence.csl": re.compile(r"\d+(:\d+)*\s*", re.ASCII).fullmatch
        for graph in ("graph", "gmm/graph")
    },
    "lang/disambig.int": re.compile(r"(\d+\s+)*", re.ASCII).fullmatch,
    **{
        name: re.compile(r"\d+\s*", re.ASCII).fullmatch
        for name in ("graph/num_pdfs", "gmm/graph/num_pdfs", SUBSAMPLING)
    },
    "nnet/streams": re.compile(r"(\d+ \d+ (-|[\w.-]+ [0-9a-f]+ encoder)\n)+", re.ASCII).fullmatch,
}


class ModelError(ValueError):
    """A folder that is no whole model: the message says all that is wrong with it."""


class Model(NamedTuple):
    """A packed model whose files are those that were packed."""

    folder: Path
    description: dict[str, Any]

    @property
    def streams(self) -> list[streams.Stream]:
        return streams.read(self.folder / "nnet")

    @property
    def is_chain(self) -> bool:
        return (self.folder / SUBSAMPLING).exists()

    @property
    def frame_subsampling_factor(self) -> int:
        """Frames that one of the lattices' stands for."""
        return int((self.folder / SUBSAMPLING).read_text()) if self.is_chain else 1

    @property
    def has_segan(self) -> bool:
        return (self.folder / "segan").is_dir()

    @property
    def has_large_lm(self) -> bool:
        """Whether lattices are rescored; weight, penalty, calibration and word error rates are of those then."""
        return (self.folder / LARGE_LM).exists()

    @property
    def whisper(self) -> Path | None:
        """The Whisper model whose decoder rescores after that: a folder of its own, or the encoder's; None if there is
        none. Weight, calibration and so on are of its lattices then."""
        if (self.folder / WHISPER_MODEL).is_dir():
            return self.folder / WHISPER_MODEL
        return self.folder / "encoder" if self.description.get("encoder_rescores") else None

    @property
    def whisper_weight(self) -> float:
        """Of its log probabilities."""
        return self.description.get("whisper_weight", 1.0)

    @property
    def lmwt(self) -> float:
        return self.description["lmwt"]

    @property
    def word_ins_penalty(self) -> float:
        return self.description["word_ins_penalty"]

    @property
    def calibration(self) -> tuple[float, float] | None:
        """Slope and offset (nnet/recogniser/calibration.py), if there were enough words to find them."""
        found = self.description.get("calibration")
        return (found["slope"], found["offset"]) if found else None

    def settings(self, decoder: str) -> dict[str, float]:
        """The settings of decoding with the "gmm" or with the "network"."""
        return self.description["decoding"][decoder]


def open_model(folder: Path) -> Model:
    """Look at everything, run nothing. Raises ModelError, OSError."""
    if not (folder / DESCRIPTION).is_file():
        raise ModelError(f"{folder} has no {DESCRIPTION}: it is no folder that local/pack_model.sh made")
    try:
        description = json.loads((folder / DESCRIPTION).read_text())
        problems = [f"{DESCRIPTION}: {problem}" for problem in _wrong_description(description)]
    except (ValueError, RecursionError):
        problems = [f"{DESCRIPTION} is damaged"]
    if not problems:
        problems = list(_wrong_files(folder, description["files"]))
    if problems:
        raise ModelError(f"{folder} is no whole model: {'; '.join(problems)}")
    return Model(folder, description)


def _wrong_description(description: Any) -> Iterator[str]:
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        yield f"not of format {FORMAT} (it may be of another version of the recipe)"
        return
    numbers: dict[str, Any] = {name: description.get(name) for name in ("lmwt", "word_ins_penalty")}
    decoding = description.get("decoding")
    for decoder, names in SETTINGS.items():
        of_decoder = decoding.get(decoder) if isinstance(decoding, dict) else None
        numbers |= {
            f"{name} of the {decoder}": of_decoder.get(name) if isinstance(of_decoder, dict) else None for name in names
        }
    if calibration := description.get("calibration"):
        numbers |= {
            f"{name} of the calibration": calibration.get(name) if isinstance(calibration, dict) else None
            for name in ("slope", "offset")
        }
    for name, value in numbers.items():
        if type(value) not in (int, float) or not abs(value) < 1e9:
            yield f"{name} is no number"
    files = description.get("files")
    if not isinstance(files, dict) or not all(
        isinstance(entry, dict) and type(entry.get("bytes")) is int and isinstance(entry.get("sha256"), str)
        for entry in files.values()
    ):
        yield "no hashes of files"
    elif any(Path(name).is_absolute() or ".." in Path(name).parts for name in files):
        yield "names of files outside of the folder"
    elif unknown := [name for name in files if name not in KNOWN and not name.startswith(OTHERS)]:
        yield f"files that no model has: {', '.join(unknown)}"


def _wrong_files(folder: Path, listed: dict[str, dict[str, Any]]) -> Iterator[str]:
    is_chain, has_first_pass = SUBSAMPLING in listed, "gmm/final.mdl" in listed
    needed = [*NEEDED, *(() if is_chain else (PRIORS,)), *(FIRST_PASS if has_first_pass else ())]
    if has_first_pass and is_chain:
        needed += FIRST_GRAPH
    if any(name in listed for name in LMS):
        needed += LMS
    for name in needed:
        if name not in listed:
            yield f"{DESCRIPTION} does not name {name}"
    for name, entry in listed.items():
        path = folder / name
        if not path.is_file():
            yield f"{name} is missing"
        elif path.stat().st_size < entry["bytes"]:
            yield f"{name} is truncated"
        elif sha256(path) != entry["sha256"]:
            yield f"{name} is not the file that was packed"
        elif name in CONTENTS and not CONTENTS[name](path.read_text(errors="replace")):
            yield f"{name} has contents that it cannot have"
    for name in files_of(folder):
        if name not in listed:
            yield f"{name} is no part of it"


def files_of(folder: Path) -> list[str]:
    """The files of a model, by their names in it; what else lies beside model.json is left alone."""
    parts = (folder / name for name in ("nnet", "gmm", "graph", "lm", "lang", "segan", "encoder", WHISPER_MODEL))
    found = [path for part in parts for path in part.rglob("*") if not path.is_dir()]
    found += [path for path in (folder / "mfcc.conf",) if path.exists()]
    return sorted(str(path.relative_to(folder)) for path in found)


def sha256(path: Path) -> str:
    """Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def describe(folder: Path, **facts: Any) -> None:
    """Write model.json for the files of a folder. Raises OSError; ModelError if that makes no whole model."""
    files = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)} for name in files_of(folder)
    }
    description = {"format": FORMAT, **facts, "versions": versions(), "files": files}
    write_file(folder / DESCRIPTION, json.dumps(description, indent=1, ensure_ascii=False) + "\n")
    open_model(folder)


def versions() -> dict[str, str]:
    """What the model was packed with."""
    root = Path(__file__).resolve().parents[1]
    try:
        git = subprocess.run(["git", "-C", root, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout
    except OSError:  # there is no git
        git = ""
    found = {"recipe": git.strip() or "unknown", "python": platform.python_version()}
    found["kaldi"] = "Kaldi" if os.environ.get("KALDI_ROOT") else "embedded"
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def word_error_rates(nnet_dir: Path, rescored: str = "") -> dict[str, float]:
    """In per cent, of each set that was decoded and scored: {"dev": 0.54, "test_noisy": 19.47}.

    rescored: LARGE or WHISPER for what one of them rescored, otherwise what nothing did.
    """
    rates = {}
    for path in sorted(nnet_dir.glob("decode_*/scoring_kaldi/best_wer")):
        name, words = path.parts[-3].removeprefix("decode_"), path.read_text().split()
        ending = next((ending for ending in (LARGE, WHISPER) if name.endswith(ending)), "")
        if words[:1] == ["%WER"] and ending == rescored:
            rates[name.removesuffix(ending)] = float(words[1])
    return rates


def shell_options(settings: dict[str, float]) -> str:
    """As options of the decoding scripts: --max-active 3000 --beam 13.0."""
    return " ".join(f"--{name.replace('_', '-')} {value}" for name, value in settings.items())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m local.model_folder", description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser(
        "check", help="weight, penalty, Whisper's folder and weight; options of decoding with the GMM, the network"
    )
    check.add_argument("folder", type=Path)
    write = commands.add_parser("describe", help=f"write {DESCRIPTION}")
    for name in ("corpus", "licence", "gmm", "network"):
        write.add_argument(f"--{name}", required=True)
    write.add_argument("--calibration", default="null", help="as nnet.recogniser.calibrate prints it")
    write.add_argument("--lmwt", type=float, required=True)
    write.add_argument("--word-ins-penalty", type=float, required=True)
    write.add_argument("--whisper-weight", type=float, default=1.0, help="of its log probabilities")
    write.add_argument("--encoder-rescores", action="store_true", help="the decoder of the encoder's model rescores")
    write.add_argument("--rescored", choices=("", LARGE, WHISPER), default="", help="of the decodings that count")
    write.add_argument("nnet_dir", type=Path)
    write.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    try:
        if arguments.command == "check":
            model = open_model(arguments.folder)
            whisper = f" {model.whisper.name} {model.whisper_weight}" if model.whisper else ""
            print(f"{model.lmwt:g} {model.word_ins_penalty}{whisper}")
            for decoder, names in SETTINGS.items():
                print(shell_options({name: model.settings(decoder)[name] for name in names}))
            return 0
        describe(
            arguments.folder,
            name=arguments.nnet_dir.resolve().name,
            made=datetime.date.today().isoformat(),
            corpus=arguments.corpus,
            licence=arguments.licence,
            word_error_rates=word_error_rates(arguments.nnet_dir, arguments.rescored),
            encoder_rescores=arguments.encoder_rescores,
            whisper_weight=arguments.whisper_weight,
            lmwt=arguments.lmwt,
            word_ins_penalty=arguments.word_ins_penalty,
            calibration=json.loads(arguments.calibration),
            decoding={
                decoder: dict(zip(names, map(json.loads, getattr(arguments, decoder).split()), strict=True))
                for decoder, names in SETTINGS.items()
            },
        )
    except (OSError, ValueError) as error:
        print(f"local.model_folder: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
