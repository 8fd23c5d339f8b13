#!/usr/bin/perl

# The worker and its database are broken at random moments under load. Then
# every accepted event is booked exactly once, and the books hold. The time to
# recover is printed. LOYALTY_SEED repeats a run.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Handle ();
use POSIX ();
use Test::LoyaltyWorker;
use Test::More;
use Time::HiRes qw(sleep time);

my $long = $ENV{LOYALTY_LONG};
my $seed = $ENV{LOYALTY_SEED} // time % 100000;
my $members = 60;
my $patience = $long ? 300 : 120;

my $t = Test::LoyaltyWorker->new(plan => 35, worker => {
    rules_slots => 2, lease => '1500ms', beat => '200ms', restart_max => '500ms',
    reconnect_max => '200ms', rules_batch => 6 });
$t->allow(qr/"slot died"/);
diag "LOYALTY_SEED=$seed";
srand $seed;

my $shop = $t->shop('acme');
my $dir = $t->dir;


# -- the load: a process that accepts events and writes down what it does: what
# it is about to send, and what was acknowledged

sub load {
    my ($name, $seconds) = @_;
    my $pid = fork // die "fork: $!";
    return $pid if $pid;

    srand $seed + unpack '%32C*', $name;
    my $good = eval { client($name, $seconds); 1 };
    diag "client $name ended: $@" if !$good;
    POSIX::_exit($good ? 0 : 1);
}

