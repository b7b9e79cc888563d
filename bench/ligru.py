#!/usr/bin/env python3
"""Speed and memory of the Li-GRU beside torch.nn.GRU, torch.nn.LSTM, an autograd loop and SpeechBrain's LiGRU.

Prints tables with ratios. All implementations run the same shapes in the same process, in turns, and the fastest of
several rounds counts; peak memory is that of a process of its own. SpeechBrain is compared where it is installed (pip
install speechbrain), and on a GPU fast_sligru (github.com/Adel-Moumen/fast_sligru). Arithmetic: 2 operations for each
multiplication and addition of the matrix products; a training step has three products for each one of a forward pass.
One thread on the CPU is measured in processor time, which other programs disturb less; everything else wants a quiet
machine.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/nnet")]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from nnet.ligru.config import read_config  # noqa: E402
from nnet.ligru.data import Corpus, cut_segments, in_background, load_batch, plan_batches  # noqa: E402
from nnet.ligru.memory import keep_freed_memory  # noqa: E402
from nnet.ligru.model import AcousticModel, LightLayer  # noqa: E402
from nnet.ligru.packing import pack  # noqa: E402
from nnet.ligru.products import product  # noqa: E402

PUBLISHED = read_config(ROOT / "conf/ligru.toml", "published")
GIGA = 1e9


def now() -> float:
    """Seconds: processor time of one thread on the CPU, time of day otherwise."""
    alone = torch.get_num_threads() == 1 and not torch.cuda.is_available()
    return time.process_time() if alone else time.perf_counter()


def fastest(cases: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds of the fastest of several rounds, in each of which every case has its turn."""
    times = {name: float("inf") for name in cases}
    for number in range(rounds + 1):
        for name, case in cases.items():
            began = now()
            case()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if number:  # the first round warms up
                times[name] = min(times[name], now() - began)
    return times


class AutogradLoop(nn.Module):
    """The equations of Li-GRU frame by frame, left to autograd."""

    def __init__(self, layer: LightLayer, frames: int) -> None:
        super().__init__()
        self.layer, self.frames = layer, frames

    def forward(self, x: Tensor) -> Tensor:
        """[frames * batch, inputs], steps one after the other, to [frames, 2 * batch, units]."""
        gates = self.layer.norm(self.layer.W(x)).view(self.frames, -1, 2 * self.layer.units)
        gates = torch.cat([gates, gates.flip(0)], 1)
        state = gates.new_zeros(gates.shape[1], self.layer.units)
        states = []
        for step in gates:
            update, candidate = (step + state @ self.layer.U.T).chunk(2, 1)
            update = torch.sigmoid(update)
            state = update * state + (1 - update) * torch.relu(candidate)
            states.append(state)
        return torch.stack(states)


def layers(inputs: int, units: int, batch: int, frames: int, device: torch.device) -> dict[str, tuple]:
    """One layer of each kind, both directions, no dropout: the function and its input."""
    packing = pack([frames] * batch)
    reverse = torch.from_numpy(packing.reverse).to(device)
    x = torch.randn(frames * batch, inputs, device=device)
    wide = x.view(frames, batch, inputs)
    cases = {}
    for name, changes in (
        ("Li-GRU", {}),
        ("SLi-GRU", {"network": "sligru"}),
        ("Li-GRU bfloat16", {"precision": "bfloat16"}),
    ):
        layer = LightLayer(inputs, dataclasses.replace(PUBLISHED, units=units, dropout=0.0, **changes)).to(device)
        cases[name] = layer, x, lambda x, layer=layer: layer(x, packing.sizes, reverse)
    for name, kind in (("torch.nn.GRU", nn.GRU), ("torch.nn.LSTM", nn.LSTM)):
        layer = kind(inputs, units, bidirectional=True).to(device)
        cases[name] = layer, wide, lambda x, layer=layer: layer(x)[0]
        if device.type == "cuda":
            layer = kind(inputs, units, bidirectional=True).to(device, torch.bfloat16)
            cases[f"{name} bfloat16"] = layer, wide.bfloat16(), lambda x, layer=layer: layer(x)[0]
    cases["autograd loop"] = cases["Li-GRU"][0], x, AutogradLoop(cases["Li-GRU"][0], frames)
    others = {"SpeechBrain LiGRU": "speechbrain.nnet.RNN"}
    if device.type == "cuda":
        others["fast_sligru LiGRU"] = "fast_sligru.fast_ligru"
    for name, module in others.items():
        with contextlib.suppress(ImportError):
            kind = importlib.import_module(module).LiGRU
            layer = kind(hidden_size=units, input_shape=(batch, frames, inputs), bidirectional=True).to(device)
            cases[name] = layer, wide.transpose(0, 1).contiguous(), lambda x, layer=layer: layer(x)[0]
    return cases


