#!/usr/bin/perl

# API keys: who is let in, that all 401 are alike, scopes, addresses, expiry,
# revocation through the feed; and loyalty_auth before files of others.

use strict;
use warnings;

use lib 't/lib';
use Test::Loyalty;
use Test::More;
use Time::HiRes qw(time);

my $t = Test::Loyalty->new(
    plan => 41, parts => [qw(postgres redis nginx)],
    nginx_server => <<'CONF',
        location /guarded/ {
            loyalty_auth on scope=members:read;
            error_page 418 = @said;
            alias /nonexistent/;
            try_files /none =418;
        }

        location /optional/ {
            loyalty_auth optional;
            error_page 418 = @said;
            try_files /none =418;
        }

        location @said {
            return 200 "$loyalty_tenant/$loyalty_principal\n";
        }

        location /redirected/ {
            loyalty_auth on;
            try_files /none /guarded/x;
        }
CONF
);

my $shop = $t->{tenants}{shop};
my $other = $t->tenant(slug => 'other', program => 0);

my $get = sub {
    my ($path, $key, %h) = @_;
    return $t->api(GET => $path, {
        key => $key, headers => { 'X-Request-Id' => 'same', %h },
    });
};

my $me = $get->('/v1/me', $shop->{key});
is($me->{status}, 200, 'a key of the tenant');
is($me->{headers}{'x-request-id'}, 'same', 'the request id comes back');
is($get->('/v1/me', undef, Authorization => "bEaReR  $shop->{key}")->{status}, 200,
   'the scheme in any case');
like($t->api(GET => '/v1/me')->{headers}{'x-request-id'}, qr/^req_[0-9a-z]{26}$/,
     'one is made');
like($t->api(GET => '/v1/me', { headers => { 'X-Request-Id' => 'a"b' } })
     ->{headers}{'x-request-id'}, qr/^req_/, 'one that is not well formed is not taken');

# all 401 are the same
my $none = $get->('/v1/me', undef);
$t->problem_is($none, 401, 'credential.invalid', 'no credential');
is($none->{headers}{'www-authenticate'}, 'Bearer realm="loyalty"', 'with a challenge');

my $near = $shop->{key};
substr($near, 12, 1) = substr($near, 12, 1) eq 'a' ? 'b' : 'a';

my %bad = (
    'a key of another tenant' => "Bearer $other->{key}",
    'a wrong checksum' => "Bearer $near",
    'junk' => 'Bearer junk',
    'a key of the right form that is nobody\'s' => 'Bearer ' . made(),
    'another scheme' => "Basic $shop->{key}",
    'no scheme' => $shop->{key},
    'an empty token' => 'Bearer ',
    'two words' => "Bearer $shop->{key} $shop->{key}",
    'a token too long' => 'Bearer ' . 'a' x 9000,
);

for my $name (sort keys %bad) {
    my $r = $get->('/v1/me', undef, Authorization => $bad{$name});
    is_deeply([@$r{qw(status body)}, $r->{headers}{'www-authenticate'}],
              [@$none{qw(status body)}, $none->{headers}{'www-authenticate'}], $name);
}

# scopes
my $reader = $t->key('shop', scopes => 'members:read,ledger:read');
ok($t->wait_for(sub { $get->('/v1/me', $reader)->{status} == 200 }, 5), 'a new key is known');
my $post = $t->api(POST => '/v1/members', { key => $reader, body => { external_id => '1' } });
$t->problem_is($post, 403, 'scope.missing', 'a scope it does not have');
is($get->('/v1/members/ext:nobody', $reader)->{status}, 404, 'one that it has');
is($get->('/v1/members/ext:nobody', $shop->{publishable})->{status}, 403,
   'a publishable key reads no members');

# addresses
my $listed = record('192.0.2.0/24', '::1/128');
my $here = record('192.0.2.0/24', '127.0.0.0/8');
ok($t->wait_for(sub { $get->('/v1/me', $here)->{status} == 200 }, 5), 'an address in the list');
is($get->('/v1/me', $listed)->{body}, $none->{body}, 'one that is not');

