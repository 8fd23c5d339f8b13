package Loyalty::Http;

# A small HTTP/1.1 client that keeps its connection: it connects to 127.0.0.1
# whatever the name (the resolver does not know *.localhost) and sends Host and
# SNI.  A request sent on a kept connection that was closed before the first
# byte of an answer is sent once more on a new one.

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use IO::Socket::SSL;
use Time::HiRes qw(time);


# host: name for Host and SNI; port; tls: 0|1; ca: file; address, timeout
sub new {
    my ($class, %o) = @_;
    return bless {
        address => '127.0.0.1', timeout => 60, host => 'localhost',
        opened => 0, repeated => 0, %o,
    }, $class;
}

sub connect {
    my ($self) = @_;

    my $s = IO::Socket::INET->new(PeerAddr => $self->{address},
        PeerPort => $self->{port}, Proto => 'tcp', Timeout => $self->{timeout})
        or die "connect to port $self->{port}: $!\n";
    $s->setsockopt(Socket::IPPROTO_TCP(), Socket::TCP_NODELAY(), 1);

    if ($self->{tls}) {
        IO::Socket::SSL->start_SSL($s,
            SSL_hostname => $self->{host},
            SSL_verifycn_name => $self->{host},
            SSL_verifycn_scheme => 'http',
            ($self->{ca} ? (SSL_ca_file => $self->{ca},
                            SSL_verify_mode => SSL_VERIFY_PEER)
                         : (SSL_verify_mode => SSL_VERIFY_NONE)),
            Timeout => $self->{timeout})
            or die "TLS with $self->{host}: $SSL_ERROR\n";
    }

    $self->{sock} = $s;
    $self->{opened}++;
    $self->{buf} = '';
    $self->{used} = 0;
    return $self;
}

sub close {
    my ($self) = @_;
    my $s = delete $self->{sock} or return;
    $s->close;
}

# {status, reason, headers (lower-case names, values joined), lines, body}
sub request {
    my ($self, $method, $target, %o) = @_;

    my @headers = ref $o{headers} eq 'HASH'
        ? map { [$_, $o{headers}{$_}] } sort keys %{ $o{headers} }
        : @{ $o{headers} // [] };
    my %given = map { lc $_->[0] => 1 } @headers;
    my $body = $o{body};

    unshift @headers, ['Host', $self->{port} == 443 || $self->{port} == 80
        ? $self->{host} : "$self->{host}:$self->{port}"] if !$given{host};
    push @headers, ['Content-Length', length $body]
        if defined $body && !$given{'content-length'}
           && !$given{'transfer-encoding'};

    my $text = "$method $target HTTP/1.1\r\n"
        . join('', map { "$_->[0]: $_->[1]\r\n" } grep { defined $_->[1] } @headers)
        . "\r\n" . ($body // '');

    return $self->raw($text, %o, method => $method);
}

# bytes as they are; one answer comes back
sub raw {
    my ($self, $text, %o) = @_;

    # TLS writes while it connects and reads, too
    local $SIG{PIPE} = 'IGNORE';

    for my $try (1, 2) {
        $self->connect if !$self->{sock};
        my $kept = $self->{used};
        my $r = eval { $self->_exchange($text, %o) };
        return $r if $r;
        my $why = $@;
        $self->close;
        die $why if $try == 2 || !$kept || $why !~ /^closed before an answer/;
        $self->{repeated}++;
    }
}

sub _exchange {
    my ($self, $text, %o) = @_;
    my $end = time + ($o{timeout} // $self->{timeout});

    $self->{used}++;
    $self->_send($text, $end);

    my ($status, $reason, %h, @lines);

    # answers of class 1xx come before the one that is waited for
    do {
        my $line = $self->_line($end, 1);
        die "closed before an answer\n" if !defined $line;
        ($status, $reason) = $line =~ m{^HTTP/1\.[01] (\d{3}) ?(.*)$}
            or die "no status line: $line\n";
        (%h, @lines) = ();
        while (1) {
            $line = $self->_line($end) // die "closed within the headers\n";
            last if $line eq '';
            push @lines, $line;
            my ($name, $value) = $line =~ /^([^:]+):[ \t]*(.*?)[ \t]*$/ or next;
            $name = lc $name;
            $h{$name} = defined $h{$name} ? "$h{$name}, $value" : $value;
        }
    } while ($status >= 100 && $status < 200 && $status != 101);

    my $body = '';
    if (($o{method} // '') eq 'HEAD' || $status == 204 || $status == 304) {
        # no body
    } elsif (lc($h{'transfer-encoding'} // '') eq 'chunked') {
        while (1) {
            my $size = hex($self->_line($end) // die "closed within the body\n");
            $body .= $self->_bytes($size, $end);
            $self->_line($end);
            last if !$size;
        }
    } elsif (defined $h{'content-length'}) {
        $body = $self->_bytes($h{'content-length'}, $end);
    } else {
        $body = $self->_rest($end);
        $h{connection} = 'close';
    }

    $self->close if lc($h{connection} // '') eq 'close';

    return { status => $status, reason => $reason, headers => \%h,
             lines => \@lines, body => $body };
}

sub _send {
    my ($self, $text, $end) = @_;
    my $at = 0;

    while ($at < length $text) {
        my $n = $self->{sock}->syswrite($text, 16384, $at);
        if (!defined $n) {
            next if $!{EINTR};
            # the other side may have answered and closed: read that
            last;
        }
        $at += $n;
        die "timeout while sending\n" if time > $end;
    }
}

sub _more {
    my ($self, $end) = @_;
    my $s = $self->{sock};

    if (!($self->{tls} && $s->pending)) {
        my $left = $end - time;
        die "timeout\n" if $left <= 0;
        IO::Select->new($s)->can_read($left) or die "timeout\n";
    }

    my $n = $s->sysread($self->{buf}, 65536, length $self->{buf});
    if (!defined $n) {
        return 1 if $!{EINTR} || $!{EAGAIN};
        return 0 if $!{ECONNRESET} || $self->{tls};
        die "read: $!\n";
    }
    return $n > 0;
}

# the next line without its end; undef when closed before (with $first: before
# its first byte, else that dies)
sub _line {
    my ($self, $end, $first) = @_;

    while ((my $i = index $self->{buf}, "\n") < 0) {
        next if $self->_more($end);
        return if $self->{buf} eq '' || !$first;
        die "closed within an answer\n";
    }

    $self->{buf} =~ s/^(.*?)\r?\n//s;
    return $1;
}

sub _bytes {
    my ($self, $n, $end) = @_;
    while (length $self->{buf} < $n) {
        $self->_more($end) or die "closed within the body\n";
    }
    return substr $self->{buf}, 0, $n, '';
}

sub _rest {
    my ($self, $end) = @_;
    1 while $self->_more($end);
    my $all = $self->{buf};
    $self->{buf} = '';
    return $all;
}

sub DESTROY { local ($@, $!, $?); $_[0]->close if $_[0]{sock} }

1;