def training_step(layer: nn.Module, x: Tensor, run: Callable[[Tensor], Tensor]) -> Callable[[], None]:
    """Forward and backward pass, down to the input."""
    x = x.clone().requires_grad_()

    def step() -> None:
        layer.zero_grad()
        x.grad = None
        y = run(x)
        y.backward(y.detach())

    return step


def forward_pass(x: Tensor, run: Callable[[Tensor], Tensor]) -> Callable[[], None]:
    def step() -> None:
        with torch.no_grad():
            run(x)

    return step


def step_operations(inputs: int, units: int, frames: int) -> float:
    """Operations of a training step of one layer: the input product serves both directions."""
    return 2 * 3 * frames * (inputs * 2 * units + 2 * units * 2 * units)


def step_operations_of_two(inputs: int, units: int, frames: int) -> float:
    """As if each direction had an input product of its own."""
    return 2 * 3 * frames * 2 * (inputs + units) * 2 * units


def product_rates(device: torch.device, dtype: torch.dtype = torch.float32) -> dict[str, float]:
    """Operations per second of a large square matrix product: PyTorch's, and ours where that is another."""
    size = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    times = fastest({"torch.mm": lambda: torch.mm(a, b), "nnet.ligru.products": lambda: product(a, b)}, 8)
    return {name: 2 * size**3 / seconds for name, seconds in times.items()}


def shares(operations: float, seconds: float, rates: dict[str, float]) -> str:
    """The part that is reached of each rate."""
    return ", ".join(
        f"{operations / seconds / rate:.0%} of {name} ({rate / GIGA:.0f} GFLOP/s)" for name, rate in rates.items()
    )


def bandwidth(device: torch.device) -> float:
    """Bytes per second of a copy, counted once read and once written."""
    source = torch.empty(64 << 20, device=device).fill_(1)
    target = torch.empty_like(source)
    return 2 * source.nbytes / fastest({"copy": lambda: target.copy_(source)}, 5)["copy"]


def print_layers(args: argparse.Namespace, device: torch.device) -> None:
    inputs = units = args.units
    frames = args.batch * args.frames
    cases = layers(inputs, units, args.batch, args.frames, device)
    steps = {name: training_step(*case) for name, case in cases.items()}
    passes = {name: forward_pass(*case[1:]) for name, case in cases.items()}
    slow = {"autograd loop", "SpeechBrain LiGRU"} & cases.keys()

    def measure(functions: dict[str, Callable[[], None]]) -> dict[str, float]:
        quick = fastest({name: functions[name] for name in cases if name not in slow}, args.rounds)
        return quick | fastest({name: functions[name] for name in slow}, 2)

    train, forward = measure(steps), measure(passes)
    keep_freed_memory()
    train_kept, forward_kept = measure(steps), measure(passes)
    rates = product_rates(device)
    print(
        f"\nOne layer, {inputs} inputs, 2 x {units} units, batch {args.batch}, {args.frames} frames, "
        f"{torch.get_num_threads()} threads. Kept: malloc keeps freed memory, as our programs tell it to.\n"
    )
    print(f"{'':23} {'train ms':>10} {'kept':>8} {'x GRU':>6} {'kept':>5} {'forward ms':>10} {'kept':>8} {'x GRU':>6}")
    for name in cases:
        milliseconds = (1000 * times[name] for times in (train, train_kept, forward, forward_kept))
        training, kept, passing, passing_kept = milliseconds
        print(
            f"{name:23} {training:10.2f} {kept:8.2f} {train[name] / train['torch.nn.GRU']:6.2f} "
            f"{train_kept[name] / train_kept['torch.nn.GRU']:5.2f} {passing:10.2f} {passing_kept:8.2f} "
            f"{forward[name] / forward['torch.nn.GRU']:6.2f}"
        )
    for name in sorted(slow):
        print(
            f"Li-GRU / {name}: training {train['Li-GRU'] / train[name]:.3f}, kept "
            f"{train_kept['Li-GRU'] / train_kept[name]:.3f}"
        )
    for text, operations in (
        ("done", step_operations),
        ("with an input product for each direction", step_operations_of_two),
    ):
        count = operations(inputs, units, frames)
        print(
            f"arithmetic {text}: {count / GIGA:.1f} GFLOP in a training step, "
            f"{shares(count, train_kept['Li-GRU'], rates)}"
        )


