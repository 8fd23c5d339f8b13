#!/usr/bin/perl

# The compatible mode: the public suite of JsonLogic, and cases of our own, one
# line of `loyalty rules eval --compatible` each.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use IPC::Run qw(run);
use JSON::XS;
use Test::More tests => 4;

my $ROOT = abs_path(dirname(__FILE__) . '/..');
my $DATA = $ENV{LOYALTY_DATA} || "$ROOT/../shared/data";
my $json = JSON::XS->new->canonical->utf8->allow_nonref;

SKIP: {
    my $file = "$DATA/jsonlogic/compatible.json";
    if (!-f $file) {
        diag('LOYALTY_DATA has no jsonlogic: the public suite is skipped');
        skip "no $file", 2;
    }
    my @cases = grep { ref } @{ read_json($file) };
    is(scalar @cases, 278, 'the public suite has 278 cases');
    is(failures(map { { %$_, name => $_->{description} } } @cases), 0, 'all of which pass');
}

my @own = @{ read_json("$ROOT/t/vectors/jsonlogic.json") };
cmp_ok(scalar @own, '>', 0, 'cases of our own');
is(failures(@own), 0, 'pass');


sub read_json {
    my ($file) = @_;
    open my $fh, '<', $file or die "$file: $!\n";
    local $/;
    return $json->decode(<$fh>);
}

# how many do not answer as they say
sub failures {
    my (@cases) = @_;
    my $in = join '', map { line($_) . "\n" } @cases;
    my ($out, $err);
    run(["$ROOT/bin/loyalty", qw(rules eval --compatible)], '<', \$in, '>', \$out, '2>', \$err)
        or die "loyalty rules eval: $err\n";
    my @got = split /\n/, $out;
    my $bad = @got == @cases ? 0 : 1;
    for my $i (0 .. $#cases) {
        my $got = $json->decode($got[$i] // 'null') // {};
        my $good = exists $cases[$i]{error}
            ? ($got->{error}{code} // '') eq $cases[$i]{error}
            : exists $got->{result}
                && $json->encode($got->{result}) eq $json->encode($cases[$i]{result});
        next if $good;
        $bad++;
        diag "$cases[$i]{name}: " . ($got[$i] // 'nothing');
    }
    return $bad;
}

sub line {
    my ($case) = @_;
    return $json->encode({ map { exists $case->{$_} ? ($_ => $case->{$_}) : () } qw(rule data) });
}
