#!/usr/bin/perl

# Commands and timers: a rule is published, or every fault of it is told; what
# is due by time is settled.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::LoyaltyWorker;
use Test::More;

my $t = Test::LoyaltyWorker->new(plan => 22, worker => { timers_every => '100ms' });
my $shop = $t->shop('acme', rules => []);

# a draft and the command to publish it; the rule and the answer
sub publish {
    my ($document, %o) = @_;
    my $rule = $t->uuid7;
    $t->put('rule', { tenant_id => $shop->{id}, rule_id => $rule, program_id => $shop->{program},
        name => 'r', draft => defined $document ? JSON::XS->new->utf8->encode($document) : undef,
        %{ $o{rule} // {} } });
    return ($rule, $t->answer($t->command($shop, 'rule.publish',
        { rule => $rule, version => $o{version} // 1 })));
}


# -- good

my ($base, $answer) = publish($t->rate(base => \1));
is_deeply($answer, { status => 200, rule => $base, number => 1 }, 'a rule is published');
my $r = $t->sql('select state, published_number, is_base, version from loyalty.rule'
    . ' where rule_id = ?', $base);
is_deeply($r, [['active', 1, 1, 2]], 'it is active, and the program\'s base');
$r = $t->sql("select document->>'priority', octet_length(checksum), octet_length(catalogue_digest),"
    . " octet_length(program) > 32, superseded_at from loyalty.rule_version where rule_id = ?", $base);
is_deeply($r, [[0, 32, 32, 1, undef]], 'its version: normal form, digests, compiled form');
is($t->value("select count(*) from loyalty.change where kind = 'program'"), 1, 'a change');

$t->sql('update loyalty.rule set draft = ? where rule_id = ?',
    JSON::XS->new->encode($t->rate(base => \1, limits => { per_event => 3 })), $base);
$answer = $t->answer($t->command($shop, 'rule.publish', { rule => $base, version => 2 }));
is($answer->{number}, 2, 'a second version');
is($t->value('select count(*) from loyalty.rule_version where rule_id = ? and superseded_at'
    . ' is not null', $base), 1, 'supersedes the first');
$t->accept($shop, $t->paid('o1', 'ext:anna', ['9.00', 1]));
$t->settled;
is($t->points($shop, 'anna'), 3, 'and is the one in force');


# -- refused

(undef, $answer) = publish({ trigger => { event => 'order.paid', source => 'x' },
    condition => { '>=' => [{ var => 'order.totl' }, 5] }, effects => [] });
is($answer->{status}, 422, 'a rule with faults');
is($answer->{code}, 'rule.invalid', 'says so');
is_deeply([sort map { "$_->{pointer} $_->{code}" } @{ $answer->{errors} }],
    ['/condition/>=/0 fact.unknown', '/effects value.type', '/trigger/source member.unknown'],
    'and names every one') or diag explain $answer;
is((grep { !length $_->{detail} } @{ $answer->{errors} }), 0, 'in words');
(undef, $answer) = publish({ trigger => { event => 'x' },
    effects => [{ type => 'fixed', wallet => 'points', points => 1 },
                { type => 'fixed', wallet => 'miles', points => 1 }] });
is_deeply([map { "$_->{pointer} $_->{code}" } @{ $answer->{errors} }],
    ['/effects/1/wallet wallet.not_found'], 'a wallet that the program has not');
(undef, $answer) = publish($t->rate(base => \1));
is($answer->{errors}[0]{pointer}, '/base', 'a second base rule');
(undef, $answer) = publish(undef);
is($answer->{code}, 'rule.no_draft', 'without a draft');
(undef, $answer) = publish($t->rate, version => 7);
is($answer->{status}, 412, 'a draft that has changed meanwhile');
(undef, $answer) = publish($t->rate, rule => { state => 'archived' });
is($answer->{code}, 'rule.state', 'an archived one');
is($t->value('select count(*) from loyalty.rule_version'), 2, 'none of them made a version');
$answer = $t->answer($t->command($shop, 'rule.sing', {}));
is($answer->{status}, 503, 'a command that this worker does not know');


# -- timers: pending points mature, points expire, with nobody asking

my $due = $t->shop('due', wallet => { pending_policy => 'after', pending_days => 1,
    expiry_policy => 'rolling', expiry_days => 10 });
my $at = $t->value(q{select to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')});
$t->accept($due, { %{ $t->paid('d1', 'ext:ben', ['4.00', 1]) }, occurred_at => $at });
$t->settled;
is($t->book($due, 'ben')->{pending}, 4, 'pending');
$t->sql("update loyalty.tenant set clock_offset = '2 days' where tenant_id = ?", $due->{id});
$t->wait_for(sub { $t->book($due, 'ben')->{available} == 4 }, 20, 'they mature');
is($t->book($due, 'ben')->{pending}, 0, 'matured');
$t->sql("update loyalty.tenant set clock_offset = '30 days' where tenant_id = ?", $due->{id});
$t->wait_for(sub { $t->book($due, 'ben')->{available} == 0 }, 20, 'they expire');
is($t->book($due, 'ben')->{expired}, 4, 'expired');

$t->books_ok;
