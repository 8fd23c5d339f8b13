#!/usr/bin/perl

# events import: order of each member, rejects in a file, resumes where it was
# killed, waits for a server that is away, tells what to do.

use strict;
use warnings;

use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Loyalty;

my $t = Test::Loyalty->new(plan => 32);
my $dir = $t->{dir};
my $json = $Test::Loyalty::JSON;
my %env = $t->api_env;

# 600 orders of 20 members, each member's in a row
my $file = write_events("$dir/a.jsonl", map { [$_, 'ext:' . (1 + $_ % 20)] } 1 .. 600);
my $r = import($file, '--batch', 50, '--in-flight', 4);
is($r->{code}, 0, 'imported') or diag $r->{err};
like($r->{err}, qr/^600 events: 600 new, 0 known already, 0 refused/m, 'and counted');
ok(-f "$file.state", 'the state stands beside the file');
ok(!-e "$file.rejects", 'no rejects, no file of them');
$t->settled(60);

my $disorder = $t->value('select count(*) from (select external_id::int n, lag(external_id::int)'
    . ' over (partition by e.member_id order by o.member_seq) before from loyalty.event e'
    . ' join loyalty.event_outcome o using (tenant_id, event_id)) x where n < before');
is($disorder, 0, "one member's events were evaluated in the file's order");

# rejects: a line of each kind between good ones
my @bad = (
    '{"type":"order.paid"',
    '{"type":"order.paid","source":"shop","external_id":"b1","occurred_at":"2026-01-01T00:00:00Z"}',
    $json->encode({ %{ $t->order('b2', 'ext:1', ['1.00', 1]) }, nonsense => 1 }),
    '{"a":1,"a":2}',
    $json->encode({ %{ $t->order('1', 'ext:2', ['9.99', 1]) } }),
);
my $mixed = "$dir/mixed.jsonl";
put($mixed, join "\n", map({ $json->encode($t->order("m$_", 'ext:1', ['2.00', 1])) } 1 .. 3),
    @bad, '', map({ $json->encode($t->order("m$_", 'ext:1', ['2.00', 1])) } 4 .. 6));
$r = import($mixed);
is($r->{code}, 7, 'a refused item: exit code 7');
like($r->{err}, qr/6 new, 0 known already, 5 refused/, 'the good ones were taken');
my @rejects = map { $json->decode($_) } split /\n/, slurp("$mixed.rejects");
is(scalar @rejects, 5, 'each refused line is in the file of rejects');
is_deeply([sort { $a <=> $b } map { $_->{line} } @rejects], [4 .. 8], 'with its number');
is_deeply([map { $_->{status} } sort { $a->{line} <=> $b->{line} } @rejects],
          [400, 422, 422, 400, 409], 'and status');
my ($conflict) = grep { $_->{status} == 409 } @rejects;
is($conflict->{problem}{code}, 'event.conflict', 'and problem');
is($json->decode($conflict->{event})->{external_id}, '1', 'and the event itself');
is($t->value("select count(*) from loyalty.event where external_id like 'b%'"), 0,
   'nothing of them was written');

# killed in the middle, it goes on
my $long = write_events("$dir/long.jsonl", map { ["L$_", 'ext:' . (1 + $_ % 50)] } 1 .. 6000);
my $pid = spawn('events', 'import', $long, '--batch', 10, '--in-flight', 2);
my $stopped = $t->wait_for(sub {
    my $s = -f "$long.state" ? eval { $json->decode(slurp("$long.state")) } : undef;
    return $s && $s->{offset} > 0 ? $s : undef;
}, 30, 'the state of a running import');
kill 'KILL', $pid;
waitpid $pid, 0;
cmp_ok($stopped->{line}, '<', 6000, "killed behind line $stopped->{line}");
$r = import($long);
is($r->{code}, 0, 'started again') or diag $r->{err};
like($r->{err}, qr/^resuming behind line \d+/m, 'it resumes');
is($t->value("select count(*) from loyalty.event where external_id like 'L%'"), 6000,
   'each event is there once');
like(import($long)->{err}, qr/imported already/, 'done is done');

