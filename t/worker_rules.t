#!/usr/bin/perl

# Events through the rules lane: what they earn, what refunds take back, in
# whatever order they come; limits, counters, guests, several tenants at once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::LoyaltyWorker;
use Test::More;

my $t = Test::LoyaltyWorker->new(plan => 38);


# -- earning

my $shop = $t->shop('acme');
my ($first) = $t->accept($shop, $t->paid('o1', 'ext:anna', ['2.55', 6], ['3.39', 1]));
is($t->becomes($first, 'processed')->{seq}, 1, 'the first event of a member');
is($t->points($shop, 'anna'), 18, '18.69 pounds are 18 points');

my $r = $t->sql('select outcome, points_raw, points, trace::json->>\'outcome\', entry_id is not null'
    . ' from loyalty.evaluation where event_id = ?', $first);
is_deeply($r, [['matched', '18.69', 18, 'matched', 1]], 'the evaluation with its trace');

$r = $t->sql('select o.total, o.line_count, e.points, e.shares from loyalty.sales_order o'
    . ' join loyalty.order_earn e using (tenant_id, order_id) where o.external_id = ?', 'o1');
is_deeply($r, [['18.69', 2, 18, [15, 3]]], 'the order, its points by line');

is($t->value("select count(*) from loyalty.change where kind = 'balance'"), 1,
    'a change for the caches');
is($t->value('select count(*) from loyalty.outbox'), 0, 'no message without an endpoint');


# -- refunds with an order

my ($half) = $t->accept($shop, $t->refunded('r1', 'ext:anna', 'o1', [1, '2.55', 3]));
is($t->becomes($half, 'processed')->{detail}{points}, 7, 'half of the first line');
is($t->points($shop, 'anna'), 11, 'and it is taken');
is($t->value('select status from loyalty.sales_order where external_id = ?', 'o1'),
    'partially_refunded', 'the order says so');

my ($rest) = $t->accept($shop,
    $t->refunded('r2', 'ext:anna', 'o1', [1, '2.55', 3], [2, '3.39', 1]));
$t->becomes($rest, 'processed');
is($t->points($shop, 'anna'), 0, 'the rest leaves nothing');
is($t->value('select status from loyalty.sales_order where external_id = ?', 'o1'),
    'refunded', 'the order says so');

my ($again) = $t->accept($shop, $t->refunded('r3', 'ext:anna', 'o1', [1, '2.55', 6]));
is($t->becomes($again, 'processed')->{detail}{points}, 0, 'never more than was given');


# -- refunds that come first

my ($early) = $t->accept($shop, $t->refunded('r4', 'ext:ben', 'o4', [1, '10.00', 1]));
is($t->becomes($early, 'waiting')->{detail}{reason}, 'order', 'a refund waits for its order');
is($t->value("select count(*) from loyalty.job where queue = 'order'"), 1, 'as a job');
my ($late) = $t->accept($shop, $t->paid('o4', 'ext:ben', ['10.00', 2]));
$t->becomes($late, 'processed');
is($t->outcome($early)->{status}, 'processed', 'and is settled in the order\'s commit');
is($t->points($shop, 'ben'), 10, 'one of two came back');
is($t->value("select count(*) from loyalty.job where queue = 'order'"), 0, 'nothing waits');
is_deeply([$t->outcome($late)->{seq}, $t->outcome($early)->{seq}], [1, 2],
    'numbered in the order of their evaluation');

my ($never) = $t->accept($shop, $t->refunded('r5', 'ext:ben', 'nowhere', [1, '4.00', 1]));
$t->becomes($never, 'waiting');
$t->sql("update loyalty.job set run_at = clock_timestamp(), args = args - 'until' where queue = 'order'");
is($t->becomes($never, 'processed')->{detail}{points}, 4, 'its order never came: the base rate');
is($t->points($shop, 'ben'), 6, 'and it is taken');


# -- without an order, and debt

my ($bare) = $t->accept($shop, $t->refunded('r6', 'ext:ben', undef, [1, '9.00', 1]));
is_deeply($t->becomes($bare, 'processed')->{detail}, { points => 9, clipped => 0, debt => 3 },
    'more than there is becomes debt');
$t->accept($shop, $t->paid('o5', 'ext:ben', ['5.00', 1]));
$t->settled;
is($t->points($shop, 'ben'), 2, 'earning pays the debt first');


# -- guests, and events that no rule wants

my ($guest) = $t->accept($shop, $t->paid('o6', undef, ['50.00', 1]));
is_deeply($t->becomes($guest, 'processed')->{detail}, { guest => JSON::XS::true },
    'a guest earns nothing');
my ($none) = $t->accept($shop, $t->custom('app.opened', 'c1', 'ext:ben'));
$t->becomes($none, 'processed');
is($t->value('select count(*) from loyalty.evaluation where event_id = ?', $none), 0,
    'an event that triggers no rule');


# -- limits and counters

