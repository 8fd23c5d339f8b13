#!/usr/bin/perl

# /metrics is well formed, every counter of the documentation is in it and the
# other way round, requests are counted by operation; and the access log is
# JSON without a query string.

use strict;
use warnings;

use lib 't/lib';
use Test::Loyalty;
use Test::More;

my $t = Test::Loyalty->new(plan => 31, parts => [qw(postgres redis nginx)]);

$t->api(GET => '/v1/members/ext:nobody?secret=1');
$t->api(GET => '/v1/me', { headers => { 'X-Request-Id' => 'find-me' } });
$t->api(GET => '/v1/me', { key => undef });
$t->api(GET => '/nowhere');

my $r = page('/metrics');
is($r->{status}, 200, 'metrics');
is($r->{headers}{'content-type'}, 'text/plain; version=0.0.4', 'their type');
is(page('/metrics', 'POST')->{status}, 405, 'read only');

# each line is a comment or a sample; each family is named once, before it
my (%help, %type, %seen, @bad);
for (split /\n/, $r->{body}) {
    if (/^# HELP (\w+) \S/) { push @bad, $_ if $help{$1}++; next }
    if (/^# TYPE (\w+) (counter|gauge|histogram)$/) { push @bad, $_ if $type{$1}; $type{$1} = $2; next }
    if (/^(\w+)(\{\w+="[^"]*"(?:,\w+="[^"]*")*\})? -?[0-9]+(?:\.[0-9]+)?$/) {
        my ($name, $labels) = ($1, $2 // '');
        my $family = $type{$name} ? $name : $name =~ s/_(?:bucket|sum|count)$//r;
        push @bad, $_ if !$type{$family} || $seen{"$name$labels"}++;
        next;
    }
    push @bad, $_;
}
is_deeply(\@bad, [], 'each line is well formed');
is_deeply([sort keys %help], [sort keys %type], 'help for every type');

my $docs = do { open my $fh, '<', "$Test::Loyalty::ROOT/docs/directives.md" or die $!; local $/; <$fh> };
my %documented = map { $_ => 1 } $docs =~ /`(loyalty_\w+)(?:\{[^`]*\})?`/g;
is_deeply([grep { !$documented{$_} } sort keys %type], [], 'all are documented');
my ($table) = $docs =~ /^## Metrics\n(.*)/ms;
is_deeply([grep { !$type{$_} } $table =~ /`(loyalty_\w+)(?:\{[^`]*\})?`/g], [],
          'none is documented that is not there');

like($r->{body}, qr/^loyalty_requests_total\{route="me_get",status="2xx"\} \d/m, 'by operation');
like($r->{body}, qr/^loyalty_requests_total\{route="me_get",status="4xx"\} \d/m, 'and status');
like($r->{body}, qr/^loyalty_requests_total\{route="none",status="4xx"\} \d/m, 'none');

my ($count) = $r->{body} =~ /^loyalty_request_duration_seconds_count (\d+)/m;
my ($inf) = $r->{body} =~ /^loyalty_request_duration_seconds_bucket\{le="\+Inf"\} (\d+)/m;
my $sum = 0;
$sum += $_ for $r->{body} =~ /^loyalty_requests_total\{[^}]+\} (\d+)/mg;
is($count, $inf, 'the histogram adds up');
is($count, $sum, 'to all requests');

# what the pools do
sub pool {
    my ($what, $pool) = @_;
    my ($v) = page('/metrics')->{body} =~ /^loyalty_database_\Q$what\E\{pool="$pool"\} (-?\d+)$/m;
    return $v;
}

sub single { my ($v) = page('/metrics')->{body} =~ /^loyalty_$_[0] (-?\d+)$/m; return $v }

ok(pool('calls_total', 'read') >= 1, 'a call to read');
ok(pool('calls_total', 'directory') >= 1, 'the feed reads');
is(pool('calls_total', 'write'), 0, 'nothing was written');
my $order = $t->order('o-1', 'ext:pool', ['1.00', 1]);
is($t->api(POST => '/v1/events', { body => $order, wait => 1 })->{status}, 202, 'an order, no worker');
is(pool('calls_total', 'write'), 1, 'is one call');
is(single('waits_total'), 1, 'its wait is counted');
is(single('waits_elapsed_total'), 1, 'and that it was in vain');
is(single('waiters'), 0, 'nobody waits now');
is(single('body_bytes'), 0, 'and no body is kept');
ok(pool('connections', 'write') >= 1, 'a connection to write is open');
is(pool('in_flight', 'write'), 0, 'without a call');
is(pool('queued', 'write'), 0, 'and none waits');

# a connection lost: counted, and opened anew for the next order
$t->sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'loyalty_edge'");
ok($t->wait_for(sub { pool('lost_total', 'write') >= 1 }, 5), 'lost connections are counted');
$t->api(POST => '/v1/events', { body => $t->order('o-2', 'ext:pool', ['1.00', 1]) });
ok(pool('connects_total', 'write') > pool('connections', 'write'), 'and those opened since');

# the access log
my $line = $t->wait_for(sub { $t->log_text('access.log') =~ /^(.*find-me.*)$/m ? $1 : '' }, 10);
my $entry = $Test::Loyalty::JSON->decode($line);
is($entry->{route}, 'me_get', 'the operation is logged');
is($entry->{tenant}, 'shop', 'the tenant');
like($entry->{principal}, qr/^key_[0-9a-z]{26}$/, 'the principal');
unlike($t->log_text('access.log'), qr/secret=1/, 'no query string');
unlike($t->log_text('access.log') . $t->log_text('error.log'), qr/lsk_test_\w{20}/, 'no credential');


sub page {
    my ($path, $method) = @_;
    return $t->client('metrics.localhost')->request($method // 'GET', $path,
        ($method ? (body => '') : ()));
}
