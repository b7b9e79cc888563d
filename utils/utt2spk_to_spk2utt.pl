#!/usr/bin/env perl
# Turns "<utterance> <speaker>" lines into "<speaker> <utterance1> <utterance2> ..." lines, speakers in order of appearance.
use strict;
use warnings;

my (@speakers, %utterances);
while (<>) {
  my ($utterance, $speaker, @rest) = split;
  defined $speaker && !@rest
    or die "utt2spk_to_spk2utt.pl: line $.: expected '<utterance> <speaker>', found: $_";
  push @speakers, $speaker unless exists $utterances{$speaker};
  push @{$utterances{$speaker}}, $utterance;
}
print join(' ', $_, @{$utterances{$_}}), "\n" for @speakers;
