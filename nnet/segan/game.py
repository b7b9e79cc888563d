"""The game between generator and discriminator: losses, one step of training, and the state that goes on after it."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from nnet.segan.config import Config
from nnet.segan.losses import (
    SEGMENT_SAMPLES,
    SPECTRA,
    adversarial_loss,
    discriminator_losses,
    diversity_loss,
    envelope_loss,
    l1_loss,
    spectral_loss,
)
from nnet.segan.model import Discriminator, Generator, latent

LOSSES = ("d_real", "d_fake", "g_adv", "g_l1", "g_spectral", "g_envelope", "g_diversity")


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
        for name, needed in (("spectral_weight", max(SPECTRA)), ("envelope_weight", SEGMENT_SAMPLES)):
            if getattr(config, name) and config.window < needed:
                raise ValueError(
                    f"window {config.window}: {name} needs windows of {needed} samples or more, or to be 0"
                )
        self.config = config
        self.generator = Generator(config)
        self.discriminator = Discriminator(config)
        self.g_optimizer = RmsProp(list(self.generator.named.values()))
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
        discriminator's update. Returns the losses in the order of LOSSES, without weights.
        """
        config, batch = self.config, tf.shape(given)[0]
        g_variables, d_variables = self.generator.named.values(), self.discriminator.named.values()

        def judge(pairs: tf.Tensor, purpose: int) -> tf.Tensor:
            if self.config.d_noise_std:
                pairs += settings.noise_std * tf.random.stateless_normal(tf.shape(pairs), self._seed(step, purpose))
            return self.discriminator(pairs, self.reference)

        with tf.GradientTape() as g_tape:
            fake = self.generator(given, latent(self.config, batch, self._seed(step, 0)))
            l1 = l1_loss(fake, target)
            spectral = spectral_loss(fake, target) if config.spectral_weight else tf.constant(0.0)
            envelope = envelope_loss(fake, target, rate=config.rate) if config.envelope_weight else tf.constant(0.0)
            diversity = tf.constant(0.0)
            if config.diversity_weight:
                again = self.generator(given, latent(self.config, batch, self._seed(step, 3)))
                diversity = diversity_loss(fake, again, given)
        real_pairs, fake_pairs = in_pairs(target, given), in_pairs(fake, given)
        with tf.GradientTape() as d_tape:
            logits = judge(tf.concat([real_pairs, tf.stop_gradient(fake_pairs)], 0), 1)
            d_real, d_fake = discriminator_losses(logits[:batch], logits[batch:])
            d_loss = d_real + d_fake
        self.d_optimizer.apply(d_tape.gradient(d_loss, list(d_variables)), settings.d_rate)

        with tf.GradientTape(watch_accessed_variables=False) as fake_tape:
            fake_tape.watch(fake)
            adversarial = adversarial_loss(judge(in_pairs(fake, given), 2))
        towards_real = fake_tape.gradient(adversarial, fake)
        weights = (config.spectral_weight, config.envelope_weight, config.diversity_weight)
        pulls = [towards_real, settings.l1_weight, *(tf.constant(weight) for weight in weights)]
        gradients = g_tape.gradient([fake, l1, spectral, envelope, diversity], list(g_variables), pulls)
        self.g_optimizer.apply(gradients, settings.g_rate)
        return tf.stack([d_real, d_fake, adversarial, l1, spectral, envelope, diversity])

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


def in_pairs(candidates: tf.Tensor, given: tf.Tensor) -> tf.Tensor:
    """Windows (batch, window) and their counterparts as the discriminator takes them, (batch, window, 2).

    A window that is judged without a counterpart is its own.
    """
    return tf.transpose(tf.stack([candidates, given], 1), [0, 2, 1])  # tf.stack(..., 2) takes three times as long
