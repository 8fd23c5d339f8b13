#!/usr/bin/perl

# The main job on real input: a year of a real shop's invoices through the
# public HTTPS API gives the independently computed balance of every member,
# and a second load changes nothing.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Loyalty;
use Test::Loyalty::Year;

my $dir = Test::Loyalty::Year::real();
my $t = Test::Loyalty->new(plan => 14);
my $all = Test::Loyalty::Year::expected($dir);
my $want = Test::Loyalty::Year::column($all, 'earned_minus_clawed');

my ($file, $n) = Test::Loyalty::Year::events($t,
    "$dir/online_retail_2010-12_2011-12.csv.zst");
is($n, 25897, 'events of orders and refunds, guests too');

my $begun = time;
my $r = $t->loyalty(['events', 'import', $file], env => { $t->api_env });
is($r->{code}, 0, 'imported through HTTPS') or diag substr $r->{err}, 0, 2000;
like($r->{err}, qr/^25897 events: 25897 new, 0 known already, 0 refused/m, 'each one new');
my $sent = time - $begun;
$t->settled(300);
diag(sprintf '%d events accepted in %.1f s, booked after %.1f s', $n, $sent, time - $begun);

is(scalar keys %$want, 4372, '4,372 members are expected');
Test::Loyalty::Year::balances_are($t, $want, 'balances of the year');
is($t->value('select count(*) from loyalty.member'), 4372, 'and no member more');
is($t->value("select count(*) from loyalty.event_outcome where status <> 'processed'"), 0,
   'every event is processed');
is($t->value('select count(*) from loyalty.event where member_id is null'), 3707,
   'guests are recorded');
is($t->value('select count(*) from loyalty.entry e join loyalty.event v'
             . ' on v.tenant_id = e.tenant_id and v.event_id = e.event_id'
             . ' where v.member_id is null'), 0, 'and earn nothing');
$t->audit_ok;

# again: known already, to the last one
my $before = Test::Loyalty::Year::books($t);
$r = $t->loyalty(['events', 'import', $file], env => { $t->api_env });
like($r->{err}, qr/imported already/, 'the state file knows that it is done');
$r = $t->loyalty(['events', 'import', $file, '--from-start'], env => { $t->api_env });
like($r->{err}, qr/^25897 events: 0 new, 25897 known already, 0 refused/m,
     'sent again, each one is known');
$t->settled(60);
is_deeply(Test::Loyalty::Year::books($t), $before, 'and nothing changes');
Test::Loyalty::Year::balances_are($t, $want, 'balances after the second load');
