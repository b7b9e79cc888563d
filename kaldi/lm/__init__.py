"""Language models in ARPA form (Kaldi: lm/)."""
