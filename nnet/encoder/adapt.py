"""Train a Whisper model on the recordings of a task: python3 -m nnet.encoder.adapt --help."""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import logging
import random
import shutil
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from kaldi.base.log import KaldiError
from kaldi.base.whole_file import WholeFile
from local.audio import AudioError
from local.whole_file import write_file
from nnet.encoder.batches import IGNORED, Batch, load, plan, read_examples, rounded_up
from nnet.encoder.identity import WEIGHTS, identify
from nnet.encoder.layers import DecoderNetwork, EncoderNetwork
from nnet.encoder.model_file import read_model_file
from nnet.encoder.models import find_encoder
from nnet.encoder.tokens import Tokens
from nnet.ligru import checkpoint
from nnet.ligru.checkpoint import BEST, LAST
from nnet.ligru.device import choose_device, multiplies_bfloat16
from nnet.lock import locked

DESCRIPTION = """Train the last layers of a Whisper model's encoder, and its decoder, on recordings (the model in
CTranslate2's format): the encoder with a linear layer to pdfs on top by cross-entropy on their alignments, both by
cross-entropy on the tokens of their transcripts. <out-dir> becomes a model of its own, with weights and a hash of its
own; the linear layer is thrown away. A training that was stopped goes on after its last whole epoch."""
LOG, TASK = "log.tsv", "adapted.json"
COLUMNS = ["epoch", "train_loss", "dev_loss", "dev_frame_error", "dev_token_loss", "seconds"]
LAYER_RATE = 40  # times the learning rate: the linear layer begins from nothing
RISE = 0.05  # of all steps, in which the learning rate rises
SMOOTHING = 0.1  # of the frames' labels
DROPOUT = 0.1
ROWS = 64  # frames and tokens of a batch are multiples
MAX_GRADIENT = 1.0

log = logging.getLogger("adapt")


class Guesses(NamedTuple):
    """Scores [rows, classes] and targets [rows] of frames or of tokens; some may be IGNORED."""

    scores: Tensor
    targets: Tensor

    def loss(self, smoothing: float = 0.0) -> Tensor:
        """The mean cross-entropy."""
        return functional.cross_entropy(self.scores, self.targets, ignore_index=IGNORED, label_smoothing=smoothing)

    def size(self) -> int:
        return int((self.targets != IGNORED).sum())

    def errors(self) -> int:
        return int(((self.scores.argmax(dim=1) != self.targets) & (self.targets != IGNORED)).sum())


class Network(nn.Module):
    """Encoder, decoder and the linear layer."""

    def __init__(self, encoder: EncoderNetwork, decoder: DecoderNetwork, num_pdfs: int) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.dropout, self.output = nn.Dropout(DROPOUT), nn.Linear(encoder.dim, num_pdfs)
        nn.init.zeros_(self.output.weight)

    def forward(self, batch: Batch, device: torch.device) -> tuple[Guesses, Guesses]:
        """Of frames and of tokens."""
        mel, lengths, pdfs, tokens, next_tokens = (torch.from_numpy(array).to(device) for array in batch)
        with torch.autocast(device.type, torch.bfloat16, enabled=multiplies_bfloat16(device)):
            heard, valid = self.encoder(mel, lengths)
            frames, pdfs = wanted(heard, pdfs)
            states, next_tokens = wanted(self.decoder(tokens, heard, valid), next_tokens)
            frame_scores, token_scores = self.output(self.dropout(frames)), self.decoder.scores(states)
        return Guesses(frame_scores.float(), pdfs), Guesses(token_scores.float(), next_tokens)


