#!/usr/bin/perl

# Random sequences of operations on the books against an independent model of
# them in Perl, compared after each operation: status, buckets, lifetime,
# version, every lot.  At the end the invariants, as queries.
# LOYALTY_SEED and LOYALTY_OPS repeat a run or make it longer.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::XS;
use List::Util qw(min max sum0);
use Loyalty::TestDb;
use Test::More;

my $seeds = $ENV{LOYALTY_LONG} ? 40 : 4;
my $ops = $ENV{LOYALTY_OPS} // 300;
my $first = $ENV{LOYALTY_SEED} // (time % 100000);
$seeds = 1 if defined $ENV{LOYALTY_SEED};

plan tests => 2 * $seeds + 2;

my $db = Loyalty::TestDb->new;
my $dbh = $db->dbh;
my $edge = $db->dbh('loyalty_edge');
my $ro = $db->dbh('loyalty_edge_ro');
my $json = JSON::XS->new->canonical->utf8(0);

my $BASE = 1600000000;      # business time 0, in epoch seconds
my %done;                   # what was reached, op and outcome

for my $n (0 .. $seeds - 1) {
    my $seed = $first + $n;
    my $why = run_seed($seed);
    is($why, '', "seed $seed: $ops operations as the model says");
    my $faults = $dbh->selectall_arrayref('select * from ops.audit()');
    is_deeply($faults, [], "seed $seed: invariants") or diag "LOYALTY_SEED=$seed";
}

my @must = qw(earn.ok redeem.201 redeem.422 hold.201 hold.422 capture.200 capture.409 capture.422
    release.200 release.409 cancel.200 cancel.409 adjust.201 adjust.422 refund.points refund.debt
    refund.clipped time.settled);
my @missing = defined $ENV{LOYALTY_SEED} ? () : grep { !$done{$_} } @must;
is("@missing", '', 'every outcome was reached') or diag explain \%done;
is(join('', $db->log_faults), '', 'nothing alarming in the log');


# -- the world

my ($tenant, %wallet, @members, $hour, %bal, @orders, @holds, @redemptions, $serial, $later);

sub uuid { sprintf '%08x-%04x-7%03x-8%03x-%012x', $_[0], 0, 0, 0, $_[1] }

sub run_seed {
    my ($seed) = @_;
    srand $seed;
    $serial = 0;
    $hour = $later = 0;
    %bal = ();
    @orders = @holds = @redemptions = ();
    $tenant = uuid(0x10000000 + $seed, 1);
    $dbh->do(q{insert into loyalty.plan values ('t', 1, 1, 1, 1, 1, 1) on conflict do nothing});
    $dbh->do(q{insert into loyalty.tenant (tenant_id, slug, name, status, mode, plan_code, wrapped_key)
        values (?, ?, 'T', 'active', 'test', 't', '\x00')}, undef, $tenant, "t$seed");
    my @p = ([debt => 'debt'], [within => 'within_balance']);
    for my $i (0 .. 1) {
        $dbh->do(q{insert into loyalty.program (tenant_id, program_id, name, status, return_policy)
            values (?, ?, ?, 'active', ?)}, undef, $tenant, uuid(2, $i), $p[$i][0], $p[$i][1]);
    }
    %wallet = (
        plain  => {program => 0, policy => 'debt', days => 0, wait => 0},
        short  => {program => 0, policy => 'debt', days => 3, wait => 0},
        wait   => {program => 0, policy => 'debt', days => 6, wait => 1},
        within => {program => 1, policy => 'within_balance', days => 4, wait => 0},
        both   => {program => 1, policy => 'within_balance', days => 5, wait => 2},
    );
    my $ord = 0;
    for my $code (sort keys %wallet) {
        my $w = $wallet{$code};
        $w->{id} = uuid(3, $ord);
        $dbh->do(q{insert into loyalty.wallet (tenant_id, wallet_id, program_id, code, ordinal,
                pending_policy, pending_days, expiry_policy, expiry_days)
            values (?, ?, ?, ?, ?, ?, ?, ?, ?)}, undef, $tenant, $w->{id},
            uuid(2, $w->{program}), $code, $ord++, $w->{wait} ? ('after', $w->{wait})
                : ('immediate', undef), $w->{days} ? ('rolling', $w->{days}) : ('none', undef));
    }
    @members = map { uuid(4, $_) } 1 .. 2;
    $dbh->do(q{insert into loyalty.member (tenant_id, member_id, shard, enrolled_at)
        values (?, ?, 0, now())}, undef, $tenant, $_) for @members;
    clock();

    for my $i (1 .. $ops) {
        my $r = rand;
        my ($what, $fault) = $r < .26 ? earn() : $r < .38 ? refund() : $r < .50 ? redeem()
            : $r < .58 ? hold() : $r < .68 ? capture() : $r < .73 ? release() : $r < .79 ? cancel()
            : $r < .85 ? adjust() : $r < .97 ? elapse() : settle_all();
        $fault = "\n  $fault" if $fault;
        $fault ||= compare();
        return "operation $i ($what) at hour $hour: $fault" if $fault;
    }
    return '';
}