my $cap = $t->shop('caps', rules => [
    { trigger => { event => 'app.review' }, limits => { per_member => 25 },
      effects => [{ type => 'fixed', wallet => 'points', points => 10 }] },
    { trigger => { event => 'app.visit' },
      limits => { per_period => { points => 3, period => 'day' } },
      effects => [{ type => 'fixed', wallet => 'points', points => 2 }] },
    { trigger => { event => 'app.streak' },
      condition => { '>=' => [{ count_in_window => ['app.streak', 'P7D'] }, 2] },
      effects => [{ type => 'fixed', wallet => 'points', points => 100 }] },
]);
$t->accept($cap, map { $t->custom('app.review', "w$_", 'ext:cara') } 1 .. 2);
$t->settled;
$t->accept($cap, map { $t->custom('app.review', "w$_", 'ext:cara') } 3 .. 5);
$t->settled;
is($t->points($cap, 'cara'), 25, 'the cap of a member holds over batches and within one');
is($t->value("select count(*) from loyalty.evaluation where clipped_by = 'per_member'"), 3,
    'and the evaluations say by what they were clipped');

$t->accept($cap, map { $t->custom('app.visit', "v$_", 'ext:dan') } 1 .. 3);
$t->accept($cap, $t->custom('app.visit', 'v4', 'ext:dan', occurred_at => '2026-01-04T00:00:00Z'));
$t->settled;
is($t->points($cap, 'dan'), 5, 'three a day, two on another day');

$t->accept($cap, map { $t->custom('app.streak', "s$_", 'ext:eva',
    occurred_at => "2026-01-0${_}T10:00:00Z") } 1 .. 4);
$t->settled;
is($t->points($cap, 'eva'), 200, 'the third and fourth within a week, in one batch');


# -- state: what is booked is seen by the next event of the batch

my $state = $t->shop('state', rules => [
    $t->rate,
    { trigger => { event => 'order.paid' },
      condition => { '>=' => [{ var => 'balance.available' }, 10] },
      effects => [{ type => 'fixed', wallet => 'points', points => 1000 }] },
]);
my $dbh = $t->dbh;
$dbh->begin_work;
$t->accept($state, $t->paid('b1', 'ext:finn', ['12.00', 1]),
    $t->paid('b2', 'ext:finn', ['1.00', 1]));
$dbh->commit;
$t->settled;
is($t->points($state, 'finn'), 1013, 'the second order saw the points of the first');
$dbh->begin_work;
$t->accept($state, $t->paid('b3', 'ext:gina', ['12.00', 1]),
    $t->refunded('b4', 'ext:gina', 'b3', [1, '12.00', 1]), $t->paid('b5', 'ext:gina', ['1.00', 1]));
$dbh->commit;
$t->settled;
is($t->points($state, 'gina'), 1, 'and after a refund it did not');


# -- pending until an event

my $wait = $t->shop('wait', wallet => { pending_policy => 'on_event',
    pending_event => 'order.fulfilled' });
$t->accept($wait, $t->paid('p1', 'ext:hal', ['7.00', 1]), $t->paid('p2', 'ext:hal', ['3.00', 1]));
$t->settled;
is($t->book($wait, 'hal')->{pending}, 10, 'pending');
$t->accept($wait, $t->custom('order.fulfilled', 'p1', 'ext:hal'));
$t->settled;
is_deeply([@{ $t->book($wait, 'hal') }{qw(available pending)}], [7, 3],
    'the order that the event names matures');


# -- many tenants in one batch; duplicates

my @shops = map { $t->shop("many$_") } 1 .. 4;
$dbh->begin_work;
$t->accept($_, map { $t->paid("m$_", "ext:m" . $_ % 7, ['1.00', $_]) } 1 .. 50) for @shops;
$dbh->commit;
$t->settled;
my @sums = map { $t->value('select sum(available) from loyalty.balance where tenant_id = ?',
    $_->{id}) } @shops;
is_deeply(\@sums, [(1275) x 4], 'each tenant its own');
$t->accept($_, map { $t->paid("m$_", "ext:m" . $_ % 7, ['1.00', $_]) } 1 .. 50) for @shops;
$t->settled;
is($t->value('select sum(available) from loyalty.balance where tenant_id = ?', $shops[0]{id}),
    1275, 'sent again, nothing is booked');


# -- messages, and two rules of one order in two wallets

my $two = $t->shop('two', rules => []);
$t->put('wallet', { tenant_id => $two->{id}, wallet_id => $t->uuid7, ordinal => 1,
    program_id => $two->{program}, code => 'miles' });
$t->publish($two, { trigger => { event => 'order.paid' }, effects => [
    { type => 'rate', wallet => 'points', points => 1, per => { amount => '1.00' } },
    { type => 'fixed', wallet => 'miles', points => 5 }] });
$t->put('webhook_endpoint', { tenant_id => $two->{id}, endpoint_id => $t->uuid7,
    url => 'https://example.test/', event_types => ['*'], api_version => '2026-01-01' });
my ($both) = $t->accept($two, $t->paid('t1', 'ext:ida', ['8.00', 1]));
$t->becomes($both, 'processed');
$r = $t->sql('select w.code, b.available from loyalty.balance b join loyalty.wallet w'
    . ' using (tenant_id, wallet_id) where b.tenant_id = ? order by 1', $two->{id});
is_deeply($r, [['miles', 5], ['points', 8]], 'one rule, two wallets');
$r = $t->sql('select type, count(*) from loyalty.outbox where tenant_id = ? group by 1 order by 1',
    $two->{id});
is_deeply($r, [['balance.updated', 2], ['event.processed', 1], ['member.enrolled', 1],
    ['points.earned', 2]], 'messages for the endpoint')
    or diag explain $r;

$t->books_ok;
is($t->value("select count(*) from loyalty.job where state <> 'completed'"), 0,
    'nothing is left waiting');
