#!/usr/bin/perl

# What a call and a batch read does not grow with the tenant, whatever the
# planner believes of its tables: nothing is analyzed here, as in the first
# minutes of a shop that moves in.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Loyalty;
use Test::More;

my $members = 3000;
my $t = Test::Loyalty->new(plan => 8);

$t->sql('alter system set autovacuum = off');
$t->sql('select pg_reload_conf()');

# rows fetched from the tables that grow with members and events, but for what
# a start reads; sessions write down what they read when they end
sub fetched {
    $t->stop($_) for qw(nginx worker);
    $t->dbh->disconnect;
    $t->wait_for(sub { $t->value("select count(*) from pg_stat_activity where usename like 'loyalty_%'")
        == 0 }, 20, 'every session has ended');
    my %n = map { @$_ } @{ $t->sql("select regexp_replace(relname, '_(20)?[0-9]+\$', ''),"
        . ' sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) from pg_stat_all_tables'
        . " where schemaname = 'loyalty' group by 1") };
    delete @n{qw(change event_log log_cursor shard_lease worker)};
    $t->start($_) for qw(worker nginx);
    $t->wait_for(sub { $t->api(GET => '/v1/programs')->{status} == 200 }, 30, 'the house is back');
    return \%n;
}

# the tables of which an act reads more than so many rows
sub reads {
    my ($what, $most, $act) = @_;
    my $before = fetched();
    my $n = $act->();
    my $after = fetched();
    my @many = map { sprintf '%s %.0f', $_, ($after->{$_} - ($before->{$_} // 0)) / $n }
        grep { ($after->{$_} - ($before->{$_} // 0)) / $n > $most } sort keys %$after;
    is_deeply(\@many, [], $what);
}

sub post {
    my ($body, $path) = @_;
    my $r = $t->api(POST => $path // '/v1/events', { wait => 20, body => $body });
    die "$r->{status} $r->{body}" if $r->{status} != 200 || $r->{body} =~ /"status" ?: ?"received"/;
}

for my $batch (1 .. $members / 500) {
    my $r = $t->api(POST => '/v1/events/batch', { body => { events =>
        [map { $t->order("b$batch-$_", "ext:b$batch-$_", ['3.50', 2]) } 1 .. 500] } });
    die $r->{body} if $r->{status} != 200;
}
$t->settled(60);
is($t->value('select count(*) from loyalty.member'), $members, "$members members");

reads('orders of new members', 40, sub {
    post($t->order("new-$_", "ext:new-$_", ['3.50', 2], ['1', 1])) for 1 .. 20;
    return 20;
});
reads('orders of members that are there', 40, sub {
    post($t->order("old-$_", "ext:b1-$_", ['3.50', 2])) for 1 .. 20;
    return 20;
});
reads('a batch of both', 40, sub {
    post({ events => [map { $t->order("mixed-$_", ($_ % 2 ? "ext:b2-$_" : "ext:mixed-$_"),
        ['3.50', 2]) } 1 .. 200] }, '/v1/events/batch');
    return 200;
});
reads('refunds', 60, sub {
    post({ type => 'order.refunded', source => 'shop', external_id => "back-$_",
           member => "ext:b3-$_", occurred_at => '2026-01-03T03:04:05Z',
           refund => { order_external_id => "b3-$_", currency => 'GBP',
                       lines => [{ line_id => '1', unit_price => '3.50', quantity => 1 }] } }) for 1 .. 20;
    return 20;
});
reads('balances and entries', 40, sub {
    for (1 .. 20) {
        for my $what (qw(balances entries)) {
            my $r = $t->api(GET => "/v1/members/ext:b4-$_/$what");
            die "$what $r->{status} $r->{body}" if $r->{status} != 200;
        }
    }
    return 20;
});
reads('redemptions and adjustments', 60, sub {
    for my $i (1 .. 20) {
        my $r = $t->api(POST => '/v1/redemptions', { headers => { 'Idempotency-Key' => "r$i" },
            body => { member => "ext:b5-$i", points => 1 } });
        die "$r->{status} $r->{body}" if $r->{status} != 201;
        $r = $t->api(POST => '/v1/entries/adjustments', { headers => { 'Idempotency-Key' => "a$i" },
            body => { member => "ext:b5-$i", points => 5, reason => 'a gift' } });
        die "$r->{status} $r->{body}" if $r->{status} !~ /^20/;
    }
    return 20;
});
$t->audit_ok('the books are right');
