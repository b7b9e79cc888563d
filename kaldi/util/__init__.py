"""Streams, tables, options, symbol tables and edit distances (Kaldi: util/)."""
