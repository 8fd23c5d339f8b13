#!/usr/bin/perl

# Events by the API: natural keys, equality of content, batches, waits, what
# is sealed; Idempotency-Key on what needs one.

use strict;
use warnings;

use File::Basename qw(dirname);
use lib dirname(__FILE__) . '/lib';
use JSON::XS ();
use POSIX ();
use Test::Loyalty;
use Test::More;

my $t = Test::Loyalty->new(plan => 72);
my $json = JSON::XS->new->utf8->canonical;

sub post { my ($body, %o) = @_; return $t->api(POST => '/v1/events', { body => $body, %o }) }

# -- one event

{
    my $o = $t->order('one', 'ext:12347', ['2.55', 6]);
    my $r = post($o);
    is($r->{status}, 202, 'received');
    is($r->{json}{status}, 'received', 'and says so');
    like($r->{headers}{location}, qr{^/v1/events/\Q$r->{json}{id}\E$}, 'with its place');
    my $id = $r->{json}{id};
    $t->settled;

    $r = post($o, wait => 5);
    is($r->{status}, 200, 'the same again');
    is($r->{json}{id}, $id, 'is the same event');
    ok($r->{json}{duplicate}, 'a duplicate');
    is($r->{json}{entries}[0]{points}, 15, 'with its outcome');

    # other spellings of the same content
    my $text = $json->encode($o);
    (my $spaced = $text) =~ s/,/ , /g;
    is(post($spaced)->{status}, 200, 'blanks make no difference');
    (my $turned = $text) =~ s/^\{(.*)("type":"[^"]*")\}$/{$2,$1}/;
    $turned =~ s/,\}$/}/;
    is(post($turned)->{status}, 200, 'nor does the order of members');
    (my $escaped = $text) =~ s/order\.paid/order\\u002epaid/;
    is(post($escaped)->{status}, 200, 'nor do escapes');

    my %other = (%$o, occurred_at => '2026-01-02T03:04:06Z');
    $t->problem_is(post(\%other), 409, 'event.conflict', 'other content under the same key');
    is(post({ %$o, source => 'till' })->{status}, 202, 'another source is another event');
    is(post({ %$o, attributes => { a => 1 } })->{status}, 409, 'attributes are content too');
}

# -- waiting

{
    my $r = post($t->order('wait', 'ext:w', ['10', 1]), wait => 10);
    is($r->{status}, 200, 'a wait ends with the outcome');
    is($r->{json}{status}, 'processed', 'processed');
    is($r->{json}{balances}[0]{available}, 10, 'with the balances');
    is($t->balance('ext:w')->{available}, 10, 'and the read behind it agrees');
    for my $i (1 .. 10) {
        my $w = post($t->order("stale-$i", 'ext:w', ['1', 1]), wait => 10);
        next if $t->balance('ext:w')->{available} == $w->{json}{balances}[0]{available};
        fail("a read after wait $i is stale");
    }
    is($t->balance('ext:w')->{available}, 20, 'no read after a wait is stale');
    $r = post({ %{ $t->order('guest', undef, ['10', 1]) } }, wait => 10);
    is($r->{status}, 200, 'a guest\'s order is taken');
    is_deeply($r->{json}{entries}, [], 'and earns nothing');
    for my $p ('respond-async, wait=5', 'wait="5"', 'WAIT = 5', 'foo; a="x,y", wait=5') {
        my $r = $t->api(POST => '/v1/events', { headers => { Prefer => $p },
            body => $t->order("p-$p", 'ext:w', ['1', 1]) });
        is($r->{status}, 200, "Prefer: $p");
    }
}

# -- the same event again while the first is still to be processed

{
    my $o = $t->order('pending', 'ext:again', ['7', 1]);
    $t->stop('worker');
    my $id = post($o)->{json}{id};
    my $r = post($o);
    is("$r->{status} $r->{json}{status}", '200 received', 'sent twice before it is processed');
    ok($r->{json}{duplicate}, 'the second is a duplicate');
    is(post($o, wait => 1)->{json}{duplicate}, JSON::XS::true, 'also where the wait elapses');

    my $out = $t->waiting(sub { post($o, wait => 20, connection => 'again') });
    $t->start('worker');
    $r = $out->();
    is("$r->{status} $r->{json}{status}", '200 processed', 'one that waits gets the outcome');
    is($r->{json}{id}, $id, 'of the first');
    is($r->{json}{duplicate}, JSON::XS::true, 'and is told that it is a duplicate');
    is($r->{json}{entries}[0]{points}, 7, 'with the entries');
}

