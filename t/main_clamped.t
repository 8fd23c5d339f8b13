#!/usr/bin/perl

# The return policy within_balance, in order: a take-back never drives a
# balance below zero, and what could not be taken is gone.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Loyalty;
use Test::Loyalty::Year;

my $dir = Test::Loyalty::Year::real();
my $t = Test::Loyalty->new(plan => 6, tenant => { return_policy => 'within_balance' });
my $some = Test::Loyalty::Year::discriminating(Test::Loyalty::Year::expected($dir));
my $want = Test::Loyalty::Year::column($some, 'clamped_balance');

my ($file, $n) = Test::Loyalty::Year::events($t,
    "$dir/online_retail_2010-12_2011-12.csv.zst", $some);
my $r = $t->loyalty(['events', 'import', $file, '--in-flight', 8, '--batch', 50],
                    env => { $t->api_env });
is($r->{code}, 0, 'imported, eight calls in flight') or diag substr $r->{err}, 0, 2000;
$t->settled(300);

cmp_ok(scalar(grep { $_->{shortfall} > 0 } values %$some), '==', 185,
       '185 members with a shortfall among them');
Test::Loyalty::Year::balances_are($t, $want, 'clamped balances');
is($t->value('select coalesce(sum(debt), 0) from loyalty.balance'), 0, 'nobody owes');
is($t->value("select count(*) from loyalty.event_outcome where status <> 'processed'"), 0,
   'every event is processed');
$t->audit_ok;
