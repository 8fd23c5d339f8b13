#!/usr/bin/perl

# The zone: one that is too small for the directory asks the database for what
# it does not hold, another size begins anew, and a binary upgrade starts cold
# and loses nothing.

use strict;
use warnings;

use lib 't/lib';
use Test::Loyalty;
use Test::More;

my $t = Test::Loyalty->new(plan => 17, parts => [qw(postgres redis nginx)], zone => '2m');
my $shop = $t->{tenants}{shop};

my $status = sub {
    my ($key, %o) = @_;
    return $t->api(GET => '/v1/me', { key => $key, %o })->{status};
};

# more keys than it has room for; two of them are ours, first and last
my $first = $t->key('shop');
$t->sql('insert into loyalty.api_key (tenant_id, key_id, digest, prefix, last4, name, kind, mode,'
        . ' scopes, addresses, api_version, state)'
        . " select ?, gen_random_uuid(), sha256(n::text::bytea), 'lsk_test_xxx', 'xxxx', '',"
        . " 'secret', 'test', '{members:read}', '{}', '2026-11-01', 'active'"
        . ' from generate_series(1, 12000) n', $shop->{uuid});
my $last = $t->key('shop');

$t->allow(qr/no memory/);
$t->stop('nginx');
$t->start('nginx');
ok($t->wait_for(sub { page('/readyz')->{status} == 200 }, 20), 'ready');
like($t->log_text('error.log'), qr/not all of them found room/, 'the log says it');
cmp_ok($t->metric('zone_full_total'), '>', 1000, 'and a counter');
cmp_ok($t->metric('directory_records{kind="api_key"}'), '<', 11000, 'many are missing');

my $checks = $t->metric('auth_database_checks_total');
is($status->($_), 200, 'a key') for $first, $last, $shop->{key};
is($status->('lsk_test_0123456789'), 401, 'what is no key is none');
cmp_ok($t->metric('auth_database_checks_total') - $checks, '<=', 3, 'asked once at most');
is($t->api(GET => '/v1/me', { tenant => 'nobody', key => undef })->{status}, 503,
   'an unknown host may be one that found no room');

# another size, at a reload
$t->house->{zone} = '32m';
$t->reload;
ok($t->wait_for(sub { $t->metric('directory_records{kind="api_key"}') > 12000 }, 30),
   'a larger zone holds all');
is($t->api(GET => '/v1/me', { tenant => 'nobody', key => undef })->{status}, 404,
   'and knows that nobody is there');
is($status->($_), 200, 'a key') for $first, $last;

# the same size keeps all
my $resyncs = $t->metric('feed_resyncs_total');
$t->reload;
is($t->metric('feed_resyncs_total'), $resyncs, 'the same size is the same zone');

# a new binary: the zone is new, and filled before anything unknown is refused
my $old = $t->house->pid('nginx');
kill 'USR2', $old;
my $pid_file = $t->house->{run} . '/nginx.pid';
my $new = $t->wait_for(sub {
    -e "$pid_file.oldbin" or return;
    open my $fh, '<', $pid_file or return;
    return (<$fh> // '') =~ /(\d+)/ && $1;
}, 20, 'the new master');
kill 'QUIT', $old;
my (%seen, $n);
$t->wait_for(sub {
    $t->client('shop')->close;
    $seen{ $status->($first) }++;
    return ++$n > 40 && !kill 0, $old;
}, 40, 'the old master is gone');
is_deeply([keys %seen], [200], 'nobody is refused by an empty zone');
is($status->($first), 200, 'served by the new one');
kill 'QUIT', $new;
$t->wait_for(sub { !kill 0, $new }, 40, 'the new master ends');


sub page { return $t->client('metrics.localhost')->request(GET => $_[0]) }