def wanted(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The outputs [sequences, steps, dim] that have targets [sequences, steps], and these, as [rows, dim] and [rows].

    Some of the others fill up the rows to a multiple, so that few shapes occur (see nnet.encoder.batches).
    """
    order = (targets.flatten() == IGNORED).sort(stable=True).indices
    rows = order[: rounded_up(int((targets != IGNORED).sum()), ROWS)]
    return outputs.flatten(0, 1)[rows], targets.flatten()[rows]


class Adaptation:
    """A training: network, optimiser, and how far it is."""

    def __init__(self, args: argparse.Namespace, folder: Path) -> None:
        self.args, self.folder = args, folder
        self.device = choose_device(args.use_gpu)
        self.model_file = read_model_file(folder / WEIGHTS)
        try:
            encoder, decoder = EncoderNetwork(self.model_file, DROPOUT), DecoderNetwork(self.model_file, DROPOUT)
        except ValueError as error:
            raise ValueError(f"{folder / WEIGHTS}: {error}") from None
        if not 1 <= args.layers <= len(encoder.layer):
            raise ValueError(f"--layers: from 1 to {len(encoder.layer)}, which {folder} has")
        tokens = Tokens(folder)
        self.train, self.dev = (
            read_examples(map(Path, data.split(",")), str(pdfs), tokens, args.language)
            for data, pdfs in ((args.train_data, args.train_pdfs), (args.dev_data, args.dev_pdfs))
        )
        torch.manual_seed(args.seed)
        self.network = Network(encoder, decoder, args.num_pdfs).to(self.device)
        self.trained = [*encoder.train_last(args.layers), *decoder.parameters()]
        self.rates = [args.learning_rate, LAYER_RATE * args.learning_rate]
        self.optimizer = torch.optim.AdamW(
            [{"params": self.trained}, {"params": list[Tensor](self.network.output.parameters())}],
            weight_decay=0.01,
            betas=(0.9, 0.98),
            fused=True,
        )
        self.epoch, self.best, self.rows = 0, float("inf"), list[list[str]]()
        # What a run has to agree in with the one that it goes on from.
        examples = [f"{example.id} {example.pdfs.tolist()} {example.tokens}\n" for example in self.train]
        self.task = {
            "encoder": identify(folder).sha256,
            "examples": hashlib.sha256("".join(examples).encode()).hexdigest(),
            **{name: getattr(args, name) for name in ("layers", "epochs", "learning_rate", "language", "seed")},
        }

    def run(self) -> None:
        """Train what is missing, and write the encoder. Raises OSError, AudioError, ValueError."""
        out = self.args.out
        if (out / TASK).exists() and json.loads((out / TASK).read_text()) != self.task:
            raise ValueError(f"{out}: is of another encoder, other data or other options: remove it, or choose another")
        if (out / WEIGHTS).exists():
            log.info("%s has been trained", out)
            return
        write_file(out / TASK, json.dumps(self.task, indent=2) + "\n")
        if (out / LAST).exists():
            self._go_on(out / LAST)
        while self.epoch < self.args.epochs:
            began = time.monotonic()
            train_loss = self._train_epoch()
            dev_loss, dev_error, dev_token_loss = self._evaluate()
            if not np.isfinite(train_loss + dev_loss):
                raise ValueError(f"epoch {self.epoch + 1}: the loss is not finite: lower --learning-rate")
            self.epoch += 1
            seconds = time.monotonic() - began
            numbers = (train_loss, dev_loss, dev_error, dev_token_loss)
            row = [f"{self.epoch}", *(f"{number:.4f}" for number in numbers), f"{seconds:.0f}"]
            self.rows.append(row)
            log.info("epoch %s: loss %s, dev %s (%s a token); frame error on dev %s", *row[:3], row[4], row[3])
            if dev_loss < self.best:
                self.best = dev_loss
                checkpoint.save(out / BEST, self.network.state_dict())
            checkpoint.save(
                out / LAST,
                {
                    "epoch": self.epoch,
                    "best": self.best,
                    "rows": self.rows,
                    "network": self.network.state_dict(),
                    "optimizer": self.optimizer.state_dict(),
                },
            )
        self._finish()

    def _go_on(self, path: Path) -> None:
        saved = checkpoint.load(path)
        self.epoch, self.best, self.rows = saved["epoch"], saved["best"], saved["rows"]
        self.network.load_state_dict(saved["network"])
        self.optimizer.load_state_dict(saved["optimizer"])
        log.info("going on after epoch %d", self.epoch)

    def _train_epoch(self) -> float:
        """The mean loss."""
        seed = self.args.seed + 1000 * self.epoch
        torch.manual_seed(seed)
        rng = np.random.default_rng(seed)
        batches = plan(self.train, random.Random(seed))
        steps = len(batches) * self.args.epochs
        self.network.train()
        losses = 0.0
        for number, examples in enumerate(batches):
            step = len(batches) * self.epoch + number
            for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
                group["lr"] = rate * min((step + 1) / (RISE * steps), 1) * (1 - step / steps)
            frames, tokens = self.network(load(examples, self.network.encoder.bands, rng), self.device)
            loss = frames.loss(SMOOTHING) + tokens.loss()
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.trained, MAX_GRADIENT)
            self.optimizer.step()
            losses += loss.item()
            if (number + 1) % max(len(batches) // 10, 1) == 0:
                part = 100 * (number + 1) / len(batches)
                log.info("epoch %d: %.0f %%, loss %.4f", self.epoch + 1, part, losses / (number + 1))
        return losses / len(batches)

    @torch.no_grad()
    def _evaluate(self) -> tuple[float, float, float]:
        """On dev: mean loss, share of wrong frames, and mean loss of a token, which is a part of the first."""
        self.network.eval()
        sums, frame_count, token_count = np.zeros(3), 0, 0
        for examples in plan(self.dev, None):
            frames, tokens = self.network(load(examples, self.network.encoder.bands, None), self.device)
            count, said = frames.size(), tokens.size()
            sums += count * frames.loss().item(), frames.errors(), said * tokens.loss().item()
            frame_count, token_count = frame_count + count, token_count + said
        frame_loss, error, token_loss = (sums / (frame_count, frame_count, token_count)).tolist()
        return frame_loss + token_loss, error, token_loss

    def _finish(self) -> None:
        """Write the folder that CTranslate2 reads; its weights come last."""
        out, network = self.args.out, self.network
        network.load_state_dict(checkpoint.load(out / BEST))
        for path in self.folder.glob("*.json"):
            shutil.copy(path, out)
        for path in self.folder.glob("vocabulary.*"):
            shutil.copy(path, out)
        with WholeFile(out / LOG) as partial, partial.open("w", newline="") as file:
            csv.writer(file, delimiter="\t", lineterminator="\n").writerows([COLUMNS, *self.rows])
        self.model_file.with_values(network.encoder.values() | network.decoder.values()).write(out / WEIGHTS)
        for name in (LAST, BEST):
            (out / name).unlink()
        log.info("%s is an encoder", out)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python3 -m nnet.encoder.adapt", description=DESCRIPTION)
    parser.add_argument("--use-gpu", choices=("auto", "true", "false"), default="auto")
    parser.add_argument(
        "--layers", type=int, default=6, help="how many of the encoder's last are trained (default: %(default)s)"
    )
    parser.add_argument("--language", default="en", help="of the words, for models of several (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=4, help="(default: %(default)s)")
    parser.add_argument("--learning-rate", type=float, default=5e-5, help="the largest (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1234)
    parser.add_argument("--num-pdfs", type=int, required=True, help="number of pdfs of the tree")
    parser.add_argument("model", metavar="<encoder>", help="a folder, or a name as for nnet.encoder.models")
    parser.add_argument("train_data", metavar="<train-data>", help="data directory, or conditions of one with commas")
    parser.add_argument("train_pdfs", type=Path, metavar="<train-pdfs-scp>")
    parser.add_argument("dev_data", metavar="<dev-data>")
    parser.add_argument("dev_pdfs", type=Path, metavar="<dev-pdfs-scp>")
    parser.add_argument("out", type=Path, metavar="<out-dir>")
    args = parser.parse_args(argv)
    if args.epochs < 1 or args.num_pdfs < 1:
        parser.error("--epochs, --num-pdfs: at least 1")
    return args


def main(argv: list[str] | None = None) -> int:
    """Run the training; bad input is one line on stderr."""
    args = parse_args(argv)
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO)
    try:
        folder = find_encoder(args.model)
        if args.out.resolve() == folder.resolve():
            raise ValueError(f"{args.out}: is the encoder itself: choose another directory")
        with locked(args.out):
            Adaptation(args, folder).run()
    except (ValueError, OSError, AudioError, KaldiError) as error:
        print(f"nnet.encoder.adapt: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("nnet.encoder.adapt: stopped; the same command goes on after the last whole epoch", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
