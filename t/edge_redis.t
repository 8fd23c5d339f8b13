#!/usr/bin/perl

# Hints through Redis: two nodes tell each other, their own hints tell them
# nothing, and a Redis that is down, slow or hostile harms no request.

use strict;
use warnings;

use IO::Select;
use IO::Socket::UNIX;
use Socket qw(SOCK_DGRAM);

use lib 't/lib';
use Test::Loyalty;
use Test::More;

my $t = Test::Loyalty->new(plan => 11, parts => [qw(postgres redis nginx)]);
my $sock = $t->house->{run} . '/redis.sock';

ok($t->wait_for(sub { redis('PUBSUB NUMSUB loyalty:change') =~ /:1\r/ }, 10), 'one process listens');

my $before = $t->metric('feed_hints_total');
redis('PUBLISH loyalty:change another');
ok($t->wait_for(sub { $t->metric('feed_hints_total') > $before }, 5), 'a hint of another node');

# what the worker of this node settles, others are told; it does not listen to
# itself
my $r = $t->api(POST => '/v1/members', { body => { external_id => '1', source => 'shop' } });
cmp_ok($r->{status}, '<', 300, 'a member');
my $ear = subscribe();
$before = $t->metric('feed_hints_total');
IO::Socket::UNIX->new(Type => SOCK_DGRAM, Peer => $t->house->{run} . '/edge.sock')->send('x');
like(heard($ear), qr/loyalty:change\r\n\$16\r\n[a-p]{16}\r\n/,
     'the others are told, without a word of what it was');
$t->wait_for(sub { $t->metric('redis_hints_sent_total') > 0 }, 5);
is($t->metric('feed_hints_total'), $before + 1, 'its own hint says nothing to it');
cmp_ok($t->metric('redis_hints_sent_total'), '>', 0, 'counted');

# gone, and back
$t->stop('redis');
is($t->api(GET => '/v1/members/ext:1')->{status}, 200, 'nothing needs it');
my $key = $t->key('shop');
ok($t->wait_for(sub { $t->api(GET => '/v1/me', { key => $key })->{status} == 200 }, 5),
   'the feed is polled');
$t->start('redis');
ok($t->wait_for(sub { redis('PUBSUB NUMSUB loyalty:change') =~ /:1\r/ }, 15), 'back again');

# the listener moves with the feed
$t->allow(qr/exited on signal 9/);
my @pids = $t->log_text('error.log') =~ /#(\d+): loyalty: this process reads/g;
kill 'KILL', $pids[-1];
ok($t->wait_for(sub {
    my @now = $t->log_text('error.log') =~ /#(\d+): loyalty: this process reads/g;
    $now[-1] != $pids[-1] && redis('PUBSUB NUMSUB loyalty:change') =~ /:1\r/;
}, 15), 'the next process that reads listens');

unlike($t->log_text('error.log'), qr/\[error\].*redis/, 'no error, only a warning');


sub client {
    return IO::Socket::UNIX->new(Peer => $sock) // die "$sock: $!\n";
}

sub redis {
    my ($command) = @_;
    my $s = eval { client() } or return '';
    print $s "$command\r\n";
    IO::Select->new($s)->can_read(5) or return '';
    sysread $s, my $answer, 65536;
    return $answer // '';
}

sub subscribe {
    my $s = client();
    print $s "SUBSCRIBE loyalty:change\r\n";
    my $answer = heard($s);
    die "no subscription: $answer\n" if $answer !~ /:1\r/;
    return $s;
}

sub heard {
    my ($s) = @_;
    IO::Select->new($s)->can_read(10) or return '';
    sysread $s, my $answer, 65536;
    return $answer // '';
}

