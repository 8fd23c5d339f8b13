#!/usr/bin/perl

# A full disk: a start says so in one line; under traffic writes are refused
# with 503 and Retry-After, balances that are cached go on, and when there is
# room again everything goes on by itself, though PostgreSQL has shut down
# meanwhile: it does so when there is no room for its log.  What was
# acknowledged is booked once.
#
# The disk is a small tmpfs in a mount namespace of this file's own, which root
# alone may have.

use strict;
use warnings;

my $mounts;

BEGIN {
    if ($> == 0 && !$ENV{LOYALTY_T_MOUNTS}
            && system('unshare -m true >/dev/null 2>&1') == 0) {
        $ENV{LOYALTY_T_MOUNTS} = 1;
        exec 'unshare', '-m', '--propagation', 'private', $^X, $0, @ARGV;
    }
    $mounts = delete $ENV{LOYALTY_T_MOUNTS};
}

use lib 't/lib';
use Test::Loyalty;
use Test::LoyaltyLoad;
use Test::More;
use Time::HiRes qw(sleep time);

if (!$mounts) {
    plan skip_all => 'a disk of its own needs root and mount namespaces: a full disk is not shown';
}

my $MiB = 1048576;
my $t = Test::Loyalty->new(plan => 31, keep => 1,
    worker => { retry_first => '50ms', retry_max => '100ms', quarantine_after => '300ms' });
my $h = $t->house;
my @mounted;

# -- make up

{
    my $disk = "$t->{dir}/small";
    mkdir $disk;
    mount($disk, 100);
    my $r = up("$disk/var");
    is($r->{code}, 1, 'up with little room');
    like($r->{err}, qr/^house: the disk is nearly full: \d+ MB free at \S+, 512 MB are needed\n\z/,
         'is one clear line');
    fill($disk, 0);
    $r = up("$disk/other");
    is($r->{code}, 1, 'up without any');
    like($r->{err}, qr/^house: [^\n]*(?:disk is|No space left)[^\n]*\n\z/, 'is one clear line');
    is_deeply([glob("$disk/*/run/*.pid"), glob("$disk/*/pg/postmaster.pid")], [],
              'nothing was started');
}

# -- the cluster and the logs move to disks of their own

$t->stop($_) for qw(nginx worker postgres);
my $pg = $h->path('pg');
my $log = $h->path('log');
for my $disk ([$pg, 320], [$log, 64]) {
    my ($dir, $mib) = @$disk;
    rename $dir, "$dir.old" or die "$dir: $!";
    mkdir $dir, 0700;
    mount($dir, $mib);
    chmod 0700, $dir;
    chown $h->{uid}, $h->{gid}, $dir;
    system("cp -a '$dir.old/.' '$dir/' && rm -r '$dir.old'") == 0 or die;
}
$t->start($_) for qw(postgres worker nginx);
$t->wait_for(sub { $t->api(GET => '/v1/programs')->{status} == 200 }, 30, 'the house is back');

my $r = $t->api(POST => '/v1/events', { wait => 20, body => $t->order('calm', 'ext:calm',
    ['8', 1]) });
is($r->{json}{balances}[0]{available}, 8, 'a member whose balance is cached');
my $calm = sub { my $b = $t->balance('ext:calm'); $b && $b->{available} };
$calm->();

# -- no room for the worker's books: it waits, and puts no event aside

{
    $t->stop('worker');
    for my $batch (1 .. 4) {
        my $r = $t->api(POST => '/v1/events/batch', { body => { events =>
            [map { $t->order("later-$batch-$_", "ext:later-$_", ['1', 1]) } 1 .. 250] } });
        die $r->{body} if $r->{status} != 200;
    }
    fill($pg, 0);
    $t->start('worker');
    my $refused = sub { scalar(() = $t->log_text('postgres.log') =~ /loyalty_worker ERROR: .*No space left/g) };
    my $seen = $refused->();
    ok($t->wait_for(sub { $refused->() > $seen + 25 }, 60), 'the worker finds no room, many times');
    is($calm->(), 8, 'a cached balance is read');
    my $began = time;
    room($pg);
    settled();
    note(sprintf 'settled %.2f s after there was room', time - $began);
    is_deeply($t->sql('select distinct status from loyalty.event_outcome'), [['processed']],
              'no event was put aside for it');
    is($t->value("select count(*) from loyalty.job where queue = 'parked'"), 0, 'no job is left');
    is($t->value('select count(*) from loyalty.entry'), 1001, 'each is booked once');
    $t->audit_ok('the books are right');
}

