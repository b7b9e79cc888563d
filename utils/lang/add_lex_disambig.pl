#!/usr/bin/env perl
# Adds disambiguation symbols #1, #2, ... to a lexicon so that every pronunciation is unique and none is a prefix of
# another; prints the number of the highest symbol used (Mohri, Pereira, Riley 2002).
use strict;
use warnings;
use Getopt::Long qw(:config no_ignore_case no_auto_abbrev require_order);
use File::Basename;
use lib dirname(__FILE__) . '/..';
use TextTable qw(is_number);

my $usage = "Usage: add_lex_disambig.pl [--pron-probs [--sil-probs]] [--first-allowed-disambig N] <lexicon> <lexicon-out>\n"
  . "Lines are '<word> [<probability> [<number> <number> <number>]] <phone> ...'; --pron-probs: the probability is there,\n"
  . "--sil-probs: and the three numbers of silence around the word.\n";
my ($pron_probs, $sil_probs, $first_allowed, $help) = (0, 0, 1, 0);
GetOptions('pron-probs' => \$pron_probs, 'sil-probs' => \$sil_probs, 'first-allowed-disambig=i' => \$first_allowed,
  'help' => \$help) or die $usage;
if ($help) { print $usage; exit 0; }
@ARGV == 2 && $first_allowed >= 1 && ($pron_probs || !$sil_probs) or die $usage;
my $length_of_head = 1 + $pron_probs + 3 * $sil_probs;
my ($in_name, $out_name) = @ARGV;

my (@entries, %times, %is_prefix);
open(my $in, '<', $in_name) or die "add_lex_disambig.pl: cannot open $in_name: $!\n";
while (<$in>) {
  my @fields = split;
  my @head = splice(@fields, 0, $length_of_head);
  @head == $length_of_head && (!$pron_probs || (is_number($head[1]) && $head[1] > 0 && $head[1] <= 1))
    or die "add_lex_disambig.pl: $in_name line $.: expected '<word>" . ($pron_probs ? ' <probability in (0, 1]>' : '')
    . ($sil_probs ? ' <number> <number> <number>' : '') . " <phone> ...', found: $_";
  push @entries, [join("\t", @head), join(' ', @fields)];
  $times{join(' ', @fields)}++;
  while (@fields) {
    pop @fields;
    $is_prefix{join(' ', @fields)} = 1;
  }
}
close($in);

# Words without phones each get a symbol that no other pronunciation uses, since nothing else tells them apart.
my $highest = $first_allowed - 1;
my (%last_used, %reserved);
open(my $out, '>', $out_name) or die "add_lex_disambig.pl: cannot write $out_name: $!\n";
for my $entry (@entries) {
  my ($head, $phones) = @$entry;
  if ($phones eq '') {
    $reserved{++$highest} = 1;
    $phones = "#$highest";
  } elsif ($is_prefix{$phones} || $times{$phones} > 1) {
    my $symbol = ($last_used{$phones} // $first_allowed - 1) + 1;
    $symbol++ while $reserved{$symbol};
    $last_used{$phones} = $symbol;
    $highest = $symbol if $symbol > $highest;
    $phones .= " #$symbol";
  }
  print $out "$head\t$phones\n";
}
close($out) or die "add_lex_disambig.pl: cannot write $out_name: $!\n";
print "$highest\n";
