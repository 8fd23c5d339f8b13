package Test::LoyaltyLoad;

# Clients in processes of their own: each sends orders and reads, one call
# after the other, until it is told to stop, and keeps count of every answer.
#
#   my $load = Test::LoyaltyLoad->start($t, name => 'up', clients => [{}, { tls => 1 }]);
#   ...
#   my $sum = $load->stop;
#
# A client may keep its connection (keep, 1 by default).  An order that was not
# acknowledged is sent again, the same, until it is: acknowledged are then all
# of them.  What the sum holds: asked and answered (calls), orders (external
# ids that were acknowledged), status (how often each), other (texts of what is
# neither 2xx nor a refusal that says when to come back), repeated (calls sent
# again because a kept connection had been closed before), longest (seconds
# without a good answer), points.

use strict;
use warnings;

use Time::HiRes qw(time);


# name: of orders and members; pause: seconds between rounds; reads: 0 for
# orders only; seconds: the end in any case
sub start {
    my ($class, $t, %o) = @_;
    my $self = bless {
        t => $t, name => 'load', pause => 0.02, reads => 1, seconds => 120, %o, all => [],
    }, $class;

    $self->{file} = "$t->{dir}/$self->{name}.answers";
    my $n = 0;
    for my $client (@{ $o{clients} // [{}] }) {
        push @{ $self->{all} }, $self->_client(++$n, { keep => 1, tls => 0, %$client });
    }
    return $self;
}

# good answers so far
sub answers { my ($self) = @_; return (-s $self->{file}) // 0 }

# until so many more good answers have come
sub more {
    my ($self, $n, $seconds) = @_;
    my $from = $self->answers;
    return $self->{t}->wait_for(sub { $self->answers >= $from + $n }, $seconds // 30,
                                "$n more answers");
}

sub stop {
    my ($self) = @_;
    my %sum = (asked => 0, answered => 0, orders => [], status => {}, other => {},
               repeated => 0, longest => 0, points => {});

    close delete $_->{stop} for @{ $self->{all} };
    for my $c (@{ $self->{all} }) {
        my $r = eval { $c->{sum}->() } // die "a client of $self->{name} ended: $@";
        $sum{$_} += $r->{$_} for qw(asked answered repeated);
        push @{ $sum{orders} }, @{ $r->{orders} };
        $sum{longest} = $r->{longest} if $r->{longest} > $sum{longest};
        $sum{points}{$_} = $r->{points}{$_} for keys %{ $r->{points} };
        for my $of (qw(status other)) {
            $sum{$of}{$_} += $r->{$of}{$_} for keys %{ $r->{$of} };
        }
    }
    return \%sum;
}

sub _client {
    my ($self, $n, $client) = @_;

    pipe(my $wait, my $stop) or die "pipe: $!\n";
    my $sum = $self->{t}->later(sub {
        close $stop;
        close $_->{stop} for @{ $self->{all} };
        return $self->_run($n, $client, $wait);
    });
    close $wait;
    return { sum => $sum, stop => $stop };
}

sub _run {
    my ($self, $n, $client, $wait) = @_;

    open my $file, '>>', $self->{file} or die "$self->{file}: $!\n";
    my $member = "ext:$self->{name}-$n";
    my %r = (asked => 0, answered => 0, orders => [], status => {}, other => {}, longest => 0,
             points => { $member => 0 });
    my ($serial, $open) = (0);
    my $good = time;
    my $end = $good + $self->{seconds};
    my $more = sub {
        vec(my $bits = '', fileno $wait, 1) = 1;
        return time < $end && !select $bits, undef, undef, $_[0];
    };
    my $ask = sub {
        my ($what, $method, $path, $body) = @_;
        my $id = "$self->{name}-$n-" . ++$r{asked};
        my $a = eval { $self->{t}->api($method, $path, { tls => $client->{tls},
            connection => "$self->{name}-$n", headers => { 'X-Request-Id' => $id }, timeout => 60,
            ($body ? (body => $body) : ()) }) };
        my $why = $@;
        $self->{t}->client(undef, $client->{tls}, "$self->{name}-$n")->close if !$client->{keep};
        if (!$a) {
            $r{other}{"$what: $why"}++;
            return;
        }
        $r{status}{$a->{status}}++;
        if ($a->{status} < 300) {
            $r{answered}++;
            my $gap = time - $good;
            $r{longest} = $gap if $gap > $r{longest};
            $good = time;
            syswrite $file, '.';
            return $a;
        }
        $r{other}{"$what: $a->{status} $a->{body}"}++
            if $a->{status} !~ /^(?:429|503)$/ || !$a->{headers}{'retry-after'};
        return;
    };

    while ($more->($self->{pause})) {
        # an order that has no answer yet is sent again
        $open //= "$self->{name}-$n-" . ++$serial;
        if ($ask->('order', POST => '/v1/events', $self->{t}->order($open, $member, ['1', 1]))) {
            push @{ $r{orders} }, $open;
            $r{points}{$member}++;
            $open = undef;
        }
        next if !$self->{reads};
        $ask->('balance', GET => "/v1/members/$member/balances") if $serial > 1;
        $ask->('list', GET => '/v1/programs');
    }

    $r{repeated} = $self->{t}->client(undef, $client->{tls}, "$self->{name}-$n")->{repeated};
    return \%r;
}

1;
