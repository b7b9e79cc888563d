#!/usr/bin/env perl
# Writes the HMM topology: left-to-right for speech; for silence the states between the first and the last are fully
# connected, so that it models noises of many kinds, and the last must be passed.
use strict;
use warnings;

my $usage = "Usage: gen_topo.pl <num-nonsil-states> <num-sil-states> <nonsilence-phones> <silence-phones>\n"
  . "Phones are colon-separated integers.\n";
if (@ARGV == 1 && $ARGV[0] eq '--help') { print $usage; exit 0; }
@ARGV == 4 or die $usage;
my ($speech_states, $silence_states, $speech_phones, $silence_phones) = @ARGV;
for my $phones ($speech_phones, $silence_phones) {
  $phones =~ m/^\d+(:\d+)*$/ or die "gen_topo.pl: '$phones' is not a list of colon-separated integers\n";
}
$speech_states =~ m/^[1-9]\d*$/ && $speech_states <= 100 or die "gen_topo.pl: bad number of states '$speech_states'\n";
$silence_states =~ m/^[1-9]\d*$/ && $silence_states <= 100 && $silence_states != 2
  or die "gen_topo.pl: bad number of silence states '$silence_states' (1, or 3 and more)\n";

print "<Topology>\n";
entry($speech_phones, map { [[$_, 0.75], [$_ + 1, 0.25]] } 0 .. $speech_states - 1);
if ($silence_states == 1) {
  entry($silence_phones, [[0, 0.75], [1, 0.25]]);
} else {
  my $last = $silence_states - 1;
  my $each = 1 / $last;
  my $first_row = [map { [$_, $each] } 0 .. $last - 1];
  my $middle_row = [map { [$_, $each] } 1 .. $last];
  entry($silence_phones, $first_row, ($middle_row) x ($silence_states - 2), [[$last, 0.75], [$last + 1, 0.25]]);
}
print "</Topology>\n";

# Each row lists a state's transitions as [destination, probability]; a final state without any follows.
sub entry {
  my ($phones, @rows) = @_;
  print "<TopologyEntry>\n<ForPhones>\n", $phones =~ tr/:/ /r, "\n</ForPhones>\n";
  for my $state (0 .. $#rows) {
    my $transitions = join(' ', map { "<Transition> $_->[0] $_->[1]" } @{$rows[$state]});
    print "<State> $state <PdfClass> $state $transitions </State>\n";
  }
  print "<State> " . @rows . " </State>\n</TopologyEntry>\n";
}
