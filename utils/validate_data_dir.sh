#!/usr/bin/env bash
# Checks a data directory; every problem is one line naming the file and the utterance. See validate_data_dir.pl.
exec "$(dirname "$0")/validate_data_dir.pl" "$@"
