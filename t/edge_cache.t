#!/usr/bin/perl

# Balances in shared memory: filled by reads and writes, voided by the feed, by
# the tenant's generation and by another incarnation, right while requests
# race, and answered while the database is away.

use strict;
use warnings;

use lib 't/lib';
use Test::Loyalty;
use Test::More;
use Time::HiRes qw(time);

my $t = Test::Loyalty->new(plan => 21, parts => [qw(postgres redis nginx)]);
my $shop = $t->{tenants}{shop};
my $n = 0;

my $program = post('/v1/programs', { name => 'Points' });
post("/v1/programs/$program->{id}/activate");
post("/v1/programs/$program->{id}/wallets",
     { code => 'points', unit => { one => 'point', many => 'points' } });
my $member = post('/v1/members', { external_id => '1', source => 'shop' });
my $uuid = $t->value('select member_id from loyalty.member');
my $path = '/v1/members/ext:1/balances';

ok($t->wait_for(sub { ($t->balance('ext:1') // {})->{available} eq '0' }, 5), 'a wallet');

# by reference and by id
warm();
is(hits(sub { $t->balance('ext:1') for 1 .. 5 }), 5, 'by reference');
is(hits(sub { $t->balance($member->{id}) for 1 .. 5 }), 5, 'by id');
is(hits(sub { $t->balance('ext:shop:1') }), 0, 'another reference is asked for once');
is(hits(sub { $t->balance('ext:shop:1') }), 1, 'then it is known');

# a write's own answer
adjust(70);
is($t->balance('ext:1')->{available}, 70, 'what was just written');
adjust(-20);
is($t->balance('ext:1')->{available}, 50, 'and again');

# a change that this node did not make
warm();
my $voids = $t->metric('cache_voids_total');
change('balance', $uuid);
ok($t->wait_for(sub { $t->metric('cache_voids_total') > $voids }, 5), 'the feed voids it');
is(hits(sub { $t->balance('ext:1') }), 0, 'asked for again');

warm();
change('member', $uuid);
$t->wait_for(sub { hits(sub { $t->balance('ext:1') }) == 0 }, 5);
pass('a change of the member voids it');

# the tenant's generation: all of it
warm();
$t->sql('update loyalty.tenant set generation = generation + 1 where tenant_id = ?',
        $shop->{uuid});
change('tenant', $shop->{uuid});
$t->wait_for(sub { hits(sub { $t->balance('ext:1') }) == 0 }, 5);
pass('another generation voids it');

# writers and readers at once: no read after a write is older than the write
my ($wrong, $sum) = (0, $t->balance('ext:1')->{available});
my @pids;
for my $reader (1 .. 3) {
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        my ($end, $last, $bad) = (time + 4, -1, 0);
        while (time < $end) {
            my $b = $t->balance('ext:1', connection => "reader $$")->{available};
            $bad++ if $b < $last;
            $last = $b;
        }
        POSIX::_exit($bad ? 1 : 0);
    }
    push @pids, $pid;
}
my $end = time + 4;
while (time < $end) {
    $sum += adjust(1) ? 1 : 0;
    $wrong++ if $t->balance('ext:1')->{available} != $sum;
}
my $bad = 0;
for (@pids) { waitpid $_, 0; $bad++ if $? }
is($wrong, 0, 'each read after a write shows it');
is($bad, 0, 'balances that only grow are never seen to shrink');
cmp_ok($sum, '>', 55, "($sum)");

# no database
warm();
$t->stop('postgres', 'INT');
my $gone = time;
is($t->balance('ext:1')->{available}, $sum, 'reading goes on without the database');
$t->wait_for(sub { $t->metric('feed_age_seconds') >= 6 }, 15);
is($t->balance('ext:1')->{available}, $sum, 'also when the feed is old');
my $r = $t->api(GET => '/v1/members/ext:2/balances');
$t->problem_is($r, 503, 'database.unavailable', 'what is not known cannot be said');
like($r->{headers}{'retry-after'} // '', qr/^\d+$/, 'come again');
$t->start('postgres');
$t->wait_for(sub { page('/readyz')->{status} == 200 }, 30);
is(hits(sub { $t->balance('ext:1') }), 0, 'another incarnation voids it');
is($t->balance('ext:1')->{available}, $sum, 'and is asked');

my $line = $t->wait_for(sub { $t->log_text('access.log') =~ /^(.*"cache":"HIT".*)$/m ? $1 : '' }, 5);
like($line, qr/"route":"balance_list"/, 'hits are logged');


sub page { return $t->client('metrics.localhost')->request(GET => $_[0]) }

# the hits of what is done in between
sub hits {
    my ($do) = @_;
    my $before = $t->metric('cache_hits_total');
    $do->();
    return $t->metric('cache_hits_total') - $before;
}

# until it is answered from memory: a change of before may still be on its way
sub warm {
    $t->wait_for(sub { hits(sub { $t->balance('ext:1') }) == 1 }, 10, 'a warm cache');
    my $reads = $t->metric('feed_reads_total');
    $t->wait_for(sub { $t->metric('feed_reads_total') > $reads + 1 }, 10);
    $t->wait_for(sub { hits(sub { $t->balance('ext:1') }) == 1 }, 10, 'a warm cache');
    hits(sub { $t->balance($member->{id}) });
    return;
}

sub post {
    my ($to, $body) = @_;
    my $r = $t->api(POST => $to, { body => $body // {}, headers => { 'Idempotency-Key' => 'k' . ++$n } });
    die "$to: $r->{status} $r->{body}\n" if $r->{status} >= 300;
    return $r->{json};
}

sub adjust {
    my ($points) = @_;
    return post('/v1/entries/adjustments',
                { member => 'ext:1', points => $points, reason => 'a test' });
}

sub change {
    my ($kind, $ref) = @_;
    $t->sql('select loyalty.change_add(?, ?, ?)', $shop->{uuid}, $kind, $ref);
}
