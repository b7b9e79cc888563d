#!/usr/bin/env python3
"""Speed and memory of SEGAN in training and enhancement, beside segan_pytorch and the machine's matrix products.

Prints tables with ratios. Every figure comes from a process of its own, whose peak memory is given too. Training reads
its windows from records, as nnet.segan.train does; segan_pytorch (github.com/santi-pdp/segan_pytorch, its directory is
given by --segan-pytorch) gets the same windows from memory. Its step is timed as its training loop has it, without
its validation, with the same depths and stride; it has batch normalisation where ours has the virtual one.
Arithmetic: 2 operations for each multiplication and addition of the convolutions; the generator runs once a step and
back, the discriminator on real and generated pairs and back, and on generated pairs once more and back to its input,
each time with the reference batch. A quiet machine gives figures worth keeping.
The table `parts` says what a training step of a generator on spectra spends its time on, each part computed alone.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
import unittest.mock
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np  # noqa: E402

from nnet.segan.config import DECODER_TAPS, Config, read_config  # noqa: E402

GIGA = 1e9
MODELS = ("published", "plus", "small", "spectral_small", "spectral", "spectral_large")


def encoder_operations(config: Config, depths: tuple[int, ...], inputs: int) -> int:
    time_, total = config.window, 0
    for depth in depths:
        time_ //= config.stride
        total += 2 * time_ * config.kernel * inputs * depth
        inputs = depth
    return total


def spectral_operations(config: Config) -> int:
    """Of a window, forward, without the transforms: each filter of the network at each place where it is applied."""
    bins, inputs, total = config.frame // 2, 3, 0
    for depth, stride in zip(config.g_depths, config.g_strides, strict=True):
        bins //= stride
        total += bins * config.frame_taps * (2 * stride + 1) * inputs * depth
        inputs = depth
    total += len(config.dilations) * bins * inputs * (config.frame_taps * inputs + 2 * config.units)
    for depth, stride in zip((*config.g_depths[-2::-1], 2), config.g_strides[::-1], strict=True):
        total += bins * DECODER_TAPS * 2 * inputs * stride * depth
        bins, inputs = bins * stride, depth
    frames = config.window // config.frame_hop + config.frame // config.frame_hop - 1
    return 2 * frames * total


def generator_operations(config: Config) -> int:
    """Of a window, forward."""
    if config.generator == "spectral":
        return spectral_operations(config)
    time_, inputs = config.code_shape
    inputs *= 1 + config.z
    total = encoder_operations(config, config.g_depths, 1)
    for depth in (*config.g_depths[-2::-1], 1):
        total += 2 * time_ * config.kernel * inputs * depth
        time_ *= config.stride
        inputs = 2 * depth
    return total


def training_operations(config: Config) -> float:
    """Of a window, in a step of training; a backward pass has two products for each one of the forward pass."""
    judged = encoder_operations(config, config.d_depths, 2) if config.adversarial_weight else 0
    reference = config.reference_batch / config.batch_size
    return 3 * generator_operations(config) + judged * (3 * (2 + reference) + 2 * (1 + reference))


def seconds_each(action: Callable[[], object], budget: float) -> float:
    """Of the fastest of several rounds that together take about `budget` seconds; the first call warms up.

    Where one thread computes, seconds of the processor, which do not count when others take it; else on the clock.
    """
    clock = time.process_time if os.environ["OMP_NUM_THREADS"] == "1" else time.perf_counter
    action()
    times: list[float] = []
    while sum(times) < budget or len(times) < 3:
        began = clock()
        action()
        times.append(clock() - began)
    return min(times)


def write_random_records(config: Config, directory: Path, windows: int) -> Path:
    import tensorflow as tf

    from nnet.segan.records import encode

    random = np.random.default_rng(0)
    path = directory / "random.tfrecords"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for _ in range(windows):
            clean, noisy = random.normal(0, 1000, (2, config.window)).astype(np.int16)
            writer.write(encode(wav_raw=clean, noisy_raw=noisy))
    return path


def measure_matrix_product(config: Config, budget: float) -> dict[str, float]:
    import tensorflow as tf

    del config
    size = 2048
    a = tf.random.normal((size, size))
    product = tf.function(lambda a: tf.matmul(a, a))
    return {"gflops": 2 * size**3 / seconds_each(lambda: product(a).numpy(), budget) / GIGA}


def measure_training(config: Config, budget: float) -> dict[str, float]:
    import tensorflow as tf

    from nnet.segan.game import Game, in_pairs
    from nnet.segan.records import training_batches
    from nnet.segan.training import choose_settings

    game = Game(config)
    step = tf.function(game.train_step, autograph=False)
    settings = choose_settings(config, 0, 0.0)
    with tempfile.TemporaryDirectory() as directory:
        records = write_random_records(config, Path(directory), max(2 * config.batch_size, config.reference_batch))
        batches = iter(training_batches(records, config, 0, config.batch_size).repeat())
        game.reference.assign(in_pairs(*next(iter(training_batches(records, config, 0, config.reference_batch)))))

        def train() -> None:
            clean, noisy = next(batches)
            step(clean, noisy, tf.constant(0, tf.int64), settings).numpy()

        seconds = seconds_each(train, budget)
    return {"windows_per_second": config.batch_size / seconds}


def calls_of(config: Config, generator: Callable, given: np.ndarray) -> dict[str, list[tuple[Callable, tuple]]]:
    """What a generator on spectra computes for a batch of windows: functions and their arguments, by kind."""
    import tensorflow as tf

    from nnet.segan import spectral

    kinds = {
        "convolutions": [(tf.nn, "conv2d")],
        "biases, PReLUs, residuals": [(spectral, "biased_prelu"), (spectral, "residual")],
        "paddings and joints": [(tf, "pad"), (tf, "concat")],
        "compression and mask": [(spectral, "compress"), (spectral, "bounded")],
        "spectra to windows": [(tf.signal, "irfft"), (tf.signal, "overlap_and_add")],
    }
    calls: dict[str, list[tuple[Callable, tuple]]] = {kind: [] for kind in kinds}

    def recorder(kind: str, function: Callable) -> Callable:
        def record(*arguments: object, **options: object) -> tf.Tensor:
            calls[kind].append((functools.partial(function, **options), arguments))
            return function(*arguments, **options)

        return record

    with contextlib.ExitStack() as patches:
        for kind, functions in kinds.items():
            for module, name in functions:
                record = recorder(kind, getattr(module, name))
                patches.enter_context(unittest.mock.patch.object(module, name, record))
        generator(given)
    wide = config.frame // 2 // math.prod(config.g_strides) * config.g_depths[-1]
    rows = calls["convolutions"][-1][1][0].shape[1] * config.batch_size  # the last convolution is over one frame
    shapes = [(rows, wide), (wide, config.units), (rows, config.units), (config.units, wide)]
    x, down, y, up = map(tf.zeros, shapes)
    calls["products across frequencies"] = len(config.dilations) * [(tf.matmul, (x, down)), (tf.matmul, (y, up))]
    return calls


def measure_parts(config: Config, budget: float) -> dict[str, float]:
    """Seconds of a step of training without a discriminator, and of its parts, each forward and back."""
    import tensorflow as tf

    from nnet.segan import losses
    from nnet.segan.game import Game
    from nnet.segan.training import choose_settings

    game = Game(config)
    settings, variables = choose_settings(config, 0, 0.0), list(game.generator.named.values())
    windows = 0.1 * np.random.default_rng(0).normal(size=(3, config.batch_size, config.window)).astype(np.float32)
    fake, target, given = map(tf.constant, windows)

    def seconds(function: Callable[[], tf.Tensor], share: float = 1.0) -> float:
        compiled = tf.function(function, autograph=False)
        return seconds_each(lambda: compiled().numpy(), share * budget)

    def random_like(x: tf.Tensor) -> tf.Variable:
        return tf.Variable(tf.cast(0.1 * tf.random.stateless_normal(x.shape, (0, 1)), x.dtype))

    def back(function: Callable[[], tf.Tensor], sources: list, share: float = 1.0) -> float:
        pulls = random_like(function())  # and no constant, whose products TensorFlow leaves out

        def forward_and_back() -> tf.Tensor:
            with tf.GradientTape() as tape:
                tape.watch(sources)
                output = function()
            made = [output, *tape.gradient(output, sources, pulls)]
            return tf.add_n([tf.math.real(tf.reduce_sum(part)) for part in made if part is not None])

        return seconds(forward_and_back, share)

    def alone(function: Callable, arguments: tuple) -> float:
        flat = tf.nest.flatten(arguments)
        for number, value in enumerate(flat):
            if tf.is_tensor(value) and (value.dtype.is_floating or value.dtype.is_complex):
                flat[number] = random_like(value)
        again = tf.nest.pack_sequence_as(arguments, flat)
        return back(lambda: function(*again), [x for x in flat if isinstance(x, tf.Variable)], 0.1)

    def update() -> tf.Tensor:
        game.g_optimizer.apply([tf.ones_like(variable) for variable in variables], settings.g_rate)
        return variables[0]

    parts = {"step": seconds(lambda: game.train_step(target, given, tf.constant(0, tf.int64), settings))}
    parts["generator"] = back(lambda: game.generator(given), variables)
    for kind, calls in calls_of(config, game.generator, given).items():
        parts[f"… {kind}"] = sum(alone(*call) for call in calls)
    for name in ("complex", "si_sdr", "perceptual", "envelope"):
        loss = getattr(losses, f"{name}_loss")
        options = {"rate": config.rate} if name in ("perceptual", "envelope") else {}
        parts[f"loss {name}"] = back(lambda f=loss, o=options: f(fake, target, **o), [fake])
    parts["update of the weights"] = seconds(update)
    return parts


def measure_enhancement(config: Config, budget: float, seconds_of_audio: float = 30.0) -> dict[str, float]:
    from nnet.segan.enhancer import Enhancer
    from nnet.segan.generators import make_generator

    enhancer = Enhancer(make_generator(config))
    audio = np.random.default_rng(0).normal(0, 0.1, int(seconds_of_audio * config.rate)).astype(np.float32)
    seconds = seconds_each(lambda: list(enhancer([("x", audio)])), budget)
    return {"rtf": seconds / seconds_of_audio, "seconds": seconds}


def build_pytorch(config: Config) -> tuple:
    """Generator and discriminator of segan_pytorch in the depths and stride of a configuration."""
    from discriminator import Discriminator
    from generator import Generator

    depths, d_depths = list(config.g_depths), list(config.d_depths)
    strides = [config.stride] * len(depths)
    code = config.window // config.stride ** len(d_depths)
    generator = Generator(
        1, depths, config.kernel, strides, z_dim=depths[-1], bias=True, skip_type="constant", skip_merge="concat"
    )
    discriminator = Discriminator(
        2, d_depths, config.kernel, strides[: len(d_depths)], pool_slen=code, norm_type="bnorm"
    )
    return generator, discriminator


def measure_pytorch_training(config: Config, budget: float) -> dict[str, float]:
    import torch
    from torch.nn.functional import l1_loss, mse_loss

    torch.manual_seed(0)
    generator, discriminator = build_pytorch(config)
    g_optimizer = torch.optim.RMSprop(generator.parameters(), lr=config.g_learning_rate)
    d_optimizer = torch.optim.RMSprop(discriminator.parameters(), lr=config.d_learning_rate)
    clean, noisy = torch.randn(2, config.batch_size, 1, config.window) * 0.1

    def train() -> None:
        ones, zeros = torch.ones(config.batch_size), torch.zeros(config.batch_size)
        d_optimizer.zero_grad()
        mse_loss(discriminator(torch.cat((clean, noisy), 1))[0].view(-1), ones).backward()
        fake = generator(noisy)
        mse_loss(discriminator(torch.cat((fake.detach(), noisy), 1))[0].view(-1), zeros).backward()
        d_optimizer.step()
        g_optimizer.zero_grad()
        adversarial = mse_loss(discriminator(torch.cat((fake, noisy), 1))[0].view(-1), ones)
        (adversarial + config.l1_weight * l1_loss(fake, clean)).backward()
        g_optimizer.step()

    return {"windows_per_second": config.batch_size / seconds_each(train, budget)}


def measure_pytorch_enhancement(config: Config, budget: float, seconds_of_audio: float = 30.0) -> dict[str, float]:
    """Its generator on the same windows, in the same batches; de-emphasis and overlap-add are left out."""
    import torch

    from nnet.segan.enhancer import BATCH
    from nnet.segan.signal import window_starts

    generator, _ = build_pytorch(config)
    generator.eval()
    count = len(window_starts(int(seconds_of_audio * config.rate), config.window, config.hop))
    windows = torch.randn(count, 1, config.window) * 0.1

    def enhance() -> None:
        with torch.no_grad():
            for start in range(0, count, BATCH):
                generator(windows[start : start + BATCH])

    seconds = seconds_each(enhance, budget)
    return {"rtf": seconds / seconds_of_audio, "seconds": seconds}


CASES = {
    "matrix": measure_matrix_product,
    "training": measure_training,
    "parts": measure_parts,
    "enhancement": measure_enhancement,
    "pytorch_training": measure_pytorch_training,
    "pytorch_enhancement": measure_pytorch_enhancement,
}


def set_threads(case: str, threads: int) -> None:
    if case.startswith("pytorch"):
        import torch

        torch.set_num_threads(threads)
    else:
        from nnet.segan.device import choose_strategy

        choose_strategy("auto", threads)  # as the programs have it: repeatable to the last bit


def measure_here(arguments: argparse.Namespace) -> None:
    """One case in this process; prints JSON."""
    name, model, threads, batch, window, audio = json.loads(arguments.case)
    if arguments.segan_pytorch:
        # Its modules alone: the package imports more than they need.
        sys.path.insert(0, str(arguments.segan_pytorch / "segan/models"))
    set_threads(name, threads)
    config = read_config(ROOT / "conf/segan.toml", model).with_overrides(batch_size=batch, window=window)
    options = {"seconds_of_audio": audio} if audio else {}
    found = CASES[name](config, arguments.budget, **options)
    print(json.dumps(found | {"peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def measure(
    arguments: argparse.Namespace,
    case: str,
    model: str,
    threads: int,
    batch: int | None = None,
    window: int | None = None,
    audio: float | None = None,
) -> dict[str, float]:
    """One case in a process of its own."""
    command = [sys.executable, __file__, "--case", json.dumps([case, model, threads, batch, window, audio])]
    command += ["--budget", str(arguments.budget)]
    if arguments.segan_pytorch:
        command += ["--segan-pytorch", str(arguments.segan_pytorch)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        sys.exit(f"bench/segan.py: {case} of {model} failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def compare_training(arguments: argparse.Namespace, threads: int) -> None:
    rate = measure(arguments, "matrix", "small", threads)["gflops"]
    print(f"\nTraining, {threads} threads; matrix products (2048 x 2048, float32): {rate:.0f} GFLOP/s")
    print(
        "model           batch  GFLOP/window  windows/s  bound  of bound  peak MiB  "
        "segan_pytorch windows/s  ratio  peak MiB"
    )
    for model in arguments.models:
        config = read_config(ROOT / "conf/segan.toml", model)
        batch = arguments.batch or config.batch_size
        config = config.with_overrides(batch_size=batch)
        ours = measure(arguments, "training", model, threads, batch)
        bound = rate * GIGA / training_operations(config)
        line = f"{model:15} {batch:5} {training_operations(config) / GIGA:13.2f} {ours['windows_per_second']:10.2f}"
        line += f" {bound:6.1f} {ours['windows_per_second'] / bound:8.0%} {ours['peak_mib']:10.0f}"
        if arguments.segan_pytorch and config.generator == "waveform":
            theirs = measure(arguments, "pytorch_training", model, threads, batch)
            ratio = ours["windows_per_second"] / theirs["windows_per_second"]
            line += f" {theirs['windows_per_second']:24.2f} {ratio:6.2f} {theirs['peak_mib']:9.0f}"
        print(line, flush=True)


def compare_enhancement(arguments: argparse.Namespace, threads: int) -> None:
    print(f"\nEnhancement of 30 s, {threads} thread(s)")
    print("model           real-time factor  peak MiB  segan_pytorch  ratio  peak MiB")
    for model in arguments.models:
        config = read_config(ROOT / "conf/segan.toml", model)
        ours = measure(arguments, "enhancement", model, threads)
        line = f"{model:15} {ours['rtf']:16.4f} {ours['peak_mib']:9.0f}"
        if arguments.segan_pytorch and config.generator == "waveform":
            theirs = measure(arguments, "pytorch_enhancement", model, threads)
            line += f" {theirs['rtf']:14.4f} {theirs['rtf'] / ours['rtf']:6.2f} {theirs['peak_mib']:9.0f}"
        print(line, flush=True)


def show_parts(arguments: argparse.Namespace, threads: int) -> None:
    rate = measure(arguments, "matrix", "small", threads)["gflops"]
    for model in arguments.models:
        config = read_config(ROOT / "conf/segan.toml", model)
        if config.generator != "spectral":
            continue
        found = measure(arguments, "parts", model, threads)
        found.pop("peak_mib")
        bound = config.batch_size * training_operations(config) / GIGA / rate
        print(f"\nA step of {model}, {config.batch_size} windows, {threads} thread(s); bound: {1000 * bound:.0f} ms")
        for part, seconds in found.items():
            print(f"{part:32} {1000 * seconds:8.1f} ms {seconds / found['step']:6.0%}")


def show_growth(arguments: argparse.Namespace, threads: int) -> None:
    print(f"\nGrowth of the small model, {threads} threads: batch, window (samples), file (seconds)")
    for label, sizes in (("batch", (4, 16, 64)), ("window", (8192, 16384, 65536))):
        for size in sizes:
            batch, window = (size, None) if label == "batch" else (4, size)
            found = measure(arguments, "training", "small", threads, batch=batch, window=window)
            seconds = batch / found["windows_per_second"]
            print(f"training, {label} {size:6}: {seconds:8.3f} s a step, {found['peak_mib']:6.0f} MiB")
    for audio in (10.0, 60.0, 600.0):
        found = measure(arguments, "enhancement", "small", threads, audio=audio)
        print(f"enhancement, {audio:5.0f} s: {found['seconds']:13.3f} s, {found['peak_mib']:6.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--segan-pytorch", type=Path, help="directory of segan_pytorch, to compare with")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--batch", type=int, help="of all models (default: as configured)")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--budget", type=float, default=20.0, help="seconds for each figure (default: %(default)s)")
    tables = ("training", "enhancement", "growth", "parts")
    parser.add_argument("--tables", nargs="+", choices=tables, default=tables[:3], help="default: all but parts")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        measure_here(arguments)
        return
    if "training" in arguments.tables:
        compare_training(arguments, arguments.threads)
    if "enhancement" in arguments.tables:
        for threads in sorted({1, arguments.threads}):
            compare_enhancement(arguments, threads)
    if "growth" in arguments.tables:
        show_growth(arguments, arguments.threads)
    if "parts" in arguments.tables:
        show_parts(arguments, arguments.threads)


if __name__ == "__main__":
    main()
