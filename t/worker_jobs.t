#!/usr/bin/perl

# Jobs: run once, tried again later, buried, taken from a process that does not
# answer; and what the command line shows and does of them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::LoyaltyWorker;
use Test::More;

my $t = Test::LoyaltyWorker->new(plan => 28, worker => {
    poll => '50ms', beat => '100ms', maintain_every => '1d', timers_slots => 0 });
my $json = JSON::XS->new->utf8;

sub job {
    my (%more) = @_;
    my %row = (queue => 'default', kind => 'maintain', %more);
    my @c = sort keys %row;
    return $t->dbh->selectrow_array('insert into loyalty.job (' . join(', ', @c) . ') values ('
        . join(', ', ('?') x @c) . ') returning job_id', undef, @row{@c});
}

sub state {
    my ($id, $want) = @_;
    my $r;
    $t->wait_for(sub {
        $r = $t->sql('select state, attempt, last_error from loyalty.job where job_id = ?', $id)->[0];
        return $r->[0] eq $want;
    }, 20, "job $id is $want");
    return $r;
}

sub loyalty { return $t->loyalty([@_]) }


# -- what a worker does with them

my $done = job();
is_deeply(state($done, 'completed'), ['completed', 1, undef], 'a job is run');
is_deeply($t->sql('select attempt, outcome, error from loyalty.job_attempt where job_id = ?', $done),
    [[1, 'completed', undef]], 'its attempt is written down');
like($t->log_text('worker.log'), qr/"msg":"job ended",.*"job":$done,.*"kind":"maintain"/,
    'and logged');

my $odd = job(kind => 'nobody.knows');
is_deeply(state($odd, 'discarded'), ['discarded', 1, 'kind.unknown'],
    'a kind that no worker knows is buried');

# maintenance elsewhere: a reason that passes
$t->sql('select pg_advisory_lock(7405, 0)');
my $later = job(max_attempts => 2);
my $r = state($later, 'retryable');
is($r->[1], 1, 'a job whose turn has not come waits');
is($r->[2], 'maintain.busy', 'and says why');
cmp_ok($t->value('select extract(epoch from run_at - clock_timestamp()) from loyalty.job'
    . ' where job_id = ?', $later), '>', 5, 'a while');
is(loyalty('jobs', 'retry', $later)->{code}, 0, 'an operator does not wait');
is(state($later, 'discarded')->[1], 2, 'in vain, and not for ever');
$t->sql('select pg_advisory_unlock(7405, 0)');
is(loyalty('jobs', 'retry', $later)->{code}, 0, 'even then it can be tried again');
is(state($later, 'completed')->[1], 3, 'and succeeds');

# a process that took a job and stopped answering
my $lost = job(state => 'running', attempt => 1, lease_token => 7,
    updated_at => '2020-01-01T00:00:00Z');
is(state($lost, 'completed')->[1], 2, 'a job whose lease ran out is given to another');

# what queues of the rules lane hold is not touched
my $parked = job(queue => 'parked', kind => 'event', run_at => '2020-01-01T00:00:00Z');
my $after = job();
state($after, 'completed');
is(state($parked, 'available')->[1], 0, 'the rules lane keeps its own');


# -- what the tool shows

my $future = job(run_at => '2099-01-01T00:00:00Z');
$r = loyalty(qw(-o json jobs ls));
is($r->{code}, 0, 'jobs are listed');
my $list = $json->decode($r->{out});
is_deeply([map { $_->{id} } @$list], [$future, $after, $parked, $lost, $later, $odd, $done],
    'the newest first') or diag $r->{out};
is($list->[5]{last_error}, 'kind.unknown', 'with their error');

$r = loyalty(qw(jobs ls --state discarded));
like($r->{out}, qr/^\S*id\S*\s+tenant\s+queue\s+kind\s/i, 'a table with heads');
is(scalar(grep { /nobody\.knows/ } split /\n/, $r->{out}), 1, 'of one state');
is(scalar(grep { /\bmaintain\b/ } split /\n/, $r->{out}), 0, 'and no other');
$list = $json->decode(loyalty(qw(-o json jobs ls --queue default --limit 2))->{out});
is_deeply([map { $_->{id} } @$list], [$future, $after], 'of one queue, two of them');
isnt(loyalty(qw(jobs ls --limit many))->{code}, 0, 'a limit is a number');

is(loyalty('jobs', 'cancel', $future)->{code}, 0, 'a job that has not begun is cancelled');
is(state($future, 'cancelled')->[1], 0, 'for good');
$r = loyalty('jobs', 'cancel', $future);
is($r->{code}, 6, 'once');
like($r->{err}, qr/job $future is not in a state to be cancelled/, 'and says so');
is(loyalty('jobs', 'retry', $done)->{code}, 6, 'what is done is not run again');
is(loyalty('jobs', 'retry', 'first')->{code}, 2, 'an id is a number');
is(loyalty('jobs', 'cancel', 0)->{code}, 2, 'greater than none');
