#!/usr/bin/env perl
# Divides tables among the parts of a split, each of them in one pass: <dir>/<part>/<table> gets the lines whose key (first field)
# is of that part, in their order. A key may be of several parts.
use strict;
use warnings;
use File::Basename;

my $usage = "Usage: split_tables.pl <lines '<key> <part>'> <number-of-parts> <dir> <table> ...\n";
if (@ARGV && $ARGV[0] eq '--help') { print $usage; exit 0; }
@ARGV >= 4 && $ARGV[1] =~ m/^[1-9]\d*$/ or die $usage;
my ($list, $parts, $dir, @tables) = @ARGV;

my %parts_of;
open(my $keys, '<', $list) or die "split_tables.pl: cannot open $list: $!\n";
while (<$keys>) {
  my ($key, $part) = split;
  $parts_of{$key} = exists $parts_of{$key} ? "$parts_of{$key} $part" : $part;
}
close($keys);

for my $table (@tables) {
  my @lines_of = map { '' } 0 .. $parts;
  open(my $in, '<', $table) or die "split_tables.pl: cannot open $table: $!\n";
  while (my $line = <$in>) {
    my ($key) = split(' ', $line, 2);
    defined $key or die "split_tables.pl: $table line $. is empty\n";
    my $of = $parts_of{$key} // next;
    $lines_of[$_] .= $line for split(' ', $of);
  }
  close($in);
  for my $part (1 .. $parts) {
    my $name = "$dir/$part/" . basename($table);
    open(my $out, '>', $name) or die "split_tables.pl: cannot write $name: $!\n";
    print $out $lines_of[$part];
    close($out) or die "split_tables.pl: cannot write $name: $!\n";
  }
}
