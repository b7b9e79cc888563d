"""HMM topologies, transition models, alignments, posteriors and the H transducer (Kaldi: hmm/)."""
