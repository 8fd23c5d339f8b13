#!/usr/bin/perl

# Many callers on few members at once: nothing is refused for being parallel,
# nothing is spent twice, a key works once, and the invariants hold after.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::XS;
use Loyalty::TestDb;
use Test::More;

my $rounds = $ENV{LOYALTY_LONG} ? 1500 : 120;
my $seed = $ENV{LOYALTY_SEED} // (time % 100000);

plan tests => 12;

my $db = Loyalty::TestDb->new;
my $dbh = $db->dbh;
my $json = JSON::XS->new->canonical;
my $tenant = '01900000-0000-7000-8000-0000000000aa';
my $wallet = '01900000-0000-7000-8000-0000000000cc';
my $short = '01900000-0000-7000-8000-0000000000cd';
my @members = map { sprintf '01900000-0000-7000-9000-%012x', $_ } 1 .. 4;

$dbh->do(q{insert into loyalty.plan values ('t', 1, 1, 1, 1, 1, 1)});
$dbh->do(q{insert into loyalty.tenant (tenant_id, slug, name, status, mode, plan_code, wrapped_key)
    values (?, 't', 'T', 'active', 'test', 't', '\x00')}, undef, $tenant);
$dbh->do(q{insert into loyalty.program (tenant_id, program_id, name, status)
    values (?, ?, 'P', 'active')}, undef, $tenant, '01900000-0000-7000-8000-0000000000bb');
$dbh->do(q{insert into loyalty.wallet (tenant_id, wallet_id, program_id, code, ordinal, expiry_policy,
        expiry_days) values (?, ?, ?, 'points', 0, 'none', null), (?, ?, ?, 'short', 1, 'rolling', 1)},
    undef, map { ($tenant, $_, '01900000-0000-7000-8000-0000000000bb') } $wallet, $short);
$dbh->do(q{insert into loyalty.member (tenant_id, member_id, shard, enrolled_at)
    values (?, ?, 0, now())}, undef, $tenant, $_) for @members;
$dbh->do(q{insert into loyalty.webhook_endpoint (tenant_id, endpoint_id, url, event_types, api_version)
    values (?, ?, 'https://127.0.0.1/', '{*}', '2026-11-01')}, undef, $tenant, $tenant);

sub mem { $dbh->selectrow_array('select loyalty.id_text(?, ?)', undef, 'mem', $_[0]) }
my @refs = map { mem($_) } @members;

