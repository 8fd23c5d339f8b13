#!/usr/bin/perl

# The worker and its database are broken at random moments under load. Then
# every accepted event is booked exactly once, and the books hold. The time to
# recover is printed. LOYALTY_SEED repeats a run.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::UNIX ();
use JSON::XS ();
use List::Util qw(sum0);
use Test::LoyaltyWorker;
use Test::More;
use Time::HiRes qw(sleep time);

my $long = $ENV{LOYALTY_LONG};
my $seed = $ENV{LOYALTY_SEED} // time % 100000;
my $members = 60;

my $t = Test::LoyaltyWorker->new(plan => 23, worker => {
    rules_slots => 2, lease => '1500ms', beat => '200ms', restart_max => '500ms',
    reconnect_max => '200ms', rules_batch => 60 });
$t->allow(qr/"slot died"/);
diag "LOYALTY_SEED=$seed";
srand $seed;

my $shop = $t->shop('acme');
my $dir = $t->dir;


# -- the load: a process that accepts events and writes down which were

# an order of n pounds each; every seventh is refunded in part, every eleventh
# refund comes before its order
sub load {
    my ($name, $seconds) = @_;
    my $pid = fork // die "fork: $!";
    return $pid if $pid;

    my $end = time + $seconds;
    my $n = 0;
    open my $log, '>>', "$dir/accepted.$name" or die $!;
    $log->autoflush(1);
    while (time < $end) {
        my @events;
        for (1 .. 1 + int rand 25) {
            $n++;
            my $m = 'ext:m' . int rand $members;
            my $pounds = 1 + int rand 50;
            my @pair = $t->paid("$name-$n", $m, ['1.00', $pounds]);
            push @pair, $t->refunded("$name-r$n", $m, "$name-$n", [1, '1.00', 1])
                if $n % 7 == 0;
            push @events, $n % 77 == 0 ? reverse @pair : @pair;
        }
        # an outage of the server is waited out, a commit whose answer was
        # lost is sent again: the natural key makes one of it
        for my $try (1 .. 400) {
            last if eval {
                my $dbh = $t->dbh;
                $t->accept($shop, $dbh, @events);
                1;
            };
            sleep 0.05;
            die "not accepted: $@" if $try == 400;
        }
        print $log join(' ', $_->{external_id}, $_->{member}, $_->{type},
            ($_->{order} || $_->{refund})->{lines}[0]{quantity}), "\n" for @events;
        sleep rand 0.03;
    }
    close $log;
    require POSIX;
    POSIX::_exit(0);
}

# the load with a fault in its midst; returns ms until events are processed
# again after the last fault
sub under_load {
    my ($name, $seconds, $fault) = @_;
    my @pids = map { load("$name$_", $seconds) } 1 .. 2;
    sleep 0.3;
    my $end = time + $seconds - 0.6;
    my $since = time;
    while (time < $end) {
        $fault->();
        $since = time;
        sleep 0.2 + rand 0.5;
    }
    my $recovered;
    $t->wait_for(sub {
        my $at = eval { $t->value("select extract(epoch from max(processed_at))"
            . " from loyalty.event_outcome") };
        return if !$at || $at <= $since;
        $recovered = $at - $since;
    }, 30, 'events are processed again');
    for (@pids) {
        waitpid $_, 0;
        is($?, 0, "$name: all was accepted");
    }
    $t->settled(60);
    diag sprintf '%s: processed again %d ms after the last fault', $name, 1000 * $recovered;
    return 1000 * $recovered;
}

# what the accepted events must have made, from what the load wrote down
sub check {
    my ($name) = @_;
    my (%points, $n);
    for my $file (glob "$dir/accepted.*") {
        open my $fh, '<', $file or die $!;
        while (<$fh>) {
            my ($id, $m, $type, $quantity) = split;
            $points{ substr $m, 4 } += $type eq 'order.paid' ? $quantity : -$quantity;
            $n++;
        }
    }
    my $r = $t->sql('select x.external_id, b.available - b.debt from loyalty.balance b'
        . ' join loyalty.member_external x using (tenant_id, member_id)');
    my %have = map { $_->[0] => $_->[1] } @$r;
    is_deeply(\%have, \%points, "$name: $n events, each booked exactly once");
    $t->books_ok("$name: every invariant holds");
}

my $for = $long ? 20 : 4;

under_load('slots', $for, sub {
    my @slots = $t->pids('worker-process');
    kill KILL => $slots[rand @slots] if @slots;
});
check('a slot killed');

under_load('worker', $for, sub {
    my $pid = $t->house->pid('worker') or return;
    kill KILL => $pid;
    $t->wait_for(sub { !kill 0, $pid }, 10, 'the worker is gone');
    $t->house->worker_start;
});
check('the worker killed');

under_load('backend', $for, sub {
    $t->sql("select pg_terminate_backend(pid) from pg_stat_activity"
        . " where usename = 'loyalty_worker' order by random() limit 2");
});
check('backends terminated');


# -- a slot that is stopped past its lease, and goes on

my $owner = sub { [map { $_->[0] } @{ $t->sql('select distinct w.pid from loyalty.shard_lease s'
    . ' join loyalty.worker w using (worker_id) where s.expires_at > clock_timestamp()') }] };
$t->wait_for(sub { @{ $owner->() } == 2 }, 10, 'both slots own shards');
my ($stopped) = @{ $owner->() };
my @pids = map { load("stop$_", $for) } 1 .. 2;
sleep 0.3;
kill STOP => $stopped;
my $began = time;
$t->wait_for(sub { my $o = $owner->(); @$o == 1 && $o->[0] != $stopped
    && $t->value('select count(*) from loyalty.shard_lease where expires_at > clock_timestamp()')
       == 256 }, 20, 'the other slot owns all');
diag sprintf 'stopped: its shards have another owner after %d ms', 1000 * (time - $began);
kill CONT => $stopped;
for (@pids) {
    waitpid $_, 0;
    is($?, 0, 'stopped: all was accepted');
}
$t->settled(60);
check('a slot stopped past its lease');
$t->wait_for(sub { @{ $owner->() } == 2 }, 20, 'both slots own shards again');
pass('and it is given shards again');


# -- the server itself

under_load('server', $for, sub {
    $t->house->pg_stop('QUIT');
    $t->house->pg_start;
});
check('the server stopped at once');

is($t->value("select count(*) from loyalty.job where state <> 'completed'"), 0,
    'nothing was put aside');
is($t->value("select count(*) from loyalty.worker w where beat_at < now() - interval '20 s'"), 0,
    'dead workers are forgotten');