# orders of n pounds each; every seventh is refunded in part, every eleventh
# refund comes before its order
sub client {
    my ($name, $seconds) = @_;
    my $end = time + $seconds;
    my $n = 0;
    open my $log, '>>', "$dir/load.$name" or die "$dir/load.$name: $!\n";
    $log->autoflush(1);
    while (time < $end) {
        my @events;
        my @sent;
        for (1 .. 1 + int rand 25) {
            $n++;
            my $m = 'm' . int rand $members;
            my $pounds = 1 + int rand 50;
            my @pair = $t->paid("$name-$n", "ext:$m", ['1.00', $pounds]);
            push @sent, "sent $name-$n $m $pounds\n";
            if ($n % 7 == 0) {
                push @pair, $t->refunded("$name-r$n", "ext:$m", "$name-$n", [1, '1.00', 1]);
                push @sent, "sent $name-r$n $m -1\n";
            }
            push @events, $n % 77 == 0 ? reverse @pair : @pair;
        }
        print {$log} @sent or die "$dir/load.$name: $!\n";
        my $known = $t->{known} // 0;

        # an outage of the server is waited out, a commit whose answer was
        # lost is sent again: the natural key makes one of it
        my $until = time + 60;
        until (eval { $t->accept($shop, $t->dbh, @events); 1 }) {
            my $why = $@;
            die $why if $why =~ /^not accepted/;
            die "an outage without end: $why" if time > $until;
            print {$log} "again\n";
            sleep 0.05;
        }
        print {$log} map { "accepted $_->{external_id}\n" } @events
            or die "$dir/load.$name: $!\n";
        print {$log} "known\n" x (($t->{known} // 0) - $known);
        sleep rand 0.03;
    }
    close $log or die "$dir/load.$name: $!\n";
}

# clients that have begun; their pids
sub clients {
    my ($name, $seconds) = @_;
    my @pids = map { load("$name$_", $seconds) } 1 .. 2;
    $t->wait_for(sub { 2 == grep { -s "$dir/load.$name$_" } 1 .. 2 }, 20, 'clients send');
    return @pids;
}

# the load with a fault in its midst; returns ms until events are processed
# again after the last fault
sub under_load {
    my ($name, $seconds, $fault) = @_;
    my @pids = clients($name, $seconds);
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
    $t->settled($patience);
    diag sprintf '%s: processed again %d ms after the last fault', $name, 1000 * $recovered;
    return 1000 * $recovered;
}

# a test: there is nothing of it
sub none {
    my ($wrong, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $n = @$wrong;
    return is($n, 0, $name) || !diag join "\n", $n > 20 ? (@$wrong[0 .. 19], '...') : @$wrong;
}

# Three accounts that know nothing of each other: what the clients wrote down,
# the events as they are stored, the ledger.
sub check {
    my ($name) = @_;
    my (%sent, %accepted, %n, @wrong);
    for my $file (glob "$dir/load.*") {
        open my $fh, '<', $file or die "$file: $!\n";
        while (<$fh>) {
            my ($what, $id, @of) = split;
            $n{$what}++;
            push @wrong, "$id: sent as two" if $what eq 'sent' && $sent{$id};
            $sent{$id} = join ' ', @of if $what eq 'sent';
            $accepted{$id} = 1 if $what eq 'accepted';
        }
    }
    my $rows = $t->sql(q{
        select e.external_id, x.external_id,
               coalesce((e.facts->'order'->'lines'->0->>'quantity')::numeric,
                        -(e.facts->'refund'->'lines'->0->>'quantity')::numeric),
               k.event_id = e.event_id, coalesce(o.status, 'no outcome'), coalesce(n.points, 0)
          from loyalty.event e
          left join loyalty.member_external x using (tenant_id, member_id)
          left join loyalty.event_key k
            on (k.tenant_id, k.source, k.type, k.external_id)
               = (e.tenant_id, e.source, e.type, e.external_id)
          left join loyalty.event_outcome o
            on (o.tenant_id, o.event_id) = (e.tenant_id, e.event_id)
          left join (select tenant_id, event_id, sum(points) as points
                       from loyalty.entry group by 1, 2) n
            on (n.tenant_id, n.event_id) = (e.tenant_id, e.event_id)});
    my (%stored, %points, @booked);
    for (@$rows) {
        my ($id, $m, $points, $key, $status, $got) = @$_;
        push @wrong, "$id: stored twice" if $stored{$id}++;
        push @wrong, "$id: without its key" if !$key;
        my $want = $sent{$id} // 'nothing';
        push @wrong, "$id: stored as $m $points, sent was $want" if "$m $points" ne $want;
        push @booked, "$id of $m: $got booked, $points to book, $status"
            if $got != $points || $status ne 'processed';
        $points{$m} += $points;
    }
    push @wrong, map { "$_: accepted and lost" } grep { !$stored{$_} } sort keys %accepted;
    none(\@wrong, sprintf '%s: %d events sent, %d of them accepted, %d stored, each once',
        $name, map { scalar keys %$_ } \(%sent, %accepted, %stored));
    diag sprintf '%s: %d calls sent again, %d of their events were known', $name,
        map { $_ // 0 } @n{qw(again known)};
    none(\@booked, "$name: each is booked with its points");

    my $books = $t->sql('select x.external_id, b.available + b.pending + b.held - b.debt,'
        . ' (select sum(n.points) from loyalty.entry n where n.tenant_id = b.tenant_id'
        . ' and n.wallet_id = b.wallet_id and n.member_id = b.member_id) from loyalty.balance b'
        . ' join loyalty.member_external x using (tenant_id, member_id)');
    my %have = map { $_->[0] => $_ } @$books;
    none([map {
            my ($has, $ledger) = $have{$_} ? @{ $have{$_} }[1, 2] : (0, 0);
            my $want = $points{$_} // 0;
            $has == $want && $ledger == $want ? ()
                : "$_ has $has, by the ledger $ledger, by the events $want";
        } sort keys %{ { %have, %points } }], "$name: every member has the points of his events");
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

my $owner = sub { [map { $_->[0] } @{ $t->sql('select w.pid from loyalty.shard_lease s'
    . ' join loyalty.worker w using (worker_id) where s.expires_at > clock_timestamp()'
    . ' group by w.worker_id order by w.worker_id') }] };
$t->wait_for(sub { @{ $owner->() } }, 10, 'a slot owns shards');
my ($stopped) = @{ $owner->() };
my @pids = clients('stop', $for);
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
$t->settled($patience);
check('a slot stopped past its lease');
$t->wait_for(sub { ($owner->()[0] // 0) == $stopped }, 20, 'the oldest slot has shards again');
pass('and it is given shards again');


# -- the server itself

under_load('server', $for, sub {
    $t->house->pg_stop('QUIT');
    $t->house->pg_start;
});
check('the server stopped at once');

# the clients' own repetition, of which an outage shows few
my @again = ($t->paid('again-1', 'ext:m1', ['1.00', 3]),
             $t->refunded('again-2', 'ext:m1', 'again-1', [1, '1.00', 1]));
my @ids = $t->accept($shop, @again);
my $known = $t->{known} // 0;
is_deeply([$t->accept($shop, @again)], \@ids, 'what is sent again is known');
is($t->{known} - $known, 2, 'as it is');

is($t->value("select count(*) from loyalty.job where state <> 'completed'"), 0,
    'nothing was put aside');
is($t->value("select count(*) from loyalty.worker w where beat_at < now() - interval '20 s'"), 0,
    'dead workers are forgotten');
