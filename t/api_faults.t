#!/usr/bin/perl

# What goes wrong around the edge while it serves: reload under load, backends
# killed, PostgreSQL stopped and back, functions replaced, the worker away, a
# process told to leave while requests wait.

use strict;
use warnings;

use File::Basename qw(dirname);
use lib dirname(__FILE__) . '/lib';
use Test::Loyalty;
use Test::LoyaltyLoad;
use Test::More;
use Time::HiRes qw(time);

my $t = Test::Loyalty->new(plan => 26);

# -- reload under load: nothing that nginx began to read fails

my @clients = ({}) x 4;
my @acknowledged;

{
    my $load = Test::LoyaltyLoad->start($t, name => 'load-1', clients => \@clients, pause => 0);
    for (1 .. 6) {
        $load->more(40);
        $t->house->nginx_reload;
    }
    $load->more(40);
    my $sum = $load->stop;
    push @acknowledged, @{ $sum->{orders} };
    cmp_ok($sum->{asked}, '>', 200, "requests over six reloads: $sum->{asked}");
    is_deeply($sum->{other}, {}, 'none of them failed');
    is_deeply([grep { $_ >= 300 } keys %{ $sum->{status} }], [], 'and none was answered otherwise');
    unlike(error_log(), qr/open socket|aborting/, 'no process left a socket open');
}

# -- a backend killed: the call is sent once more

{
    my $load = Test::LoyaltyLoad->start($t, name => 'load-2', clients => \@clients, pause => 0);
    for (1 .. 8) {
        $load->more(20);
        terminate(1);
    }
    $load->more(20);
    my $sum = $load->stop;
    push @acknowledged, @{ $sum->{orders} };
    cmp_ok($sum->{asked}, '>', 100, "requests over killed backends: $sum->{asked}");
    is_deeply($sum->{other}, {}, 'none was lost');
    is_deeply([grep { $_ >= 300 } keys %{ $sum->{status} }], [],
              'each was answered as if nothing had been');
}

# -- what was acknowledged is there, once

$t->settled(60);
is_deeply([map { $_->[0] } @{ $t->sql(q{select external_id from loyalty.event
    where external_id like 'load-%' order by external_id collate "C"}) }], [sort @acknowledged],
    'every acknowledged event is stored once: ' . @acknowledged);

# -- plans that are void, statements that are gone

{
    my $before = me();
    $t->sql('alter function api.me_get(uuid, jsonb) cost 101');
    is(me(), $before, 'a function was altered');
    my $body = $t->value(q{select pg_get_functiondef('api.me_get'::regproc)});
    $t->sql($body);
    is(me(), $before, 'a function was replaced');
    $t->sql('alter type api.answer add attribute more text');
    $t->sql('alter type api.answer drop attribute more');
    is(me(), $before, 'its type was altered and altered back');
}

# -- PostgreSQL stopped and back

{
    my $member = 'ext:cached';
    event('cached-1', $member);
    my $known = $t->api(GET => "/v1/members/$member/balances")->{body};
    $t->api(GET => "/v1/members/$member/balances");

    $t->stop('postgres', 'QUIT');

    my $r = $t->api(GET => "/v1/members/$member/balances");
    is($r->{body}, $known, 'a balance is read while the database is away');

    my $began = time;
    $r = $t->api(GET => '/v1/programs');
    $t->problem_is($r, 503, 'database.unavailable', 'a read is refused');
    cmp_ok(time - $began, '<', 2, 'at once');
    ok($r->{headers}{'retry-after'}, 'with Retry-After');

    my $body = $t->order('away-1', $member, ['10', 1]);
    $r = $t->api(POST => '/v1/events', { body => $body });
    is($r->{status}, 503, 'a write is refused');
    like($r->{json}{code}, qr/^(?:database\.unavailable|outcome_unknown)$/, 'as such');

    $t->start('postgres');
    my $back = time;
    $t->wait_for(sub { $t->api(GET => '/v1/programs')->{status} == 200 }, 30,
                 'the database is back');
    note(sprintf 'reads are back after %.2f s', time - $back);
    $t->wait_for(sub { $t->api(POST => '/v1/events', { body => $body })->{status} =~ /^20[02]$/ },
                 30, 'writes are back');
    pass('reads and writes go on');
    $t->settled(60);
    is($t->value(q{select count(*) from loyalty.event where external_id = 'away-1'}), 1,
       'the repeated write is there once');
}

# -- the worker away: the wait ends with 202 and where to look

{
    $t->stop('worker');
    my $began = time;
    my $r = $t->api(POST => '/v1/events', { wait => 1,
        body => $t->order('waits-1', 'ext:w', ['10', 1]) });
    my $took = time - $began;
    is($r->{status}, 202, 'an event that nobody processes');
    cmp_ok($took, '>=', 0.95, 'is waited for');
    cmp_ok($took, '<', 3, 'and not for ever');
    like($r->{headers}{location}, qr{^/v1/events/evt_}, 'with its place');

    # a process told to leave answers its waiters before it goes
    my $answer = $t->waiting(sub { $t->api(POST => '/v1/events', { wait => 25, connection => 'w',
        body => $t->order('waits-2', 'ext:w', ['10', 1]) })->{status} });
    $began = time;
    $t->house->nginx_reload;
    is($answer->(), 202, 'a request that waits in a process that leaves gets 202');
    cmp_ok(time - $began, '<', 8, 'in time');

    $t->start('worker');
    $r = undef;
    $t->wait_for(sub {
        $r = $t->api(POST => '/v1/events', { wait => 5,
            body => $t->order('waits-1', 'ext:w', ['10', 1]) });
        return $r->{status} == 200 && $r->{json}{status} eq 'processed';
    }, 30, 'the worker is back');
    $r = $t->api(POST => '/v1/events', { body => $t->order('waits-1', 'ext:w', ['10', 1]) });
    is($r->{json}{duplicate}, JSON::XS::true(), 'and the same event has its outcome');
}


sub me { return $t->api(GET => '/v1/me')->{body} }

sub event {
    my ($id, $member) = @_;
    my $r = $t->api(POST => '/v1/events', { wait => 10, body => $t->order($id, $member, ['10', 1]) });
    die "$r->{status} $r->{body}" if $r->{status} != 200;
    return $r;
}

sub error_log {
    open my $fh, '<', $t->house->path('log/error.log') or die $!;
    local $/;
    return <$fh>;
}

# ends connections of the edge as an administrator would
sub terminate {
    my ($n) = @_;
    $t->sql(q{select pg_terminate_backend(pid) from (select pid from pg_stat_activity
               where usename in ('loyalty_edge', 'loyalty_edge_ro')
               order by random() limit ?) p}, $n);
}
