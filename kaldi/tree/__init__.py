"""Decision trees of phones in context: statistics, questions, clustering, building (Kaldi: tree/)."""
