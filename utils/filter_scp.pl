#!/usr/bin/env perl
# Keeps the lines whose key (first field, or the field of -f) is among the first fields of a list; --exclude keeps the others.
use strict;
use warnings;
use Getopt::Long qw(:config no_ignore_case no_auto_abbrev require_order);

my $usage = "Usage: filter_scp.pl [--exclude] [-f <key-field>] <id-list> [<in.scp>] > <out.scp>\n";
my ($exclude, $field, $help) = (0, 1, 0);
GetOptions('exclude' => \$exclude, 'f=i' => \$field, 'help' => \$help) or die $usage;
if ($help) { print $usage; exit 0; }
@ARGV == 1 || @ARGV == 2 or die $usage;
$field >= 1 or die "filter_scp.pl: -f counts fields from 1\n";

my $list = shift @ARGV;
my %wanted;
open(my $ids, '<', $list) or die "filter_scp.pl: cannot open $list: $!\n";
while (<$ids>) {
  my ($id) = split;
  $wanted{$id} = 1 if defined $id;
}
close($ids);

while (my $line = <>) {
  my $key = (split(' ', $line))[$field - 1];
  defined $key or die "filter_scp.pl: line $. has no field $field\n";
  print $line if exists $wanted{$key} xor $exclude;
}
