#!/usr/bin/perl

# A worker that cannot start, or one of whose lanes cannot: it says which
# setting is at fault, and with what code it ends.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DBD::Pg ();
use Test::LoyaltyWorker;
use Test::More;

my $t = Test::LoyaltyWorker->new(plan => 26, parts => ['postgres']);
my $h = $t->house;
my $run = $h->{run};
my $dir = $t->dir;
my $bin = "$FindBin::Bin/../bin/loyalty-worker";
my $database = "database host=$run dbname=loyalty user=loyalty_worker\n";
my $n = 0;
$h->install('loyalty-worker');

# what a worker that ends by itself says, and its code
sub fails {
    my ($text) = @_;
    my $conf = "$dir/fails-" . ++$n;
    $h->write_file($conf, $text);
    my $out = `timeout 20 $bin -c $conf 2>&1`;
    return ($? >> 8, $out);
}

for my $case (
    ['a log file where no folder is', "log_file $dir/none/worker.log\n", qr/log file cannot be opened/],
    ['a pid file where no folder is', "pid_file $dir/none/pid\n", qr/pid file cannot be opened/],
    ['a socket where no folder is', "socket $dir/none/socket\n", qr/socket cannot be bound/],
    ['a socket of too long a name', "socket $dir/" . 'x' x 120 . "\n", qr/path of the socket is too long/],
    ['a file far too large', '#' . 'x' x 2_000_000 . "\n", qr/file is too large|line is too long/],
) {
    my ($name, $text, $like) = @$case;
    my ($code, $out) = fails($database . $text);
    is($code, 1, $name) or diag $out;
    like($out, $like, '  is told');
}
my ($code, $out) = fails("$database\nlease");
is($code, 1, 'an option without its value');
like($out, qr/line 3: /, '  is told with its line');


# -- a lane that cannot start is tried again, the others work

for my $case (['webhook_allow', '10.0.0.0/33'], ['webhook_allow', 'my network'], ['webhook_schedule', '5 soon'],
              ['webhook_schedule', '-5'], ['keyring', "$dir/none"]) {
    my ($option, $value) = @$case;
    my $before = length $t->log_text('worker.log');
    $h->{worker} = { webhooks_slots => 1, $option => $value, hint_socket => undef };
    $h->worker_start;
    $t->wait_for(sub { substr($t->log_text('worker.log'), $before) =~ /"webhooks cannot start"/ }, 20,
        'the lane says so');
    like(substr($t->log_text('worker.log'), $before), qr/"webhooks cannot start".*"option":"$option"/,
        "$option $value");
    if ($option eq 'keyring') {
        $t->wait_for(sub { $t->value('select count(*) from loyalty.worker') }, 20, 'the other lanes');
        pass('  the other lanes live');
    }
    $h->worker_stop;
}


# -- no database: it waits for one

$t->stop('postgres');
$h->{worker} = { hint_socket => undef };
$h->worker_start;
$t->wait_for(sub { $t->log_text('worker.log') =~ /"no connection|cannot connect|connect/i }, 20,
    'it says that there is none');
ok(kill(0, $h->pid('worker')), 'a worker without a database goes on');
$t->start('postgres');
my $shop = $t->shop('late');
my ($e) = $t->accept($shop, $t->paid('o1', 'ext:a', ['2.00', 1]));
is($t->becomes($e, 'processed', 30)->{seq}, 1, 'and works when it comes');

# lost while it works
my ($killed) = $t->dbh->selectrow_array('select count(pg_terminate_backend(pid)) from pg_stat_activity'
    . " where usename = 'loyalty_worker'");
cmp_ok($killed, '>', 0, 'every connection is ended');
($e) = $t->accept($shop, $t->paid('o2', 'ext:a', ['2.00', 1]));
is($t->becomes($e, 'processed', 30)->{seq}, 2, 'and opened again');

# ended, but not yet gone: whoever waits for its lock has it before the slot,
# which asks on new connections until it gets it
my $slots = q{select w.worker_id, loyalty.worker_key(w.worker_id), l.pid from loyalty.worker w
    join pg_locks l on l.locktype = 'advisory' and l.classid = ? and l.granted
     and l.objid::bigint::bit(32)::int = loyalty.worker_key(w.worker_id)};
my ($slot) = @{ $t->sql($slots, 7402) };
my $earlier = DBI->connect("dbi:Pg:host=$run;dbname=loyalty", 'postgres', undef,
    { RaiseError => 1, PrintError => 0, AutoCommit => 1 });
$earlier->do("select pg_advisory_lock(7401, $slot->[1])", { pg_async => DBD::Pg::PG_ASYNC() });
$t->wait_for(sub { $t->value("select count(*) from pg_locks where locktype = 'advisory'"
    . ' and classid = 7401 and not granted') }, 20, 'another waits for its lock');
my $from = length $t->log_text('worker.log');
$t->sql('select pg_terminate_backend(?)', $slot->[2]);
$earlier->pg_result;
$t->wait_for(sub { 2 <= (() = substr($t->log_text('worker.log'), $from)
    =~ /"turn failed".*"call":"work.worker_start","code":"55P03"/g) }, 20, 'it is refused');
pass('an earlier connection that still lives: refused, and asked again');
$earlier->disconnect;
$t->wait_for(sub { grep { $_->[0] eq $slot->[0] } @{ $t->sql($slots, 7402) } }, 20,
    'the slot has its lock');
ok((grep { $_->[0] eq $slot->[0] } @{ $t->sql($slots, 7401) }), 'then it holds both of its locks');
($e) = $t->accept($shop, $t->paid('o3', 'ext:a', ['2.00', 1]));
is($t->becomes($e, 'processed', 30)->{seq}, 3, 'and works');
$t->books_ok;
$t->allow(qr{cannot start|cannot be});

