"""Lattice-free MMI: phone language model, denominator graph, supervision (Kaldi: chain/)."""