# Business time is BASE + hours and a minute (and the moments the test takes);
# adjustments come earlier in the hour, each a little after the one before.
sub clock {
    my ($p) = @_;
    $dbh->do(q{update loyalty.tenant set clock_offset =
        to_timestamp(?) - clock_timestamp() where tenant_id = ?}, undef,
        $BASE + 3600 * $hour + ($p // 60), $tenant);
}

sub call {
    my ($fn, @args) = @_;
    my $call = $json->encode({principal => uuid(5, 1), kind => 'key', request_id => 'req_test',
        nonce => '0123456789abcdef0123456789abcdef', idempotency_key => 'k' . ++$serial,
        body_mac => '00'});
    my $marks = join ', ', ('?') x @args;
    my $row = $edge->selectrow_hashref("select * from api.$fn(?, ?" . (@args ? ", $marks" : '') . ')',
        undef, $tenant, $call, @args);
    return ($row->{status}, $json->decode($row->{body}));
}

sub member_text { $dbh->selectrow_array('select loyalty.id_text(?, ?)', undef, 'mem', $_[0]) }
sub pick { $_[rand @_] }


# -- the model: a balance is lots, holds and debt; everything else is their sum

sub bal {
    my ($code, $member) = @_;
    return $bal{"$code $member"} //= {code => $code, member => $member, lots => [], debt => 0,
        earned => 0, spent => 0, expired => 0, reversed => 0, version => 0, holds => []};
}

# mostly one with points, or little would happen
sub some_bal {
    my @rich = grep { available($_) } map { $bal{$_} } sort keys %bal;
    return pick(@rich) if @rich && rand() < .8;
    return bal(pick(sort keys %wallet), pick(@members));
}

sub open_hold {
    my @open = grep { $_->{open} } @holds;
    return @open && rand() < .7 ? pick(@open) : pick(@holds);
}

sub available { sum0 map { $_->{rem} - $_->{held} } grep { !$_->{pending} } @{$_[0]{lots}} }

sub fefo { sort { $::a->{exp} <=> $::b->{exp} || $::a->{no} <=> $::b->{no} } @_ }

sub gain {                      # points of a lot become available: debt first
    my ($b, $lot, $n) = @_;
    my $r = min($b->{debt}, $n);
    $b->{debt} -= $r;
    $lot->{rem} -= $r;
}

# one due thing at a time, the earliest first
sub settle {
    my ($b) = @_;
    my $any = 0;
    while (1) {
        my @due;
        push @due, [$_->{end}, 1, $_] for grep { $_->{open} && $_->{end} <= $hour + .01 } @{$b->{holds}};
        for my $l (grep { $_->{rem} } @{$b->{lots}}) {
            if ($l->{pending}) { push @due, [$l->{start}, 2, $l] if $l->{start} <= $hour + .01 }
            elsif ($l->{rem} > $l->{held}) { push @due, [$l->{exp}, 3, $l] if $l->{exp} <= $hour + .01 }
        }
        last if !@due;
        my ($first) = sort { $::a->[0] <=> $::b->[0] || $::a->[1] <=> $::b->[1]
            || ($::a->[1] == 1 ? $::a->[2]{no} <=> $::b->[2]{no}
                : $::a->[2]{exp} <=> $::b->[2]{exp} || $::a->[2]{no} <=> $::b->[2]{no}) } @due;
        my (undef, $kind, $x) = @$first;
        $any = 1;
        if ($kind == 1) { give_back($b, $x, 'expired') }
        elsif ($kind == 2) { $x->{pending} = 0; gain($b, $x, $x->{rem}) }
        else { $b->{expired} += $x->{rem} - $x->{held}; $x->{rem} = $x->{held}; $x->{gone} = 1 if !$x->{rem} }
    }
    return $any;
}

sub give_back {
    my ($b, $h, $state) = @_;
    for my $p (sort { $::a->[0]{exp} <=> $::b->[0]{exp} || $::a->[0]{no} <=> $::b->[0]{no} } @{$h->{lots}}) {
        my ($l, $n) = @$p;
        next if !$n;
        $l->{held} -= $n;
        $h->{released} += $n;
        gain($b, $l, $n);
        $p->[1] = 0;
    }
    $h->{open} = 0;
    $h->{state} = $state;
}

sub begin { my ($b) = @_; return settle($b) }

sub finish {
    my ($b, $changed) = @_;
    $changed |= settle($b);
    $b->{version}++ if $changed;
}

sub add_lot {
    my ($b, $n, $start, $exp) = @_;
    my $lot = {orig => $n, rem => $n, held => 0, start => $start, exp => $exp, rev => 0,
        pending => $start > $hour ? 1 : 0, no => ++$serial};
    push @{$b->{lots}}, $lot;
    $b->{earned} += $n;
    gain($b, $lot, $n) if !$lot->{pending};
    return $lot;
}

sub take {                      # from free points, first from the lots given
    my ($b, $n, @first) = @_;
    my @got;
    for my $l (@first, fefo(@{$b->{lots}})) {
        next if $l->{pending} || grep { $_->[0] == $l } @got;
        my $x = min($n, $l->{rem} - $l->{held});
        next if $x <= 0;
        push @got, [$l, $x];
        $n -= $x;
    }
    return @got;
}


# -- operations: each does it in SQL and in the model, and compares what it says

sub earn {
    my @items;
    my @made;
    my $n = pick(1, 1, 2, 5);
    for (1 .. $n) {
        my $code = pick(sort keys %wallet);
        my $m = pick(@members);
        my @shares = map { int rand 40 } 1 .. 1 + int rand 4;
        $shares[0]++ if !sum0 @shares;
        my $at = $hour - pick(0, 0, 0, 30, 200);
        my ($event, $order) = (uuid(6, ++$serial), uuid(7, $serial));
        push @items, {event => $event, member => $m, wallet => $wallet{$code}{id},
            points => 0 + sum0(@shares), at => '@' . $at, rule => uuid(8, 1),
            rule_version => uuid(9, 1), order => $order, shares => \@shares};
        push @made, [$code, $m, \@shares, $at, $order, $event];
    }
    $_->{at} = stamp(substr $_->{at}, 1) for @items;
    $dbh->begin_work;
    $dbh->do('set local role loyalty_work_exec');
    $dbh->do(q{select set_config('app.tenant_id', ?, true)}, undef, $tenant);
    my $rows = $dbh->selectall_hashref('select * from loyalty.book_earns(?, ?)', 'ord', undef,
        $tenant, $json->encode(\@items));
    for my $i (1 .. @items) {
        $dbh->do(q{insert into loyalty.evaluation (tenant_id, event_id, rule_version_id, outcome,
            points, entry_id, trace) values (?, ?, ?, 'matched', ?, ?, '{}')}, undef, $tenant,
            $made[$i - 1][5], uuid(9, 1), $items[$i - 1]{points}, $rows->{$i}{entry_id});
        $dbh->do(q{insert into loyalty.event_outcome (tenant_id, event_id, status, processed_at)
            values (?, ?, 'processed', now())}, undef, $tenant, $made[$i - 1][5]);
    }
    $dbh->commit;
    my %touched;
    for my $i (0 .. $#made) {
        my ($code, $m, $shares, $at, $order) = @{$made[$i]};
        my $w = $wallet{$code};
        my $b = bal($code, $m);
        settle($b);
        my $lot = add_lot($b, sum0(@$shares), $at + 24 * $w->{wait},
            $w->{days} ? $at + 24 * $w->{days} : 9e9);
        settle($b);
        $touched{$b} = $b;
        push @orders, {id => $order, code => $code, member => $m, lot => $lot, shares => $shares,
            taken => [(0) x (@$shares + 1)], back => [(0) x (@$shares + 1)],
            ordered => [map { 1 + int rand 6 } @$shares], total => 100 + int rand 900};
    }
    $_->{version}++ for values %touched;
    $done{'earn.ok'}++;
    return ("earn $n");
}

sub stamp {
    my ($h) = @_;
    return scalar $dbh->selectrow_array('select to_timestamp(?)::text', undef, $BASE + 3600 * $h);
}

sub refund {
    my ($event) = uuid(6, ++$serial);
    my %item = (event => $event, at => stamp($hour));
    my ($b, $due, $order);
    my $changed = 0;
    if (!@orders || rand() < .2) {
        my $code = pick(sort keys %wallet);
        my $m = pick(@members);
        $due = 1 + int rand 60;
        %item = (%item, member => $m, wallet => $wallet{$code}{id}, points => $due);
        $b = bal($code, $m);
        $changed = settle($b);
    } else {
        $order = pick(@orders);
        $b = bal($order->{code}, $order->{member});
        %item = (%item, member => $order->{member}, order => $order->{id});
        my ($shares, $taken, $back) = @$order{qw(shares taken back)};
        my $points = sum0 @$shares;
        $due = 0;
        if (rand() < .6) {
            my %q;
            $q{1 + int rand @$shares} += 1 + int rand 3 for 1 .. 1 + int rand 2;
            $item{lines} = [map { {line => $_, quantity => "$q{$_}",
                ordered => "$order->{ordered}[$_ - 1]"} } sort { $::a <=> $::b } keys %q];
            for my $l (sort { $::a <=> $::b } keys %q) {
                $back->[$l - 1] += $q{$l};
                my $o = $order->{ordered}[$l - 1];
                my $n = int($shares->[$l - 1] * min($back->[$l - 1], $o) / $o) - $taken->[$l - 1];
                $n = max(0, min($n, $points - sum0 @$taken));
                $taken->[$l - 1] += $n;
                $due += $n;
            }
        } else {
            my $amount = 1 + int rand 300;
            @item{qw(amount total)} = ("$amount", "$order->{total}");
            $back->[-1] += $amount;
            my $n = int($points * min($back->[-1], $order->{total}) / $order->{total}) - $taken->[-1];
            $n = max(0, min($n, $points - sum0 @$taken));
            $taken->[-1] += $n;
            $due += $n;
        }
        $changed = settle($b) if $due;
    }
    my $want = {points => 0, clipped => 0, debt => 0};
    my $lot = $order ? $order->{lot} : undef;
    my $left = $lot ? min($due, $lot->{orig} - $lot->{rev}) : $due;
    if ($left > 0) {
        if ($lot && $lot->{pending} && $lot->{rem}) {
            my $n = min($left, $lot->{rem});
            $lot->{rem} -= $n;
            $lot->{cancelled} = 1 if !$lot->{rem};
            $want->{points} += $n;
            $left -= $n;
        }
        my @got = take($b, $left, $lot ? $lot : ());
        for my $g (@got) { $g->[0]{rem} -= $g->[1]; $want->{points} += $g->[1]; $left -= $g->[1] }
        if ($left && $wallet{$b->{code}}{policy} eq 'debt') {
            $b->{debt} += $left;
            $want->{debt} = $left;
            $want->{points} += $left;
        } elsif ($left) { $want->{clipped} = $left }
        $b->{reversed} += $want->{points};
        $lot->{rev} += $want->{points} if $lot;
        $changed ||= $want->{points};
    }
    finish($b, $changed ? 1 : 0) if $changed;

    $dbh->begin_work;
    $dbh->do('set local role loyalty_work_exec');
    $dbh->do(q{select set_config('app.tenant_id', ?, true)}, undef, $tenant);
    my ($got) = $dbh->selectrow_array('select outcome from loyalty.book_reversal(?, ?)', undef,
        $tenant, $json->encode([\%item]));
    $dbh->do(q{insert into loyalty.event_outcome (tenant_id, event_id, status, processed_at)
        values (?, ?, 'processed', now())}, undef, $tenant, $event);
    $dbh->commit;
    $got = $json->decode($got);
    delete $got->{entries};
    $done{"refund.$_"}++ for grep { $want->{$_} } keys %$want;
    my ($g, $w) = ($json->encode($got), $json->encode({map { $_ => 0 + $want->{$_} } keys %$want}));
    return ('refund', $g eq $w ? '' : "refund gave $g, model $w");
}

sub said {
    my ($what, $got, $want) = @_;
    $done{"$what.$want"}++;
    return ($what, $got == $want ? '' : "$what gave $got, model $want");
}

sub redeem {
    my $b = some_bal();
    my $changed = settle($b);
    my $n = pick(1 + int rand 30, max(1, available($b)), available($b) + 1);
    my ($status, $body) = call('redemption_create', $json->encode({
        member => member_text($b->{member}), wallet => $b->{code}, points => 0 + $n}));
    my $want = 422;
    if (available($b) >= $n) {
        $want = 201;
        my @got = take($b, $n);
        $_->[0]{rem} -= $_->[1] for @got;
        $b->{spent} += $n;
        push @redemptions, {id => $body->{id}, bal => $b, lots => \@got, n => $n};
        $changed = 1;
    }
    finish($b, $changed);
    return said('redeem', $status, $want);
}

sub hold {
    my $b = some_bal();
    my $changed = settle($b);
    my $n = pick(1 + int rand 30, max(1, available($b)), available($b) + 1);
    my $hours = pick(1, 5, 30, 100);
    my ($status, $body) = call('hold_create', $json->encode({
        member => member_text($b->{member}), wallet => $b->{code}, points => 0 + $n,
        expires_in => 3600 * $hours + 1800}));
    my $want = 422;
    if (available($b) >= $n) {
        $want = 201;
        my @got = take($b, $n);
        $_->[0]{held} += $_->[1] for @got;
        my $h = {id => $body->{id}, bal => $b, lots => \@got, n => $n, end => $hour + $hours + .5,
            open => 1, captured => 0, released => 0, no => ++$serial, state => 'active'};
        push @{$b->{holds}}, $h;
        push @holds, $h;
        $changed = 1;
    }
    finish($b, $changed);
    return said('hold', $status, $want);
}

sub capture {
    return ('capture none') if !@holds;
    my $h = open_hold();
    my $b = $h->{bal};
    my $changed = settle($b);
    my $left = $h->{n} - $h->{captured} - $h->{released};
    my $n = pick(undef, 1, max(1, int $left / 2), $left + 1);
    my $keep = rand() < .4 ? 1 : 0;
    my ($status, $body) = call('hold_capture', $h->{id}, $json->encode({
        (defined $n ? (points => 0 + $n) : ()), ($keep ? (keep_rest => JSON::XS::true) : ())}));
    my $want = !$h->{open} ? 409 : ($n // $left) > $left ? 422 : 200;
    if ($want == 200) {
        $n //= $left;
        my ($todo, @got) = ($n);
        for my $p (sort { $::a->[0]{exp} <=> $::b->[0]{exp} || $::a->[0]{no} <=> $::b->[0]{no} } @{$h->{lots}}) {
            my $x = min($todo, $p->[1]);
            next if !$x;
            $p->[1] -= $x;
            $p->[0]{held} -= $x;
            $p->[0]{rem} -= $x;
            push @got, [$p->[0], $x];
            $todo -= $x;
        }
        $b->{spent} += $n;
        $h->{captured} += $n;
        push @redemptions, {id => $body->{redemption}, bal => $b, lots => \@got, n => $n};
        if ($h->{captured} == $h->{n} - $h->{released}) { $h->{open} = 0 }
        elsif (!$keep) { give_back($b, $h, 'partially_captured') }
        $changed = 1;
    }
    finish($b, $changed);
    return said('capture', $status, $want);
}

sub release {
    return ('release none') if !@holds;
    my $h = open_hold();
    my $b = $h->{bal};
    my $changed = settle($b);
    my ($status) = call('hold_release', $h->{id});
    my $want = $h->{open} ? 200 : 409;
    if ($h->{open}) { give_back($b, $h, 'released'); $changed = 1 }
    finish($b, $changed);
    return said('release', $status, $want);
}

sub cancel {
    return ('cancel none') if !@redemptions;
    my $r = pick(@redemptions);
    my $b = $r->{bal};
    my $changed = settle($b);
    my ($status) = call('redemption_cancel', $r->{id});
    my $want = $r->{cancelled} ? 409 : 200;
    if (!$r->{cancelled}) {
        $r->{cancelled} = $changed = 1;
        $b->{spent} -= $r->{n};
        for my $p (@{$r->{lots}}) {
            $p->[0]{rem} += $p->[1];
            delete $p->[0]{gone};
            gain($b, $p->[0], $p->[1]);
        }
    }
    finish($b, $changed);
    return said('cancel', $status, $want);
}

sub adjust {
    my $b = some_bal();
    my $w = $wallet{$b->{code}};
    my $n = pick(1 + int rand 50, -1 - int rand 50);
    my $changed = settle($b);
    clock($later += .2);
    my ($status) = call('adjustment_create', $json->encode({
        member => member_text($b->{member}), wallet => $b->{code}, points => 0 + $n}));
    clock();
    my $want = 201;
    if ($n > 0) {
        add_lot($b, $n, $hour, $w->{days} ? $hour + 24 * $w->{days} + .001 : 9e9);
        $changed = 1;
    } elsif (available($b) >= -$n) {
        $_->[0]{rem} -= $_->[1] for take($b, -$n);
        $b->{spent} += -$n;
        $changed = 1;
    } else { $want = 422 }
    finish($b, $changed);
    return said('adjust', $status, $want);
}

sub elapse {
    $hour += pick(1, 2, 7, 24, 60);
    clock();
    return ('time passes');
}

sub settle_all {
    my $due = sum0 map { my $x = settle($_); $_->{version} += $x; $x } values %bal;
    my $worker = $db->{worker} //= $db->dbh('loyalty_worker');
    my $n = 0;
    while (1) {
        my ($k) = $worker->selectrow_array('select work.due_settle(3)');
        last if !$k;
        $n += $k;
    }
    $done{'time.settled'} += $due;
    return ('settle', $n >= $due ? '' : "settled $n, model $due");
}

# Reads show the settled state although nothing was settled; then the rows.
sub compare {
    for my $m (@members) {
        my $before = $dbh->selectrow_array(
            'select count(*) from loyalty.entry where tenant_id = ?', undef, $tenant);
        my $call = $json->encode({request_id => 'req_test', nonce => 'x'});
        my $row = $ro->selectrow_hashref('select * from api.balance_list(?, ?, ?)', undef, $tenant,
            $call, member_text($m));
        return "balances gave $row->{status}" if $row->{status} != 200;
        for my $got (@{$json->decode($row->{body})->{data}}) {
            my $b = copy(bal($got->{wallet}, $m));
            settle($b);
            my $want = view($b);
            $got = {(map { $_ => $got->{$_} } qw(available pending held debt version)),
                %{$got->{lifetime}}};
            my ($g, $w) = map { $json->encode($_) } $got, $want;
            return "read $g, model $w" . dump_lots($m) if $g ne $w;
        }
        my $after = $dbh->selectrow_array(
            'select count(*) from loyalty.entry where tenant_id = ?', undef, $tenant);
        return 'a read wrote' if $before != $after;
    }
    my $rows = $dbh->selectall_arrayref(q{
        select w.code, l.member_id, json_agg(json_build_array(l.remaining, l.held, l.reversed,
            l.state) order by l.lot_id) as lots
          from loyalty.lot l join loyalty.wallet w using (tenant_id, wallet_id)
         where l.tenant_id = ? group by 1, 2}, {Slice => {}}, $tenant);
    my %lots = map { ("$_->{code} $_->{member_id}" => $json->decode($_->{lots})) } @$rows;
    for my $key (keys %bal) {
        my $got = $json->encode($lots{$key} // []);
        my $want = $json->encode([map { [0 + $_->{rem}, 0 + $_->{held}, 0 + $_->{rev},
            $_->{rem} ? $_->{pending} ? 'pending' : 'open' : $_->{gone} ? 'expired'
            : $_->{cancelled} ? 'cancelled' : 'exhausted'] } @{$bal{$key}{lots}}]);
        return "lots of $key $got, model $want" if $got ne $want;
    }
    my @rows = @{$dbh->selectall_arrayref(q{select hold_id, state, captured, released
        from loyalty.hold where tenant_id = ? order by hold_id}, undef, $tenant)};
    for my $h (@holds) {
        my ($id, $state, $captured, $released) = @{shift @rows};
        return "hold $captured $released, model $h->{captured} $h->{released}"
            if $captured != $h->{captured} || $released != $h->{released}
            || ($state eq 'active') != ($h->{open} ? 1 : 0);
    }
    return '';
}

sub view {
    my ($b) = @_;
    return {available => 0 + available($b), debt => 0 + $b->{debt},
        pending => 0 + sum0(map { $_->{rem} } grep { $_->{pending} } @{$b->{lots}}),
        held => 0 + sum0(map { $_->{held} } @{$b->{lots}}),
        map { $_ => 0 + $b->{$_} } qw(earned spent expired reversed version)};
}

sub copy {
    my ($b) = @_;
    my %lot;
    my $c = {%$b, lots => [map { $lot{$_} = {%$_} } @{$b->{lots}}]};
    $c->{holds} = [map { {%$_, lots => [map { [$lot{$_->[0]}, $_->[1]] } @{$_->{lots}}]} } @{$b->{holds}}];
    return $c;
}

# for the message of a failure
sub dump_lots {
    my ($m) = @_;
    my $rows = $dbh->selectall_arrayref(q{
        select w.code, b.due_at, l.lot_id, l.remaining, l.held, l.starts_at, l.expires_at, l.state
          from loyalty.lot l join loyalty.wallet w using (tenant_id, wallet_id)
          join loyalty.balance b using (tenant_id, wallet_id, member_id)
         where l.tenant_id = ? and l.member_id = ? and l.remaining > 0 order by 1, 3}, undef,
        $tenant, $m);
    return join '', map { "\n  @$_" } @$rows;
}
