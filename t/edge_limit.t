#!/usr/bin/perl

# Limits per address, tenant and principal: headers, 429, who is charged, what
# a reload and an internal redirect change (nothing), and calls in flight.

use strict;
use warnings;

use lib 't/lib';
use Test::Loyalty;
use Test::More;
use Time::HiRes qw(time);

my $t = Test::Loyalty->new(
    plan => 33, parts => [qw(postgres redis nginx)],
    nginx_server => <<'CONF',
        location /twice/ {
            loyalty_auth on;
            try_files /none /again/x;
        }

        location /again/ {
            loyalty_auth on;
            root /nonexistent;
        }

        location /plain/ {
            loyalty_auth on;
            return 204;
        }
CONF
);
my $shop = $t->{tenants}{shop};
my $json = $Test::Loyalty::JSON;

my $me = sub { $t->api(GET => '/v1/me', { tenant => 'shop', @_ }) };

# the plan of tests is wide
my $r = $me->();
is($r->{headers}{'ratelimit-policy'},
   '"address";q=1000000;w=1, "tenant";q=1000000;w=1, "principal";q=1000000;w=1', 'policies');
like($r->{headers}{ratelimit}, qr/^"address";r=\d+;t=1, "tenant";r=\d+;t=1, "principal";r=\d+;t=1$/,
     'what is left');
is($r->{headers}{'retry-after'}, undef, 'no reason to wait');

# ten requests of one principal, refilled in a hundred seconds
plan_is(request_rate => 1000, request_burst => 1000, key_rate => 1, key_burst => 10);
my $second = $t->key('shop');
ok($t->wait_for(sub { $me->(key => $second)->{status} == 200 }, 5), 'a second key');

my @status = map { $me->()->{status} } 1 .. 12;
my ($good, $limited) = (scalar(grep { $_ == 200 } @status), scalar(grep { $_ == 429 } @status));
cmp_ok($good, '>=', 9, 'the burst passes');
cmp_ok($limited, '>=', 1, 'then no more');
cmp_ok($good + $limited, '==', 12, 'nothing else happens');

$r = $me->();
$t->problem_is($r, 429, 'rate.limited', 'the answer');
like($r->{headers}{'retry-after'}, qr/^[12]$/, 'says when to come again');
like($r->{headers}{ratelimit}, qr/"principal";r=0;t=[12]$/, 'and which policy');
like($r->{headers}{'ratelimit-policy'}, qr/"principal";q=10;w=10$/, 'of what size');
is($me->(key => $second)->{status}, 200, 'another principal is not touched');
is($me->(key => 'junk')->{status}, 401, 'a bad credential is told first');

# what is refused costs the tenant nothing
my $left = sub { $_[0]{headers}{ratelimit} =~ /"tenant";r=(\d+)/ ? $1 : -1 };
plan_is(request_rate => 1, request_burst => 900, key_rate => 1, key_burst => 10);
$t->wait_for(sub { $me->(key => $second)->{headers}{ratelimit} =~ /"tenant"/
                   && $me->(key => $second)->{headers}{'ratelimit-policy'} =~ /q=900/ }, 5);
my $before = $left->($me->(key => $second));
my @refused = grep { $_->{status} == 429 } map { $me->() } 1 .. 10;
cmp_ok(scalar @refused, '>=', 9, 'refused');
my $after = $left->($me->(key => $second));
cmp_ok($before - $after, '<=', 3, "and not charged ($before, $after)");

# a reload keeps the buckets
$t->reload;
is($me->()->{status}, 429, 'still limited after a reload');

# all of the tenant
plan_is(request_rate => 1, request_burst => 5, key_rate => 1000, key_burst => 1000);
ok($t->wait_for(sub { $r = $me->(key => $second);
                      $r->{status} == 429 && $r->{headers}{'ratelimit-policy'} =~ /q=5;/ }, 10),
   'the tenant is limited');
like($r->{headers}{ratelimit}, qr/"tenant";r=0;t=\d+/, 'it says so');
my $other = $t->tenant(slug => 'other', program => 0);
is($t->api(GET => '/v1/me', { tenant => 'other' })->{status}, 200, 'another one is not');

