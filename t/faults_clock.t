#!/usr/bin/perl

# The clock of the machine jumps by hours, there and back: first that of nginx
# and of the worker, then that of PostgreSQL too.  Nothing is lost or doubled,
# nobody is locked out, timers neither starve nor storm, what was revoked stays
# so.  libfaketime moves the wall clock alone; the monotonic one goes on.

use strict;
use warnings;

use lib 't/lib';
use Test::Loyalty;
use Test::LoyaltyLoad;
use Test::More;
use Time::HiRes qw(sleep time);

my ($lib) = glob '/usr/lib/*/faketime/libfaketimeMT.so.1';
plan skip_all => 'libfaketime is missing: jumps of the clock are not shown' if !$lib;
plan skip_all => 'part of make check-long' if !$ENV{LOYALTY_LONG};
plan skip_all => 'libfaketime and a sanitizer do not go together' if $ENV{LOYALTY_ASAN};

my $dir = Test::Loyalty::folder();
my $clock = "$dir/clock";
my %env = (LD_PRELOAD => $lib, FAKETIME_TIMESTAMP_FILE => $clock, FAKETIME_NO_CACHE => 1,
           FAKETIME_DONT_FAKE_MONOTONIC => 1, DONT_FAKE_MONOTONIC => 1);
jump('', 0);

my $t = Test::Loyalty->new(plan => 60, dir => $dir, nginx_env => { %env },
    nginx_main => join(' ', map { "env $_;" } sort keys %env), worker_env => \%env,
    pg_env => { %env, FAKETIME_TIMESTAMP_FILE => "$clock.pg" });
my $h = $t->house;

