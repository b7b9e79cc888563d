#!/usr/bin/env perl
# Writes the lexicon transducer L in OpenFst's text format: phones in, words out, a loop over the words.
#
# With a silence phone, it may follow every word and stand at the beginning, with probability --sil-prob:
# words enter from and return to state 1; those followed by silence return to state 2, from where silence leads to state 1.
use strict;
use warnings;
use Getopt::Long qw(:config no_ignore_case no_auto_abbrev require_order);

my $usage = "Usage: make_lexicon_fst.pl [--sil-prob P --sil-phone PHONE [--sil-disambig SYMBOL]] <lexiconp> > <L.txt>\n"
  . "Lines of the lexicon are '<word> <probability> <phone> ...'. --sil-disambig: the symbol that follows silence.\n";
my ($sil_prob, $sil_phone, $sil_disambig, $help) = (0, '', undef, 0);
GetOptions('sil-prob=f' => \$sil_prob, 'sil-phone=s' => \$sil_phone, 'sil-disambig=s' => \$sil_disambig,
  'help' => \$help) or die $usage;
if ($help) { print $usage; exit 0; }
@ARGV == 1 or die $usage;
$sil_prob >= 0 && $sil_prob < 1 or die "make_lexicon_fst.pl: --sil-prob must be in [0, 1), not $sil_prob\n";
$sil_prob == 0 || $sil_phone ne '' or die "make_lexicon_fst.pl: --sil-prob needs --sil-phone\n";

my ($start, $loop, $silence, $next_state) = (0, 0, undef, 1);
my @returns = ([$loop, 0]);    # where a word may end, at which cost
if ($sil_prob > 0) {
  ($loop, $silence, $next_state) = (1, 2, 3);
  @returns = ([$loop, -log(1 - $sil_prob)], [$silence, -log($sil_prob)]);
  arc($start, $_->[0], '<eps>', '<eps>', $_->[1]) for @returns;
  if (defined $sil_disambig) {
    my $after = $next_state++;
    arc($silence, $after, $sil_phone, '<eps>', 0);
    arc($after, $loop, $sil_disambig, '<eps>', 0);
  } else {
    arc($silence, $loop, $sil_phone, '<eps>', 0);
  }
}

my ($lexicon_name) = @ARGV;
open(my $lexicon, '<', $lexicon_name) or die "make_lexicon_fst.pl: cannot open $lexicon_name: $!\n";
while (<$lexicon>) {
  my ($word, $probability, @phones) = split;
  defined $probability && $probability =~ m/^[\d.eE+-]+$/ && $probability > 0
    or die "make_lexicon_fst.pl: $lexicon_name line $.: expected '<word> <probability> <phone> ...', found: $_";
  $word ne '<eps>' or die "make_lexicon_fst.pl: $lexicon_name line $.: <eps> cannot be a word\n";
  @phones = ('<eps>') unless @phones;
  my ($state, $output, $cost) = ($loop, $word, -log($probability));
  my $last_phone = pop @phones;
  for my $phone (@phones) {
    arc($state, $next_state, $phone, $output, $cost);
    ($state, $output, $cost) = ($next_state++, '<eps>', 0);
  }
  arc($state, $_->[0], $last_phone, $output, $cost + $_->[1]) for @returns;
}
print "$loop\t0\n";

sub arc {
  my ($from, $to, $input, $output, $cost) = @_;
  printf("%d\t%d\t%s\t%s\t%.9g\n", $from, $to, $input, $output, $cost || 0);
}