# an internal redirect charges once
plan_is(code => 'once', request_rate => 1000, request_burst => 1000, key_rate => 1,
        key_burst => 20);
$t->sql("select ops.tenant_put(?, 'once', null)", $other->{uuid});
my $theirs = sub { $t->api(GET => $_[0], { tenant => 'other' }) };
ok($t->wait_for(sub { $theirs->('/v1/me')->{headers}{'ratelimit-policy'} =~ /q=20;/ }, 5),
   'another plan');
my $own = sub { $_[0]{headers}{ratelimit} =~ /"principal";r=(\d+)/ ? $1 : -1 };
$before = $own->($theirs->('/v1/me'));
is($theirs->('/twice/x')->{status}, 404, 'a request that is redirected inside');
is($before - $own->($theirs->('/v1/me')), 2, 'is charged once');
is($theirs->('/plain/')->{status}, 204, 'return answers before any module (documented)');

# where the answer is not ours, the headers are
$theirs->('/v1/me') for 1 .. 25;
$r = $theirs->('/twice/x');
is($r->{status}, 429, 'limited there too');
like($r->{headers}{'retry-after'} // '', qr/^\d+$/, 'with the time to wait');

# calls in flight: a member's row is locked, so that a write stays
plan_is(code => 'flight', request_rate => 100000, request_burst => 100000, key_rate => 100000,
        key_burst => 100000, inflight_writes => 1);
$t->sql("select ops.tenant_put(?, 'flight', null)", $other->{uuid});
ok($t->wait_for(sub { $theirs->('/v1/me')->{headers}{'ratelimit-policy'} =~ /"tenant";q=100000;/ },
                5), 'one write at a time');

my $held = $t->dbh;
$held->begin_work;
$held->do('lock table loyalty.member in exclusive mode');
my @busy = map { $t->client('other', 0, "flight $_") } 1 .. 8;
$_->connect for @busy;
my $body = '{"external_id":"1","source":"shop"}';
for my $c (@busy) {
    $c->_send(join("\r\n", 'POST /v1/members HTTP/1.1', 'Host: other.localhost',
        "Authorization: Bearer $other->{key}", 'Content-Type: application/json',
        'Content-Length: ' . length $body, '', $body), time + 10);
}
my $ready = IO::Select->new(map { $_->{sock} } @busy);
my %answer;
$t->wait_for(sub {
    for my $s ($ready->can_read(0.05)) {
        sysread $s, my $text, 65536;
        $answer{ fileno $s } .= $text // '';
    }
    keys %answer >= 6;
}, 10, 'answers of those that may not wait');
my @limited = grep { /^HTTP\S+ 429 / } values %answer;
cmp_ok(scalar @limited, '>=', 6, 'all but one of each process are refused');
like($limited[0], qr/inflight\.limited/, 'for being too many');
like($limited[0], qr/^Retry-After: 1\r$/m, 'they may come again');
$held->rollback;
ok($t->wait_for(sub { my $p = $t->api(POST => '/v1/members', { tenant => 'other',
        body => { external_id => '2', source => 'shop' } }); $p->{status} < 300 }, 10),
   'and then they may');

# one address
$t->house->{address_limit} = 'rate=1/s burst=30';
$t->reload;
$t->wait_for(sub { ($me->()->{headers}{'ratelimit-policy'} // '') =~ /"address";q=30;/ }, 10);
@status = map { $t->api(GET => '/v1/me', { tenant => 'nobody', key => undef })->{status} } 1 .. 40;
is($status[0], 404, 'an address may try');
is($status[-1], 429, 'but not for ever');
like($t->client('metrics.localhost')->request(GET => '/metrics')->{body},
     qr/^loyalty_limit_address_total [1-9]/m, 'counted');


# the plan of the tenants in this file
sub plan_is {
    my (%o) = @_;
    $t->sql('select ops.plan_put(?)', $json->encode({
        code => 'test', inflight_writes => 100, inflight_batches => 100, %o }));
}
