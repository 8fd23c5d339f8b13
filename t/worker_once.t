#!/usr/bin/perl

# What stands behind leases and cursors: an event that has its outcome is not
# booked again, whoever tries.

use strict;
use warnings;

use DBI ();
use FindBin;
use JSON::XS ();
use lib "$FindBin::Bin/lib";
use Test::LoyaltyWorker;
use Test::More;

my $t = Test::LoyaltyWorker->new(plan => 18, worker => { rules_slots => 2,
    rules_batch => 6 });
my $shop = $t->shop('acme');
my $json = JSON::XS->new->canonical;
my $points_of = 'select coalesce(sum(points), 0) from loyalty.entry where event_id = ?';


# -- a refund of one member, of an order of another: the slot that books it
# because the order did not come, and the slot that settles the order

my ($rich) = $t->accept($shop, $t->paid('o1', 'ext:ben', ['100.00', 1]));
$t->becomes($rich, 'processed');
my ($refund) = $t->accept($shop, $t->refunded('r1', 'ext:ben', 'o2', [1, '1.00', 5]));
is($t->becomes($refund, 'waiting')->{detail}{reason}, 'order', 'a refund waits for its order');
my $ben = $t->value("select member_id from loyalty.member_external where external_id = 'ben'");
my $job = $t->value("select job_id from loyalty.job where queue = 'order'");

my $late = DBI->connect("dbi:Pg:host=$t->{house}{run};dbname=loyalty", 'loyalty_worker', undef,
    { RaiseError => 1, PrintError => 0, AutoCommit => 0 });
my @settle = ('select * from work.rules_settle(null, 0, ?, ?)', undef,
    $json->encode({ mode => 'retry', job => $job + 0 }),
    $json->encode([{ tenant => $shop->{id},
        events => [{ e => $refund, m => $ben, s => 0, k => 'refund' }],
        phases => [{ orders => [], earns => [], evals => [], refunds => [{ e => $refund,
            late => \1, base => [{ event => $refund, member => $ben, wallet => $shop->{wallet},
                points => 5, at => '2026-01-03T03:04:05Z', rule => undef,
                rule_version => undef }] }] }] }]));
ok($late->selectrow_arrayref(@settle), 'it has waited long enough: booked, not yet committed');

my ($order) = $t->accept($shop, $t->paid('o2', 'ext:anna', ['1.00', 8]));
$t->wait_for(sub { $t->value("select count(*) from pg_stat_activity where usename ="
    . " 'loyalty_worker' and cardinality(pg_blocking_pids(pid)) > 0") }, 30,
    'the order waits for the refund');
pass('the order comes, and its slot sees the refund');
$late->commit;

is($t->becomes($order, 'processed')->{status}, 'processed', 'the order is booked');
is($t->value($points_of, $order), 8, 'with its points');
is($t->value($points_of, $refund), -5, 'the refund took back once');
is($t->points($shop, 'anna'), 8, 'nothing of the order');
is($t->points($shop, 'ben'), 95, 'all of its own member');
is($t->value("select count(*) from loyalty.job"), 0, 'nothing waits');


# -- an order that is being booked, and refunds of it that another slot books
# meanwhile, for they name no member: neither sees the other

my $n = 0;
$t->wait_for(sub {
    return 1 if $t->value('select count(distinct worker_id) from loyalty.shard_lease'
        . ' where expires_at > clock_timestamp()') == 2;
    $t->accept($shop, map { $t->paid('press-' . ++$n, "ext:press-$_", ['1.00', 1]) } 1 .. 20);
    return;
}, 30, 'both slots own shards');
my $hold = DBI->connect("dbi:Pg:host=$t->{house}{run};dbname=loyalty", 'postgres', undef,
    { RaiseError => 1, PrintError => 0, AutoCommit => 0 });
$hold->do(q{select from loyalty.log_cursor c where c.shard in (
    select o.shard from loyalty.shard_lease s join loyalty.shard_lease o using (worker_id)
     where s.shard = (select m.shard from loyalty.member m join loyalty.member_external x
        using (tenant_id, member_id) where x.external_id = 'anna')) for update});
$t->accept($shop, $t->paid('o3', 'ext:anna', ['1.00', 12]));
$t->wait_for(sub { $t->value("select count(*) from pg_stat_activity where usename ="
    . " 'loyalty_worker' and cardinality(pg_blocking_pids(pid)) > 0") }, 30,
    'the order is booked, not yet committed');
$t->accept($shop, map { $t->refunded("guest-$_", undef, 'o3', [1, '1.00', 1]) } 1 .. 12);
my $waiting = q{select count(*) from loyalty.event_outcome where status <> 'processed'};
ok($t->wait_for(sub { $t->value($waiting) }, 30), 'refunds wait for an order that they cannot see');
$hold->commit;
$hold->disconnect;
$t->settled;
ok($t->wait_for(sub { !$t->value($waiting) }, 60), 'until it is looked for again');
is($t->points($shop, 'anna'), 8, 'all of it is taken back');
is($t->value('select count(*) from loyalty.job'), 0, 'nothing waits');


# -- a batch that books what has its outcome

my $anna = $t->value("select member_id from loyalty.member_external where external_id = 'anna'");
eval { $late->selectrow_arrayref('select * from work.rules_settle(null, 0, ?, ?)', undef,
    $json->encode({ mode => 'retry', job => 0 }),
    $json->encode([{ tenant => $shop->{id}, events => [{ e => $order, m => $anna, s => 0, k => 'done' }],
        phases => [{ orders => [], evals => [], refunds => [], earns => [{ event => $order,
            member => $anna, wallet => $shop->{wallet}, points => 8, at => '2026-01-03T03:04:05Z',
            rule => undef, rule_version => undef, order => undef, shares => undef }] }] }])) };
like($@, qr/the event has its outcome/, 'it is refused');
is($late->state, '23505', 'as a key that is taken');
$late->rollback;
$late->disconnect;
is($t->value($points_of, $order), 8, 'and books nothing');
$t->books_ok;

# had the refund been booked twice, its outcome would tell of one
my $dbh = $t->dbh;
$dbh->begin_work;
$dbh->do(q{update loyalty.event_outcome set detail = detail || '{"points": 10}'
    where event_id = ?}, undef, $refund);
is_deeply($t->sql('select invariant, detail from ops.audit()'),
    [['refund.points', 'told 10, taken back 5']], 'an audit sees what a refund did not tell');
$dbh->rollback;