sub call {
    my ($h, $fn, $key, @args) = @_;
    my $call = $json->encode({principal => $tenant, kind => 'key', request_id => 'req_t',
        nonce => 'n', idempotency_key => $key, body_mac => '00'});
    my $row = $h->selectrow_hashref("select * from api.$fn(?, ?, " . join(', ', ('?') x @args) . ')',
        undef, $tenant, $call, @args);
    return ($row->{status}, $json->decode($row->{body}), $row->{headers} // '');
}

sub earn {
    my ($h, @items) = @_;
    $h->begin_work;
    $h->do('set local role loyalty_work_exec');
    $h->do(q{select set_config('app.tenant_id', ?, true)}, undef, $tenant);
    $h->selectall_arrayref('select * from loyalty.book_earns(?, ?)', undef, $tenant,
        $json->encode([map { +{event => undef, member => $_->[0], wallet => $_->[1],
            points => $_->[2], at => '2026-11-22T00:00:00Z'} } @items]));
    $h->commit;
}

# n processes, started together; each gives back lines
sub parallel {
    my ($n, $code) = @_;
    pipe my $gate_r, my $gate_w or die $!;
    my @kids;
    for my $i (1 .. $n) {
        pipe my $r, my $w or die $!;
        my $pid = fork // die $!;
        if ($pid == 0) {
            close $gate_w;
            close $r;
            my $h = $db->dbh('loyalty_edge');
            sysread $gate_r, my $x, 1;
            my @out = eval { $code->($i, $h) };
            push @out, "died $@" if $@;
            print $w map { "$_\n" } map { s/\s+/ /gr } @out;
            close $w;
            require POSIX;
            POSIX::_exit(0);
        }
        close $w;
        push @kids, [$pid, $r];
    }
    close $gate_r;
    close $gate_w;
    my @out;
    for my $k (@kids) {
        my $r = $k->[1];
        chomp(my @lines = <$r>);
        push @out, @lines;
        waitpid $k->[0], 0;
    }
    return @out;
}

# the same gift card in parallel check-outs
earn($dbh, [$members[0], $wallet, 100]);
my @got = parallel(8, sub {
    my ($i, $h) = @_;
    my ($status) = call($h, 'redemption_create', "gift$i",
        $json->encode({member => $refs[0], wallet => 'points', points => 60}));
    return $status;
});
is_deeply([sort @got], [201, (422) x 7], 'eight redemptions of 60 from 100: one');

# many calls of one member at once
@got = parallel(8, sub {
    my ($i, $h) = @_;
    my ($status) = call($h, 'redemption_create', "five$i",
        $json->encode({member => $refs[0], wallet => 'points', points => 5}));
    return $status;
});
is_deeply([sort @got], [(201) x 8], 'eight that fit: none is refused for being parallel');

# one key, many senders
@got = parallel(8, sub {
    my ($i, $h) = @_;
    my ($status, $body, $headers) = call($h, 'hold_create', 'same',
        '{"member":"' . $refs[1] . '","wallet":"points","points":1}');
    return "$status $body->{code} " . ($headers =~ /Replayed/ ? 1 : 0);
});
is_deeply([sort @got], ['422 points.insufficient 0', ('422 points.insufficient 1') x 7],
    'a refusal under one key is stored and replayed');
earn($dbh, [$members[1], $wallet, 100]);
@got = parallel(8, sub {
    my ($i, $h) = @_;
    my ($status, $body, $headers) = call($h, 'redemption_create', 'same',
        '{"member":"' . $refs[1] . '","wallet":"points","points":10}');
    return "$status $body->{id}";
});
is(scalar(keys %{{map { $_ => 1 } @got}}), 1, 'one key, eight senders: one redemption for all');
is($dbh->selectrow_array('select available from loyalty.balance where member_id = ? and wallet_id = ?',
    undef, $members[1], $wallet), 90, 'taken once');

# a hold ends once
my (undef, $hold) = call($db->dbh('loyalty_edge'), 'hold_create', 'h1',
    '{"member":"' . $refs[1] . '","wallet":"points","points":40}');
@got = parallel(6, sub {
    my ($i, $h) = @_;
    my ($status) = $i % 2 ? call($h, 'hold_capture', "hc$i", $hold->{id}, '{"points":30}')
        : call($h, 'hold_release', "hr$i", $hold->{id});
    return $status;
});
is_deeply([sort @got], [200, (409) x 5], 'captures and releases of one hold: one wins');

# a redemption is undone once
my (undef, $red) = call($db->dbh('loyalty_edge'), 'redemption_create', 'r1',
    '{"member":"' . $refs[1] . '","wallet":"points","points":10}');
@got = parallel(6, sub {
    my ($i, $h) = @_;
    my ($status) = call($h, 'redemption_cancel', "rc$i", $red->{id});
    return $status;
});
is_deeply([sort @got], [200, (409) x 5], 'six cancels of one redemption: one wins');

# everything at once: bookings in batches, spending, timers, time itself
diag "LOYALTY_SEED=$seed";
@got = parallel(6, sub {
    my ($i, $h) = @_;
    srand $seed + $i;
    my $su = $db->dbh;
    my $worker = $db->dbh('loyalty_worker');
    my (@holds, @reds, %seen);
    for my $n (1 .. $rounds) {
        my $m = int rand @members;
        my $w = rand() < .5 ? 'points' : 'short';
        my $p = 1 + int rand 20;
        my $r = rand;
        my $body = $json->encode({member => $refs[$m], wallet => $w, points => $p, expires_in => 3600});
        my ($status, $answer);
        if ($r < .25) {
            earn($su, map { [$members[rand @members], rand() < .5 ? $wallet : $short, 1 + int rand 30] }
                1 .. 1 + int rand 6);
            $status = 'earn';
        } elsif ($r < .35) {
            $su->begin_work;
            $su->do('set local role loyalty_work_exec');
            $su->do(q{select set_config('app.tenant_id', ?, true)}, undef, $tenant);
            $su->do('select loyalty.book_reversal(?, ?)', undef, $tenant, $json->encode([{event => undef,
                member => $members[$m], wallet => $w eq 'short' ? $short : $wallet, points => $p,
                at => '2026-11-22T00:00:00Z'}]));
            $su->commit;
            $status = 'reversal';
        } elsif ($r < .55) {
            ($status, $answer) = call($h, 'redemption_create', "m$i-$n",
                $json->encode({member => $refs[$m], wallet => $w, points => $p}));
            push @reds, $answer->{id} if $status == 201;
        } elsif ($r < .70) {
            ($status, $answer) = call($h, 'hold_create', "m$i-$n", $body);
            push @holds, $answer->{id} if $status == 201;
        } elsif ($r < .80 && @holds) {
            ($status) = call($h, 'hold_capture', "m$i-$n", $holds[rand @holds],
                '{"points":1,"keep_rest":' . (rand() < .5 ? 'true' : 'false') . '}');
        } elsif ($r < .86 && @reds) {
            ($status) = call($h, 'redemption_cancel', "m$i-$n", $reds[rand @reds]);
        } elsif ($r < .93) {
            $worker->selectrow_array('select work.due_settle(5)');
            $status = 'settle';
        } else {
            $su->do(q{update loyalty.tenant set clock_offset = clock_offset + interval '5 hours'
                where tenant_id = ?}, undef, $tenant) if $i == 1;
            $status = 'time';
        }
        $seen{$status // 'none'}++;
    }
    return grep { /^5|died/ } keys %seen;
});
is_deeply(\@got, [], 'six at once: no error, no deadlock');
is_deeply($dbh->selectall_arrayref('select * from ops.audit()'), [], 'invariants');
cmp_ok($dbh->selectrow_array('select count(*) from loyalty.entry'), '>', 100, 'there was something to audit');
is($dbh->selectrow_array(q{select count(*) from loyalty.outbox where type like 'points.%'}),
    $dbh->selectrow_array('select count(*) from loyalty.entry'), 'every entry has its message');
is(join('', $db->log_faults), '', 'nothing alarming in the log');
