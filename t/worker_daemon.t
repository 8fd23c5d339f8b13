#!/usr/bin/perl

# The daemon itself: arguments, configuration, signals, sockets, log, metrics.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::UNIX ();
use Socket qw(SOCK_DGRAM);
use Test::LoyaltyWorker;
use Test::More;
use Time::HiRes qw(sleep time);

my $t = Test::LoyaltyWorker->new(plan => 31, parts => ['postgres']);
my $h = $t->house;
my $run = $h->{run};
my $bin = "$FindBin::Bin/../bin/loyalty-worker";
$h->install('loyalty-worker');

# exit code and both outputs
sub run {
    my (@args) = @_;
    my $out = `$bin @args 2>&1`;
    return ($? >> 8, $out);
}

sub conf {
    my ($text) = @_;
    $t->house->write_file($t->dir . '/some.conf', $text);
    return run('-t', '-c', $t->dir . '/some.conf');
}


# -- arguments and configuration

like((run('--help'))[1], qr/^usage: loyalty-worker/, '--help');
like((run('--version'))[1], qr/^loyalty-worker \d+\.\d+\.\d+\n\z/, '--version');
is((run('--nothing'))[0], 2, 'an unknown argument');
is((run('-t', '-c', $t->dir . '/nowhere'))[0], 1, 'a file that is not there');

my ($code, $out) = conf("# nothing\n\ndatabase host=/tmp dbname=x\n\trules_slots\t3\n");
is($code, 0, 'a good file') or diag $out;
like((conf("rules_slots 1\n"))[1], qr/"database" is required/, 'the database is required');
like((conf("database x\nrules_slot 1\n"))[1], qr/line 2: option is unknown: "rules_slot"/, 'unknown');
like((conf("database x\nlease 10\n"))[1], qr/line 2: value does not read/, 'a time without its unit');
like((conf("database x\nlease 10us\n"))[1], qr/line 2: value does not read/, 'another unit');
like((conf("database x\nrules_batch 0\n"))[1], qr/line 2: value is out of range/, 'out of range');
like((conf("database x\ndatabase y\n"))[1], qr/line 2: option is given twice/, 'twice');
like((conf("database x\nlog_level loud\n"))[1], qr/line 2: value does not read/, 'a level');

# the page has exactly the options, with what the program says of them
my @told = map { [split /\t/] } split /\n/, (run('--options'))[1];
my $page = do { local (@ARGV, $/) = "$FindBin::Bin/../docs/worker.md"; <> };
my @page = map { [map { s/^`|`$//gr } split / \| /, $_] }
    $page =~ /^\| (`\w+` \| \w+ \| \S* ?[^|]*\| (?:reload|restart) \| .*?) \|$/mg;
is_deeply([map { $_->[0] } @page], [map { $_->[0] } @told], 'docs/worker.md has every option');
$_->[2] =~ s/^\s*$/-/ for @page;
is_deeply([map { join ' ', @$_[1 .. 4] } @page], [map { join ' ', @$_[1 .. 4] } @told],
    'and says the same of each');
my $example = do { local (@ARGV, $/) = "$FindBin::Bin/../conf/worker.conf"; <> };
($code, $out) = conf($example);
is($code, 0, 'the example is good') or diag $out;


# -- sockets

my $hint = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => "$run/edge.sock") or die $!;
chmod 0666, "$run/edge.sock";
$h->{worker} = { %{ $h->{worker} }, hint_socket => "$run/edge.sock", rules_poll => '60s',
    poll => '60s', rules_slots => 1 };
$h->worker_start;
$t->wait_for(sub { $t->value('select count(*) from loyalty.shard_lease where worker_id is not null')
    == 256 }, 20, 'the slot owns all shards');

# the rule is published by a command, which nothing but the poke can wake
my $shop = $t->shop('acme');
pass('a datagram wakes the commands lane');
my $began = time;
my ($id) = $t->accept($shop, $t->paid('o1', 'ext:anna', ['5.00', 1]));
$t->becomes($id, 'processed', 10);
cmp_ok(time - $began, '<', 10, 'and the rules lane, long before it would look');
my $told = '';
$t->wait_for(sub { $hint->blocking(0); defined $hint->recv($told, 10) && length $told }, 10,
    'the edge is told');
pass('the edge is told');


# -- signals

my $log = $h->path('log/worker.log');
sub lines { open my $fh, '<', $_[0] or return (); return <$fh> }
rename $log, "$log.1";
kill USR1 => $h->pid('worker');
$t->wait_for(sub { -e $log }, 10, 'the log is opened again');
pass('USR1 opens the log again');
$h->{worker}{rules_poll} = '50ms';
$h->{worker}{rules_slots} = 5;
$h->worker_conf;
kill HUP => $h->pid('worker');
$t->wait_for(sub { grep { /configuration read again/ } lines($log) }, 10, 'the reload');
my ($line) = grep { /configuration read again/ } lines($log);
like($line, qr/"need_restart":1\b/, 'HUP takes what it can and counts what it cannot');
$h->write_file("$run/worker.conf", "database x\nnonsense 1\n");
kill HUP => $h->pid('worker');
$t->wait_for(sub { grep { /configuration is refused/ } lines($log) }, 10, 'the refusal');
($line) = grep { /configuration is refused/ } lines($log);
like($line, qr/line 2: option is unknown/, 'a faulty file changes nothing');
$t->accept($shop, $t->paid('o2', 'ext:anna', ['1.00', 1]));
$t->settled;
is($t->points($shop, 'anna'), 6, 'and work goes on');

my ($slot) = map { $_->[0] } @{ $t->sql('select w.pid from loyalty.worker w join'
    . ' loyalty.shard_lease s using (worker_id) limit 1') };
kill KILL => $slot;
$t->wait_for(sub { grep { /"slot died"/ } lines($log) }, 10, 'the supervisor sees it');
($line) = grep { /"slot died"/ } lines($log);
like($line, qr/"of":"rules","number":0,"exit":-1,"signal":9/, 'a slot that dies is logged');
$t->accept($shop, $t->paid('o3', 'ext:anna', ['1.00', 1]));
$t->settled;
is($t->points($shop, 'anna'), 7, 'and another does its work');

$t->wait_for(sub { my ($m) = join('', lines("$run/worker.prom")) =~
    /^loyalty_worker_restarts_total\{lane="rules",slot="0"\} (\d+)$/m; $m && $m == 1 }, 15,
    'the metrics');
like(join('', lines("$run/worker.prom")), qr/^# TYPE loyalty_worker_items_total counter$/m,
    'the metrics say it');

my $pid = $h->pid('worker');
my @second = ("$bin -c $run/second.conf 2>&1");
$h->write_file("$run/second.conf", "database host=$run dbname=loyalty user=loyalty_worker\n"
    . "pid_file $run/worker.pid\nlog_file stderr\n");
my $other = `@second`;
like($other, qr/another worker holds the pid file/, 'a second one does not start');
ok(kill(0, $pid), 'and leaves the first alone');

kill TERM => $pid;
$t->wait_for(sub { !kill 0, $pid }, 20, 'the worker ends');
is($t->value('select count(*) from loyalty.worker'), 0, 'TERM: it leaves no row');
is($t->value('select count(*) from loyalty.shard_lease where worker_id is not null'), 0,
    'and no lease');
ok(!-e "$run/worker.pid" && !-e "$run/worker.sock", 'and no file');
my @bad = grep { !/^\{"level":\d+,"time":\d+,"pid":\d+,"name":"loyalty-worker","msg":".*\}$/ }
    lines($log), lines("$log.1");
is("@bad", '', 'every line of the log is of one form');
