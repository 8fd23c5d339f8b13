#!/usr/bin/perl

# What an operator asks of a running house: doctor, audit, a member's balance,
# why an entry is there; and what the tool says when something is amiss.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Loyalty;

my $t = Test::Loyalty->new(plan => 44);
my $json = $Test::Loyalty::JSON;
my $h = $t->house;
my %api = $t->api_env;


# -- doctor

my %found = doctor();
my @tuned = grep { $found{$_}{result} ne 'ok' } sort keys %found;
is_deeply(\@tuned, ['durable commits'], 'a test house is in order but for its fsync')
    or diag explain \%found;
like($found{'durable commits'}{detail}, qr/fsync/, 'which it names');
my $r = loyalty('doctor');
is($r->{code}, 10, 'so that its code is 10');
like($r->{out}, qr/^durable commits +bad +fsync/m, 'in a table');

%found = doctor(LOYALTY_SECRET_KEY => 'lsk_test_' . '0' x 36);
is($found{'API key'}{result}, 'bad', 'a key that is none');
is($found{'API ready'}{result}, 'ok', 'of an API that is ready');
%found = doctor(LOYALTY_URL => 'http://127.0.0.1:1');
is($found{'API ready'}{result}, 'bad', 'nobody at the address');
ok(!$found{'API key'}, 'is not asked for the key');
%found = doctor(LOYALTY_URL => 'ftp://127.0.0.1');
is($found{'API ready'}{result} // $found{API}{result}, 'bad', 'an address of another kind');
%found = doctor(LOYALTY_DATABASE => "host=$h->{run} dbname=nowhere user=loyalty_cli");
is($found{database}{result}, 'bad', 'no such database');
%found = doctor(LOYALTY_KEYRING => '/dev/null');
is($found{keyring}{result}, 'bad', 'an empty keyring');
{
    local @ENV{qw(LOYALTY_DATABASE LOYALTY_KEYRING LOYALTY_URL)};
    delete @ENV{qw(LOYALTY_DATABASE LOYALTY_KEYRING LOYALTY_URL)};
    my $out = `$Test::Loyalty::TOOL -o json doctor`;
    is($?, 0, 'nothing is named, nothing is amiss');
    is_deeply([map { $_->{result} } @{ $json->decode($out) }], [('skipped') x 3], 'all skipped');
}
$t->stop('worker');
$t->sql("update loyalty.worker set beat_at = beat_at - interval '1 hour'");
%found = doctor();
is($found{workers}{result}, 'bad', 'no worker has been seen');
$t->start('worker');


# -- balance and why

my $e = $t->api(POST => '/v1/events', { body => $t->order('o1', 'ext:anna/1', ['12.50', 2]),
    wait => 20 });
is($e->{status}, 200, 'an order is booked');
my $entry = $t->api(GET => '/v1/members/ext:anna%2F1/entries')->{json}{data}[0]{id};

$r = loyalty(qw(members balance ext:anna/1));
is($r->{code}, 0, 'a balance') or diag $r->{err};
like($r->{out}, qr/^wallet +available +pending +held +debt/, 'under its heads');
like($r->{out}, qr/^points +25 +0 +0 +0 /m, 'by wallet');
$r = loyalty(qw(-o json members balance ext:anna/1));
is($json->decode($r->{out})->{data}[0]{available}, 25, 'the same as JSON');
is(loyalty(qw(members balance ext:nobody))->{code}, 5, 'of nobody');
isnt(loyalty(qw(members balance anna))->{code}, 0, 'what is no reference');
$r = loyalty('members', 'balance', 'ext:' . 'a' x 9000);
is($r->{code}, 2, 'what is far too long');

$r = loyalty(qw(entries why), $entry);
is($r->{code}, 0, 'why an entry is there') or diag $r->{err};
like($r->{out}, qr/^\/points 25$/m, 'value by value');
like($r->{out}, qr/^trace$/m, 'with its trace');
like($r->{out}, qr/^\/\S+ (?:true|false)$/m, 'of every type');
$r = loyalty(qw(-o json entries why), $entry);
my $why = $json->decode($r->{out});
is($why->{entry}{id}, $entry, 'the same as JSON');
ok($why->{trace}, 'with the trace');
is(loyalty(qw(entries why ent_00000000000000000000000000))->{code}, 5, 'of no entry');

# who may not
my $narrow = $t->key('shop', scopes => 'members:read');
is(loyalty(qw(entries why), $entry, { LOYALTY_SECRET_KEY => $narrow })->{code}, 4,
    'a key without the scope');
is(loyalty(qw(members balance ext:anna/1), { LOYALTY_SECRET_KEY => 'lsk_test_' . '0' x 36 })->{code},
    4, 'a key that is none');
put('key', "$api{LOYALTY_SECRET_KEY}\n");
chmod 0600, "$t->{dir}/key";
is(loyalty(qw(members balance ext:anna/1 --api-key-file), "$t->{dir}/key",
    { LOYALTY_SECRET_KEY => '' })->{code}, 0, 'a key from a file');
is(loyalty(qw(members balance ext:anna/1 --api-key-file), "$t->{dir}/none",
    { LOYALTY_SECRET_KEY => '' })->{code}, 2, 'that is not there');
is(loyalty(qw(members balance ext:anna/1 --api-key-file -), { LOYALTY_SECRET_KEY => '' },
    "$api{LOYALTY_SECRET_KEY}\n")->{code}, 0, 'or from stdin');
is(loyalty(qw(members balance ext:anna/1), { LOYALTY_CA => '/dev/null' })->{code}, 9,
    'another authority than the certificate\'s');


# -- when the database is away

$t->stop('postgres', 'INT');
$r = loyalty('audit');
is($r->{code}, 9, 'no database');
like($r->{err}, qr/^error: /, 'is an error');
is(loyalty(qw(jobs ls))->{code}, 9, 'of every command that speaks to it');
is(loyalty(qw(jobs retry 1))->{code}, 9, 'also for jobs');
is(loyalty(qw(members balance ext:other))->{code}, 9, 'the API says so too');
$t->start('postgres');
$t->wait_for(sub { loyalty(qw(members balance ext:anna/1))->{code} == 0 }, 30, 'all is well again');
is(loyalty('audit')->{code}, 0, 'every invariant holds');


# -- an audit that finds something

$t->sql('update loyalty.balance set available = available + 1, earned = earned + 1');
$r = loyalty('audit');
is($r->{code}, 10, 'a point too many');
like($r->{out}, qr/balance/, 'is a row') or diag $r->{out};
like($r->{err}, qr/invariants do not hold/, 'and an error');
$t->sql('update loyalty.balance set available = available - 1, earned = earned - 1');
$t->allow(qr/terminating connection|shutting down|no connection|database/);


# arguments, then the environment and stdin
sub loyalty {
    my (@args) = @_;
    my $stdin = @args > 1 && ref $args[-2] ? pop @args : '';
    my $env = ref $args[-1] ? pop @args : {};
    return $t->loyalty(\@args, env => { %api, %$env }, stdin => $stdin);
}

sub doctor {
    my $r = loyalty(qw(-o json doctor), {@_});
    return map { $_->{check} => $_ } @{ $json->decode($r->{out}) };
}

sub put {
    my ($name, $text) = @_;
    $t->house->write_file("$t->{dir}/$name", $text);
}
