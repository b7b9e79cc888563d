#!/usr/bin/env perl
# Checks a lang directory: symbol tables, phone lists in text and integers, topology, lexicon transducers.
# Every problem is one line naming the file; exits with 1 if there is any.
use strict;
use warnings;
use Getopt::Long qw(:config no_ignore_case no_auto_abbrev require_order);

my $usage = "Usage: utils/validate_lang.pl [--skip-determinization-check] <lang-dir>\n"
  . "The skipped check determinises L_disambig.fst, which takes a while for a large lexicon.\n";
my ($skip_determinization, $help);
GetOptions('skip-determinization-check' => \$skip_determinization, 'help' => \$help) or die $usage;
if ($help) { print $usage; exit 0; }
@ARGV == 1 or die $usage;
my $lang = $ARGV[0] =~ s:/$::r;
-d $lang or die "validate_lang.pl: no such directory: $lang\n";
my $problems = 0;

my %phone_id = symbol_table('phones.txt');
my %word_id = symbol_table('words.txt');
for my $word ('#0', '<s>', '</s>') {
  problem('words.txt', "lacks $word") if %word_id && !exists $word_id{$word};
}

# Every list of phones exists as symbols, as integers and, some, as a colon-separated list.
my %phones_of;
for my $list ('silence', 'nonsilence', 'optional_silence', 'context_indep', 'disambig', 'sets', 'extra_questions') {
  $phones_of{$list} = [map { split } check_integers("phones/$list", \%phone_id)];
  next if $list eq 'sets' || $list eq 'extra_questions';
  my $csl = join('', lines_of("phones/$list.csl"));
  problem("phones/$list.csl", "differs from phones/$list.int") if $csl ne join(':', lines_of("phones/$list.int"));
}
check_integers('phones/roots', \%phone_id, 2);
check_integers('oov', \%word_id);
problem('oov.txt', 'must hold exactly one word') unless lines_of('oov.txt') == 1;
problem('phones/optional_silence.txt', 'must hold exactly one phone') unless @{$phones_of{optional_silence}} == 1;

# Real phones are silence or not, never both; the others in phones.txt are <eps> and disambiguation symbols.
my %kinds;
$kinds{$_}{silence} = 1 for @{$phones_of{silence}};
$kinds{$_}{nonsilence} = 1 for @{$phones_of{nonsilence}};
for my $phone (sort keys %phone_id) {
  next if $phone eq '<eps>' || $phone =~ m/^#/;
  my $count = keys %{$kinds{$phone} // {}};
  problem('phones.txt', "phone $phone is in neither phones/silence.txt nor phones/nonsilence.txt") if $count == 0;
  problem('phones.txt', "phone $phone is in both phones/silence.txt and phones/nonsilence.txt") if $count == 2;
}
my %listed = map { $_ => 1 } @{$phones_of{disambig}};
for my $symbol (grep { m/^#/ && !$listed{$_} } sort keys %phone_id) {
  problem('phones/disambig.txt', "lacks $symbol of phones.txt");
}
for my $name ('sets', 'context_indep') {
  my %seen;
  for my $phone (@{$phones_of{$name}}) {
    problem("phones/$name.txt", "has $phone twice") if $seen{$phone}++;
    problem("phones/$name.txt", "has $phone, which is no phone") unless $kinds{$phone};
  }
  next if $name ne 'sets';
  problem("phones/sets.txt", "lacks phone $_") for grep { !$seen{$_} } sort keys %kinds;
}

if (-e "$lang/phones/word_boundary.txt") {
  my %boundary = map { (split)[0, 1] } lines_of('phones/word_boundary.txt');
  problem('phones/word_boundary.txt', "lacks phone $_") for grep { !exists $boundary{$_} } sort keys %kinds;
  for my $phone (sort keys %boundary) {
    my $kind = $boundary{$phone} // '';
    problem('phones/word_boundary.txt', "phone $phone has the unknown kind '$kind'")
      unless $kind =~ m/^(?:nonword|begin|end|internal|singleton)$/;
  }
}

check_topology();
for my $fst ('L.fst', 'L_disambig.fst') {
  problem($fst, -e "$lang/$fst" ? 'is empty' : 'is missing') unless -s "$lang/$fst";
}
if (!$problems && !$skip_determinization) {
  my $status = system("fstdeterminizestar --use-log=true $lang/L_disambig.fst /dev/null 2>/dev/null");
  problem('L_disambig.fst', 'cannot be determinised: pronunciations are not unique') if $status != 0;
}

exit 1 if $problems;
print "validate_lang.pl: $lang is fine: " . keys(%word_id) . " word symbols, " . keys(%kinds) . " phones\n";

sub problem {
  my ($file, $message) = @_;
  print STDERR "validate_lang.pl: $lang/$file $message\n";
  $problems++;
}

sub lines_of {
  my ($name) = @_;
  open(my $file, '<', "$lang/$name") or do { problem($name, 'is missing'); return () };
  chomp(my @lines = <$file>);
  close($file);
  return @lines;
}

# Reads a symbol table; symbols and integers must be unique, <eps> must be 0.
sub symbol_table {
  my ($name) = @_;
  my (%id, %symbol);
  for my $line (lines_of($name)) {
    my ($text, $number, @rest) = split(' ', $line);
    if (!defined $number || @rest || $number !~ m/^\d+$/) {
      problem($name, "has the line '$line', expected '<symbol> <integer>'");
      next;
    }
    problem($name, "has symbol $text twice") if exists $id{$text};
    problem($name, "has integer $number twice") if exists $symbol{$number};
    $id{$text} = $number;
    $symbol{$number} = $text;
  }
  problem($name, 'must give <eps> the integer 0') if %id && ($id{'<eps>'} // -1) != 0;
  return %id;
}

# Compares NAME.txt with NAME.int; the first $skip fields are equal in both. Returns the lines of NAME.txt.
sub check_integers {
  my ($name, $ids, $skip) = @_;
  my @text = lines_of("$name.txt");
  my @expected;
  for my $line (@text) {
    my @fields = split(' ', $line);
    my @head = splice(@fields, 0, $skip // 0);
    for my $symbol (grep { !exists $ids->{$_} } @fields) {
      problem("$name.txt", "has '$symbol', which is in no symbol table");
    }
    push @expected, join(' ', @head, map { $ids->{$_} // '?' } @fields);
  }
  my @integers = map { join(' ', split) } lines_of("$name.int");
  problem("$name.int", "differs from $name.txt") if join("\n", @integers) ne join("\n", @expected);
  return @text;
}

# The topology must cover every phone exactly once.
sub check_topology {
  my $text = join(' ', lines_of('topo'));
  my %covered;
  while ($text =~ m/<ForPhones>\s*([\d\s]*?)\s*<\/ForPhones>/g) {
    $covered{$_}++ for split(' ', $1);
  }
  for my $phone (sort keys %kinds) {
    my $times = delete $covered{$phone_id{$phone} // ''} // 0;
    problem('topo', "covers phone $phone $times times") if $times != 1;
  }
  problem('topo', "covers integer $_, which is no phone") for sort keys %covered;
}
