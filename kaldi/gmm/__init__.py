"""Gaussian mixtures: models, statistics, updates, posteriors (Kaldi: gmm/)."""
