#!/usr/bin/perl

# The change feed: its reader is killed and replaced, a reload keeps the zone,
# hints, another incarnation of the database, and what goes on without it.

use strict;
use warnings;

use IO::Socket::UNIX;
use Socket qw(SOCK_DGRAM);

use lib 't/lib';
use Test::Loyalty;
use Test::More;
use Time::HiRes qw(time);

my $t = Test::Loyalty->new(plan => 27, parts => [qw(postgres redis nginx)]);
my $shop = $t->{tenants}{shop};

my $status = sub {
    my ($method, $path, $key) = @_;
    return $t->api($method, $path, { key => $key, ($method eq 'POST' ? (body => {}) : ()) })
        ->{status};
};
my $knows = sub { my ($key) = @_; sub { $status->(GET => '/v1/me', $key) == 200 } };

is(page('/healthz')->{status}, 200, 'alive');
is(page('/readyz')->{status}, 200, 'ready');
is($t->metric('directory_complete'), 1, 'the directory is there');
is($t->metric('feed_resyncs_total'), 1, 'read once');

# the process that reads is killed
my $first = reader();
$t->allow(qr/exited on signal 9/);
kill 'KILL', $first;
my $start = time;
ok($t->wait_for(sub { reader() != $first }, 30), 'another process reads');
cmp_ok(time - $start, '<', 10, 'soon');
my $key = $t->key('shop');
ok($t->wait_for($knows->($key), 30), 'and applies what it reads');
is($t->metric('feed_resyncs_total'), 1, 'from where the other one was');

# a reload keeps the zone
$t->reload;
is($status->(GET => '/v1/me', $key), 200, 'known after a reload');
is($t->metric('feed_resyncs_total'), 1, 'without reading all again');
$key = $t->key('shop');
ok($t->wait_for($knows->($key), 30), 'the new processes read on');
my $sockets = sub { scalar(() = glob $t->house->{run} . '/edge.sock.*') };
ok($t->wait_for(sub { $sockets->() == 2 }, 30), 'processes that are gone leave no socket');

# a hint from the worker
my $hints = $t->metric('feed_hints_total');
my $socket = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Peer => $t->house->{run} . '/edge.sock');
$socket->send('x');
ok($t->wait_for(sub { $t->metric('feed_hints_total') > $hints }, 30), 'a hint arrives');

# a late committer is not skipped
my $late = $t->key('shop');
ok($t->wait_for($knows->($late), 30), 'a key');
my $slow = DBI->connect("dbi:Pg:host=$t->{house}{run};dbname=loyalty", 'postgres', undef,
                        { RaiseError => 1, AutoCommit => 0 });
$slow->do('select ops.key_revoke(tenant_id, key_id) from loyalty.api_key where last4 = ?',
          undef, substr $late, -4);
my $quick = $t->key('shop');
ok($t->wait_for($knows->($quick), 30), 'a later change is seen first');
$slow->commit;
$slow->disconnect;
ok($t->wait_for(sub { $status->(GET => '/v1/me', $late) == 401 }, 30), 'the older one as well');

# the feed alone fails: reading goes on, all else is checked
$t->sql('alter function dir.changes(text) rename to changes_away');
ok($t->wait_for(sub { page('/readyz')->{status} == 503 }, 30), 'not ready while it is old');
my $checks = $t->metric('auth_database_checks_total');
is($status->(GET => '/v1/members/ext:nobody', $quick), 404, 'reading goes on');
is($t->metric('auth_database_checks_total') - $checks, 0, 'unchecked');
is($status->(POST => '/v1/members', $quick), 422, 'writing goes on');
cmp_ok($t->metric('auth_database_checks_total') - $checks, '>', 0, 'checked');
$t->sql('select ops.key_revoke(tenant_id, key_id) from loyalty.api_key where last4 = ?',
        substr $quick, -4);
ok($t->wait_for(sub { $status->(POST => '/v1/members', $quick) == 401 }, 30),
   'a revoked key does not write');
$t->sql('alter function dir.changes_away(text) rename to changes');
ok($t->wait_for(sub { $status->(GET => '/v1/members/ext:nobody', $quick) == 401 }, 30),
   'nor read, once the feed is back');

# no database at all
$t->stop('postgres', 'INT');
ok($t->wait_for(sub { page('/readyz')->{status} == 503 }, 30), 'not ready without it');
is($status->(POST => '/v1/members', $key), 503, 'what cannot be checked is not done');
$t->start('postgres');
ok($t->wait_for(sub { page('/readyz')->{status} == 200 }, 30), 'ready again');
like($t->log_text('error.log'), qr/another incarnation/, 'the caches are void');


sub page { return $t->client('metrics.localhost')->request(GET => $_[0]) }

# who said last that it reads
sub reader {
    my @pids = $t->log_text('error.log') =~ /#(\d+): loyalty: this process reads/g;
    return $pids[-1];
}
