"""The Li-GRU acoustic model: features and alignments in Kaldi's formats in, scaled log-likelihoods out."""
