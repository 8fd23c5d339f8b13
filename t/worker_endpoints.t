#!/usr/bin/perl

# Webhooks to systems that do not do what they should: nobody there, another
# certificate, a line that breaks, a redirect, too much of an answer.  What the
# tenant is told is one word, whatever stood behind it.

use strict;
use warnings;

use File::Basename qw(dirname);
use IO::Socket::INET;
use IO::Socket::SSL ();
use Test::More;

use lib dirname(__FILE__) . '/lib';
use Test::Loyalty;

my $t = Test::Loyalty->new(plan => 29, worker => {
    webhook_schedule => '60', poll => '50ms' });

my ($owner, @servers) = ($$);
my $line = server('tcp');
my $tls = server('tls');
my $closed = do {
    my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die;
    my $port = $s->sockport;
    close $s;
    $port;
};

# name => [url, what the attempt says: a status or a word]
my %case = (
    nobody => ["http://127.0.0.1:$closed/", 'connection_failed'],
    closes => ["http://127.0.0.1:$line/closes", 'connection_lost'],
    cut => ["http://127.0.0.1:$line/cut", 'connection_lost'],
    nonsense => ["http://127.0.0.1:$line/nonsense", 'request_failed'],
    redirect => ["http://127.0.0.1:$line/redirect", 302],
    large => ["http://127.0.0.1:$line/large", 200],
    teapot => ["http://127.0.0.1:$line/teapot", 418],
    nothing => ["http://127.0.0.1:$line/nothing", 204],
    certificate => ["https://127.0.0.1:$tls/", 'tls_failed'],
    plain => ["https://127.0.0.1:$line/closes", 'tls_failed'],
    six => ["http://[::1]:$line/", 'address_refused'],
    inside => ["http://10.0.0.1:$line/", 'address_refused'],
    port => ["http://127.0.0.1:$line/teapot?again", 418],
);

for my $name (sort keys %case) {
    my $r = $t->api(POST => '/v1/webhook-endpoints', { body => {
        url => $case{$name}[0], event_types => ['points.earned'], description => $name } });
    is($r->{status}, 201, "an endpoint: $name") or diag $r->{body};
    $case{$name}[2] = $r->{json}{id};
}

$t->api(POST => '/v1/events', { body => $t->order('o1', 'ext:w', ['3.00', 1]), wait => 20 });

my %got;
$t->wait_for(sub {
    %got = map { $_->[0] => $_ } @{ $t->sql('select e.description, a.status, a.error, a.response,'
        . ' d.status from loyalty.delivery_attempt a join loyalty.delivery d using'
        . ' (tenant_id, delivery_id) join loyalty.webhook_endpoint e using (tenant_id, endpoint_id)'
        . ' where a.status is not null or a.error is not null') };
    return keys %got == keys %case;
}, 30, 'every endpoint was tried');

for my $name (sort keys %case) {
    my (undef, $status, $error) = @{ $got{$name} };
    is($error // $status, $case{$name}[1], "$name: $case{$name}[1]");
}
cmp_ok(length $got{large}[3], '<=', 4096, 'of an answer the first 4 KiB are kept');
is_deeply([map { $got{$_}[4] } qw(large nothing redirect teapot nobody)],
    [qw(delivered delivered retrying retrying retrying)], 'what is no 2xx is tried again');
$t->audit_ok;
$t->allow(qr/webhook|delivery/);


# a system of a merchant: its port
sub server {
    my ($kind) = @_;
    my %o = (LocalAddr => '127.0.0.1', Listen => 64, ReuseAddr => 1);
    my $socket = $kind eq 'tls'
        ? IO::Socket::SSL->new(%o, SSL_cert_file => $t->house->path('tls/server.pem'),
            SSL_key_file => $t->house->path('tls/server.key'))
        : IO::Socket::INET->new(%o);
    die "server: $!\n" if !$socket;

    my $parent = $$;
    my $pid = fork // die "fork: $!\n";
    if ($pid) {
        push @servers, $pid;
        return $socket->sockport;
    }
    $SIG{$_} = 'DEFAULT' for qw(TERM INT);
    $SIG{PIPE} = 'IGNORE';
    while (getppid == $parent) {
        my $c = $socket->accept or next;
        answer($c);
        close $c;
    }
    POSIX::_exit(0);
}

sub answer {
    my ($c) = @_;
    my $in = '';
    while ($in !~ /\r\n\r\n/) {
        sysread($c, $in, 65536, length $in) or return;
        return if $in =~ /^\x16/;       # TLS is not spoken here
    }
    my ($length) = $in =~ /^content-length: *(\d+)/mi;
    my $whole = index($in, "\r\n\r\n") + 4 + ($length // 0);
    while (length $in < $whole) { sysread($c, $in, 65536, length $in) or return }
    my ($path) = $in =~ m{^\S+ /(\w*)};
    my %answer = (
        closes => '', nonsense => "SMTP ready\r\n\r\n",
        cut => "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nnot all",
        redirect => "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        large => "HTTP/1.1 200 OK\r\n\r\n" . 'x' x 1_000_000,
        teapot => "HTTP/1.1 418 I'm a teapot\r\nContent-Length: 2\r\n\r\nno",
        nothing => "HTTP/1.1 204 No Content\r\n\r\n",
    );
    syswrite $c, $answer{$path} // '';
}

END { local $?; kill 'TERM', @servers if @servers && $owner == $$ }
