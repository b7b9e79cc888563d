#!/usr/bin/env perl
# Replaces the words of an ARPA language model by the integers of a symbol table, or the integers by the words. N-grams
# with a word that the table lacks are left out, and the counts in the header are those of what remains.
use strict;
use warnings;
use File::Basename;
use Getopt::Long qw(:config no_ignore_case no_auto_abbrev);
use lib dirname(__FILE__);
use TextTable qw(read_symbol_table);

my $usage = "Usage: map_arpa_lm.pl [--sym2int=true|false] <symbol-table> < <arpa-in> > <arpa-out>\n";
my ($sym2int, $help) = ('true');
GetOptions('sym2int=s' => \$sym2int, 'help' => \$help) or die $usage;
if ($help) { print $usage; exit 0; }
die $usage if @ARGV != 1 || $sym2int !~ /^(true|false)$/;

my %symbol = map { $sym2int eq 'true' ? @$_ : reverse @$_ } read_symbol_table($ARGV[0]);
my ($order, $ended, $left_out) = (0, 0, 0);
my @ngrams;    # of each order, the lines of the n-grams that remain
while (<STDIN>) {
  my @fields = split;
  next if !@fields;
  if ($fields[0] =~ /^\\(\d+)-grams:$/) { $order = $1; $ngrams[$order] = []; }
  elsif ($fields[0] eq '\end\\') { $ended = 1; last; }
  elsif ($order) {
    die "map_arpa_lm.pl: line $. is no $order-gram: $_" if @fields != $order + 1 && @fields != $order + 2;
    my @mapped = map { $symbol{$_} // () } @fields[1 .. $order];
    if (@mapped < $order) { $left_out++; next; }
    my $backoff = @fields > $order + 1 ? " $fields[-1]" : '';
    push @{$ngrams[$order]}, "$fields[0]\t@mapped$backoff\n";
  }
}
die "map_arpa_lm.pl: the ARPA file ends without \\end\\ (truncated, or not an ARPA file)\n" if !$ended;
die "map_arpa_lm.pl: no word of the model is in $ARGV[0] (another language, or upper case against lower case?)\n"
  if !@{$ngrams[1] // []};

print "\\data\\\n", map { "ngram $_=" . @{$ngrams[$_]} . "\n" } 1 .. $#ngrams;
for my $n (1 .. $#ngrams) { print "\\$n-grams:\n", @{$ngrams[$n]}, "\n"; }
print "\\end\\\n";
print STDERR "map_arpa_lm.pl: $left_out n-grams with words that are not in $ARGV[0] are left out\n" if $left_out;
