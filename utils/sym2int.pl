#!/usr/bin/env perl
# Replaces symbols by the integers of a symbol table, in all fields or in the range of -f (fields count from 1).
use strict;
use warnings;
use File::Basename;
use Getopt::Long qw(:config no_ignore_case no_auto_abbrev require_order);
use lib dirname(__FILE__);
use TextTable qw(read_symbol_table field_range);

my $usage = "Usage: sym2int.pl [--map-oov <symbol-or-integer>] [-f <field-range>] <symbol-table> [<text> ...] > <integers>\n"
  . "A field range is 3, 2- or 2-5. Without --map-oov a symbol outside the table is an error.\n";
my ($map_oov, $range, $help);
GetOptions('map-oov=s' => \$map_oov, 'f=s' => \$range, 'help' => \$help) or die $usage;
if ($help) { print $usage; exit 0; }
my $table = shift @ARGV // die $usage;

my $selected = field_range($range);
my %id = map { $_->[0] => $_->[1] } read_symbol_table($table);
if (defined $map_oov && $map_oov !~ m/^\d+$/) {
  $map_oov = $id{$map_oov} // die "sym2int.pl: --map-oov symbol '$map_oov' is not in $table\n";
}

my %replaced;
while (<>) {
  my @fields = split;
  for my $n ($selected->(scalar @fields)) {
    my $symbol = $fields[$n];
    if (!defined $id{$symbol}) {
      defined $map_oov or die "sym2int.pl: '$symbol' (line $., field " . ($n + 1) . ") is not in $table\n";
      $replaced{$symbol}++;
    }
    $fields[$n] = $id{$symbol} // $map_oov;
  }
  print join(' ', @fields), "\n";
}
if (%replaced) {
  my $count = 0;
  $count += $_ for values %replaced;
  my @words = sort keys %replaced;
  my $shown = join(' ', @words > 20 ? (@words[0 .. 19], '...') : @words);
  print STDERR "sym2int.pl: replaced $count tokens that are not in $table by $map_oov: $shown\n";
}
