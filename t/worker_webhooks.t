#!/usr/bin/perl

# Webhooks end to end: a merchant's receiver that speaks HTTP, signatures made
# again from the secret that was shown once, retries, Retry-After, 410, the
# address guard, sequences without gaps, a worker killed between sending and
# settling.

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256);
use File::Basename qw(dirname);
use IO::Select;
use IO::Socket::INET;
use JSON::XS ();
use MIME::Base64 qw(decode_base64 encode_base64);
use Test::More;
use Time::HiRes qw(sleep time);

use lib dirname(__FILE__) . '/lib';
use Test::Loyalty;

my $t = Test::Loyalty->new(plan => 30, worker => {
    webhook_schedule => '1 1 1', poll => '100ms',
});
my $receiver = Receiver->new;

END { local $?; $receiver->stop if $receiver }


# -- one endpoint, one order --------------------------------------------------

my $made = $t->api(POST => '/v1/webhook-endpoints', { body => {
    url => $receiver->url('/ok'), event_types => ['points.*', 'event.processed'],
} });
is($made->{status}, 201, 'an endpoint is made');
like($made->{json}{secret}, qr/^whsec_[A-Za-z0-9+\/]+={0,2}$/, 'its secret is shown');
my ($id, $secret) = @{ $made->{json} }{qw(id secret)};

my $seen = $t->api(GET => "/v1/webhook-endpoints/$id");
is($seen->{status}, 200, 'the endpoint is read');
ok(!exists $seen->{json}{secret}, 'the secret is shown once');

is($t->value('select count(*) from loyalty.endpoint_secret where sealed like ?',
             "%$secret%"), 0, 'the secret is not in the database');

$t->api(POST => '/v1/events', { body => $t->order('o1', 'ext:w1', ['12.50', 2]), wait => 10 });

my @got = $receiver->wait_for($t, '/ok', 2);
my ($earned) = grep { $_->{json}{type} eq 'points.earned' } @got;
ok($earned, 'points.earned arrives');
is($earned->{json}{data}{points}, 25, 'with its points');
like($earned->{json}{id}, qr/^msg_[0-9a-z]{26}$/, 'with an id');
is($earned->{headers}{'webhook-id'}, $earned->{json}{id}, 'which the header repeats');
ok(abs($earned->{headers}{'webhook-timestamp'} - time) < 60, 'with the time of the attempt');
is($earned->{headers}{'webhook-signature'}, signature($secret, $earned),
   'signed over the raw bytes');
like($earned->{headers}{'content-type'}, qr{^application/json}, 'as JSON');

my @sequence = sort { $a <=> $b } map { $_->{json}{sequence} } @got;
is_deeply(\@sequence, [1 .. @got], 'sequence counts from one without gaps');


# -- a test goes to one endpoint ------------------------------------------------

my $other = $t->api(POST => '/v1/webhook-endpoints',
    { body => { url => $receiver->url('/other'), event_types => ['*'] } });
is($other->{status}, 201, 'a second endpoint');

my $test = $t->api(POST => "/v1/webhook-endpoints/$other->{json}{id}/test");
ok($test->{status} == 200 || $test->{status} == 202, 'a test is asked for');
my ($ping) = $receiver->wait_for($t, '/other', 1);
is($ping->{json}{type}, 'endpoint.test', 'and comes');
is(scalar(grep { $_->{json}{type} eq 'endpoint.test' } $receiver->at('/ok')), 0,
   'to that endpoint alone');


# -- failures -------------------------------------------------------------------

my $flaky = $t->api(POST => '/v1/webhook-endpoints',
    { body => { url => $receiver->url('/flaky'), event_types => ['points.earned'] } });
my $gone = $t->api(POST => '/v1/webhook-endpoints',
    { body => { url => $receiver->url('/gone'), event_types => ['points.earned'] } });
my $private = $t->api(POST => '/v1/webhook-endpoints',
    { body => { url => 'http://127.0.0.2:' . $receiver->port . '/private',
                event_types => ['points.earned'] } });

$t->api(POST => '/v1/events', { body => $t->order('o2', 'ext:w1', ['7.00', 1]), wait => 10 });

my @tries = $receiver->wait_for($t, '/flaky', 3);
is($tries[0]{body}, $tries[2]{body}, 'a retry sends the same bytes');
is($tries[0]{headers}{'webhook-id'}, $tries[2]{headers}{'webhook-id'}, 'under the same id');

$t->wait_for(sub { status($flaky) eq 'active' && delivered($flaky) }, 20,
             'the third attempt is written down');
pass('the third attempt succeeds and the endpoint is active again');

$t->wait_for(sub { status($gone) eq 'disabled' }, 20, 'the endpoint is disabled');
is(scalar($receiver->at('/gone')), 1, '410 disables an endpoint at once');

$t->wait_for(sub {
    $t->value("select count(*) from loyalty.delivery d join loyalty.delivery_attempt a"
        . " using (tenant_id, delivery_id) where a.error = 'address_refused'") > 0
}, 20, 'an attempt is refused');
is(scalar($receiver->at('/private')), 0, 'an address that is not excepted is never dialled');

