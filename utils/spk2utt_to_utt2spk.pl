#!/usr/bin/env perl
# Turns "<speaker> <utterance1> <utterance2> ..." lines into "<utterance> <speaker>" lines.
use strict;
use warnings;

while (<>) {
  my ($speaker, @utterances) = split;
  @utterances or die "spk2utt_to_utt2spk.pl: line $.: expected '<speaker> <utterance> ...', found: $_";
  print "$_ $speaker\n" for @utterances;
}