def print_growth(args: argparse.Namespace, device: torch.device) -> None:
    keep_freed_memory()
    print("\nGrowth, one layer, training step: Li-GRU and torch.nn.GRU\n")
    print(f"{'units':>6} {'batch':>6} {'frames':>7} {'Li-GRU fr/s':>12} {'GRU fr/s':>10} {'time ratio':>10}")
    base = (args.units, args.batch, args.frames)
    shapes = [base] + [(args.units, args.batch, frames) for frames in (100, 1000)]
    shapes += [(args.units, batch, args.frames) for batch in (4, 64)]
    shapes += [(units, args.batch, args.frames) for units in (128, 256, 1024)]
    for units, batch, frames in shapes:
        cases = layers(units, units, batch, frames, device)
        times = fastest({name: training_step(*cases[name]) for name in ("Li-GRU", "torch.nn.GRU")}, 2)
        ours, theirs = times["Li-GRU"], times["torch.nn.GRU"]
        print(
            f"{units:6} {batch:6} {frames:7} {batch * frames / ours:12.0f} {batch * frames / theirs:10.0f} "
            f"{ours / theirs:10.2f}"
        )


def peak_memory() -> int:
    """Most memory that this process has held, in KiB."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0])


def whole_network(task: dict) -> None:
    """Time and peak memory of one network, for a process of its own; prints JSON."""
    torch.set_num_threads(task["threads"])
    device = torch.device(task["device"])
    config = dataclasses.replace(PUBLISHED, network=task["network"], units=task["units"])
    packing = pack([task["frames"]] * task["batch"])
    reverse = torch.from_numpy(packing.reverse).to(device)
    x = torch.randn(task["frames"] * task["batch"], 40, device=device)
    before = peak_memory()
    model = AcousticModel(config, 40, 2000).to(device)
    targets = torch.randint(2000, (len(x),), device=device)

    def train() -> None:
        model.train()
        model.zero_grad()
        nn.functional.cross_entropy(model(x, packing.sizes, reverse)[0], targets).backward()

    def forward() -> None:
        model.eval()
        with torch.no_grad():
            model(x, packing.sizes, reverse)

    seconds = fastest({"step": train if task["train"] else forward}, 2)["step"]
    peak = torch.cuda.max_memory_allocated() / 1024 if device.type == "cuda" else peak_memory() - before
    print(json.dumps({"frames_per_second": len(x) / seconds, "mib": peak / 1024}))


def print_networks(args: argparse.Namespace, device: torch.device) -> None:
    print(f"\n5 layers, both directions, 40 features, 2000 pdfs, batch {args.batch}, {args.frames} frames\n")
    print(f"{'network':>8} {'units':>6} {'training fr/s':>14} {'MiB':>7} {'forward fr/s':>13} {'MiB':>7}")
    for network, units in (("ligru", 256), ("ligru", 550), ("gru", 550), ("lstm", 550), ("mlp", 1024), ("ligru", 1024)):
        results = []
        for train in (True, False):
            task = {
                "network": network,
                "units": units,
                "train": train,
                "batch": args.batch,
                "frames": args.frames,
                "threads": torch.get_num_threads(),
                "device": device.type,
            }
            output = subprocess.run(
                [sys.executable, __file__, "--one", json.dumps(task)], check=True, text=True, capture_output=True
            ).stdout
            results.append(json.loads(output))
        train, forward = results
        print(
            f"{network:>8} {units:6} {train['frames_per_second']:14.0f} {train['mib']:7.0f} "
            f"{forward['frames_per_second']:13.0f} {forward['mib']:7.0f}"
        )


def print_loop(args: argparse.Namespace, device: torch.device) -> None:
    """The whole training loop, from the archives on disk to the changed weights, beside its matrix products alone."""
    from ligru_task import make_task

    from nnet.ligru.objectives import CrossEntropy
    from nnet.ligru.trainer import Training

    keep_freed_memory()
    dim, pdfs = 40, 2000
    config = dataclasses.replace(PUBLISHED, batch_frames=args.batch * args.frames, max_frames=(0,), epochs=1)
    with tempfile.TemporaryDirectory() as directory:
        frames = (args.frames - 20, args.frames + 20)
        task = make_task(Path(directory) / "task", pdfs=pdfs, dim=dim, speakers=4, utterances=args.batch, frames=frames)
        train, dev = (
            Corpus(
                [task / f"data-{name}"],
                task / f"{name}_pdf.scp",
                None,
                cmvn=config.cmvn,
                context=config.context,
                tolerance=5,
                num_pdfs=pdfs,
            )
            for name in ("train", "dev")
        )
        for name in ("warm-up", "timed") if device.type == "cuda" else ("timed",):  # kernels are compiled once
            (Path(directory) / name).mkdir()
            run = Training(config, CrossEntropy(config), train, dev, Path(directory) / name, device)
            began = now()
            run._train_epoch()  # its last sums have come from the GPU
            seconds = now() - began
        segments = cut_segments([utterance.frames for utterance in train.utterances], 0)
        began = now()
        plan = plan_batches(segments, config.batch_frames, np.random.default_rng(1))
        for _ in in_background(load_batch(train, part, set()) for part in plan):
            pass
        loading = now() - began
    count = run.totals.frames
    operations, width = 0.0, dim
    for number in range(config.layers):
        products = 3 if number else 2.0  # no gradient of the features is needed
        operations += 2 * count * (products * width * 2 * config.units + 3 * 2 * config.units * 2 * config.units)
        width = 2 * config.units
    operations += 2 * 3 * count * width * pdfs
    print(
        f"\nTraining loop, {config.layers} x {config.units}, loading, CMVN and optimiser included: "
        f"{count / seconds:.0f} frames/s, {operations / seconds / GIGA:.1f} GFLOP/s, "
        f"{shares(operations, seconds, product_rates(device))}; loading alone {count / loading:.0f} frames/s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="default: %(default)s")
    parser.add_argument("--units", type=int, default=550, help="default: %(default)s")
    parser.add_argument("--batch", type=int, default=16, help="utterances, default: %(default)s")
    parser.add_argument("--frames", type=int, default=300, help="of an utterance, default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--parts", default="layers,growth,networks,loop", help="default: %(default)s")
    parser.add_argument("--use-gpu", choices=("auto", "true", "false"), default="auto")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    from nnet.ligru.device import choose_device

    torch.backends.cudnn.allow_tf32 = False  # float32 is float32 for all
    if args.one:
        keep_freed_memory()
        return whole_network(json.loads(args.one))
    torch.set_num_threads(args.threads)
    device = choose_device(args.use_gpu)
    rates = [
        ", ".join(f"{name} {rate / GIGA:.0f}" for name, rate in product_rates(device, dtype).items())
        for dtype in (torch.float32, torch.bfloat16)
    ]
    print(
        f"{device.type}, {args.threads} threads, PyTorch {torch.__version__}; matrix products in GFLOP/s: {rates[0]} "
        f"(bfloat16 {rates[1]}); memory {bandwidth(device) / GIGA:.1f} GB/s"
    )
    parts = {"layers": print_layers, "growth": print_growth, "networks": print_networks, "loop": print_loop}
    for name in args.parts.split(","):
        parts[name](args, device)


if __name__ == "__main__":
    main()
