#!/usr/bin/perl

# The rules commands on files: check, fmt, explain, eval, verify-trace, with
# what they print and the code they end with.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Loyalty;

my $t = Test::Loyalty->new(plan => 33, parts => [], tenant => 0);
my $dir = $t->{dir};
my $json = $Test::Loyalty::JSON;

put('good', { trigger => { event => 'order.paid' }, effects => [{ type => 'rate',
    wallet => 'points', points => 1, per => { amount => '1.00', currency => 'GBP' } }] });
put('bad', { trigger => { event => 'order.paid', source => 'x' },
    condition => { '>=' => [{ var => 'order.totl' }, 5] }, effects => [] });
put('text', 'no JSON');


# -- check

my $r = loyalty(qw(rules check), f('good'));
is($r->{code}, 0, 'a rule in order');
is($r->{out}, f('good') . ": ok\n", 'is told so');
$r = loyalty(qw(rules check), f('good'), f('bad'), f('text'));
is($r->{code}, 10, 'one of three in order');
is(scalar(grep { /bad: ?\/|bad:\// } split /\n/, $r->{out}), 3, 'every fault of a rule has a line');
like($r->{out}, qr{^\Q@{[f('bad')]}\E:/condition/>=/0: fact\.unknown: .*, found order\.totl$}m,
    'with its place, code, and what was found');
like($r->{out}, qr/^\S+text:: json\.malformed: /m, 'no JSON is a fault of its file');
$r = loyalty(qw(-o json rules check), f('bad'));
my $told = $json->decode($r->{out});
is_deeply([@$told{qw(ok more)}, map { $_->{code} } @{ $told->{errors} }],
    [JSON::XS::false, 0, qw(member.unknown fact.unknown value.type)], 'the same as JSON');
is(loyalty(qw(rules check), f('nowhere'))->{code}, 1, 'a file that is not there');

put('wide', { trigger => { event => 'order.paid' }, effects => [], map { ("m$_" => 1) } 1 .. 200 });
$r = loyalty(qw(rules check), f('wide'));
like($r->{out}, qr/: and \d+ more$/m, 'what is too much to tell is counted');


# -- a catalogue of its own

put('catalogue', { facts => { 'order.total' => 'number' } });
$r = loyalty(qw(rules check --catalogue), f('bad'), f('good'));
is($r->{code}, 7, 'a rule is no catalogue');
like($r->{err}, qr/bad: not a catalogue: /, 'and it says so');
is(loyalty(qw(rules fmt --catalogue), f('nowhere'), f('good'))->{code}, 1,
    'a catalogue that is not there');


# -- fmt and explain

$r = loyalty(qw(rules fmt), f('good'));
is($r->{code}, 0, 'the normal form');
my $normal = $json->decode($r->{out});
is_deeply([@$normal{qw(base priority)}, $normal->{stacking}],
    [JSON::XS::false, 0, { group => 'default', mode => 'all' }], 'has the defaults');
put('normal', $r->{out});
is(loyalty(qw(rules fmt), f('normal'))->{out}, $r->{out}, 'and is its own normal form');
$r = loyalty(qw(rules fmt), f('bad'));
is($r->{code}, 7, 'a rule with faults has none');
is(scalar(() = $r->{err} =~ /: expected /g), 3, 'every fault is told');
is($r->{out}, '', 'and nothing else');

$r = loyalty(qw(rules explain), f('good'));
is($r->{out}, "On order.paid, always, give:\n- 1 in points for each 1 GBP of order total,"
    . " rounded: floor\nPriority 0, group default: all.\n", 'in English');
is(loyalty(qw(rules explain), f('text'))->{code}, 7, 'no JSON means nothing');


# -- eval: a line, an answer

my $lines = join "\n", '{"rule":{"==":[1,"1"]},"data":{}}', '', "  \t", 'nope', '{"data":1}',
    '{"rule":{"none_such":[]},"data":{}}', '"' . 'x' x (1 << 20) . '"',
    '{"rule":{"var":"a"},"data":{"a":[1,2]}}';
$r = $t->loyalty([qw(rules eval --compatible)], stdin => $lines);
is($r->{code}, 0, 'lines of JSON logic');
my @answer = map { $json->decode($_) } split /\n/, $r->{out};
is(scalar @answer, 6, 'an answer for each line that is not blank');
is_deeply($answer[0], { result => JSON::XS::true }, 'a result');
is_deeply([map { $_->{error}{code} } @answer[1, 2, 4]],
    [qw(json.malformed member.required json.too_large)], 'or what is wrong with the line');
ok($answer[3]{error}{code}, 'or with its rule');
is_deeply($answer[5], { result => [1, 2] }, 'and the next line is read');
is($json->decode($t->loyalty([qw(rules eval)],
    stdin => '{"rule":{"==":[1,"1"]},"data":{}}')->{out})->{error}{code}, 'type.mismatch',
    'strict: a text is no number');


# -- verify-trace

is(loyalty(qw(rules verify-trace), f('good'))->{code}, 2, 'a rule alone has no trace');
is(loyalty(qw(rules verify-trace), f('text'), f('good'))->{code}, 7, 'no JSON');
is(loyalty(qw(rules verify-trace), f('bad'), f('good'))->{code}, 7, 'no rule');
put('trace', { outcome => 'matched' });
$r = loyalty(qw(rules verify-trace), f('good'), f('trace'));
is($r->{code}, 10, 'a trace that does not recompute');
like($r->{out}, qr/trace: not the same: \S/, 'and why');
put('bundle', { rule => $normal, trace => {}, catalogue => { facts => 1 } });
$r = loyalty(qw(rules verify-trace), f('bundle'));
is($r->{code}, 7, 'a bundle with a catalogue that is none');


sub loyalty { return $t->loyalty([@_]) }

sub f { return "$dir/$_[0]" }

sub put {
    my ($name, $what) = @_;
    $t->house->write_file(f($name), ref $what ? $json->encode($what) : $what);
}