# expiry: the same as any other
my $short = record();
ok($t->wait_for(sub { $get->('/v1/me', $short)->{status} == 200 }, 5), 'before its end');
$t->sql("update loyalty.api_key set expires_at = now() - interval '1 second'"
        . ' where last4 = ?', substr($short, -4));
$t->sql("select loyalty.change_add(tenant_id, 'api_key', encode(digest, 'hex'))"
        . ' from loyalty.api_key where last4 = ?', substr($short, -4));
ok($t->wait_for(sub { $get->('/v1/me', $short)->{status} == 401 }, 5), 'after it');

# revocation, on a connection that is kept
my $gone = $t->key('shop');
ok($t->wait_for(sub { $get->('/v1/me', $gone)->{status} == 200 }, 5), 'before');
$t->sql('select ops.key_revoke(tenant_id, key_id) from loyalty.api_key where last4 = ?',
        substr($gone, -4));
my $start = time;
ok($t->wait_for(sub { $get->('/v1/me', $gone)->{status} == 401 }, 5), 'revoked');
cmp_ok(time - $start, '<', 2, 'soon');

# what a connection keeps of its last credential is that one's alone
my $changed = $shop->{key} =~ s/(.)$/$1 eq 'a' ? 'b' : 'a'/er;
is($get->('/v1/me', $shop->{key})->{status}, 200, 'a good key');
is($get->('/v1/me', $changed)->{status}, 401, 'then one byte of it changed');
is($get->('/v1/me', substr $shop->{key}, 0, -1)->{status}, 401, 'and less of it');
is($get->('/v1/me', "$shop->{key}x")->{status}, 401, 'and more of it');
my $whose = sub { $get->('/guarded/x', $_[0])->{body} };
my $mine = $whose->($shop->{key});
my $second = $t->key('shop');
$t->wait_for(sub { $get->('/v1/me', $second)->{status} == 200 }, 5, 'the other key');
isnt($whose->($second), $mine, 'another good key is another principal');
is($whose->($shop->{key}), $mine, 'and the first one is itself again');

# files of others
is($get->('/guarded/x', undef)->{status}, 401, 'guarded');
is($get->('/guarded/x', $shop->{key})->{body} =~ s/key_\w+/K/r, "shop/K\n", 'who it is');
my $writer = $t->key('shop', scopes => 'members:write');
ok($t->wait_for(sub { $get->('/v1/me', $writer)->{status} == 200 }, 5), 'a key without reading');
is($get->('/guarded/x', $writer)->{status}, 403, 'its scope is asked for');
is($get->('/optional/x', undef)->{body}, "shop/\n", 'nobody, where that is allowed');
is($get->('/optional/x', 'junk')->{status}, 401, 'a bad credential is never nobody');
is($t->api(GET => '/guarded/x', { tenant => 'nobody', key => 'x' })->{status}, 404,
   'no tenant');
is($get->('/redirected/x', $shop->{key})->{body} =~ s/key_\w+/K/r, "shop/K\n",
   'an internal redirect forgets nobody');


# of the right form, and of nobody
sub made {
    my @abc = (0 .. 9, 'A' .. 'Z', 'a' .. 'z');
    my $text = 'lsk_test_' . join '', map { $abc[rand 62] } 1 .. 30;
    require Compress::Zlib;
    my $crc = Compress::Zlib::crc32($text);
    my $sum = '';
    for (1 .. 6) { $sum = $abc[$crc % 62] . $sum; $crc = int($crc / 62) }
    return $text . $sum;
}

# a key of the shop with a list of addresses
sub record {
    my (@addresses) = @_;
    my $key = made();
    require Digest::SHA;
    $t->sql('select ops.key_create(?, ?)', $shop->{uuid}, $Test::Loyalty::JSON->encode({
        id => $t->value('select gen_random_uuid()'), digest => Digest::SHA::sha256_hex($key),
        prefix => substr($key, 0, 12), last4 => substr($key, -4), kind => 'secret',
        mode => 'test', scopes => ['*'], addresses => \@addresses,
    }));
    return $key;
}
