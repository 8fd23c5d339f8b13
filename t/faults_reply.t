#!/usr/bin/perl

# The connection to PostgreSQL ends around a commit: before it was asked for,
# after it was done and nothing of the reply had come back, and between the
# reply's rows and its end.  Once: the call is sent again on another
# connection, and the client sees a success.  Twice: 503, and the client's own
# repetition gives the same, once.  Then the same between the worker and
# PostgreSQL.

use strict;
use warnings;

use lib 't/lib';
use Test::Loyalty;
use Test::LoyaltyProxy;
use Test::More;
use Time::HiRes qw(time);

my $t = Test::Loyalty->new(plan => 83);
my $h = $t->house;
my $proxy = Test::LoyaltyProxy->new($t);
$h->{via}{$_} = $proxy->{dir} for qw(loyalty_edge loyalty_edge_ro loyalty_worker);
for my $part (qw(nginx worker)) {
    $t->stop($part);
    $t->start($part);
}
$t->wait_for(sub { $t->api(GET => '/v1/me')->{status} == 200 }, 20, 'served through the proxy');
is($t->api(POST => '/v1/events', { wait => 10, body => $t->order('rich', 'ext:spender',
    ['1000', 1]) })->{json}{balances}[0]{available}, 1000, 'points to spend');

# -- the edge: what is written, how it is asked for, what it makes

my %when = (before => 'before the commit', after => 'after the commit',
            half => 'within the reply');
my $serial = 0;
my @kinds = (
    { name => 'an order', statement => 'event_create',
      ask => sub { $t->api(POST => '/v1/events',
          { body => $t->order($_[0], 'ext:plain', ['2', 1]) }) },
      made => q{select count(*) from loyalty.event where external_id = ?} },
    { name => 'an order with a key', statement => 'event_create',
      ask => sub { $t->api(POST => '/v1/events', { headers => { 'Idempotency-Key' => $_[0] },
          body => $t->order($_[0], 'ext:keyed', ['2', 1]) }) },
      made => q{select count(*) from loyalty.event where external_id = ?} },
    { name => 'a batch', statement => 'event_batch',
      ask => sub { my $id = shift; $t->api(POST => '/v1/events/batch', { body => { events =>
          [map { $t->order("$id-$_", 'ext:batch', ['2', 1]) } 1 .. 3] } }) },
      made => q{select count(*) / 3.0 from loyalty.event where external_id like ? || '-%'} },
    { name => 'a redemption', statement => 'redemption_create',
      ask => sub { $t->api(POST => '/v1/redemptions', { headers => { 'Idempotency-Key' => $_[0] },
          body => { member => 'ext:spender', points => ++$serial } }) },
      again => sub { $serial-- },
      made => q{select count(*) from loyalty.redemption where points = ?} },
);

for my $kind (@kinds) {
    for my $how (qw(before after half)) {
        my $id = "$kind->{statement}-$how-" . ++$kind->{n} . "-$kind->{name}" =~ s/ /-/gr;

        # once: it is sent again, and whoever asked does not notice
        $proxy->cut($how, "^$kind->{statement}_\\d+\$", 1);
        my $r = $kind->{ask}->("$id-1");
        like($r->{status}, qr/^20[012]$/, "$kind->{name}, cut once $when{$how}: $r->{status}")
            or diag $r->{body};
        is($proxy->left, 0, 'it was cut');

        # twice: unknown; repeated by the client it is there once
        $proxy->cut($how, "^$kind->{statement}_\\d+\$", 2);
        $r = $kind->{ask}->("$id-2");
        my $code = $r->{json}{code} // '';
        is("$r->{status} $code", '503 outcome_unknown', 'cut twice: nobody knows')
            or diag $r->{body};
        ok($r->{headers}{'retry-after'}, 'with Retry-After');
        my $begun = time;
        $kind->{again}->() if $kind->{again};
        $t->wait_for(sub {
            $r = $kind->{ask}->("$id-2");
            return 1 if $r->{status} != 503;
            $kind->{again}->() if $kind->{again};
            return;
        }, 20, 'served again');
        note(sprintf 'served again %.3f s later', time - $begun);
        my $known = $how eq 'before' ? 0 : 1;
        my ($same, $want) = $kind->{statement} eq 'redemption_create' || $kind->{name} =~ /key/
            ? ($r->{headers}{'idempotent-replayed'} // '', $known ? 'true' : '')
            : $kind->{name} eq 'a batch'
            ? (join(' ', map { $_->{status} } @{ $r->{json}{data} }),
               join(' ', ($known ? 200 : 202) x 3))
            : ($r->{json}{duplicate} ? 1 : 0, $known);
        is($same, $want, 'repeated, ' . ($known ? 'it was known' : 'it was new'));
        is_deeply([map { $t->value($kind->{made}, $_) + 0 } made($kind, $id)], [1, 1],
                  'and is there once');
    }
}

# -- reads are asked for once more, too

$proxy->cut('half', '^program_list_', 1);
is($t->api(GET => '/v1/programs')->{status}, 200, 'a read whose reply is cut');
is($proxy->left, 0, 'is asked for again');

# -- the worker: the batch that it booked, or did not

my $n = 0;
for my $how (qw(before after half)) {
    for my $times (1, 3) {
        $proxy->cut($how, '^work\.rules_settle$', $times);
        my $begun = time;
        my @ids = map { $t->api(POST => '/v1/events', {
            body => $t->order('booked-' . ++$n, 'ext:booked', ['1', 1]) })->{json}{id} } 1 .. 5;
        $t->wait_for(sub {
            # a cut needs something to settle
            push @ids, $t->api(POST => '/v1/events', { body => $t->order('booked-' . ++$n,
                'ext:booked', ['1', 1]) })->{json}{id} if $proxy->left && @ids < 1000;
            return !$proxy->left;
        }, 30, 'the cuts');
        $t->settled(60);
        note(sprintf '%d events, cut %d times %s: all booked after %.2f s',
             scalar @ids, $times, $when{$how}, time - $begun);
        # a cached balance may be as old as the last reading of the feed
        my $points;
        eval { $t->wait_for(sub { ($points = $t->balance('ext:booked')->{available}) == $n }, 5) };
        is($points, $n, "cut $times times $when{$how}: "
           . 'booked once');
    }
}
is($t->value('select max(n) from (select count(*) as n from loyalty.entry where event_id is not'
    . ' null group by event_id) e'), 1, 'no event has two entries');
$t->audit_ok('the books are right');


# what counts the two that a kind was asked for
sub made {
    my ($kind, $id) = @_;
    return $kind->{again} ? ($serial - 1, $serial) : ("$id-1", "$id-2");
}
