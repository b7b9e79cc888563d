"""The networks of SEGAN against the paper, their definitions, and an independent forward pass in NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from segan_task import write_reference_checkpoint

from nnet.segan.config import Config, read_config

tf = pytest.importorskip("tensorflow")

from nnet.segan.game import Game, in_pairs  # noqa: E402
from nnet.segan.gradients import compiled_gradient  # noqa: E402
from nnet.segan.losses import (  # noqa: E402
    adversarial_loss,
    discriminator_losses,
    diversity_loss,
    envelope_loss,
    l1_loss,
    perceptual_loss,
    spectral_loss,
    third_octaves,
)
from nnet.segan.model import Discriminator, Generator, deconv, downconv, latent, virtual_batch_norm  # noqa: E402
from nnet.segan.training import discriminator_noise  # noqa: E402
from nnet.segan.weights import load_weights, save_weights  # noqa: E402

CONF = Path("conf/segan.toml")


def tiny_config(**values: object) -> Config:
    """A SEGAN of two layers on windows of 64 samples."""
    tiny = {"window": 64, "stride": 2, "g_depths": (3, 4), "d_depths": (3, 4), "reference_batch": 2, "batch_size": 2}
    return read_config(CONF, "published").with_overrides(**tiny | values)


def filled(network: Generator | Discriminator) -> Generator | Discriminator:
    """The network with values in all variables, also those that start at zero."""
    random = np.random.default_rng(0)
    for variable in network.named.values():
        variable.assign(random.normal(0, 0.3, variable.shape))
    return network


@pytest.mark.slow
def test_published_generator_has_the_shapes_of_the_paper() -> None:
    config = read_config(CONF, "published")
    generator = Generator(config)
    shapes = {name: tuple(variable.shape) for name, variable in generator.named.items()}
    assert config.code_shape == (8, 1024)
    assert shapes["g_ae/enc_0/W"] == (31, 1, 16)
    assert shapes["g_ae/enc_10/W"] == (31, 512, 1024)
    assert shapes["g_ae/dec_0/W"] == (31, 512, 2048)  # z doubles the code
    assert shapes["g_ae/dec_1/W"] == (31, 256, 1024)  # skip connections double the rest
    assert shapes["g_ae/dec_10/W"] == (31, 1, 32)
    assert "g_ae/dec_prelu_10/alpha" not in shapes
    depths = [1, 16, 32, 32, 64, 64, 128, 128, 256, 256, 512, 1024]
    encoder = sum(31 * a * b + 2 * b for a, b in zip(depths, depths[1:], strict=False))
    decoder = sum(31 * 2 * b * a + (2 * a if a > 1 else a) for a, b in zip(depths, depths[1:], strict=False))
    assert sum(int(tf.size(variable)) for variable in generator.named.values()) == encoder + decoder
    assert generator(tf.zeros((1, 16384)), latent(config, 1, (0, 0))).shape == (1, 16384)


@pytest.mark.slow
def test_published_discriminator_parameters() -> None:
    discriminator = Discriminator(read_config(CONF, "published"))
    depths = [2, 16, 32, 32, 64, 64, 128, 128, 256, 256, 512, 1024]
    blocks = sum(31 * a * b + 3 * b for a, b in zip(depths, depths[1:], strict=False))  # filters, biases, gamma, beta
    assert sum(int(tf.size(variable)) for variable in discriminator.named.values()) == blocks + 1024 + 8 + 1
    assert discriminator(tf.zeros((1, 16384, 2)), tf.zeros((2, 16384, 2))).shape == (1,)


@pytest.mark.parametrize("stride", [2, 4])
@pytest.mark.parametrize(("time", "inputs", "outputs"), [(64, 3, 5), (1024, 3, 5), (1024, 1, 9), (512, 65, 40)])
def test_convolutions_against_tensorflow_and_their_gradients(stride: int, time: int, inputs: int, outputs: int) -> None:
    """Both ways of computing them, of few and of many frames, narrow and wide."""
    random = np.random.default_rng(1)
    x = tf.constant(random.normal(size=(2, time, inputs)), tf.float32)
    kernel = tf.constant(random.normal(size=(31, inputs, outputs)), tf.float32)
    upstream = tf.constant(random.normal(size=(2, time // stride, outputs)), tf.float32)
    before = (31 - stride) // 2 // stride * stride

    def plain(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        return tf.nn.conv1d(tf.pad(x, [[0, 0], [before, 31 - stride - before], [0, 0]]), kernel, stride, "VALID")

    def plain_transposed(y: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        padded = [2, time + 31 - stride, inputs]
        return tf.nn.conv1d_transpose(y, kernel, padded, stride, "VALID")[:, before : before + time]

    for ours, theirs, given, back in (
        (lambda x, w: downconv(x, w, stride), plain, x, upstream),
        (lambda y, w: deconv(y, w, stride), plain_transposed, upstream, x),
    ):
        found, wanted = [], []
        for function, results in ((ours, found), (theirs, wanted)):
            with tf.GradientTape() as tape:
                tape.watch([given, kernel])
                y = function(given, kernel)
                loss = tf.reduce_sum(y * back)
            results += [y, *tape.gradient(loss, [given, kernel])]
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * float(tf.reduce_max(tf.abs(other))))


def test_compiled_gradients_are_the_gradients() -> None:
    def function(x: tf.Tensor, y: tf.Tensor, *, power: int) -> tuple[tf.Tensor, tf.Tensor]:
        return x * y, tf.sin(x) ** power

    x, y = tf.random.stateless_normal((2, 5, 3), (1, 2)), tf.random.stateless_normal((3,), (3, 4))
    found = []
    for either in (function, compiled_gradient(function)):
        with tf.GradientTape() as tape:
            tape.watch([x, y])
            one, two = either(x, y, power=3)
            loss = tf.reduce_sum(one) + 2 * tf.reduce_sum(two)
        found.append([one, two, *tape.gradient(loss, [x, y])])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_stride_two_is_padded_like_tensorflow() -> None:
    random = np.random.default_rng(2)
    x = tf.constant(random.normal(size=(1, 64, 2)), tf.float32)
    kernel = tf.constant(random.normal(size=(31, 2, 3)), tf.float32)
    np.testing.assert_allclose(downconv(x, kernel, 2), tf.nn.conv1d(x, kernel, 2, "SAME"), atol=1e-5)
    y = tf.constant(random.normal(size=(1, 32, 3)), tf.float32)
    np.testing.assert_allclose(
        deconv(y, kernel, 2), tf.nn.conv1d_transpose(y, kernel, [1, 64, 2], 2, "SAME"), atol=1e-5
    )


def numpy_downconv(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Stride 2, padding SAME, sample by sample: x (time, in), kernel (width, in, out)."""
    width = len(kernel)
    padded = np.pad(x, ((14, 15), (0, 0)))
    frames = np.stack([padded[start : start + width] for start in range(0, len(x), 2)])
    return np.einsum("twi,wio->to", frames, kernel) + bias


