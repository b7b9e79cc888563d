#!/usr/bin/env perl
# Checks a dictionary directory: phone lists, lexicon.txt and/or lexiconp.txt, lexiconp_silprob.txt with silprob.txt,
# extra_questions.txt.
# Every problem is one line naming the file; exits with 1 if there is any.
use strict;
use warnings;
use File::Basename;
use lib dirname(__FILE__);
use TextTable qw(is_number has_odd_space);

my $usage = "Usage: utils/validate_dict_dir.pl <dict-dir>\n";
@ARGV == 1 or die $usage;
if ($ARGV[0] eq '--help') { print $usage; exit 0; }
my $dict = $ARGV[0] =~ s:/$::r;
-d $dict or die "validate_dict_dir.pl: no such directory: $dict\n";
my $problems = 0;

my %kind;    # phone => list that has it
for my $list ('silence_phones.txt', 'nonsilence_phones.txt') {
  for my $line (lines_of($list, 1)) {
    for my $phone (split(' ', $line->{text})) {
      if (exists $kind{$phone}) { problem($list, $line, "phone '$phone' is there twice, first in $kind{$phone}"); }
      if ($phone eq '<eps>' || $phone =~ m/^#\d*$/ || $phone =~ m/_[BEIS]$/) {
        problem($list, $line, "'$phone' cannot be a phone (<eps>, #0, #1, ... and the endings _B _E _I _S are reserved)");
      }
      $kind{$phone} = $list;
    }
  }
}

my @optional = map { split(' ', $_->{text}) } lines_of('optional_silence.txt', 1);
if (@optional != 1) {
  problem('optional_silence.txt', undef, "must hold exactly one phone, has " . @optional);
} elsif (($kind{$optional[0]} // '') ne 'silence_phones.txt') {
  problem('optional_silence.txt', undef, "'$optional[0]' is not in silence_phones.txt");
}

# The numbers between word and phones: probabilities, then factors.
my %numbers_of = ('lexicon.txt' => [], 'lexiconp.txt' => ['probability'],
  'lexiconp_silprob.txt' => ['probability', 'probability of silence', ('factor') x 2]);
my @lexicons = grep { -e "$dict/$_" } sort keys %numbers_of;
problem('lexicon.txt', undef, 'is missing, and so is lexiconp.txt') unless grep { $_ ne 'lexiconp_silprob.txt' } @lexicons;
my %entries;
for my $lexicon (@lexicons) {
  for my $line (lines_of($lexicon, 1)) {
    my ($word, @phones) = split(' ', $line->{text});
    for my $kind (@{$numbers_of{$lexicon}}) {
      check_number($lexicon, $line, "word '$word'", $kind, shift @phones // '');
    }
    problem($lexicon, $line, "word '$word' has no phones") unless @phones;
    problem($lexicon, $line, "'$word' cannot be a word") if $word =~ m/^(?:<eps>|<s>|<\/s>|#\d+)$/;
    for my $phone (grep { !exists $kind{$_} } @phones) {
      problem($lexicon, $line, "phone '$phone' of word '$word' is in none of the phone lists");
    }
    my $entry = join(' ', $word, @phones);
    problem($lexicon, $line, "'$entry' is there twice") if $entries{$lexicon}{$entry}++;
  }
}
for my $n (1 .. $#lexicons) {
  my ($first, $second) = @lexicons[$n - 1, $n];
  for my $entry (sort keys %{{%{$entries{$first}}, %{$entries{$second}}}}) {
    next if $entries{$first}{$entry} && $entries{$second}{$entry};
    problem($second, undef, "and $first differ in '$entry' (remove the older one)");
    last;
  }
}

# The beginning and the end of an utterance: a probability of silence, factors after silence and without.
my %kind_of = ('<s>' => 'probability', '</s>_s' => 'factor', '</s>_n' => 'factor', 'overall' => 'probability');
my $has_silprobs = -e "$dict/lexiconp_silprob.txt";
problem('lexiconp_silprob.txt', undef, 'is missing, but silprob.txt is there') if !$has_silprobs && -e "$dict/silprob.txt";
for my $line (lines_of('silprob.txt', $has_silprobs)) {
  my ($name, $value, @rest) = split(' ', $line->{text});
  my $kind = delete $kind_of{$name};
  if (!$kind || @rest) { problem('silprob.txt', $line, "expected one line each for <s>, </s>_s, </s>_n and overall"); }
  else { check_number('silprob.txt', $line, $name, $kind, $value // ''); }
}
problem('silprob.txt', undef, "has no line for $_") for -s "$dict/silprob.txt" ? sort keys %kind_of : ();

for my $line (lines_of('extra_questions.txt', 0)) {
  for my $phone (grep { !exists $kind{$_} } split(' ', $line->{text})) {
    problem('extra_questions.txt', $line, "phone '$phone' is in none of the phone lists");
  }
}

exit 1 if $problems;
my $words = keys %{$entries{$lexicons[0]}};
print "validate_dict_dir.pl: $dict is fine: $words pronunciations, " . keys(%kind) . " phones\n";

sub problem {
  my ($file, $line, $message) = @_;
  my $place = defined $line ? " line $line->{number}:" : '';
  print STDERR "validate_dict_dir.pl: $dict/$file$place $message\n";
  $problems++;
}

# A probability is above 0 and at most 1, a factor is above 0.
sub check_number {
  my ($file, $line, $whose, $kind, $value) = @_;
  return if is_number($value) && $value > 0 && ($kind eq 'factor' || $value <= 1);
  problem($file, $line, "$whose needs a $kind " . ($kind eq 'factor' ? 'above 0' : 'in (0, 1]') . ", not '$value'");
}

# The lines of a file that is not empty, as {number, text}.
sub lines_of {
  my ($name, $required) = @_;
  if (!-e "$dict/$name" || ($required && !-s "$dict/$name")) {
    problem($name, undef, -e "$dict/$name" ? 'is empty' : 'is missing') if $required;
    return ();
  }
  open(my $file, '<', "$dict/$name") or die "validate_dict_dir.pl: cannot open $dict/$name: $!\n";
  my @lines;
  while (my $text = <$file>) {
    my $is_whole = chomp $text;
    my $line = {number => $., text => $text};
    problem($name, $line, 'does not end with a newline') unless $is_whole;
    if ($text !~ m/\S/) { problem($name, $line, 'is empty') if $required; next; }
    problem($name, $line, 'has a carriage return (convert the file to Unix line ends)') if $text =~ m/\r/;
    problem($name, $line, 'has white space other than blanks and tabs, such as no-break spaces (make them blanks)')
      if has_odd_space($text);
    push @lines, $line;
  }
  close($file);
  return @lines;
}
