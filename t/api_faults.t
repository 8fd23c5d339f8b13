#!/usr/bin/perl

# What goes wrong around the edge while it serves: reload under load, backends
# killed, PostgreSQL stopped and back, functions replaced, the worker away, a
# process told to leave while requests wait.

use strict;
use warnings;

use File::Basename qw(dirname);
use lib dirname(__FILE__) . '/lib';
use POSIX ();
use Test::Loyalty;
use Test::More;
use Time::HiRes qw(sleep time);

my $t = Test::Loyalty->new(plan => 26);

my $serial = 0;

# -- reload under load: nothing that nginx began to read fails

{
    my @pids = map { load_start($_) } 1 .. 4;
    for (1 .. 6) {
        sleep 0.4;
        $t->house->nginx_reload;
    }
    my %sum = load_stop(@pids);
    cmp_ok($sum{done}, '>', 200, "requests over six reloads: $sum{done}");
    is($sum{failed}, 0, 'none of them failed');
    is($sum{wrong}, '', 'and none was answered otherwise');
    unlike(error_log(), qr/open socket|aborting/, 'no process left a socket open');
}

# -- a backend killed: the call is sent once more

{
    my @pids = map { load_start($_) } 1 .. 4;
    for (1 .. 8) {
        sleep 0.25;

        terminate(1);
    }
    my %sum = load_stop(@pids);
    cmp_ok($sum{done}, '>', 100, "requests over killed backends: $sum{done}");
    is($sum{failed}, 0, 'none was lost');
    is($sum{wrong}, '', 'each was answered as if nothing had been');
}

# -- what was acknowledged is there, once


$t->settled(60);
{
    my $sent = read_count();
    my $stored = $t->value(q{select count(*) from loyalty.event where external_id like 'load-%'});
    is($stored, $sent, "every acknowledged event is stored once: $sent");
}

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
    my $pid = fork // die;
    if ($pid == 0) {
        my $r = $t->api(POST => '/v1/events', { wait => 25, connection => 'w',
            body => $t->order('waits-2', 'ext:w', ['10', 1]) });
        POSIX::_exit($r->{status} == 202 ? 0 : 1);
    }
    sleep 0.5;
    $began = time;
    $t->house->nginx_reload;
    waitpid $pid, 0;
    is($?, 0, 'a request that waits in a process that leaves gets 202');
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

# a client that sends events and reads balances until it is told to stop
sub load_start {
    my ($n) = @_;
    pipe(my $out, my $in) or die "pipe: $!";
    pipe(my $wait, my $stop) or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if ($pid) {
        close $in;
        close $wait;
        return { pid => $pid, out => $out, stop => $stop };
    }
    close $out;
    close $stop;
    my ($done, $failed, $sent, %wrong) = (0, 0, 0);
    my $end = time + 60;
    my $bits = '';
    vec($bits, fileno $wait, 1) = 1;
    while (time < $end && !select(my $b = $bits, undef, undef, 0)) {
        my $id = "load-$$-" . ++$serial;
        my $r = eval { $t->api(POST => '/v1/events', { connection => "load-$n",
            body => $t->order($id, "ext:load-$n", ['1', 1]), timeout => 20 }) };
        if (!$r) { $failed++; $wrong{"POST $@"}++ }
        elsif ($r->{status} != 202 && !($r->{status} == 200 && $r->{json}{duplicate})) {
            $wrong{"POST $r->{status} $r->{body}"}++;
        } else { $sent++ }
        $done++;
        $r = eval { $t->api(GET => "/v1/members/ext:load-$n/balances",
                            { connection => "load-$n", timeout => 20 }) };
        if (!$r) { $failed++; $wrong{"GET $@"}++ }
        elsif ($r->{status} != 200) { $wrong{"GET $r->{status} $r->{body}"}++ }
        $r = eval { $t->api(GET => '/v1/programs', { connection => "load-$n", timeout => 20 }) };
        if (!$r) { $failed++; $wrong{"GET $@"}++ }
        elsif ($r->{status} != 200) { $wrong{"GET $r->{status} $r->{body}"}++ }
        $done += 2;
    }
    print {$in} join("\t", $done, $failed, $sent,
        join ' | ', map { substr $_, 0, 200 } sort keys %wrong), "\n";
    close $in;
    POSIX::_exit(0);
}

my $acknowledged;

sub load_stop {
    my (@loads) = @_;
    my %sum = (done => 0, failed => 0, wrong => '');
    for my $l (@loads) {
        close $l->{stop};
        my $line = readline $l->{out};
        waitpid $l->{pid}, 0;
        chomp $line;
        my ($done, $failed, $sent, $wrong) = split /\t/, $line;
        $sum{done} += $done;
        $sum{failed} += $failed;
        $sum{wrong} .= $wrong // '';
        $acknowledged += $sent;
    }
    return %sum;
}

sub read_count { return $acknowledged }
