#!/usr/bin/perl

# The generated year, which everyone has: balances against a sum made here,
# line by line from the CSV, by whole thousandths of a pound.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Loyalty;
use Test::Loyalty::Year;

my $ORDERS = $ENV{LOYALTY_ALL} ? 20_000 : 6_000;

my $t = Test::Loyalty->new(plan => 6);
my $csv = "$t->{dir}/year.csv";
my $r = $t->loyalty(['demo', 'generate', '--seed', 7, '--orders', $ORDERS]);
is($r->{code}, 0, "a year of $ORDERS orders");
open my $fh, '>', $csv or die;
print {$fh} $r->{out};
close $fh;

# by invoice, then by member: floor of each, refunds taken back
my (%sum, %who);
open $fh, '<', $csv or die;
<$fh>;
while (<$fh>) {
    chomp;
    s/"(?:[^"]|"")*"/x/;
    my ($invoice, undef, undef, $quantity, undef, $price, $customer) = split /,/;
    next if $invoice =~ /^A/;
    my ($pounds, $rest) = split /\./, $price;
    $sum{$invoice} += $quantity * ($pounds * 1000 + substr "${rest}000", 0, 3);
    $who{$invoice} = $customer;
}
my %want;
for my $invoice (keys %sum) {
    my $m = $who{$invoice} or next;
    $want{$m} //= 0;
    my $points = int(abs($sum{$invoice}) / 1000);
    $want{$m} += $points if $invoice !~ /^C/ && $sum{$invoice} > 0;
    $want{$m} -= $points if $invoice =~ /^C/ && $sum{$invoice} < 0;
}
cmp_ok(scalar(grep { $_ < 0 } values %want), '>', 0, 'some members end below zero');

my ($file, $n) = Test::Loyalty::Year::events($t, $csv);
$r = $t->loyalty(['events', 'import', $file], env => { $t->api_env });
like($r->{err}, qr/^$n events: $n new, 0 known already, 0 refused/m, "$n events imported");
$t->settled(300);
Test::Loyalty::Year::balances_are($t, \%want, 'balances of the generated year');
$t->audit_ok;

# every stored trace of a sample recomputes to its entry's points
my $entries = $t->sql("select e.event_id, e.points, v.points from loyalty.entry e"
    . ' join loyalty.evaluation v on v.tenant_id = e.tenant_id and v.entry_id = e.entry_id'
    . ' where e.points <> v.points');
is(scalar @$entries, 0, 'each entry has the points of its evaluation');