# stopped by Ctrl-C: what is under way ends, the hint names the way on
my $third = write_events("$dir/third.jsonl", map { ["T$_", 'ext:' . (1 + $_ % 50)] } 1 .. 6000);
$pid = spawn('events', 'import', $third, '--batch', 10, '--in-flight', 2);
$t->wait_for(sub { -f "$third.state" }, 30, 'the state');
kill 'INT', $pid;
waitpid $pid, 0;
is($? >> 8, 130, 'Ctrl-C: exit code 130');
like(slurp("$dir/spawn.err"), qr/hint: the same command goes on behind line \d+/, 'with a hint');
my $sent = $json->decode(slurp("$third.state"));
is($t->value("select count(*) from loyalty.event where external_id like 'T%'"),
   $sent->{accepted}, 'what it counted is what stands');

# another file under the same state is refused
put($third, slurp($long));
$r = import($third);
is($r->{code}, 6, 'a state of another file is a conflict');

# the server is away: it waits, then goes on
my $away = write_events("$dir/away.jsonl", map { ["A$_", 'ext:' . (1 + $_ % 50)] } 1 .. 200);
$t->stop('nginx');
$pid = spawn('events', 'import', $away, '-v', '--give-up', 60);
$t->wait_for(sub { slurp("$dir/spawn.err") =~ /again in/ }, 20, 'a first refusal');
$t->start('nginx');
waitpid $pid, 0;
is($? >> 8, 0, 'it goes on when the server is back');
like(slurp("$dir/spawn.err"), qr/^200 events: 200 new/m, 'all were sent');

# without progress it gives up
$t->stop('nginx');
$r = import(write_events("$dir/never.jsonl", ['N1', 'ext:1']), '--give-up', 1);
is($r->{code}, 9, 'no server: exit code 9');
$t->start('nginx');
$t->wait_for(sub { my $x = eval { $t->api(GET => '/readyz') }; $x && $x->{status} == 200 }, 20);

# from stdin, and refused as a whole
$r = $t->loyalty(['events', 'import', '-', '--rejects', "$dir/stdin.rejects"],
    env => \%env, stdin => $json->encode($t->order('S1', 'ext:1', ['1.00', 1])) . "\n");
is($r->{code}, 0, 'from stdin');
$r = $t->loyalty(['events', 'import', $away, '--from-start'],
                 env => { %env, LOYALTY_SECRET_KEY => 'lsk_test_nothing' });
is($r->{code}, 4, 'a bad key: exit code 4');
$r = $t->loyalty(['events', 'import', $away, '--from-start'],
    env => { %env, LOYALTY_URL => "https://nobody.localhost:" . $t->port(1), LOYALTY_CA => $t->ca });
is($r->{code}, 9, 'a host that the certificate does not name is not spoken to');
$r = $t->loyalty(['events', 'import', "$dir/none.jsonl"], env => \%env);
is($r->{code}, 1, 'no such file');

$r = $t->loyalty(['members', 'balance', 'ext:1', '-o', 'json'], env => \%env);
is($json->decode($r->{out})->{object}, 'list', 'a balance, as the API gives it');
$r = $t->loyalty(['members', 'balance', 'ext:nobody'], env => \%env);
is($r->{code}, 5, 'an unknown member: exit code 5');
$t->settled(60);
$t->audit_ok;


sub write_events {
    my ($path, @rows) = @_;
    put($path, join '', map { $json->encode($t->order($_->[0], $_->[1], ['2.55', 6])) . "\n" } @rows);
    return $path;
}

sub import { my ($f, @o) = @_; return $t->loyalty(['events', 'import', $f, @o], env => \%env) }

sub spawn {
    my (@args) = @_;
    unlink "$dir/spawn.err";
    my $child = fork // die "fork: $!";
    if ($child == 0) {
        @ENV{ keys %env } = values %env;
        $SIG{INT} = 'DEFAULT';
        open STDERR, '>', "$dir/spawn.err";
        no warnings 'exec';
        exec $Test::Loyalty::TOOL, @args;
        POSIX::_exit(127);
    }
    return $child;
}

sub slurp {
    my ($path) = @_;
    open my $fh, '<', $path or return '';
    local $/;
    return scalar <$fh>;
}

sub put {
    my ($path, $text) = @_;
    open my $fh, '>', $path or die "$path: $!";
    print {$fh} $text;
    close $fh;
}