$t->sql(q{select ops.plan_put('{"code":"slow","request_rate":5,"request_burst":10,
    "key_rate":1000,"key_burst":1000,"inflight_writes":100,"inflight_batches":10}')});
$t->tenant(slug => 'other', plan => 'slow', program => 0);

my $token = $t->token('shop', subject => 'usr_01jd2x0v5k8q7r3m9t6w4y2z1a', ttl => 900,
                      scopes => 'members:read');
my $void = $t->token('shop', subject => 'usr_01jd2x0v5k8q7r3m9t6w4y2z1b', ttl => 900,
                     scopes => 'members:read');
my $who = sub { $t->api(GET => '/v1/me', { key => $_[0], connection => 'who' })->{status} };
ok($t->wait_for(sub { $who->($token) == 200 }, 10), 'a token');
is($who->($void), 200, 'another');
my $uuid = $t->value(q{select loyalty.id_uuid('usr', 'usr_01jd2x0v5k8q7r3m9t6w4y2z1b')});
$t->sql("select ops.revocation_put(?, 'user', ?, now() + interval '1 second',"
        . " now() + interval '1 hour')", $t->{tenants}{shop}{uuid}, $uuid);
ok($t->wait_for(sub { $who->($void) == 401 }, 10), 'one of them is revoked');

my $serial = 0;
my $load = Test::LoyaltyLoad->start($t, name => 'jumps', clients => [{}, { tls => 1 }],
    pause => 0.1, seconds => 300);
$load->more(20);
my %usual = rates();
note(sprintf 'usual: %.1f readings of the feed and %.1f transactions a second', @usual{qw(feed db)});

# -- nginx and the worker

for my $hours (5, -5, 0, -30, 30, 0) {
    jump('', $hours);
    my $what = $hours ? sprintf('%+d h', $hours) : 'back';
    ok(seen($hours), "$what: nginx sees it");
    works($what);
}
my ($latest) = sort { $b <=> $a } $t->log_text('worker.log') =~ /"time":(\d+)/g;
cmp_ok($latest / 1000 - time, '>', 29 * 3600, 'the worker saw it');

# a revocation outlives a clock that is ahead: its reader begins anew there
jump('', 5);
seen(5);
my ($reader) = reverse $t->log_text('error.log') =~ /#(\d+): loyalty: this process reads/g;
$t->allow(qr/exited on signal 9/);
kill 'KILL', $reader;
$t->wait_for(sub { (reverse $t->log_text('error.log') =~ /#(\d+): loyalty: this process reads/g)[0]
                   != $reader }, 10, 'another reader');
jump('', 0);
seen(0);
is($who->($void), 401, 'what was revoked stays so');
is($who->($token), 200, 'and what was not');

# -- a jump while somebody waits

for my $hours (5, -5) {
    $t->stop('worker');
    my $order = $t->order('waits-' . ++$serial, 'ext:waits', ['1', 1]);
    my $answer = $t->waiting(sub { $t->api(POST => '/v1/events', { wait => 25,
        connection => 'wait', body => $order })->{status} });
    jump('', $hours);
    seen($hours);
    $t->start('worker');
    is($answer->(), 200, "a wait over a jump of $hours h ends with the outcome");
    my $began = time;
    $t->stop('worker');
    $order = $t->order('ends-' . ++$serial, 'ext:waits', ['1', 1]);
    $answer = $t->waiting(sub { $t->api(POST => '/v1/events', { wait => 2,
        connection => 'wait', body => $order })->{status} });
    jump('', 0);
    is($answer->(), 202, 'and one that elapses, with 202');
    cmp_ok(time - $began, '<', 15, 'in its time');
    $t->start('worker');
}

# -- PostgreSQL as well: all of the machine

for my $hours (5, 0, -5, 0) {
    jump($_, $hours) for '', '.pg';
    my $what = $hours ? sprintf('all %+d h', $hours) : 'all back';
    ok($t->wait_for(sub { abs($t->value('select extract(epoch from clock_timestamp())')
        - time - $hours * 3600) < 60 }, 10), "$what: PostgreSQL sees it");
    works($what);

    # leases that were given on the other clock
    my $began = time;
    $t->kill9('worker-process');
    my $r = $t->api(POST => '/v1/events', { wait => 25,
        body => $t->order('killed-' . ++$serial, 'ext:killed', ['1', 1]) });
    is($r->{status}, 200, "$what: a worker's process is killed and replaced");
    note(sprintf '%s: booked %.2f s after a kill', $what, time - $began);
}

my $sum = $load->stop;
is_deeply($sum->{other}, {}, "$sum->{asked} calls over all jumps: none failed")
    or diag explain $sum->{other};
is_deeply([grep { $_ >= 300 } keys %{ $sum->{status} }], [], 'and none was refused');
note(sprintf 'longest time without an answer %.2f s', $sum->{longest});
$t->settled(60);
is($t->value(q{select count(*) from (select e.external_id from loyalty.event e join loyalty.entry n
    on n.tenant_id = e.tenant_id and n.event_id = e.event_id where e.external_id like 'jumps-%'
    group by 1 having count(*) = 1) x}), scalar @{ $sum->{orders} }, 'every order is booked once');
$t->audit_ok('the books are right');


# hours that a clock is ahead; '.pg' is PostgreSQL's
sub jump {
    my ($of, $hours) = @_;
    for my $file (defined $t ? "$clock$of" : ($clock, "$clock.pg")) {
        open my $fh, '>', "$file.new" or die "$file: $!";
        printf {$fh} "%+dh\n", $hours;
        close $fh;
        chmod 0644, "$file.new";
        rename "$file.new", $file or die "$file: $!";
    }
}

# until nginx's clock is so many hours ahead
sub seen {
    my ($hours) = @_;
    return $t->wait_for(sub { abs(edge_ahead() - $hours * 3600) < 60 }, 10, "nginx $hours h ahead");
}

# seconds that nginx's clock is ahead of ours
sub edge_ahead {
    my $date = $t->api(GET => '/v1/programs')->{headers}{date};
    my ($d, $mon, $y, $hh, $mm, $ss) = $date =~ /(\d+) (\w+) (\d+) (\d+):(\d+):(\d+)/;
    my %month = map { (qw(Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec))[$_] => $_ } 0 .. 11;
    require Time::Local;
    return Time::Local::timegm($ss, $mm, $hh, $d, $month{$mon}, $y) - time;
}

# three tests: orders are booked, limits hold and let in, timers keep their pace
sub works {
    my ($what) = @_;

    my $began = time;
    my $r = $t->api(POST => '/v1/events', { wait => 20,
        body => $t->order('jump-' . ++$serial, 'ext:jump', ['1', 1]) });
    note(sprintf '%s: an order booked within %.2f s', $what, time - $began);
    is($r->{status} . ' ' . ($r->{json}{status} // ''), '200 processed', "$what: an order is booked")
        or diag $r->{body};

    # ten at once, then five a second
    my ($limited, $let) = (0, 0);
    for (1 .. 40) {
        my $r = $t->api(GET => '/v1/me', { tenant => 'other' });
        $limited = $r->{headers}{'retry-after'} if $r->{status} == 429;
        last if $limited;
    }
    ok($limited && $limited <= 3, "$what: who asks too often is told to wait a moment: $limited s");
    $t->wait_for(sub { $t->api(GET => '/v1/me', { tenant => 'other' })->{status} == 200 }, 5,
                 'let in again');

    my %now = rates();
    ok($now{feed} > $usual{feed} / 4 && $now{feed} < $usual{feed} * 4 + 5
       && $now{db} < $usual{db} * 4 + 50, "$what: timers keep their pace")
        or diag explain \%now, \%usual;
}

# readings of the feed and transactions of the database, a second
sub rates {
    my @at = map {
        sleep 1 if $_;
        [time, $t->metric('feed_reads_total'), $t->value('select xact_commit + xact_rollback from'
            . " pg_stat_database where datname = 'loyalty'")]
    } 0, 1;
    my $s = $at[1][0] - $at[0][0];
    return (feed => ($at[1][1] - $at[0][1]) / $s, db => ($at[1][2] - $at[0][2]) / $s);
}
