#!/usr/bin/env perl
# Splits a table into consecutive parts of nearly equal size; with --utt2spk no speaker is cut in two.
use strict;
use warnings;
use Getopt::Long qw(:config no_ignore_case no_auto_abbrev require_order);

my $usage = "Usage: split_scp.pl [--utt2spk=<utt2spk>] <in.scp> <out1.scp> <out2.scp> ...\n";
my ($utt2spk, $help);
GetOptions('utt2spk=s' => \$utt2spk, 'help' => \$help) or die $usage;
if ($help) { print $usage; exit 0; }
my ($in, @out) = @ARGV;
@out >= 1 or die $usage;

open(my $table, '<', $in) or die "split_scp.pl: cannot open $in: $!\n";
my @lines = <$table>;
close($table);

# The units that stay together: lines, or all consecutive lines of a speaker.
my @units = map { [$_] } @lines;
@units = group_by_speaker(\@lines, $utt2spk) if defined $utt2spk;
@units >= @out
  or die "split_scp.pl: $in has " . @units . (defined $utt2spk ? " speakers" : " lines")
  . ", too few for " . @out . " parts (use a smaller --nj)\n";

# Part n ends where n/N of the lines are reached, but every part gets a unit and leaves one for each part after it.
my ($used, $next) = (0, 0);
for my $part (1 .. @out) {
  my $goal = @lines * $part / @out;
  my $last_unit = @units - (@out - $part);
  open(my $file, '>', $out[$part - 1]) or die "split_scp.pl: cannot write $out[$part - 1]: $!\n";
  my $count = 0;
  while ($next < $last_unit) {
    my $size = @{$units[$next]};
    last if $count > 0 && $used + $size / 2 > $goal && $part < @out;
    print $file @{$units[$next++]};
    $used += $size;
    $count++;
  }
  close($file) or die "split_scp.pl: cannot write $out[$part - 1]: $!\n";
}

sub group_by_speaker {
  my ($lines, $utt2spk_file) = @_;
  my %speaker_of;
  open(my $file, '<', $utt2spk_file) or die "split_scp.pl: cannot open $utt2spk_file: $!\n";
  while (<$file>) {
    my ($utterance, $speaker) = split;
    defined $speaker or die "split_scp.pl: $utt2spk_file line $.: expected '<utterance> <speaker>'\n";
    $speaker_of{$utterance} = $speaker;
  }
  close($file);
  my (@speakers, %group);
  for my $line (@$lines) {
    my ($utterance) = split(' ', $line);
    my $speaker = $speaker_of{$utterance} // die "split_scp.pl: utterance $utterance of $in is not in $utt2spk_file\n";
    push @speakers, $speaker unless exists $group{$speaker};
    push @{$group{$speaker}}, $line;
  }
  return map { $group{$_} } @speakers;
}