def numpy_deconv(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Transposed: every frame of x (time, in) adds kernel (width, out, in) to the output."""
    out = np.zeros((2 * len(x) + 29, kernel.shape[1]))
    for frame, row in enumerate(x):
        out[2 * frame : 2 * frame + 31] += kernel @ row
    return out[14 : 14 + 2 * len(x)] + bias


def numpy_prelu(x: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, alpha * x)


def test_reference_checkpoint_loads_and_gives_each_layer_of_an_independent_forward_pass(tmp_path: Path) -> None:
    config = tiny_config()
    random = np.random.default_rng(3)
    values, inputs = {}, 1
    for layer, depth in enumerate((3, 4)):
        values[f"g_ae/enc_{layer}/W"] = random.normal(size=(31, 1, inputs, depth))
        values[f"g_ae/enc_{layer}/b"] = random.normal(size=depth)
        values[f"g_ae/enc_prelu_{layer}/alpha"] = random.uniform(size=depth)
        inputs = depth
    for layer, (depth, inputs) in enumerate(((3, 8), (1, 6))):
        values[f"g_ae/dec_{layer}/W"] = random.normal(size=(31, 1, depth, inputs)) * 0.1
        values[f"g_ae/dec_{layer}/b"] = random.normal(size=depth)
    values["g_ae/dec_prelu_0/alpha"] = random.uniform(size=3)
    values["g_ae/enc_0/W/RMSProp"] = random.normal(size=(31, 1, 1, 3))  # a slot of the optimiser
    write_reference_checkpoint(values, tmp_path / "SEGAN-41700")

    generator = Generator(config)
    load_weights(generator, tmp_path / "SEGAN-41700")
    wave = random.normal(size=64).astype(np.float32)
    z = random.normal(size=(16, 4)).astype(np.float32)
    layers = generator.layers(tf.constant(wave[None]), tf.constant(z[None]))

    flat = {name: value[:, 0] if value.ndim == 4 else value for name, value in values.items()}
    enc_0 = numpy_downconv(wave[:, None], flat["g_ae/enc_0/W"], flat["g_ae/enc_0/b"])
    enc_1 = numpy_downconv(
        numpy_prelu(enc_0, flat["g_ae/enc_prelu_0/alpha"]), flat["g_ae/enc_1/W"], flat["g_ae/enc_1/b"]
    )
    code = np.concatenate([z, numpy_prelu(enc_1, flat["g_ae/enc_prelu_1/alpha"])], 1)
    dec_0 = numpy_deconv(code, flat["g_ae/dec_0/W"], flat["g_ae/dec_0/b"])
    joined = np.concatenate([numpy_prelu(dec_0, flat["g_ae/dec_prelu_0/alpha"]), enc_0], 1)
    dec_1 = numpy_deconv(joined, flat["g_ae/dec_1/W"], flat["g_ae/dec_1/b"])
    for found, wanted in zip(layers, (enc_0, enc_1, dec_0, dec_1, np.tanh(dec_1[:, 0])), strict=True):
        np.testing.assert_allclose(found[0], wanted, atol=2e-4)


def test_weights_round_trip_and_complaints(tmp_path: Path) -> None:
    generator = filled(Generator(tiny_config()))
    save_weights(generator, tmp_path / "generator")
    other = Generator(tiny_config(seed=5))
    load_weights(other, tmp_path / "generator")
    for name, variable in generator.named.items():
        np.testing.assert_array_equal(variable, other.named[name])
    with pytest.raises(ValueError, match="no such weights; .* there are: generator$"):
        load_weights(other, tmp_path / "missing")
    with pytest.raises(ValueError, match=r"g_ae/enc_1/W is \[31, 3, 4\] there, \[31, 3, 5\] here"):
        load_weights(Generator(tiny_config(g_depths=(3, 5))), tmp_path / "generator")
    with pytest.raises(ValueError, match=r"with g_ae/dec_0/b \[3\], which is not here"):
        load_weights(Generator(tiny_config(bias_deconv=False)), tmp_path / "generator")
    with pytest.raises(ValueError, match="without g_ae/enc_2/W"):
        load_weights(Generator(tiny_config(g_depths=(3, 4, 5))), tmp_path / "generator")


def test_virtual_batch_norm_is_what_it_is_defined_as() -> None:
    random = np.random.default_rng(4)
    reference, x = random.normal(2, 3, (3, 8, 2)), random.normal(-1, 2, (4, 8, 2))
    gamma, beta = np.array([1.5, 0.5]), np.array([0.1, -0.2])
    _, found = virtual_batch_norm(*(tf.constant(value, tf.float32) for value in (reference, x, gamma, beta)))
    for example, normalised in zip(x, found, strict=True):
        # The statistics of a batch that consists of the reference batch and the example itself.
        together = np.concatenate([reference, example[None]])
        mean, variance = together.mean((0, 1)), together.var((0, 1))
        np.testing.assert_allclose(normalised, gamma * (example - mean) / np.sqrt(variance + 1e-5) + beta, atol=1e-4)


def test_discriminator_judges_each_example_alone() -> None:
    discriminator = filled(Discriminator(tiny_config()))
    random = tf.random.stateless_normal((5, 64, 2), (1, 2))
    reference, pairs = random[:2], random[2:]
    together = discriminator(pairs, reference)
    for index in range(3):
        np.testing.assert_allclose(discriminator(pairs[index : index + 1], reference)[0], together[index], atol=1e-4)


def test_losses_by_hand() -> None:
    real, fake = discriminator_losses(tf.constant([1.0, 0.5]), tf.constant([0.0, 2.0]))
    assert float(real) == pytest.approx(0.125)
    assert float(fake) == pytest.approx(2.0)
    assert float(adversarial_loss(tf.constant([0.0, 2.0]))) == pytest.approx(1.0)
    assert float(l1_loss(tf.constant([[1.0, -1.0]]), tf.constant([[0.0, 1.0]]))) == pytest.approx(1.5)


def test_diversity_loss_by_hand() -> None:
    """Noises that are the same but for their level, that are orthogonal, and that have a half in common; and none."""
    given = tf.constant([[0.5, 0.5, 0.5, 0.5]] * 3)
    noise = tf.constant([[0.1, -0.1, 0.1, -0.1]] * 3)
    another = tf.constant([[0.2, -0.2, 0.2, -0.2], [0.3, 0.3, -0.3, -0.3], [-0.1, 0.1, 0.0, 0.0]])
    loss = float(diversity_loss(given + noise, given + another, given))
    assert loss == pytest.approx((1.0 + 0.0 + 0.5) / 3, abs=1e-3)
    assert float(diversity_loss(given, given, given)) == 0.0


def test_spectral_loss_by_hand() -> None:
    """Of noise that is made twice as loud: magnitudes grow by 2 ** 0.3, whatever the resolution."""
    noise = tf.constant(np.random.default_rng(0).normal(size=(2, 4096)), tf.float32)
    assert float(spectral_loss(noise, noise)) == 0
    means = []
    for size in (256, 512, 1024):
        frames = np.lib.stride_tricks.sliding_window_view(noise.numpy(), size, 1)[:, :: size // 2]
        means.append(np.mean(np.abs(np.fft.rfft(frames * np.hanning(size + 1)[:-1])) ** 0.3))
    assert float(spectral_loss(2 * noise, noise)) == pytest.approx((2**0.3 - 1) * np.mean(means), rel=1e-3)


@pytest.mark.slow
def test_envelope_loss_hears_what_rises_and_falls() -> None:
    random = np.random.default_rng(0)
    bands = third_octaves(16000)
    assert np.flatnonzero(bands[:, 9]).tolist() == list(range(35, 44))  # 1069 to 1347 Hz, bins of 31.25 Hz
    assert bands.sum(1).max() == 1
    syllables = 1 + np.sin(np.arange(16384) / 16000 * 2 * np.pi * 4)
    speech = tf.constant((syllables * random.normal(0, 0.1, 16384))[None], tf.float32)
    noise = tf.constant(random.normal(0, 0.1, (1, 16384)), tf.float32)
    assert float(envelope_loss(speech, speech, rate=16000)) == pytest.approx(0, abs=1e-4)
    assert float(envelope_loss(3 * speech, speech, rate=16000)) < 0.01  # loudness does not count
    steps = [float(envelope_loss(speech + weight * noise, speech, rate=16000)) for weight in (0.1, 0.5, 2.0)]
    assert 0 < steps[0] < steps[1] < steps[2] < 1
    with tf.GradientTape() as tape:
        silence = tf.Variable(tf.zeros((1, 16384)))
        loss = envelope_loss(silence, tf.zeros((1, 16384)), rate=16000)
    assert float(loss) == pytest.approx(1)
    assert np.isfinite(tape.gradient(loss, silence)).all()


@pytest.mark.slow
def test_perceptual_loss_is_what_is_heard() -> None:
    rng = np.random.default_rng(0)
    envelope = np.abs(np.sin(np.arange(32000) / 1500))
    speech = (0.1 * envelope * rng.normal(size=(2, 32000))).astype(np.float32)
    noise = 0.01 * rng.normal(size=(2, 32000)).astype(np.float32)

    def loss(x: np.ndarray, target: np.ndarray = speech) -> float:
        return float(perceptual_loss(tf.constant(x), tf.constant(target), rate=16000))

    assert loss(speech) == pytest.approx(0, abs=1e-4)
    assert loss(0.5 * speech) < 1e-3  # a listener gets used to the level
    assert 0.1 < loss(speech + noise) < loss(speech + 3 * noise) < loss(speech + 10 * noise)
    assert loss(speech + noise) == pytest.approx(loss(8 * (speech + noise), 8 * speech), rel=1e-3)
    silent = np.zeros((1, 32000), np.float32)
    assert loss(np.concatenate([speech[:1] + noise[:1], noise[1:]]), np.concatenate([speech[:1], silent])) == (
        pytest.approx(loss(speech[:1] + noise[:1], speech[:1]), rel=1e-5)
    )
    x = tf.constant(np.concatenate([silent, silent]))
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = perceptual_loss(x, tf.constant(np.concatenate([silent, speech[:1]])), rate=16000)
    assert np.isfinite(tape.gradient(value, x)).all()


def test_windows_too_short_for_a_loss_are_refused() -> None:
    with pytest.raises(ValueError, match="window 4096: envelope_weight needs windows of 6400 samples or more"):
        Game(read_config(CONF, "small").with_overrides(window=4096))


def test_noise_on_the_discriminators_input_decays_to_nothing() -> None:
    config = tiny_config(d_noise_std=0.5, d_noise_epoch=2, d_noise_decay=0.5, d_noise_floor=0.1)
    assert [discriminator_noise(config, epoch) for epoch in range(5)] == [0.5, 0.5, 0.25, 0.125, 0.0]


def test_pairs_lie_sample_by_sample() -> None:
    windows = tf.constant([[1.0, 2.0]])
    np.testing.assert_array_equal(in_pairs(windows, 2 * windows), [[[1, 2], [2, 4]]])
