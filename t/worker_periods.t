#!/usr/bin/perl

# Caps by day, week, month and year begin at midnight of the program's time
# zone; zones that do not stand; counters of windows; a rule version whose
# compiled form was lost.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::LoyaltyWorker;
use Test::More;

my $t = Test::LoyaltyWorker->new(plan => 23, worker => { rules_slots => 1, retry_first => '100ms',
    retry_max => '200ms', quarantine_after => '400ms' });

# two points an event, three in a period
sub capped {
    my ($period) = @_;
    return { trigger => { event => "app.$period" },
        limits => { per_period => { points => 3, period => $period } },
        effects => [{ type => 'fixed', wallet => 'points', points => 2 }] };
}

sub given {
    my ($shop, $type, $member, @at) = @_;
    my $n = 0;
    $t->accept($shop, map { $t->custom($type, "$type-$member-" . ++$n, "ext:$member",
        occurred_at => $_) } @at);
    $t->settled;
    return $t->points($shop, $member);
}

my $berlin = $t->shop('berlin', program => { timezone => 'Europe/Berlin' },
    rules => [map { capped($_) } qw(day week month year)]);


# -- winter: midnight of Berlin is 23:00 UTC

is(given($berlin, 'app.day', 'd1', qw(2026-01-14T22:00:00Z 2026-01-14T22:59:59.999Z)), 3,
    'a day of Berlin');
is(given($berlin, 'app.day', 'd2', qw(2026-01-14T22:59:59.999Z 2026-01-14T23:00:00Z)), 4,
    'and the next one');
is(given($berlin, 'app.day', 'd3', qw(2026-07-14T21:59:59Z 2026-07-14T22:00:00Z)), 4,
    'in summer an hour before');
is(given($berlin, 'app.day', 'd4', qw(2026-03-28T23:00:00Z 2026-03-29T21:59:00Z 2026-03-29T22:00:00Z)),
    5, 'a day of 23 hours');

# 2026-01-11 is a Sunday
is(given($berlin, 'app.week', 'w1', qw(2026-01-05T12:00:00Z 2026-01-11T22:59:59Z)), 3,
    'a week ends with its Sunday');
is(given($berlin, 'app.week', 'w2', qw(2026-01-11T22:59:59Z 2026-01-11T23:00:00Z)), 4,
    'and the next begins with Monday');
is(given($berlin, 'app.week', 'w3', qw(2025-12-29T12:00:00Z 2026-01-04T12:00:00Z)), 3,
    'a week lies in two years');
is(given($berlin, 'app.month', 'm1', qw(2026-01-01T00:00:00Z 2026-01-31T22:59:59Z)), 3, 'a month');
is(given($berlin, 'app.month', 'm2', qw(2026-01-31T22:59:59Z 2026-01-31T23:00:00Z)), 4,
    'and the next');
is(given($berlin, 'app.month', 'm3', qw(2025-12-31T22:59:59Z 2025-12-31T23:00:00Z)), 4,
    'from December to January');
is(given($berlin, 'app.year', 'y1', qw(2025-01-01T00:00:00Z 2025-12-31T22:59:59Z)), 3, 'a year');
is(given($berlin, 'app.year', 'y2', qw(2025-12-31T22:59:59Z 2025-12-31T23:00:00Z)), 4,
    'and the next');

# one after the other: what is given already comes from the books, not the batch
given($berlin, 'app.year', 'y3', '2025-03-01T00:00:00Z');
$t->accept($berlin, $t->custom('app.year', 'again', 'ext:y3', occurred_at => '2025-04-01T00:00:00Z'));
$t->settled;
is($t->points($berlin, 'y3'), 3, 'over two batches');


# -- a rule that asks for the local day, and zones that do not stand

sub local_day {
    return { trigger => { event => 'app.local' },
        condition => { '===' => [{ day => { var => 'now' } }, 15] },
        effects => [{ type => 'fixed', wallet => 'points', points => 1 }] };
}
is(given($t->shop('local', program => { timezone => 'Europe/Berlin' }, rules => [local_day()]),
    'app.local', 'l', qw(2026-01-14T22:59:59Z 2026-01-14T23:00:00Z 2026-01-15T22:59:59Z
    2026-01-15T23:00:00Z)), 2, 'the day of a condition is of the zone');

for my $case (['Mars/Olympus', 'that does not stand'], ['../../etc/passwd', 'that leaves its folder'],
              ['/etc/passwd', 'with a root'], ['Europe', 'that is a folder'], ['', 'without a name']) {
    my ($zone, $name) = @$case;
    my $slug = 'z' . substr Digest::SHA::sha1_hex($zone), 0, 8;
    my $shop = $t->shop($slug, program => { timezone => $zone }, rules => [capped('day')]);
    is(given($shop, 'app.day', 'd', qw(2026-01-14T23:30:00Z 2026-01-15T00:30:00Z)), 4,
        "a zone $name counts as UTC");
}


# -- the compiled form is lost, then the document, too

my $lost = $t->shop('lost', rules => []);
$t->publish($lost, { trigger => { event => 'order.paid' },
    effects => [{ type => 'fixed', wallet => 'points', points => 7 }] });
$t->sql("update loyalty.rule_version set program = '\\x00010203' where tenant_id = ?", $lost->{id});
my ($e) = $t->accept($lost, $t->paid('l1', 'ext:lea', ['1.00', 1]));
$t->becomes($e, 'processed');
is($t->points($lost, 'lea'), 7, 'a compiled form that does not load is made again');

my $gone = $t->shop('gone', rules => []);
$t->publish($gone, { trigger => { event => 'order.paid' },
    effects => [{ type => 'fixed', wallet => 'points', points => 7 }] });
$t->sql("update loyalty.rule_version set program = '\\x00', document = '{}' where tenant_id = ?",
    $gone->{id});
($e) = $t->accept($gone, $t->paid('g1', 'ext:gil', ['1.00', 1]));
my $o;
$t->wait_for(sub { ($o = $t->outcome($e)) && $o->{status} ne 'waiting' }, 20, 'an outcome');
is($o->{status}, 'quarantined', 'without its document nothing is guessed') or diag explain $o;
like($t->log_text('worker.log'), qr/"rule version cannot be loaded"/, 'and the log says so');
$t->books_ok;
