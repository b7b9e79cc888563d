package TextTable;
# What the text utilities share: symbol tables, field ranges, numbers, white space.
use strict;
use warnings;
use Exporter 'import';
our @EXPORT_OK = qw(read_symbol_table field_range is_number has_odd_space);

# Reads "<symbol> <integer>" lines; returns a list of [symbol, integer].
sub read_symbol_table {
  my ($name) = @_;
  open(my $file, '<', $name) or die "$0: cannot open symbol table $name: $!\n";
  my @pairs;
  while (<$file>) {
    my ($symbol, $number, @rest) = split;
    defined $number && !@rest && $number =~ m/^-?\d+$/ or die "$0: $name line $.: expected '<symbol> <integer>'\n";
    push @pairs, [$symbol, $number];
  }
  close($file);
  return @pairs;
}

# Turns "3", "2-", "-4" or "2-5" (fields count from 1; none: all fields) into a function from the number of fields
# of a line to the list of their indices (from 0).
sub field_range {
  my ($range) = @_;
  my ($first, $last) = (1, undef);
  if (defined $range) {
    $range =~ m/\d/ && $range =~ m/^(\d*)(?:([-:])(\d*))?$/ or die "$0: bad field range '$range' in -f\n";
    $first = $1 if $1 ne '';
    $last = !defined $2 ? $first : $3 ne '' ? $3 : undef;
    $first >= 1 or die "$0: bad field range '$range' in -f: fields count from 1\n";
  }
  return sub {
    my ($number_of_fields) = @_;
    my $end = defined $last && $last < $number_of_fields ? $last : $number_of_fields;
    return $first - 1 .. $end - 1;
  };
}

sub is_number {
  my ($value) = @_;
  return $value =~ m/^[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$/;
}

# Is there Unicode white space that the programs take for a part of a word? Text that is not UTF-8 is bytes.
sub has_odd_space {
  my ($characters) = @_;
  return utf8::decode($characters) && $characters =~ m/[^\S \t\r\n]/;
}

1;
