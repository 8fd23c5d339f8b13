#!/usr/bin/perl

# The rules engine and a second implementation of it, in JavaScript, written
# from docs/rules.md: every vector gives the same in both, every trace that one
# makes recomputes to itself in the other, several rules on one event too.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use IPC::Run qw(run);
use JSON::XS;
use Test::More;

my $ROOT = abs_path(dirname(__FILE__) . '/..');
my $TOOL = "$ROOT/bin/loyalty";
my $DIR = tempdir(CLEANUP => 1);
my $json = JSON::XS->new->canonical->utf8->allow_nonref;

plan skip_all => 'node is not installed: run dev/deps'
    if system("node --version >/dev/null 2>&1") != 0;
plan tests => 16;

my @cookbook = (@{ vectors('cookbook') }, @{ vectors('lines') });
my @strict = @{ vectors('strict') };
my @faults = @{ vectors('faults') };
my @edges = @{ vectors('edges') };

# -- rules with their cases
my @cases;
for my $rule (@cookbook) {
    my $n = 0;
    push @cases, map { { %$_, rule => $rule->{rule}, name => "$rule->{name}, case " . ++$n } }
        @{ $rule->{cases} };
}
push @cases, map { { %$_, name => $json->encode($_->{rule}) } } @strict;
push @cases, grep { exists $_->{rule} } @edges;

my @lines = map { line($_) } @cases;
my @here = loyalty(@lines);
my @there = second(eval => @lines);

is(scalar @here, scalar @cases, 'the engine answers every vector');
is(differences(\@here, \@there), 0, 'both give the same results and traces');
is(scalar(grep { !expected($cases[$_], $json->decode($here[$_])) } 0 .. $#cases), 0,
   'which are those of the vectors');

# -- traces of the vectors, each verified by the other
my @traced = grep { $_->{trace} } map {
    my $r = $json->decode($there[$_])->{result};
    { rule => $cases[$_]{rule}, trace => ref $r eq 'HASH' ? $r->{trace} : undef,
      raw => $there[$_] =~ /"trace":(\{.*\})\}\}$/ ? $1 : undef };
} 0 .. $#cases;
cmp_ok(scalar @traced, '>=', 50, 'the vectors leave traces');
my @answers = second(verify => map { '{"rule":' . $json->encode($_->{rule}) . ",\"trace\":$_->{raw}}" } @traced);
is(scalar(grep { $_ ne 'true' } @answers), 0, 'which the second implementation recomputes');
is(engine_verifies(@traced), 0, 'and the engine');

# -- traces as the vectors have them, which the C units hold the engine to
my @exact = @{ vectors('traces') };
my @written = map { $json->decode($_) } second(several => map { $json->encode($_) } @exact);
is_deeply([map { [map { $_->{trace} } @$_] } @written], [map { $_->{traces} } @exact],
          'the second implementation writes the traces of the vectors');

# -- faulty documents
my @named = map { $json->decode($_) } second(check => map { line($_) } @faults);
my @wrong = grep { faults_of($faults[$_]{faults}) ne faults_of($named[$_]) } 0 .. $#faults;
is(scalar @wrong, 0, 'faulty documents have the faults that the vectors name')
    or diag map { faults_of($named[$_]) . "\n" } @wrong;

