"""Cepstral mean normalisation, LDA, MLLT and fMLLR (Kaldi: transform/)."""
