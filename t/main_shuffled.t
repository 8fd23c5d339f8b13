#!/usr/bin/perl

# The same year in another order, by eight clients at once, while processes of
# the worker, of nginx and of PostgreSQL are killed: what was acknowledged is
# booked exactly once, and available - debt is the same.

use strict;
use warnings;

use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Loyalty;
use Test::Loyalty::Year;

my $CLIENTS = 8;

# small, so that many calls meet a kill
my $BATCH = $ENV{LOYALTY_ALL} ? 20 : 3;

my $dir = Test::Loyalty::Year::real();
my $t = Test::Loyalty->new(plan => 9);
my $some = Test::Loyalty::Year::discriminating(Test::Loyalty::Year::expected($dir));
my $want = Test::Loyalty::Year::column($some, 'earned_minus_clawed');

my ($file, $n) = Test::Loyalty::Year::events($t,
    "$dir/online_retail_2010-12_2011-12.csv.zst", $some);
my $seed = $ENV{LOYALTY_SEED} || time ^ $$;
diag("$n events of " . keys(%$some) . " members, seed $seed");
my @files = Test::Loyalty::Year::deal($file, $CLIENTS, $seed);

my %env = $t->api_env;
my %client;
for my $f (@files) {
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        @ENV{ keys %env } = values %env;
        open STDOUT, '>', '/dev/null';
        open STDERR, '>', "$f.err";
        no warnings 'exec';
        exec "$Test::Loyalty::ROOT/bin/loyalty", 'events', 'import', $f,
            '--batch', $BATCH, '--in-flight', 2, '--give-up', 120;
        POSIX::_exit(127);
    }
    $client{$pid} = $f;
}

# the kills, until the last client is done
$t->allow(qr/terminated by signal 9|crash of another server process|postmaster/,
          qr/"level":60/);
my (%code, %killed, @recovery);
my @victims = qw(nginx-process worker-process postgres-backend nginx-process
                 worker worker-process);
my $end = time + 600;
my $round = 0;

while (%client) {
    for my $pid (keys %client) {
        next if waitpid($pid, POSIX::WNOHANG()) != $pid;
        $code{ delete $client{$pid} } = $?;
    }
    die "the clients do not end\n" if time > $end;
    if (%client) {
        my $victim = $victims[$round++ % @victims];
        if (eval { $t->kill9($victim); 1 }) {
            $killed{$victim}++;
            my $since = time;
            restore();
            push @recovery, [$victim, time - $since];
        }
        sleep 0.05 + rand 0.1;
    }
}

is_deeply([grep { $_ } values %code], [], 'every client sent everything')
    or diag map { substr(`tail -n 3 $_.err`, 0, 500) } @files;
for my $part (qw(nginx-process worker-process postgres-backend)) {
    ok($killed{$part}, "$part was killed " . ($killed{$part} // 0) . ' times');
}
my %worst;
for my $r (@recovery) { $worst{ $r->[0] } = $r->[1] if $r->[1] > ($worst{ $r->[0] } // 0) }
diag(sprintf 'longest time to answer again after the death of %s: %.2f s', $_, $worst{$_})
    for sort keys %worst;

restore();
my $since = time;
$t->settled(300);
diag(sprintf 'settled %.1f s after the last client', time - $since);

is($t->value('select count(*) from loyalty.event'), $n, 'every event is there once');
is($t->value("select count(*) from loyalty.event_outcome where status <> 'processed'"), 0,
   'and processed');
is($t->value('select count(*) from (select event_id, rule_version_id from loyalty.entry'
             . " where type = 1 group by 1, 2 having count(*) > 1) x"), 0,
   'no event is paid twice');
Test::Loyalty::Year::balances_are($t, $want, 'balances of the shuffled year');
$t->audit_ok;

# until the house answers: the death of one backend ends all of PostgreSQL's
sub restore {
    my $h = $t->house;
    $t->wait_for(sub { $h->pg_ready }, 60, 'PostgreSQL after a kill');
    $h->worker_start if !$h->pid('worker');
    $t->wait_for(sub {
        my $r = eval { $t->api(GET => '/readyz', { key => undef }) };
        return $r && $r->{status} == 200;
    }, 60, 'ready after a kill');
}
