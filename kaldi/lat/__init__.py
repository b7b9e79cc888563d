"""Lattices: operations, determinisation, word alignment, minimum Bayes risk (Kaldi: lat/)."""