# -- the disk fills during traffic, for data first, then for the log

{
    my $load = Test::LoyaltyLoad->start($t, name => 'full', clients => [{}, { tls => 1 },
        { keep => 0 }], pause => 0.01);
    $load->more(60);
    fill($pg, 0);
    my ($refused, $probes);
    $t->wait_for(sub {
        fill($pg, 0);
        $probes++;
        $refused = $t->api(POST => '/v1/events/batch', { body => { events =>
            [map { $t->order("probe-$probes-$_", "ext:probe-$_", ['1', 1]) } 1 .. 100] } });
        return $refused->{status} == 503;
    }, 60, 'writes are refused');
    $t->problem_is($refused, 503, undef, 'a write is refused');
    ok($refused->{headers}{'retry-after'}, 'with Retry-After');
    is($calm->(), 8, 'a cached balance is read');

    # segments of the log that are there are soon used up, and what a recovery
    # sets free
    $t->wait_for(sub {
        fill($pg, 0);
        eval { $t->sql('select pg_switch_wal()') };
        return $t->log_text('postgres.log') =~ /shutting down due to startup process failure/;
    }, 60, 'PostgreSQL shuts down');
    pass('PostgreSQL shuts down');
    is($calm->(), 8, 'a cached balance is read');
    $refused = $t->api(POST => '/v1/events', { body => $t->order('probe', 'ext:probe', ['1', 1]) });
    $t->problem_is($refused, 503, undef, 'a write is refused');
    ok($refused->{headers}{'retry-after'}, 'with Retry-After');
    is($t->api(GET => '/healthz')->{status}, 200, 'the edge lives');

    my $began = time;
    room($pg);
    $t->wait_for(sub { $t->api(POST => '/v1/events', { body => $t->order('back', 'ext:probe',
        ['1', 1]) })->{status} =~ /^20[02]$/ }, 60, 'writes are taken again');
    note(sprintf 'writes again %.2f s after there was room', time - $began);
    $load->more(60);
    my $sum = $load->stop;
    is_deeply($sum->{other}, {}, "$sum->{asked} calls: each was answered, or refused with"
              . ' Retry-After') or diag explain $sum->{other};
    cmp_ok($sum->{status}{503}, '>', 0, "$sum->{status}{503} were refused");
    note(sprintf 'longest time without an answer %.2f s', $sum->{longest});

    $began = time;
    settled();
    note(sprintf 'all booked %.2f s later', time - $began);
    my $rows = $t->sql('select e.external_id from loyalty.event e join loyalty.entry n on'
        . ' n.tenant_id = e.tenant_id and n.event_id = e.event_id'
        . " where e.external_id like 'full-%' group by 1 having count(*) = 1"
        . ' and count(distinct e.event_id) = 1');
    my %booked = map { $_->[0] => 1 } @$rows;
    is(scalar(grep { !$booked{$_} } @{ $sum->{orders} }), 0,
       'the ' . @{ $sum->{orders} } . ' orders acknowledged are booked once');
    is($t->value('select count(*) from (select event_id from loyalty.entry where event_id is not'
        . ' null group by event_id having count(*) > 1) e'), 0, 'no event is booked twice');
    is_deeply($t->sql('select distinct status from loyalty.event_outcome'), [['processed']],
              'none was put aside');
    my @wrong;
    for my $member (sort keys %{ $sum->{points} }) {
        my $more;
        eval {
            $t->wait_for(sub {
                my $b = $t->balance($member) or return;
                $more = $b->{available} - $sum->{points}{$member};
                return $more == 0 || $more == 1;
            }, 5, 'what the feed says');
        } or push @wrong, "$member has " . ($more // 'no balance,') . ' more';
    }
    is_deeply(\@wrong, [], 'the balances say so; one order more where the answer was lost');
    $t->audit_ok('the books are right');

    # a process that nobody asked meanwhile connects again within a second
    my $since = time;
    $t->wait_for(sub {
        $since = time if $t->api(GET => '/v1/programs')->{status} != 200;
        return time - $since > 2;
    }, 60, 'every process is back');
}

# -- no room for logs: they have gaps, nothing else

{
    my $load = Test::LoyaltyLoad->start($t, name => 'logs', clients => [{}, { tls => 1 }]);
    $load->more(20);
    fill($log, 0);
    $load->more(80);
    room($log);
    $load->more(20);
    my $sum = $load->stop;
    is_deeply([sort grep { $_ >= 300 } keys %{ $sum->{status} }], [],
              "$sum->{asked} calls, none failed for a log");
    is_deeply($sum->{other}, {}, 'in any way') or diag explain $sum->{other};
    settled();
    is($t->value("select count(*) from loyalty.event_outcome o join loyalty.event e using (tenant_id,"
        . " event_id) where e.external_id like 'logs-%' and o.status = 'processed'"),
       scalar @{ $sum->{orders} }, 'every order is booked');
    $t->allow(qr/write\(\) to "[^"]*access\.log" (?:failed|was incomplete)/);
    my $id = "logs-again-$$";
    $t->api(GET => '/v1/me', { headers => { 'X-Request-Id' => $id } });
    ok($t->wait_for(sub { $t->log_text('access.log') =~ /$id/ }, 20), 'and logs are written again');
}

$t->allow(qr/PANIC: +could not write/, qr/terminated by signal 6: Aborted/);
$t->stop($_) for qw(nginx worker postgres);

END { system 'umount', '-l', $_ for @mounted }


# every event has its outcome; says what there is where that takes too long
sub settled {
    return if eval { $t->settled(90); 1 };
    diag $@, `df -Pk '$pg' '$log'`;
    diag join "\n", map { (split /\n/, $t->log_text($_))[-12 .. -1] } qw(worker.log postgres.log);
    diag join ' ', 'processes of the worker:', $t->pids('worker'), $t->pids('worker-process');
    diag explain $t->sql(q{select worker_id, count(*), min(expires_at) - now(), max(expires_at)
        - now() from loyalty.shard_lease group by 1});
    die "not settled\n";
}

sub mount {
    my ($dir, $mib) = @_;
    system('mount', '-t', 'tmpfs', '-o', "size=${mib}m", 'none', $dir) == 0
        or die "no tmpfs at $dir\n";
    push @mounted, $dir;
}

# leaves so many bytes
sub fill {
    my ($dir, $left) = @_;
    my ($free) = (`df -Pk '$dir'`)[1] =~ /(\d+)\s+\d+%/;
    my $n = $free * 1024 - $left;
    system("head -c $n /dev/zero >> '$dir/ballast' 2>/dev/null") if $n > 0;
}

sub room { my ($dir) = @_; unlink "$dir/ballast" or die "$dir/ballast: $!\n" }

sub up {
    my ($var) = @_;
    my ($http, $https) = Test::Loyalty::free_ports(2);
    local @ENV{qw(LOYALTY_VAR LOYALTY_HTTP_PORT LOYALTY_HTTPS_PORT LOYALTY_DEMO)}
        = ($var, $http, $https, 'none');
    my $rc = system "'$Test::Loyalty::ROOT/dev/house' up > /dev/null 2> '$t->{dir}/up.err'"
        . ' < /dev/null';
    open my $fh, '<', "$t->{dir}/up.err" or die $!;
    local $/;
    return { code => $rc >> 8, err => scalar <$fh> };
}
