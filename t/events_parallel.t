#!/usr/bin/perl

# Events sent by several writers at once, over and over: batches and single
# ones with the same natural keys in different orders, of the same new members
# under two sources.  Nobody deadlocks, each event stands once, each external
# id is one member.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::XS;
use List::Util qw(shuffle);
use Loyalty::TestDb;
use POSIX ();
use Test::More tests => 9;

my $WRITERS = 6;
my $ROUNDS = 4;
my $EVENTS = 400;
my $TENANT = '01900000-0000-7000-8000-000000000001';

my $seed = $ENV{SEED} // time;
diag "SEED=$seed";

my $db = Loyalty::TestDb->new;
my $json = JSON::XS->new->canonical;
my $dbh = $db->dbh;

$dbh->do('select ops.tenant_create(?::uuid, ?::jsonb)', undef, $TENANT, $json->encode({
    slug => 'parallel', mode => 'test', plan => 'demo', wrapped_key => 'AAAA',
    program => {name => 'Points'}, wallet => {code => 'points'}}));

sub item {
    my ($n) = @_;
    my $id = sprintf '0190%04x-0000-7000-8000-%012x', int rand 65536, int rand 2 ** 47;
    return {id => $id, mac => sprintf('%02x', $n % 256), sealed => undef,
        event => {type => 'order.paid', source => $n % 2 ? 'shop' : 'till',
            external_id => "e$n", member => 'ext:' . int($n / 4),
            occurred_at => '2010-12-01T08:26:00Z', order => {currency => 'GBP', lines => []}}};
}

# gives its outcomes by status, and how often it was told of a conflict
sub writer {
    my ($w, $out) = @_;
    srand $seed + $w;
    my $own = $db->dbh;
    my $call = $json->encode({principal => $TENANT, kind => 'key', request_id => "req_$w",
        nonce => '00'});
    my %seen;
    for my $round (1 .. $ROUNDS) {
        my @n = shuffle 0 .. $EVENTS - 1;
        while (my @some = splice @n, 0, 50) {
            my $one = pop @some;
            my ($row) = $own->selectrow_array('select body from api.event_batch(?::uuid, ?::jsonb, ?::jsonb)', undef,
                $TENANT, $call, $json->encode({items => [map { item($_) } @some]}));
            $seen{$_->{status}}++ for @{ $json->decode($row)->{data} };
            my ($status) = $own->selectrow_array('select status from api.event_create(?::uuid, ?::jsonb, ?::jsonb)',
                undef, $TENANT, $call, $json->encode(item($one)));
            $seen{$status}++;
        }
    }
    print $out $json->encode(\%seen), "\n";
}

my @pipes;
for my $w (1 .. $WRITERS) {
    pipe my $in, my $out or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        close $in;
        my $ok = eval { writer($w, $out); 1 };
        print STDERR $@ if !$ok;
        close $out;
        POSIX::_exit($ok ? 0 : 1);
    }
    close $out;
    push @pipes, [$pid, $in];
}

my %seen;
my $failed = 0;
for my $p (@pipes) {
    my ($pid, $in) = @$p;
    my $line = <$in>;
    waitpid $pid, 0;
    $failed++ if $? || !defined $line;
    my $one = defined $line ? $json->decode($line) : {};
    $seen{$_} += $one->{$_} for keys %$one;
}

is($failed, 0, 'no writer was refused for being parallel');
is($seen{202}, $EVENTS, 'each event was new once');
is($seen{200}, $EVENTS * $WRITERS * $ROUNDS - $EVENTS, 'and a duplicate ever after');
is_deeply([sort keys %seen], [200, 202], 'nothing else was answered');

my %count = map { $_->[0] => $_->[1] } @{ $dbh->selectall_arrayref(q{
    select 'key', count(*) from loyalty.event_key union all
    select 'event', count(*) from loyalty.event union all
    select 'log', count(*) from loyalty.event_log union all
    select 'member', count(*) from loyalty.member}) };
is($count{key}, $EVENTS, 'each natural key stands once');
is($count{event}, $EVENTS, 'each event');
is($count{log}, $EVENTS, 'each in the log');
is($count{member}, $EVENTS / 4, 'each external id is one member, whichever source came first');
my ($torn) = $dbh->selectrow_array(q{
    select count(*) from loyalty.event e
      join loyalty.event_key k on k.tenant_id = e.tenant_id and k.event_id = e.event_id
      join loyalty.event_log l on l.tenant_id = e.tenant_id and l.event_id = e.event_id
     where k.external_id = e.external_id and l.member_id = e.member_id
       and l.shard = loyalty.shard_of(e.member_id)});
is($torn, $EVENTS, 'key, event and log agree');
