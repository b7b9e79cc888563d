#!/usr/bin/env perl
# Replaces every field (or those of -f) by what a map file gives for it: "<from> <to1> <to2> ..." per line.
use strict;
use warnings;
use File::Basename;
use Getopt::Long qw(:config no_ignore_case no_auto_abbrev require_order);
use lib dirname(__FILE__);
use TextTable qw(field_range);

my $usage = "Usage: apply_map.pl [--permissive] [-f <field-range>] <map> [<in>] > <out>\n"
  . "--permissive leaves a field that the map lacks as it is; otherwise it is an error.\n";
my ($permissive, $range, $help) = (0, undef, 0);
GetOptions('permissive' => \$permissive, 'f=s' => \$range, 'help' => \$help) or die $usage;
if ($help) { print $usage; exit 0; }
my $map_file = shift @ARGV // die $usage;

my $selected = field_range($range);
my %map;
open(my $in, '<', $map_file) or die "apply_map.pl: cannot open $map_file: $!\n";
while (<$in>) {
  my ($from, @to) = split;
  $map{$from} = join(' ', @to) if defined $from;
}
close($in);

while (<>) {
  my @fields = split;
  for my $n ($selected->(scalar @fields)) {
    my $from = $fields[$n];
    exists $map{$from} || $permissive or die "apply_map.pl: '$from' (line $.) is not in $map_file\n";
    $fields[$n] = $map{$from} // $from;
  }
  print join(' ', @fields), "\n";
}
