#!/usr/bin/perl

# How fast the rules lane is: orders of a backlog, orders that come one by one,
# and how long after its commit an order of a steady stream is booked. Figures
# are printed; the floors are low, for machines that are busy. LOYALTY_LONG
# runs it at length.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::UNIX ();
use POSIX ();
use Socket qw(SOCK_DGRAM);
use Test::LoyaltyWorker;
use Test::More;
use Time::HiRes qw(sleep time);

my $long = $ENV{LOYALTY_LONG};
my $t = Test::LoyaltyWorker->new(plan => 4, worker => { log_level => 'info' });
my $shop = $t->shop('acme');
my $n = 0;

sub orders {
    my ($count) = @_;
    return map { $n++; $t->paid("o$n", 'ext:m' . $n % 4000, ['3.75', 2], ['12.10', 1]) } 1 .. $count;
}

# seconds of processor time of the slots and of their connections
sub cpu {
    my $sum = 0;
    my @pids = ($t->pids('worker-process'), map { $_->[0] } @{ $t->sql(
        "select pid from pg_stat_activity where usename = 'loyalty_worker'") });
    for (@pids) {
        open my $fh, '<', "/proc/$_/stat" or next;
        my @f = split ' ', (<$fh> =~ s/.*\)//r);
        $sum += ($f[11] + $f[12]) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
    }
    return $sum;
}

# $rounds batches of $size, accepted while the slots are stopped; orders a
# second of wall clock, and of processor time
sub drain {
    my ($name, $rounds, $size) = @_;
    kill STOP => $t->pids('worker-process');
    $t->accept($shop, orders($size)) for 1 .. $rounds;
    my ($cpu, $began) = (cpu(), time);
    kill CONT => $t->pids('worker-process');
    $t->poke;
    $t->settled(300);
    my ($wall, $used) = (time - $began, cpu() - $cpu);
    my $count = $rounds * $size;
    diag sprintf '%s: %d orders in %.2f s: %d/s; %d us of processor each', $name, $count, $wall,
        $count / $wall, 1e6 * $used / $count;
    return $count / $wall;
}

$t->accept($shop, orders(1000)) for 1 .. 4;
$t->settled(120);
cmp_ok(drain('backlog', $long ? 40 : 8, 1000), '>', 200, 'a backlog is booked');


# -- a steady stream of single orders, open loop

sub stream {
    my ($rate, $seconds) = @_;
    my $hint = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => "$t->{house}{run}/edge.sock")
        or die "edge.sock: $!";
    chmod 0666, "$t->{house}{run}/edge.sock";

    my $producers = 4;
    my @pids;
    pipe my $r, my $w or die $!;
    for my $p (1 .. $producers) {
        my $pid = fork // die $!;
        if ($pid) {
            push @pids, $pid;
            next;
        }
        $w->autoflush(1);
        my ($began, $i) = (time, 0);
        $n += 10_000_000 * $p;
        while ($i < $rate * $seconds / $producers) {
            my $due = $began + $i++ * $producers / $rate;
            my $early = $due - time;
            sleep $early if $early > 0;
            my ($id) = $t->accept($shop, orders(1));
            syswrite $w, sprintf "%s %.6f\n", $id, time;
        }
        POSIX::_exit(0);
    }
    close $w;

    # the hint says when to look; what is seen then was committed before
    my (%open, @took, $text);
    my $rest = '';
    my $done = 0;
    my $end = time + $seconds + 60;
    my $dbh = $t->dbh;
    while ((!$done || %open) && time < $end) {
        my $bits = '';
        vec($bits, fileno $hint, 1) = 1;
        vec($bits, fileno $r, 1) = 1 if !$done;
        select(my $ready = $bits, undef, undef, 0.05);
        if (!$done && vec($ready, fileno $r, 1)) {
            sysread($r, $text, 65536) or $done = 1;
            $rest .= $text;
            $open{$1} = $2 while $rest =~ s/^(\S+) (\S+)\n//;
        }
        $hint->blocking(0);
        1 while defined $hint->recv($text, 10) && length $text;
        next if !%open;
        my $seen = $dbh->selectcol_arrayref('select event_id from loyalty.event_outcome'
            . ' where tenant_id = ? and event_id = any (?)', undef, $shop->{id}, [keys %open]);
        my $now = time;
        push @took, $now - delete $open{$_} for @$seen;
    }
    waitpid $_, 0 for @pids;
    close $hint;
    unlink "$t->{house}{run}/edge.sock";
    @took = sort { $a <=> $b } @took;
    return (scalar @took, map { 1000 * $took[$_ * $#took] } 0.5, 0.95, 0.99);
}

$t->house->{worker}{hint_socket} = "$t->{house}{run}/edge.sock";
$t->house->worker_stop;
$t->house->worker_start;
my ($rate, $seconds) = $long ? (400, 20) : (100, 4);
my ($count, $p50, $p95, $p99) = stream($rate, $seconds);
is($count, $rate * $seconds, 'every order of a stream is booked');
diag sprintf '%d orders a second, one a commit: booked and seen after %.1f ms (p50), %.1f ms (p95),'
    . ' %.1f ms (p99)', $rate, $p50, $p95, $p99;
cmp_ok($p95, '<', 2000, 'soon after it was accepted');
$t->books_ok;
