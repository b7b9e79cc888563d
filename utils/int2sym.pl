#!/usr/bin/env perl
# Replaces integers by the symbols of a symbol table, in all fields or in the range of -f (fields count from 1).
use strict;
use warnings;
use File::Basename;
use Getopt::Long qw(:config no_ignore_case no_auto_abbrev require_order);
use lib dirname(__FILE__);
use TextTable qw(read_symbol_table field_range);

my $usage = "Usage: int2sym.pl [-f <field-range>] <symbol-table> [<integers> ...] > <text>\n"
  . "A field range is 3, 2- or 2-5.\n";
my ($range, $help);
GetOptions('f=s' => \$range, 'help' => \$help) or die $usage;
if ($help) { print $usage; exit 0; }
my $table = shift @ARGV // die $usage;

my $selected = field_range($range);
my %symbol = map { $_->[1] => $_->[0] } read_symbol_table($table);
while (<>) {
  my @fields = split;
  for my $n ($selected->(scalar @fields)) {
    $fields[$n] = $symbol{$fields[$n]}
      // die "int2sym.pl: integer '$fields[$n]' (line $., field " . ($n + 1) . ") is not in $table\n";
  }
  print join(' ', @fields), "\n";
}
