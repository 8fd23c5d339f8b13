package Test::LoyaltyProxy;

# A proxy between a client of PostgreSQL and its server, in a process of its
# own, that knows the messages of protocol 3 and cuts connections where it is
# told to: before a commit is asked for, after it was done and before anything
# of the reply goes back, or between the reply's rows and its end.
#
#   my $p = Test::LoyaltyProxy->new($t);
#   $t->house->{via}{loyalty_edge} = $p->{dir};     # then start what uses it
#   $p->cut('after', 'event_create', 1);
#   ...
#   is($p->left, 0, 'it was cut');
#
# It listens on a socket in a folder of its own and speaks to the server as the
# user who runs the test.

use strict;
use warnings;

use Errno qw(EAGAIN EINTR);
use IO::Select;
use IO::Socket::UNIX;
use POSIX ();
use Socket qw(AF_UNIX SOCK_STREAM PF_UNSPEC);

sub new {
    my ($class, $t) = @_;
    my $dir = "$t->{dir}/proxy";
    mkdir $dir, 0755;

    my $self = bless { dir => $dir, server => "$t->{house}{run}/.s.PGSQL.5432", owner => $$ },
        $class;
    my $listen = IO::Socket::UNIX->new(Local => "$dir/.s.PGSQL.5432", Listen => 64)
        or die "$dir: $!\n";
    chmod 0777, "$dir/.s.PGSQL.5432";
    socketpair(my $mine, my $its, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die "socketpair: $!\n";

    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        $SIG{PIPE} = 'IGNORE';
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        close $mine;
        eval { $self->_serve($listen, $its) };
        print STDERR "proxy: $@" if $@;
        POSIX::_exit(0);
    }
    close $its;
    $listen->close;
    @$self{qw(control pid)} = ($mine, $pid);
    return $self;
}

# how: before, after or half; statement: the name of a prepared one, as a
# pattern; n commits of it are cut.  Replaces what was asked before.
sub cut {
    my ($self, $how, $statement, $n) = @_;
    return $self->_ask("$how $n $statement");
}

# cuts that are still to come
sub left { my ($self) = @_; return $self->_ask('left') }

sub _ask {
    my ($self, $text) = @_;
    syswrite $self->{control}, "$text\n";
    sysread $self->{control}, my $answer, 100 or die "the proxy is gone\n";
    chomp $answer;
    return $answer;
}

sub DESTROY {
    my ($self) = @_;
    return if !$self->{pid} || $self->{owner} != $$;
    local ($?, $@);
    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
}


# -- the process ---------------------------------------------------------------

sub _serve {
    my ($self, $listen, $control) = @_;
    my $select = IO::Select->new($listen, $control);
    my %conn;                           # by descriptor, both ends

    $self->{want} = { how => '', n => 0, like => qr/(?!)/ };
    while (1) {
        for my $fh ($select->can_read) {
            if ($fh == $control) {
                sysread $control, my $line, 1000 or return;
                if ($line =~ /^(before|after|half) (\d+) (.+)$/) {
                    $self->{want} = { how => $1, n => $2, like => qr/$3/ };
                }
                syswrite $control, "$self->{want}{n}\n";
            } elsif ($fh == $listen) {
                my $client = $listen->accept or next;
                my $server = IO::Socket::UNIX->new(Peer => $self->{server});
                if (!$server) {
                    $client->close;
                    next;
                }
                my $c = { client => $client, server => $server, in => '', out => '', held => '',
                          state => 'I' };
                $conn{ fileno $_ } = $c for $client, $server;
                $select->add($client, $server);
            } else {
                my $c = $conn{ fileno $fh } or next;
                next if $fh == $c->{client} ? $self->_asked($c) : $self->_answered($c);
                delete $conn{ fileno $_ } for @$c{qw(client server)};
                $select->remove(@$c{qw(client server)});
                $_->close for @$c{qw(client server)};
            }
        }
    }
}

# from the client: 0 ends the connection
sub _asked {
    my ($self, $c) = @_;
    sysread $c->{client}, $c->{in}, 65536, length $c->{in} or return 0;

    while (length $c->{in} >= 5) {
        # the first message has no type
        my $typed = $c->{started} ? 1 : 0;
        my $length = unpack('N', substr $c->{in}, $typed, 4) + $typed;
        last if length $c->{in} < $length;
        my $message = substr $c->{in}, 0, $length, '';
        my $type = $typed ? substr $message, 0, 1 : '';
        $c->{started} = 1;

        if ($type eq 'B') {
            my ($statement) = $message =~ /^.{5}[^\0]*\0([^\0]*)\0/s;
            my $want = $self->{want};
            if ($want->{n} > 0 && $statement =~ $want->{like}) {
                $want->{n}--;
                $c->{cut} = $want->{how};
            }
        }
        # a commit of the transaction's own, or of the one that Sync ends
        my $commit = $type eq 'Q' ? $message =~ /^.{5}commit/si
            : $type eq 'S' && $c->{state} eq 'I';
        if ($c->{cut} && $commit) {
            return 0 if $c->{cut} eq 'before';
            $c->{committing} = 1;
        }
        _write($c->{server}, $message) or return 0;
    }
    return 1;
}

# from the server
sub _answered {
    my ($self, $c) = @_;
    sysread $c->{server}, $c->{out}, 65536, length $c->{out} or return 0;

    while (length $c->{out} >= 5) {
        my $length = unpack('N', substr $c->{out}, 1, 4) + 1;
        last if length $c->{out} < $length;
        my $message = substr $c->{out}, 0, $length, '';
        my $ready = substr($message, 0, 1) eq 'Z';
        $c->{state} = substr $message, 5, 1 if $ready;

        if ($c->{committing}) {
            $c->{held} .= $message if !$ready;
            next if !$ready;
            _write($c->{client}, $c->{held}) if $c->{cut} eq 'half';
            return 0;
        }
        _write($c->{client}, $message) or return 0;
    }
    return 1;
}

sub _write {
    my ($fh, $bytes) = @_;
    my $at = 0;
    while ($at < length $bytes) {
        my $n = syswrite $fh, $bytes, length($bytes) - $at, $at;
        next if !defined $n && $!{EINTR};
        return 0 if !defined $n;
        $at += $n;
    }
    return 1;
}

1;