# -- batches

{
    my @items = (
        $t->order('b1', 'ext:b', ['1', 1]),
        { type => 'order.paid' },
        $t->order('b2', 'ext:b', ['2', 1]),
        $t->order('b1', 'ext:b', ['1', 1]),
        { %{ $t->order('b1', 'ext:b', ['9', 1]) } },
        'text', undef, 5,
        { %{ $t->order('b3', 'ext:b', ['1', 1]) }, no_such => 1 },
        $t->order('b4', 'mem_01jd2x0v5k8q7r3m9t6w4y2z1a', ['1', 1]),
        $t->order('b5', 'ext:b', ['3', 1]),
    );
    my $r = $t->api(POST => '/v1/events/batch', { body => { events => \@items }, wait => 10 });
    is($r->{status}, 200, 'a batch answers 200');
    is(join(' ', map { $_->{status} } @{ $r->{json}{data} }),
       '200 422 200 200 409 422 422 422 422 422 200', 'one outcome an item, in order');
    my @d = @{ $r->{json}{data} };
    is($d[0]{event}{status}, 'processed', 'processed ones hold their event');
    ok($d[3]{duplicate}, 'the same key twice is a duplicate');
    is($d[3]{id}, $d[0]{id}, 'of the first');
    is($d[4]{problem}{code}, 'event.conflict', 'other content is a conflict');
    is_deeply([sort map { $_->{pointer} } @{ $d[1]{problem}{errors} }],
        ['/external_id', '/occurred_at', '/order'], 'faults are named within the item');
    is($d[5]{problem}{errors}[0]{pointer}, '', 'an item that is no object');
    is($d[8]{problem}{code}, 'member.unknown', 'an unknown member');
    is($d[9]{problem}{code}, 'member.not_found', 'a member that does not exist');
    is($t->balance('ext:b')->{available}, 6, 'and the good ones are booked');

    $r = $t->api(POST => '/v1/events/batch', { body => { events => [@items[0, 2]] } });
    is(join(' ', map { $_->{status} . ($_->{duplicate} ? 'd' : '') } @{ $r->{json}{data} }),
       '200d 200d', 'sent again they are duplicates');
    for my $bad (['[]', 422, 'value.type'], ['{}', 422, 'value.required'],
                 ['{"events":[]}', 422, 'value.too_short'], ['{"events":{}}', 422, 'value.type'],
                 ['{"events":[{}],"x":1}', 422, 'member.unknown'],
                 ['{"events":[{"a":1,"a":1}]}', 400, 'json.duplicate_key'],
                 ['{"events":[' . join(',', ('{}') x 1001) . ']}', 422, 'value.too_long']) {
        $t->problem_is($t->api(POST => '/v1/events/batch', { body => $bad->[0] }),
            $bad->[1], $bad->[2], 'a batch of ' . substr $bad->[0], 0, 24);
    }
}

# -- what is sealed

