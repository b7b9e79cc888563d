"""A recipe that is ready to train a Li-GRU: real Kaldi's alignments of the golden recordings of tests/kaldi."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path

from recipe_copy import ROOT, golden, link_recipe

CONFIG = """
[small]
layers = 1
units = 32
batch_frames = 1000
max_frames = [0]
learning_rate = 5e-3
dropout = 0.0
epochs = 12
"""


class Recipe:
    """A copy of the recipe, made of links, with data, alignments and a graph in it."""

    def __init__(self, directory: Path, env: dict[str, str] | None = None) -> None:
        self.directory, self.env = directory, env
        link_recipe(directory)
        for name in ("train", "dev"):
            ali = directory / f"ali_{name}"
            ali.mkdir()
            for file in ("final.mdl", "tree"):
                (ali / file).write_bytes(golden(f"out/tri2b/{file}"))
            (ali / "ali.1.gz").write_bytes(gzip.compress(golden("out/tri2b_ali/ali.ark")))
            (ali / "phones.txt").write_bytes(golden("lang/phones.txt"))
            (ali / "num_jobs").write_text("1\n")
        (directory / "mfcc.ark").write_bytes(golden("out/compute-mfcc-feats/mfcc.ark"))
        (directory / "gmm").mkdir()
        for file, source in (("35.mdl", "final.mdl"), ("tree", "tree"), ("final.mat", "final.mat")):
            (directory / "gmm" / file).write_bytes(golden(f"out/tri2b/{source}"))
        (directory / "gmm/final.mdl").symlink_to("35.mdl")  # as the training of GMMs leaves it
        (directory / "gmm/splice_opts").write_text("--left-context=3 --right-context=3\n")
        (directory / "graph/phones").mkdir(parents=True)
        for file in ("silence.csl", "word_boundary.int"):
            (directory / "graph/phones" / file).write_bytes(golden(f"lang/phones/{file}"))
        (directory / "graph/HCLG.fst").write_bytes(golden("out/add-self-loops/HCLG.fst"))
        (directory / "graph/words.txt").write_bytes(golden("lang/words.txt"))
        common = (ROOT / "conf/ligru.toml").read_text().partition("# Ravanelli")[0]
        (directory / "tables.toml").write_text(common + CONFIG)
        self("copy-feats", "ark:mfcc.ark", "ark,scp:data.ark,feats.scp")
        feats = (directory / "feats.scp").read_text().splitlines(keepends=True)
        utt2spk = golden("data/utt2spk").decode().splitlines(keepends=True)
        for name, part in (("train", slice(0, 48)), ("dev", slice(48, None))):
            data = directory / f"mfcc_{name}"
            data.mkdir()
            (data / "feats.scp").write_text("".join(feats[part]))
            (data / "utt2spk").write_text("".join(utt2spk[part]))
            (data / "text").write_text("".join(golden("data/text").decode().splitlines(keepends=True)[part]))
            self("bash", "-c", f"utils/utt2spk_to_spk2utt.pl mfcc_{name}/utt2spk > mfcc_{name}/spk2utt")
            self("steps/compute_cmvn_stats.sh", f"mfcc_{name}", "log", "cmvn")
            self("steps/make_fmllr_feats.sh", "--nj", "2", f"data_{name}", f"mfcc_{name}", "gmm", "log", "lda")
            self("steps/compute_cmvn_stats.sh", f"data_{name}", "log", "cmvn_lda")

    def __call__(self, *command: str, fails: bool = False) -> str:
        """Run a command and expect success or failure; returns what it said."""
        done = subprocess.run(
            ["bash", "-c", '. ./path.sh && "$@"', "test", *command],
            cwd=self.directory,
            env=self.env,
            text=True,
            capture_output=True,
        )
        assert (done.returncode != 0) == fails, done.stdout[-2000:] + done.stderr[-3000:]
        return done.stdout + done.stderr

    def train(self, *options: str, fails: bool = False, ali: str = "ali_train", directory: str = "ligru") -> str:
        return self(
            "steps/nnet/train_ligru.sh",
            "--use-gpu",
            "false",
            "--nnet-config",
            "tables.toml",
            *options,
            "data_train",
            "data_dev",
            ali,
            "ali_dev",
            directory,
            fails=fails,
        )
