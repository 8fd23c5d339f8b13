#!/usr/bin/perl

# A new binary while clients are served: no request that nginx began to read
# fails, though the new master's zone is empty and the directory has to be read
# anew.  Then the same by a reload with a zone of another size, an upgrade that
# is taken back, and a start without a directory.

use strict;
use warnings;

use IO::Socket::UNIX;
use Socket qw(SOCK_DGRAM);

use lib 't/lib';
use Test::Loyalty;
use Test::LoyaltyLoad;
use Test::More;
use Time::HiRes qw(sleep time);

my $t = Test::Loyalty->new(plan => 31, nginx_http => 'loyalty_start_wait 30s;');
my $h = $t->house;
my @clients = ({}, { tls => 1 }, { keep => 0 }, { keep => 0, tls => 1 });

# -- the old master is told to leave while the new one has no directory yet

{
    my $load = Test::LoyaltyLoad->start($t, name => 'blind', clients => \@clients);
    $load->more(40);
    my $old = $h->pid('nginx');
    directory('away');
    my $new = upgrade($old);
    is(scalar accepting(), 0, 'the new processes accept nothing');
    $load->more(40);
    pass('the old ones go on');

    kill 'QUIT', $old;
    $t->wait_for(sub { !kill 0, $old }, 30, 'the old master is gone');
    my $began = time;
    is(scalar accepting(), 0, 'still nobody accepts');
    directory('back');
    $load->more(40);
    note(sprintf 'answers again %.3f s after the directory could be read', time - $began);
    is(scalar accepting(), 2, 'both processes said that they accept, and why');
    is($h->pid('nginx'), $new, 'it is the new master');
    nothing_failed($load, 'while nobody had a directory');
}

# -- the same as an operator does it: USR2, WINCH, QUIT; twice

for my $round (1, 2) {
    my $load = Test::LoyaltyLoad->start($t, name => "plain$round", clients => \@clients);
    $load->more(40);
    my $began = time;
    my $old = $h->pid('nginx');
    upgrade($old);
    kill 'WINCH', $old if $round == 1;
    kill 'QUIT', $old;
    $t->wait_for(sub { !kill 0, $old }, 30, 'the old master is gone');
    note(sprintf 'upgraded within %.2f s', time - $began);
    $load->more(40);
    nothing_failed($load, "upgrade $round");
}

# -- an upgrade that is taken back

