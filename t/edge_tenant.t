#!/usr/bin/perl

# Host to tenant: slugs under the domain, hosts of their own, ports, case, and
# what tenants that are suspended or unknown answer.

use strict;
use warnings;

use lib 't/lib';
use Test::Loyalty;
use Test::More;

my $t = Test::Loyalty->new(plan => 18, parts => [qw(postgres redis nginx)]);
my $shop = $t->{tenants}{shop};
$t->tenant(slug => 'other', program => 0);

my $me = sub {
    my ($host, %o) = @_;
    return $t->api(GET => '/v1/me', {
        key => exists $o{key} ? $o{key} : $shop->{key},
        headers => { Host => $host, 'X-Request-Id' => 'same' },
    });
};

is($me->('shop.localhost')->{status}, 200, 'by slug');
is($me->('shop.localhost:1234')->{status}, 200, 'the port does not matter');
is($me->('SHOP.LocalHost')->{status}, 200, 'nor does the case');
is($me->('shop.localhost.')->{status}, 200, 'nor the dot of the root');

$t->problem_is($me->('nobody.localhost'), 404, 'tenant.unknown', 'unknown slug');
$t->problem_is($me->('localhost'), 404, 'tenant.unknown', 'the domain alone');
$t->problem_is($me->('x.shop.localhost'), 404, 'tenant.unknown', 'a name too deep');
$t->problem_is($me->('shoplocalhost'), 404, 'tenant.unknown', 'no dot');
$t->problem_is($me->('127.0.0.1'), 404, 'tenant.unknown', 'an address');

# a host of its own
$t->problem_is($me->('points.example'), 404, 'tenant.unknown', 'not yet');
$t->sql('insert into loyalty.host (host, tenant_id) values (?, ?)', 'points.example',
        $shop->{uuid});
$t->sql("select loyalty.change_add(?, 'host', ?)", $shop->{uuid}, 'points.example');
ok($t->wait_for(sub { $me->('Points.Example:8443')->{status} == 200 }, 5), 'now it is known');

$t->sql('delete from loyalty.host where host = ?', 'points.example');
$t->sql("select loyalty.change_add(?, 'host', ?)", $shop->{uuid}, 'points.example');
ok($t->wait_for(sub { $me->('points.example')->{status} == 404 }, 5), 'and known no more');

# suspended: before authentication, and nobody else is touched
$t->sql('select ops.tenant_suspend(?)', $shop->{uuid});
ok($t->wait_for(sub { $me->('shop.localhost')->{status} == 403 }, 5), 'suspended');
$t->problem_is($me->('shop.localhost', key => undef), 403, 'tenant.suspended',
               'whoever asks');
is($me->('other.localhost', key => $t->{tenants}{other}{key})->{status}, 200,
   'the other one is not');

$t->sql('select ops.tenant_resume(?)', $shop->{uuid});
ok($t->wait_for(sub { $me->('shop.localhost')->{status} == 200 }, 5), 'resumed');

$t->sql("update loyalty.tenant set slug = 'market' where tenant_id = ?", $shop->{uuid});
$t->sql("select loyalty.change_add(?, 'tenant', ?)", $shop->{uuid}, $shop->{uuid});
ok($t->wait_for(sub { $me->('market.localhost')->{status} == 200 }, 5), 'another slug');
is($me->('shop.localhost')->{status}, 404, 'the old one is free');