my $list = $t->api(GET => '/v1/webhook-deliveries?limit=100');
is($list->{status}, 200, 'deliveries are listed');
ok((grep { $_->{endpoint} eq $flaky->{json}{id} || ($_->{webhook_endpoint} // '') eq $flaky->{json}{id} }
    @{ $list->{json}{data} }), 'with those of each endpoint');
unlike($list->{body}, qr/whsec_/, 'without secrets');


# -- the worker dies after the receiver answered ---------------------------------

my $slow = $t->api(POST => '/v1/webhook-endpoints',
    { body => { url => $receiver->url('/slow'), event_types => ['points.earned'] } });

$t->api(POST => '/v1/events', { body => $t->order('o3', 'ext:w2', ['9.00', 1]), wait => 10 });
$receiver->wait_for($t, '/slow', 1);

# the slot that waits for the answer dies with the rest of the daemon
my @slots = $t->pids('worker-process');
$t->kill9('worker');
kill 'KILL', @slots;
$t->start('worker');

# the lease of the dead process ends by itself; the test does not wait a minute
$t->wait_for(sub {
    $t->sql("update loyalty.delivery set lease_until = now() - interval '1 second'"
        . ' where lease_until is not null and attempt = 1');
    return delivered($slow);
}, 60, 'the delivery is taken up again');

my @twice = $receiver->at('/slow');
ok(@twice >= 2, 'it is sent again');
is($twice[0]{headers}{'webhook-id'}, $twice[-1]{headers}{'webhook-id'},
   'under the same id, so that the receiver can tell');
is($t->value('select count(*) from loyalty.delivery where status <> ?'
    . ' and endpoint_id = loyalty.id_uuid(?, ?)', 'delivered', 'whe', $slow->{json}{id}), 0,
   'nothing is left over');
is($t->value('select count(*) from (select endpoint_id, count(*) n, max(sequence) m'
    . ' from loyalty.delivery group by 1) x where n <> m'), 0,
   'no sequence has a gap');
$t->audit_ok;
$t->allow(qr/webhook|delivery/);


sub status {
    my ($made) = @_;
    return $t->api(GET => "/v1/webhook-endpoints/$made->{json}{id}")->{json}{status} // '';
}

sub delivered {
    my ($made) = @_;
    return $t->value('select count(*) from loyalty.delivery where status = ?'
        . ' and endpoint_id = loyalty.id_uuid(?, ?)', 'delivered', 'whe', $made->{json}{id});
}

sub signature {
    my ($secret, $got) = @_;
    my $key = decode_base64(substr $secret, 6);
    my $text = "$got->{headers}{'webhook-id'}.$got->{headers}{'webhook-timestamp'}.$got->{body}";
    return 'v1,' . encode_base64(hmac_sha256($text, $key), '');
}


# A merchant's system: answers by its path and writes down what came.
package Receiver;

sub new {
    my ($class) = @_;
    my $socket = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1',
        ReuseAddr => 1) or die "receiver: $!\n";
    my $file = "/tmp/lyt-receiver-$$";
    unlink $file;
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(TERM INT);
        _serve($socket, $file);
        POSIX::_exit(0);
    }
    my $self = bless { port => $socket->sockport, pid => $pid, file => $file,
                       owner => $$ }, $class;
    close $socket;
    return $self;
}

sub port { $_[0]{port} }
sub url { "http://127.0.0.1:$_[0]{port}$_[1]" }

sub stop {
    my ($self) = @_;
    return if $self->{owner} != $$ || !$self->{pid};
    kill 'TERM', $self->{pid};
    waitpid delete $self->{pid}, 0;
    unlink $self->{file};
}

sub at {
    my ($self, $path) = @_;
    open my $fh, '<', $self->{file} or return;
    return grep { $_->{path} eq $path } map {
        my $r = JSON::XS::decode_json($_);
        $r->{json} = JSON::XS::decode_json($r->{body});
        $r;
    } grep { /\n\z/ } <$fh>;
}

sub wait_for {
    my ($self, $t, $path, $n) = @_;
    my @got;
    $t->wait_for(sub { @got = $self->at($path); @got >= $n }, 30, "$n at $path");
    return @got;
}

sub _serve {
    my ($socket, $file) = @_;
    my $select = IO::Select->new($socket);
    my (%buffer, %count);
    open my $log, '>>', $file or die;
    $log->autoflush(1);

    while (1) {
        for my $c ($select->can_read) {
            if ($c == $socket) {
                $select->add(scalar $socket->accept);
                next;
            }
            my $n = sysread $c, $buffer{$c}, 65536, length($buffer{$c} // '');
            if (!$n) {
                delete $buffer{$c};
                $select->remove($c);
                close $c;
                next;
            }
            while ($buffer{$c} =~ /^(.*?)\r\n\r\n/s) {
                my $head = $1;
                my ($length) = $head =~ /^content-length: *(\d+)/mi;
                my $whole = length($head) + 4 + ($length // 0);
                last if length $buffer{$c} < $whole;
                my $body = substr $buffer{$c}, length($head) + 4, $length // 0;
                substr($buffer{$c}, 0, $whole) = '';
                my ($path) = $head =~ m{^\S+ (\S+)};
                my %h = map { /^([^:]+): *(.*?)\r?$/ ? (lc $1 => $2) : () }
                    split /\n/, $head;
                my $k = ++$count{$path};
                print $log JSON::XS::encode_json({ path => $path, headers => \%h,
                    body => $body }) . "\n";
                my $status = $path eq '/gone' ? '410 Gone'
                    : $path eq '/flaky' && $k < 3 ? '503 Unavailable' : '200 OK';
                select undef, undef, undef, 1.5 if $path eq '/slow' && $k == 1;
                syswrite $c, "HTTP/1.1 $status\r\nContent-Length: 2\r\n\r\nok";
            }
        }
    }
}
