#!/usr/bin/perl

# A worker process is known by its row and by a lock of its session.  One whose
# row was taken away registers again; one that comes back while it is taken for
# dead waits until that is done.

use strict;
use warnings;

use DBI;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::LoyaltyWorker;
use Test::More;

my $t = Test::LoyaltyWorker->new(plan => 13);
my $h = $t->house;
my $shop = $t->shop('acme');


# -- a row that is gone

my $old = $t->value('select count(*) from loyalty.worker');
$t->sql('update loyalty.shard_lease set worker_id = null');
$t->sql('delete from loyalty.worker');
my ($e) = $t->accept($shop, $t->paid('o1', 'ext:a', ['2.00', 1]));
is($t->becomes($e, 'processed', 20)->{seq}, 1, 'the rules lane registers again and goes on');
$t->wait_for(sub { $t->value('select count(*) from loyalty.worker') == $old }, 20,
    'every slot has its row');
is($t->value('select count(distinct token) from loyalty.shard_lease'), 1, 'one owner');
like($t->log_text('worker.log'), qr/"worker row is gone".*"lane":"rules"/, 'which is told');


# -- a process that ended without a word

# all at once: a slot that outlives its supervisor says good-bye
my @pids = ($t->pids('worker'), $t->pids('worker-slot'));
kill STOP => @pids;
kill KILL => reverse @pids;
my $row = $t->sql('select worker_id from loyalty.worker order by 1 limit 1')->[0][0];
my ($reaper, $back) = map { DBI->connect("dbi:Pg:host=$h->{run};dbname=loyalty", 'loyalty_worker',
    undef, { RaiseError => 1, PrintError => 0, AutoCommit => $_ }) } 0, 1;
my $start = sub {
    return eval { $back->selectrow_array('select work.worker_start(?, ?, ?, 1, ?)', undef, $row,
        'jobs', 'here', '1') } // $back->state;
};
my $gone = sub { $t->value("select count(*) from pg_locks where locktype = 'advisory'"
    . ' and classid = 7401') == 0 };
$t->wait_for($gone, 10, 'their sessions are gone');

is(($reaper->selectrow_array('select work.workers_reap()'))[0], $old, 'all are taken for dead');
is($start->(), '55P03', 'one that comes back meanwhile is refused');
$reaper->commit;
is($t->value('select count(*) from loyalty.worker'), 0, 'no row is left');
is($start->(), 'ok', 'then it is let in');
is(($reaper->selectrow_array('select work.workers_reap()'))[0], 0, 'and is not dead');
$reaper->commit;
is($t->value('select count(*) from loyalty.worker'), 1, 'its row stays');
is(($back->selectrow_array('select work.worker_beat(?)', undef, $row))[0], 1, 'it beats');
$back->disconnect;
$t->wait_for($gone, 10, 'its session is gone');
is(($reaper->selectrow_array('select work.workers_reap()'))[0], 1, 'until its session ends');
$reaper->commit;
$reaper->disconnect;

$h->worker_start;
($e) = $t->accept($shop, $t->paid('o2', 'ext:a', ['2.00', 1]));
is($t->becomes($e, 'processed', 20)->{seq}, 2, 'a new worker goes on');
$t->books_ok;