{
    my $load = Test::LoyaltyLoad->start($t, name => 'undo', clients => \@clients);
    $load->more(20);
    my $old = $h->pid('nginx');
    my $new = upgrade($old);
    kill 'WINCH', $old;
    $load->more(40);
    kill 'HUP', $old;
    $load->more(40);
    kill 'QUIT', $new;
    $t->wait_for(sub { !kill 0, $new }, 30, 'the new master is gone');
    $t->wait_for(sub { ($h->pid('nginx') // 0) == $old }, 10, 'the pid file is the old one\'s');
    $load->more(40);
    nothing_failed($load, 'an upgrade taken back');
}

# -- the same at once; the worker's hints find the old one again

{
    my $old = $h->pid('nginx');
    my $new = upgrade($old);
    kill 'QUIT', $new;
    $t->wait_for(sub { !kill 0, $new }, 30, 'the new master is gone');
    my $hints = hints();
    my $began = time;
    my $socket = "$h->{run}/edge.sock";
    ok($t->wait_for(sub {
        my $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Peer => $socket);
        $s->send('x') if $s;
        return hints() > $hints;
    }, 30), 'hints arrive');
    note(sprintf 'hints again after %.1f s', time - $began);
}

# -- a zone of another size begins empty too

{
    my $load = Test::LoyaltyLoad->start($t, name => 'size', clients => \@clients);
    $load->more(20);
    $h->{zone} = '48m';
    $t->reload;
    $load->more(80);
    nothing_failed($load, 'a reload with a zone of another size');
}

# -- a start without a directory: waits, then says so

{
    $t->stop('nginx');
    directory('away');
    $h->{nginx_http} = 'loyalty_start_wait 1500ms;';
    my $began = time;
    $t->start('nginx');
    my $r = $t->api(GET => '/v1/me');
    my $took = time - $began;
    $t->problem_is($r, 503, 'edge.starting', 'a start without a directory');
    ok($r->{headers}{'retry-after'}, 'says when to come back');
    cmp_ok($took, '>=', 1, 'after it waited');
    cmp_ok($took, '<', 10, 'within its bound');
    directory('back');
    $began = time;
    $t->wait_for(sub { $t->api(GET => '/v1/me')->{status} == 200 }, 20, 'the directory is there');
    note(sprintf 'answers %.3f s after the directory could be read', time - $began);
}

$t->settled(60);
$t->audit_ok('the books are right');


sub hints {
    my $r = $t->client('metrics.localhost')->request(GET => '/metrics');
    return $r->{body} =~ /^loyalty_feed_hints_total (\d+)/m ? $1 : die "no metric\n";
}

# USR2; the new master's pid once its processes run
sub upgrade {
    my ($old) = @_;
    kill 'USR2', $old;
    return $t->wait_for(sub {
        my $new = $h->pid('nginx');
        return $new && $new != $old && $t->pids('nginx-process') == 2 && $new;
    }, 20, 'the new master');
}

# the directory cannot be read, and can be again
sub directory {
    my ($how) = @_;
    my ($from, $to) = $how eq 'away' ? qw(snapshot snapshot_away) : qw(snapshot_away snapshot);
    $t->sql("alter function dir.$from() rename to $to");
}

# processes of the present master that said they accept
sub accepting {
    my %pid = map { $_ => 1 } $t->pids('nginx-process');
    return grep { $pid{$_} } $t->log_text('error.log') =~ /#(\d+): loyalty: accepting after/g;
}

# four tests: of a load that ends here
sub nothing_failed {
    my ($load, $what) = @_;
    my $sum = $load->stop;
    my $name = $load->{name};

    is_deeply({ %{ $sum->{other} }, map { $_ => $sum->{status}{$_} }
                grep { $_ >= 300 } keys %{ $sum->{status} } }, {},
              "$what: $sum->{asked} calls, none failed");
    note(sprintf 'longest time without an answer %.2f s, %d calls on connections that were'
         . ' closed between two', $sum->{longest}, $sum->{repeated});

    # each was begun once, whatever connection it came by
    my %log;
    $t->wait_for(sub {
        %log = ();
        $log{$_}++ for $t->log_text('access.log') =~ /"request_id":"(\Q$name\E-\d+-\d+)"/g;
        return keys %log >= $sum->{asked};
    }, 10, 'every call in the log');
    is(scalar(grep { $_ > 1 } values %log), 0, 'and none was begun twice');

    $t->settled(60);
    my $rows = $t->sql('select e.external_id, count(distinct e.event_id), count(n.entry_id)'
        . ' from loyalty.event e left join loyalty.entry n on n.tenant_id = e.tenant_id'
        . ' and n.event_id = e.event_id where e.external_id like ? group by 1', "$name-%");
    is_deeply([sort map { $_->[0] } grep { $_->[1] == 1 && $_->[2] == 1 } @$rows],
              [sort @{ $sum->{orders} }],
              "the " . @{ $sum->{orders} } . ' orders acknowledged are booked once');
    # a cached one may be as old as the last reading of the feed
    my %now;
    eval {
        $t->wait_for(sub {
            %now = map { $_ => $t->balance($_)->{available} } keys %{ $sum->{points} };
            return !grep { $now{$_} != $sum->{points}{$_} } keys %now;
        }, 5, 'what the feed says');
    };
    is_deeply(\%now, $sum->{points}, 'and so say the balances');
}