{
    my $secret = 'Ravenscroft-4711';
    my $r = post({ type => 'review.written', external_id => 's1', member => 'ext:s',
        occurred_at => '2026-01-02T03:04:05Z', attributes => { name => $secret, stars => 5,
        nested => { a => [1, 'x"y'] } } }, wait => 10);
    is($r->{status}, 200, 'an event with attributes');
    my $e = $t->api(GET => "/v1/events/$r->{json}{id}")->{json};
    is_deeply($e->{attributes}, { name => $secret, stars => 5, nested => { a => [1, 'x"y'] } },
              'its attributes come back');
    $r = $t->api(POST => '/v1/members', { body => { external_id => 'p1', source => 'shop',
        email => "$secret\@example.com", given_name => $secret, family_name => "O'$secret",
        phone => "+44 $secret", birth_date => '1984-02-29',
        address => "1 $secret Street\nYork" } });
    is($r->{status}, 201, 'a member with personal fields');
    my $id = $r->{json}{id};
    $r = $t->api(PATCH => "/v1/members/$id", { body => { phone => undef, given_name => "$secret 2" } });
    is($r->{status}, 200, 'is changed under its own key');
    is_deeply([@{ $r->{json} }{qw(given_name family_name phone birth_date address)}],
        ["$secret 2", "O'$secret", undef, '1984-02-29', "1 $secret Street\nYork"],
        'one field new, one gone');
    $r = $t->api(GET => '/v1/members?email=' . lc "$secret%40EXAMPLE.com");
    is(scalar @{ $r->{json}{data} }, 1, 'it is found by its address');
    $r = $t->api(POST => '/v1/entries/adjustments', { headers => { 'Idempotency-Key' => 'seal' },
        body => { member => $id, points => 5, reason => "because of $secret" } });
    is($r->{json}{entries}[0]{reason}, "because of $secret", 'a reason is sealed and opened');

    my $rows = '';
    for my $table (@{ $t->sql(q{select format('%I.%I', n.nspname, c.relname)
            from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where n.nspname = 'loyalty' and c.relkind = 'r'}) }) {
        $rows .= join "\n", map { $_->[0] // '' }
            @{ $t->sql("select t::text from $table->[0] t") };
    }
    cmp_ok(length $rows, '>', 5000, 'every row of every table');
    unlike($rows, qr/Ravenscroft/i, 'holds no word of it');
    $t->house->nginx_stop;
    my $logs = join '', map { $t->log_text($_) } qw(error.log access.log worker.log postgres.log);
    unlike($logs, qr/Ravenscroft/i, 'nor does a log');
    $t->start('nginx');
    $t->wait_for(sub { $t->api(GET => '/v1/me')->{status} == 200 }, 20, 'the edge is back');
}

# -- Idempotency-Key

{
    my $spend = sub {
        my ($key, $points, %o) = @_;
        return $t->api(POST => '/v1/redemptions', { headers => { 'Idempotency-Key' => $key },
            body => { member => 'ext:b', points => $points }, %o });
    };
    my $first = $spend->('k1', 1);
    is($first->{status}, 201, 'a redemption');
    my $again = $spend->('"k1"', 1);
    is($again->{body}, $first->{body}, 'a replay is the same, byte for byte');
    is($again->{headers}{'idempotent-replayed'}, 'true', 'and says that it is one');
    $t->problem_is($spend->('k1', 2), 422, 'idempotency.mismatch', 'another body under it');
    my $poor = $spend->('k2', 1000);
    $t->problem_is($poor, 422, 'points.insufficient', 'a business refusal');
    post($t->order('rich', 'ext:b', ['5000', 1]), wait => 10);
    is($spend->('k2', 1000)->{status}, 422, 'is stored and replayed too');

    my @pids = map {
        my $n = $_;
        my $pid = fork // die;
        if (!$pid) {
            my $r = $spend->('twin', 1, connection => "twin-$n");
            POSIX::_exit($r->{status} == 201 ? 0 : 1);
        }
        $pid;
    } 1 .. 8;
    my $failed = 0;
    for (@pids) { waitpid $_, 0; $failed++ if $? }
    is($failed, 0, 'eight twins at once all succeed');
    is($t->value(q{select count(*) from loyalty.redemption r where r.points = 1}), 2,
       'and spend once');
}

# a twin that does not end within the lock's time
{
    my $hold = DBI->connect("dbi:Pg:host=$t->{house}{run};dbname=loyalty",
        'postgres', undef, { RaiseError => 1, AutoCommit => 0 });
    my $ask = sub {
        return $t->api(POST => '/v1/redemptions', { headers => { 'Idempotency-Key' => 'slow' },
            body => { member => 'ext:b', points => 3 } });
    };
    my ($principal) = @{ $t->sql('select principal_id from loyalty.idempotency'
        . " where key = 'k1'")->[0] };
    $hold->do('insert into loyalty.idempotency (tenant_id, principal_id, operation, key, body_mac,'
        . " nonce) values (?, ?, 'redemption_create', 'slow', '', '')", undef,
        $t->{tenants}{shop}{uuid}, $principal);
    my $r = $ask->();
    $t->problem_is($r, 409, 'idempotency.running', 'the twin is still running');
    is($r->{headers}{'retry-after'}, 1, 'with Retry-After');
    $hold->rollback;
    $hold->disconnect;
    is($ask->()->{status}, 201, 'which failed: the key is free');
}

$t->audit_ok('the books are right');
