#!/usr/bin/perl

# What the database refuses, by SQLSTATE: what is sent once more, what is 503
# with Retry-After, what is a bug; answers that break the promise; calls that
# last too long.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Loyalty;
use Time::HiRes qw(time);

my $t = Test::Loyalty->new(plan => 46, processes => 1);
my $members = '/v1/members';

# a sequence counts the calls, also of those that are rolled back
$t->sql('create sequence loyalty.calls');
$t->sql('grant usage on sequence loyalty.calls to loyalty_api_exec');
$t->sql('create function loyalty.fault(p_state text, p_times int) returns void language plpgsql as $$'
    . ' begin if nextval(\'loyalty.calls\') <= p_times then raise \'on purpose\''
    . ' using errcode = p_state; end if; end $$');
$t->sql('grant execute on function loyalty.fault(text, int) to loyalty_api_exec');

my %kept;
sub replace {
    my ($name, $body) = @_;
    $kept{$name} //= $t->value('select pg_get_functiondef(?::regproc)', $name);
    my $new = $kept{$name};
    $new =~ s/AS \$function\$.*\$function\$/AS \$function\$ $body \$function\$/s or die $new;
    $t->sql($new);
    $t->sql("select setval('loyalty.calls', 1, false)");
}
sub restore { $t->sql($kept{ $_[0] }) }
sub calls { return $t->value('select last_value - 1 + is_called::int from loyalty.calls') }


# -- a write that fails: once more, or not

my $create = sub { return $t->api(POST => $members, { body => { external_id => 'm' . time } }) };
my $whole = $t->value("select prosrc from pg_proc where oid = 'api.member_create'::regproc");
is($create->()->{status}, 201, 'a member is made');

for my $case (['40001', 1, 201, undef, 2], ['40P01', 1, 201, undef, 2],
              ['40001', 9, 503, 'overloaded', 2], ['55P03', 9, 503, 'overloaded', 1],
              ['57014', 9, 503, 'overloaded', 1], ['53300', 9, 503, 'overloaded', 1],
              ['53100', 9, 503, 'overloaded', 1], ['08006', 9, 503, 'database.unavailable', 1],
              ['57P03', 9, 503, 'database.unavailable', 1], ['22012', 9, 500, 'internal', 1],
              ['P0001', 9, 500, 'internal', 1]) {
    my ($state, $times, $status, $code, $calls) = @$case;
    my ($declare, $begin) = $whole =~ /^(.*?)(\bbegin\b.*)$/si or die $whole;
    (my $body = $begin) =~ s/\bbegin\b/begin perform loyalty.fault('$state', $times);/i;
    replace('api.member_create', $declare . $body);
    my $r = $create->();
    my $name = "SQLSTATE $state" . ($times > 1 ? ' again and again' : ' once');
    if ($code) { $t->problem_is($r, $status, $code, $name) }
    else { is($r->{status}, $status, $name) or diag $r->{body} }
    is(calls(), $calls, $calls > 1 ? '  was sent once more' : '  was not sent again');
    ok($r->{headers}{'retry-after'}, '  with Retry-After') if $status == 503;
}
restore('api.member_create');
is($create->()->{status}, 201, 'all is well again');
$t->allow(qr/failed with SQLSTATE (?:22012|P0001)/);
my $log = $t->log_text('error.log');
is(scalar(() = $log =~ /\[alert\][^\n]*"member_create" failed with SQLSTATE 22012/g), 1,
    'a bug is an alert, once') or diag $log =~ /([^\n]*SQLSTATE[^\n]*)/g;


# -- answers that are none

my $me = sub { return $t->api(GET => '/v1/me') };
my $before = $me->();
for my $row ([q<(99, null, '{}', null)>, 500, 'a status of no kind'],
             [q<(null, null, '{}', null)>, 500, 'no status'],
             [q<(0, null, '{}', null)>, 500, 'a wish to seal what has nothing sealed'],
             [q<(200, null, '{"a":1}', '{"k":')>, 200, 'changes that do not read'],
             [q<(200, null, '{"a":1}', '[{"k":"balance"},{"k":"alias"},{},7,{"k":"nothing"}]')>, 200,
              'changes that say nothing'],
             [q<(200, E'X-One: 1\nnonsense\nX-Two: 2', '{"a":1}', null)>, 200,
              'a header line that is none'],
             [q<(204, null, null, null)>, 204, 'an answer without a body']) {
    my ($answer, $status, $name) = @$row;
    replace('api.me_get', "begin return row$answer\::api.answer; end");
    my $r = $me->();
    $status == 500 ? $t->problem_is($r, 500, 'internal', $name) : is($r->{status}, $status, $name);
    is($r->{headers}{'x-two'}, 2, '  and the others are sent') if $name =~ /header/;
}
restore('api.me_get');
is($me->()->{body}, $before->{body}, 'all is well again');
$t->allow(qr/gave no answer|asks for sealing again|gave changes that cannot be read/);


# -- a call that lasts too long ends in the database

replace('api.me_get', 'begin perform pg_catalog.pg_sleep(60); end');
my $began = time;
my $r = $me->();
$t->problem_is($r, 503, 'overloaded', 'a read that does not end');
cmp_ok(time - $began, '<', 20, 'ends: ' . sprintf '%.1f s', time - $began);
restore('api.me_get');
is($me->()->{status}, 200, 'and the next one is answered');
is($t->value("select count(*) from pg_stat_activity where query like '%me_get%' and state = 'active'"
    . ' and pid <> pg_backend_pid()'), 0, 'nothing is left running');
$t->audit_ok;