# -- the normal form
my @documents = grep { ref $_ eq 'HASH' && $_->{trigger} } map { $_->{rule} } @cookbook;
my @normal = second(fmt => map { line({ rule => $_ }) } @documents);
is(scalar(grep { fmt($documents[$_]) ne $normal[$_] } 0 .. $#documents), 0,
   'both have the same normal form');

# -- several rules: their traces say what the others did to them
my @several = (several(), grep { exists $_->{rules} } @edges);
my @made = map { $json->decode($_) } second(several => map { $json->encode($_) } @several);
my @parts = map {
    my $i = $_;
    map { { rule => $several[$i]{rules}[$_], raw => $made[$i][$_]{trace} } } 0 .. $#{ $made[$i] };
} 0 .. $#several;
is_deeply([map { [map { "$_->{outcome} $_->{points}" } @$_] } @made],
          [map { $_->{expected} } @several], 'stacking, caps and multipliers of several rules');
is(engine_verifies(@parts), 0, 'whose traces the engine recomputes');
my @whole = map { line($_) } @several;
is_deeply([loyalty(@whole)], [second(eval => @whole)], 'the engine gives the same for them');

# -- random lines with their answers, which t/unit/rule_model.c gives the engine
open my $lines, '<', "$ROOT/t/vectors/rules/model.jsonl" or die "model.jsonl: $!\n";
my (@random, @wanted);
while (my $line = <$lines>) {
    chomp $line;
    push @random, $line;
    chomp($line = <$lines>);
    push @wanted, $line;
}
close $lines;
my @got = second(eval => @random);
is(scalar(grep { $got[$_] ne $wanted[$_] } 0 .. $#wanted), 0, 'random lines still have their answers');

# -- catalogues: a digest is what any implementation of the language must find
my $catalogues = vectors('catalogues');
my @asked = map { $json->encode({ rules => [{ trigger => { event => 'x' },
    effects => [{ type => 'fixed', wallet => 'p', points => 1 }] }],
    data => { event => { type => 'x' } }, $_->{catalogue} ? (catalogue => $_->{catalogue}) : () }) }
    @$catalogues;
for my $by (\&loyalty, sub { second(eval => @_) }) {
    is_deeply([map { $json->decode($_)->{result}[0]{trace}{catalogue} } $by->(@asked)],
              [map { $_->{digest} } @$catalogues], 'digests of catalogues');
}
my ($page) = map { local (@ARGV, $/) = $_; <> } "$ROOT/docs/rules.md";
like($page, qr/\Q$catalogues->[0]{digest}/, 'the default one stands in the description');


sub vectors {
    my ($name) = @_;
    open my $fh, '<', "$ROOT/t/vectors/rules/$name.json" or die "$name: $!\n";
    local $/;
    return $json->decode(<$fh>);
}

sub line {
    my ($case) = @_;
    my %line = map { exists $case->{$_} ? ($_ => $case->{$_}) : () } qw(rule rules data catalogue);
    return $json->encode(\%line);
}

sub loyalty { return answers([$TOOL, 'rules', 'eval'], @_) }

sub second { my ($mode, @in) = @_; return answers(['node', "$ROOT/t/rules/run.mjs", $mode], @in) }

sub answers {
    my ($cmd, @in) = @_;
    my $text = join '', map { "$_\n" } @in;
    my ($out, $err);
    run($cmd, '<', \$text, '>', \$out, '2>', \$err) or die "@$cmd: $err\n";
    return split /\n/, $out;
}

sub differences {
    my ($x, $y) = @_;
    my @differ = grep { $x->[$_] ne ($y->[$_] // '') } 0 .. $#$x;
    for my $i (grep { defined } (@differ)[0 .. 4]) {
        diag "$cases[$i]{name}\nengine: $x->[$i]\nsecond: " . ($y->[$i] // 'nothing');
    }
    return scalar @differ;
}

# what a vector says of a result
sub expected {
    my ($case, $got) = @_;
    my $good = exists $case->{error} ? ($got->{error}{code} // '') eq $case->{error}
        : exists $case->{result} ? $json->encode($got->{result}) eq $json->encode($case->{result})
        : ref $got->{result} eq 'HASH' && $got->{result}{outcome} eq $case->{outcome}
            && $got->{result}{points} == $case->{points}
            && (!exists $case->{reason} || $got->{result}{reason} eq $case->{reason})
            && (!exists $case->{shares} || $json->encode($case->{shares})
                eq $json->encode([map { $_->{shares} } @{ $got->{result}{trace}{effects} }]))
            && (!exists $case->{clipped_by} || $json->encode($case->{clipped_by})
                eq $json->encode([map { $_->{clipped_by} } @{ $got->{result}{trace}{effects} }])
                || grep { ($_->{clipped_by} // '') eq $case->{clipped_by} }
                    @{ $got->{result}{trace}{effects} });
    diag "$case->{name}: " . $json->encode($got) if !$good;
    return $good;
}

sub faults_of { return join ', ', sort map { "$_->{pointer} $_->{code}" } @{ $_[0] } }

sub fmt {
    my ($rule) = @_;
    put("$DIR/rule.json", $json->encode($rule));
    my ($out, $err);
    run([$TOOL, 'rules', 'fmt', "$DIR/rule.json"], '>', \$out, '2>', \$err) or return $err;
    chomp $out;
    return $out;
}

# how many of the traces the engine does not recompute: one call for each rule
sub engine_verifies {
    my (@list) = @_;
    my %of;
    my $n = 0;
    for my $t (@list) {
        my $file = "$DIR/trace." . $n++;
        put($file, $t->{raw});
        push @{ $of{ $json->encode($t->{rule}) } }, $file;
    }
    my $bad = 0;
    for my $rule (sort keys %of) {
        put("$DIR/rule.json", $rule);
        my ($out, $err);
        run([$TOOL, 'rules', 'verify-trace', "$DIR/rule.json", @{ $of{$rule} }],
            '>', \$out, '2>', \$err) or do { $bad++; diag $out, $err };
    }
    return $bad;
}

sub put {
    my ($file, $text) = @_;
    open my $fh, '>', $file or die "$file: $!\n";
    print $fh $text;
    close $fh or die "$file: $!\n";
}

# rules on one order of 54.49 pounds, and what each gives
sub several {
    my %data = (event => { type => 'order.paid', source => 'shop', external_id => '1',
        occurred_at => '2026-03-10T12:00:00Z', order => { currency => 'GBP', lines => [
            { line_id => '1', sku => 'MUG', quantity => 2, unit_price => '10.00' },
            { line_id => '2', sku => 'TEE', quantity => 1, unit_price => '29.99' },
            { line_id => '3', sku => 'PEN', quantity => 3, unit_price => '1.50' }] } });
    my $rule = sub {
        my ($effects, %more) = @_;
        return { trigger => { event => 'order.paid' }, effects => $effects, %more };
    };
    my $fixed = sub { { type => 'fixed', wallet => 'points', points => $_[0] } };
    my $rate = { type => 'rate', wallet => 'points', points => '1', per => { amount => '1.00' } };
    my $times = sub { { type => 'multiplier', wallet => 'points', factor => $_[0] } };
    my $group = sub { { group => $_[0], mode => $_[1] } };

    return (
        { data => \%data, expected => ['matched 54', 'matched 10'],
          rules => [$rule->([$rate]), $rule->([$fixed->(10)])] },
        # the best of a group, the first among equals; another group is not touched
        { data => \%data, expected => ['not_matched 0', 'matched 54', 'matched 7', 'not_matched 0'],
          rules => [$rule->([$fixed->(10)], stacking => $group->('a', 'best')),
                    $rule->([$rate], stacking => $group->('a', 'all')),
                    $rule->([$fixed->(7)]),
                    $rule->([$fixed->(54)], stacking => $group->('a', 'all'))] },
        { data => \%data, expected => ['not_matched 0', 'matched 5'],
          rules => [$rule->([$rate], priority => 1),
                    $rule->([$fixed->(5)], priority => 2, stacking => $group->('default', 'first'))] },
        { data => \%data, expected => ['not_matched 0', 'matched 5', 'not_matched 0'],
          rules => [$rule->([$rate]),
                    $rule->([$fixed->(5)], stacking => $group->('b', 'exclusive')),
                    $rule->([$fixed->(9)], stacking => $group->('b', 'exclusive'))] },
        # multipliers do not multiply each other, and do not compete
        { data => \%data, expected => ['matched 54', 'matched 54', 'matched 27'],
          rules => [$rule->([$rate], stacking => $group->('default', 'first')),
                    $rule->([$times->('2')]), $rule->([$times->('1.5')])] },
        # a cap that all share: taken by priority, multipliers last
        { data => { %data, caps => { budget => 60 } },
          expected => ['capped 6', 'matched 54', 'capped 0'],
          rules => [$rule->([$fixed->(10)]), $rule->([$rate], priority => 5), $rule->([$times->('2')])] },
        # an error in one harms no other, a limit of the document is one's own
        { data => { %data, caps => { per_member => 8 } },
          expected => ['error 0', 'capped 8', 'capped 20'],
          rules => [$rule->([$rate], limits => { per_period => { points => 5, period => 'day' } }),
                    $rule->([$rate], limits => { per_member => 20 }),
                    $rule->([$rate], limits => { per_event => 20 })] },
    );
}
