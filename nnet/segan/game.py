"""The game between generator and discriminator: losses, one step of training, and the state that goes on after it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from nnet.segan.config import Config
from nnet.segan.generators import make_generator
from nnet.segan.losses import (
    BAND_SPECTRUM,
    SEGMENT_SAMPLES,
    SPECTRA,
    adversarial_loss,
    complex_loss,
    discriminator_losses,
    diversity_loss,
    envelope_loss,
    l1_loss,
    perceptual_loss,
    si_sdr_loss,
    spectral_loss,
)
from nnet.segan.metrics import HIGHEST_PESQ, LOWEST_PESQ, has_pesq, pesq
from nnet.segan.model import Discriminator, latent
from nnet.segan.signal import deemphasise

LOSSES = tuple("d_real d_fake g_adv g_l1 g_spectral g_envelope g_diversity g_complex g_si_sdr g_perceptual".split())


class RmsProp(tf.Module):
    """RMSprop as TensorFlow 1 had it (decay 0.9, mean squares start at 1), as the published model was trained."""

    DECAY = 0.9
    EPSILON = 1e-10

    def __init__(self, variables: list[tf.Variable]) -> None:
        super().__init__()
        self._targets = variables
        self.mean_squares = [tf.Variable(tf.ones_like(variable), trainable=False) for variable in variables]
        self.updates = [tf.Variable(tf.zeros_like(variable), trainable=False) for variable in variables]

    def apply(self, gradients: list[tf.Tensor], rate: tf.Tensor) -> None:
        """Update the variables by the mean of the replicas' gradients; call it where a replica's step runs."""
        tf.distribute.get_replica_context().merge_call(self._apply_mean, args=(gradients, rate))

    def _apply_mean(self, strategy: tf.distribute.Strategy, gradients: list[tf.Tensor], rate: tf.Tensor) -> None:
        pairs = list(zip(gradients, self._targets, strict=True))
        means = strategy.extended.batch_reduce_to(tf.distribute.ReduceOp.MEAN, pairs)
        for target, *others in zip(self._targets, self.mean_squares, self.updates, means, strict=True):
            strategy.extended.update(target, self._update, args=(*others, rate), group=False)

    def _update(
        self, target: tf.Variable, mean_square: tf.Variable, update: tf.Variable, gradient: tf.Tensor, rate: tf.Tensor
    ) -> None:
        tf.raw_ops.ResourceApplyRMSProp(  # one pass over the memory where single operations take nine
            var=target.handle,
            ms=mean_square.handle,
            mom=update.handle,
            lr=rate,
            rho=self.DECAY,
            momentum=0.0,
            epsilon=self.EPSILON,
            grad=gradient,
        )


class Adam(RmsProp):
    """Adam (Kingma, Ba 2015) of gradients whose norm is clipped (Pascanu et al. 2013)."""

    BETAS = (0.9, 0.98)
    EPSILON = 1e-8
    LARGEST_NORM = 5.0

    def __init__(self, variables: list[tf.Variable]) -> None:
        super().__init__(variables)
        self.powers = [tf.Variable(1.0, trainable=False) for _ in self.BETAS]
        for mean_square in self.mean_squares:
            mean_square.assign(tf.zeros_like(mean_square))

    def apply(self, gradients: list[tf.Tensor], rate: tf.Tensor) -> None:
        for power, beta in zip(self.powers, self.BETAS, strict=True):
            power.assign(power * beta)
        super().apply(tf.clip_by_global_norm(gradients, self.LARGEST_NORM)[0], rate)

    def _update(
        self, target: tf.Variable, mean_square: tf.Variable, update: tf.Variable, gradient: tf.Tensor, rate: tf.Tensor
    ) -> None:
        tf.raw_ops.ResourceApplyAdam(
            var=target.handle,
            m=update.handle,
            v=mean_square.handle,
            beta1_power=self.powers[0],
            beta2_power=self.powers[1],
            lr=rate,
            beta1=self.BETAS[0],
            beta2=self.BETAS[1],
            epsilon=self.EPSILON,
            grad=gradient,
        )


class Settings(NamedTuple):
    """What changes along a training, as scalar tensors."""

    g_rate: tf.Tensor
    d_rate: tf.Tensor
    l1_weight: tf.Tensor
    noise_std: tf.Tensor


class Game(tf.Module):
    """Both networks, both optimisers, the reference batch and the steps done: all that a checkpoint holds."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        for name, needed in (
            ("spectral_weight", max(SPECTRA)),
            ("envelope_weight", SEGMENT_SAMPLES),
            ("perceptual_weight", BAND_SPECTRUM),
        ):
            if getattr(config, name) and config.window < needed:
                raise ValueError(
                    f"window {config.window}: {name} needs windows of {needed} samples or more, or to be 0"
                )
        if config.adversarial_weight and config.adversary == "metric" and not has_pesq():
            raise ValueError("adversary 'metric' needs PESQ (pip install pesq, which needs a C compiler)")
        self.config = config
        self.generator = make_generator(config)
        self.discriminator = Discriminator(config)
        self.g_optimizer = (Adam if config.optimizer == "adam" else RmsProp)(list(self.generator.named.values()))
        self.d_optimizer = RmsProp(list(self.discriminator.named.values()))
        self.reference = tf.Variable(tf.zeros((config.reference_batch, config.window, 2)), trainable=False)
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.pretrain_step = tf.Variable(0, dtype=tf.int64, trainable=False)

    def _seed(self, step: tf.Tensor, purpose: int) -> tf.Tensor:
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return tf.stack([tf.cast(step, tf.int32), self.config.seed * 1000 + 10 * tf.cast(replica, tf.int32) + purpose])

    def train_step(self, target: tf.Tensor, given: tf.Tensor, step: tf.Tensor, settings: Settings) -> tf.Tensor:
        """One update of the discriminator, then one of the generator, on windows (batch, window).

        The generator runs once, or twice where two draws of z are compared: its waveform is judged before and after the
        discriminator's update. Returns the losses in the order of LOSSES, without weights; those without one are 0.
        """
        config, variables = self.config, list(self.generator.named.values())
        with tf.GradientTape() as tape:
            fake = self.generator(given, latent(config, tf.shape(given)[0], self._seed(step, 0)))
            losses = self._losses(fake, target, given, step)
        pulled, pulls = list(losses.values()), [self._weight(name, settings) for name in losses]
        if config.adversarial_weight:
            judged, towards_real = self._judge(fake, target, given, step, settings)
            losses |= judged
            pulled, pulls = [fake, *pulled], [config.adversarial_weight * towards_real, *pulls]
        self.g_optimizer.apply(tape.gradient(pulled, variables, pulls), settings.g_rate)
        return tf.stack([losses.get(name, tf.constant(0.0)) for name in LOSSES])

    def _weight(self, loss: str, settings: Settings) -> tf.Tensor:
        if loss == "g_l1":  # which a training removes at some epoch
            return settings.l1_weight
        return tf.constant(getattr(self.config, f"{loss.removeprefix('g_')}_weight"))

    def _losses(self, fake: tf.Tensor, target: tf.Tensor, given: tf.Tensor, step: tf.Tensor) -> dict[str, tf.Tensor]:
        """What the generator pays for its windows beside the discriminator's judgement."""
        config = self.config
        losses = {"g_l1": l1_loss(fake, target)}
        if config.spectral_weight:
            losses["g_spectral"] = spectral_loss(fake, target)
        if config.envelope_weight:
            losses["g_envelope"] = envelope_loss(fake, target, rate=config.rate)
        if config.complex_weight:
            losses["g_complex"] = complex_loss(fake, target)
        if config.si_sdr_weight:
            losses["g_si_sdr"] = si_sdr_loss(fake, target)
        if config.perceptual_weight:
            losses["g_perceptual"] = perceptual_loss(fake, target, rate=config.rate)
        if config.diversity_weight:
            again = self.generator(given, latent(config, tf.shape(given)[0], self._seed(step, 3)))
            losses["g_diversity"] = diversity_loss(fake, again, given)
        return losses

    def _judge(
        self, fake: tf.Tensor, target: tf.Tensor, given: tf.Tensor, step: tf.Tensor, settings: Settings
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """Update the discriminator; its losses and the generator's, and the gradient of the latter on its windows."""
        config, batch, variables = self.config, tf.shape(given)[0], list(self.discriminator.named.values())
        partner = target if config.adversary == "metric" else given

        def judge(pairs: tf.Tensor, purpose: int) -> tf.Tensor:
            if config.d_noise_std:
                pairs += settings.noise_std * tf.random.stateless_normal(tf.shape(pairs), self._seed(step, purpose))
            return self.discriminator(pairs, self.reference)

        both = tf.concat([in_pairs(target, partner), tf.stop_gradient(in_pairs(fake, partner))], 0)
        with tf.GradientTape() as tape:
            logits = judge(both, 1)
            deserved = tf.zeros([batch])
            if config.adversary == "metric":
                deserved = _measured(fake, target, logits[batch:], config)
            d_real, d_fake = discriminator_losses(logits[:batch], logits[batch:] - deserved)
            loss = d_real + d_fake
        self.d_optimizer.apply(tape.gradient(loss, variables), settings.d_rate)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(fake)
            adversarial = adversarial_loss(judge(in_pairs(fake, partner), 2))
        return {"d_real": d_real, "d_fake": d_fake, "g_adv": adversarial}, tape.gradient(adversarial, fake)

    def classifier_reference(self) -> tf.Tensor:
        """The reference batch for windows judged alone: half of it clean, half noisy, each paired with itself."""
        half = self.config.reference_batch // 2
        windows = tf.concat([self.reference[:half, :, 0], self.reference[half:, :, 1]], 0)
        return in_pairs(windows, windows)

    def classifier_step(self, clean: tf.Tensor, noisy: tf.Tensor) -> tf.Tensor:
        """One update of the discriminator as a classifier of clean (1) against noisy (0) windows; returns its loss."""
        batch = tf.shape(clean)[0]
        variables = list(self.discriminator.named.values())
        windows = tf.concat([clean, noisy], 0)
        with tf.GradientTape() as tape:
            logits = self.discriminator(in_pairs(windows, windows), self.classifier_reference())
            loss = tf.add_n(discriminator_losses(logits[:batch], logits[batch:]))
        self.d_optimizer.apply(tape.gradient(loss, variables), tf.constant(self.config.d_learning_rate))
        return loss


def _measured(fake: tf.Tensor, target: tf.Tensor, guessed: tf.Tensor, config: Config) -> tf.Tensor:
    """PESQ of windows (batch, window) between 0 and 1, which the discriminator learns to tell.

    Where there is none, as no speech was found, its own guess: it has nothing to learn there.

    Fu et al.: MetricGAN: Generative Adversarial Networks based Black-box Metric Scores Optimization for Speech
    Enhancement (ICML 2019).
    """

    def measure(fakes: np.ndarray, targets: np.ndarray) -> np.ndarray:
        sides = [[deemphasise(window, config.preemphasis) for window in windows] for windows in (targets, fakes)]
        scores = [pesq(clean, degraded, config.rate) for clean, degraded in zip(*sides, strict=True)]
        return ((np.array(scores) - LOWEST_PESQ) / (HIGHEST_PESQ - LOWEST_PESQ)).astype(np.float32)

    scores = tf.ensure_shape(tf.numpy_function(measure, [fake, target], tf.float32), guessed.shape)
    return tf.where(tf.math.is_nan(scores), tf.stop_gradient(guessed), scores)


def in_pairs(candidates: tf.Tensor, given: tf.Tensor) -> tf.Tensor:
    """Windows (batch, window) and their counterparts as the discriminator takes them, (batch, window, 2).

    A window that is judged without a counterpart is its own.
    """
    return tf.transpose(tf.stack([candidates, given], 1), [0, 2, 1])  # tf.stack(..., 2) takes three times as long
