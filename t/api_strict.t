#!/usr/bin/perl

# What the edge takes and what it refuses, before any SQL: paths, methods,
# queries, headers, bodies.

use strict;
use warnings;

use File::Basename qw(dirname);
use lib dirname(__FILE__) . '/lib';
use IO::Socket::INET;
use JSON::XS ();
use Test::Loyalty;
use Test::More;

my $t = Test::Loyalty->new(plan => 102);
my $n = 0;

# -- paths: the unparsed URI counts

sub member {
    my ($ref) = @_;
    my $r = $t->api(POST => '/v1/events', { wait => 10,
        body => $t->order('path-' . ++$n, $ref, ['7', 1]) });
    die "$r->{status} $r->{body}" if $r->{status} != 200;
    return $r;
}

my %path = (
    'ext:plain' => 'ext:plain',
    'ext:a/b//c' => 'ext:a%2Fb%2F%2Fc',
    'ext:gid://shopify/Customer/77' => 'ext:gid%3A%2F%2Fshopify%2FCustomer%2F77',
    'ext:50%' => 'ext:50%25',
    'ext:a b+c' => 'ext:a%20b+c',
    'ext:Zoë' => 'ext:Zo%C3%AB',
    'ext:..' => 'ext:..',
    'ext:a?b#c' => 'ext:a%3Fb%23c',
);
for my $ref (sort keys %path) {
    utf8::decode(my $text = $ref);
    member($text);
    my $r = $t->api(GET => "/v1/members/$path{$ref}/balances");
    is($r->{json}{data}[0]{available}, 7, "$ref is found as $path{$ref}");
    is($t->api(GET => "/v1/members/$path{$ref}/balances")->{body}, $r->{body},
       'and from the cache');
}

$t->problem_is($t->api(GET => $_), 404, undef, "GET $_ is nothing")
    for '/', '/v1', '/v1/', '/v1/programs/', '//v1/programs', '/v1//programs',
        '/v1/members/', '/v1/members//balances', '/v1/members/ext:a/b/balances',
        '/v1/members/ext%3Anone/balances', '/v1/members/ext:%ff/balances',
        '/v1/members/mem_0/balances', '/v1/programs/prg_8aaaaaaaaaaaaaaaaaaaaaaaaa';

# nginx itself refuses these
is($t->api(GET => $_)->{status}, 400, "GET $_ is no request")
    for '/v1/members/%zz/balances', '/v1/members/ext:%00/balances';

# -- methods

{
    my $r = $t->api(DELETE => '/v1/programs');
    $t->problem_is($r, 405, 'method.not_allowed', 'DELETE of a list');
    is($r->{headers}{allow}, 'GET, HEAD, POST, OPTIONS', 'Allow says what goes');
    $r = $t->api(HEAD => '/v1/programs');
    is($r->{status}, 200, 'HEAD where GET is');
    is(length $r->{body}, 0, 'without a body');
    cmp_ok($r->{headers}{'content-length'}, '>', 100, 'but with its length');
    $r = $t->api(OPTIONS => '/v1/programs', { key => undef });
    is($r->{status}, 204, 'OPTIONS needs no credential');
    is($r->{headers}{allow}, 'GET, HEAD, POST, OPTIONS', 'and has Allow');
}

# -- queries

for my $q (['foo=1', 'query.unknown'], ['limit=0', 'query.invalid'],
           ['limit=101', 'query.invalid'], ['limit=1.0', 'query.invalid'],
           ['limit=', 'query.invalid'], ['limit=1&limit=1', 'query.duplicate'],
           ['status=nope', 'query.invalid'], ['status=%ff', 'query.invalid'],
           ['limit=%zz', 'query.invalid'], ['email=x', 'query.invalid']) {
    $t->problem_is($t->api(GET => "/v1/members?$q->[0]"), 400, $q->[1], "?$q->[0]");
}
{
    my $r = $t->api(GET => '/v1/members?limit=0&foo=1');
    is_deeply([map { "$_->{parameter} $_->{code}" } @{ $r->{json}{errors} }],
        ['limit query.invalid', 'foo query.unknown'], 'every fault is named');
    is($t->api(GET => '/v1/members?limit=1&&')->{status}, 200, 'empty parts are nothing');
    $t->problem_is($t->api(GET => '/v1/members/lookup'), 400, 'query.required',
                   'a parameter that is required');
}

# -- headers

{
    my $get = sub { $t->api(GET => '/v1/programs', { headers => { @_ } }) };
    $t->problem_is($get->('Loyalty-Version' => '2020-01-01'), 400, 'version.unknown',
                   'an unknown version');
    is($get->('Loyalty-Version' => '2026-11-01')->{headers}{'loyalty-version'},
       '2026-11-01', 'the known one is echoed');
    is($get->('X-Request-Id' => 'abc-12345')->{headers}{'x-request-id'}, 'abc-12345',
       'a request id is echoed');
    like($get->('X-Request-Id' => 'a b')->{headers}{'x-request-id'}, qr/^req_/,
         'one that is not well formed is not');
    my $r = $get->();
    is($r->{headers}{'x-content-type-options'}, 'nosniff', 'no sniffing');
    like($r->{headers}{'content-security-policy'}, qr/default-src 'none'/, 'a policy');
    my $hold = sub {
        $t->api(POST => '/v1/holds', { headers => { 'Idempotency-Key' => $_[0] },
            body => { member => 'ext:plain', points => 1 } });
    };
    for my $bad ('""', '"a', 'ä', 'x' x 256, '"a\\x"') {
        my $r = $hold->($bad);
        $t->problem_is($r, $bad eq '"a' ? 201 : 400,
            $bad eq '"a' ? undef : 'idempotency.invalid', "key $bad") if $bad ne '"a';
        is($r->{status}, 201, 'a bare key with a quote inside') if $bad eq '"a';
    }
    is($hold->('x' x 255)->{status}, 201, 'a key of 255 characters');
}

# -- bodies

sub refused {
    my ($body, $status, $code, $name, %o) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $t->problem_is($t->api(POST => '/v1/programs', { body => $body, %o }), $status, $code, $name);
}

refused('', 400, 'json.empty', 'nothing', headers => { 'Content-Type' => 'application/json' });
refused('{"name":"x"', 400, 'json.malformed', 'half an object');
refused('{"name":"x"} 1', 400, 'json.malformed', 'something behind it');
refused('{"name":"x","name":"x"}', 400, 'json.duplicate_key', 'a member twice');
refused('{"name":"x","na\u006de":"x"}', 400, 'json.duplicate_key', 'the same, escaped');
refused('{"name":"\ud800"}', 400, 'json.lone_surrogate', 'half a surrogate pair');
refused('{"name":"\u0000"}', 400, 'json.nul', 'a NUL');
refused("{\"name\":\"\xff\"}", 400, 'json.invalid_utf8', 'not UTF-8');
refused('{"metadata":' . '[' x 33 . ']' x 33 . '}', 400, 'json.too_deep', 'too deep');
refused('[' x 600_000, 400, 'json.too_deep', '600 kB of brackets');
refused('{"name":"' . 'x' x 70000 . '"}', 400, 'json.string_too_long', 'a long text');
refused(' ' x 1_048_577, 413, 'body.too_large', 'one byte more than 1 MiB');
refused('{}', 415, 'body.type', 'a form', headers =>
        { 'Content-Type' => 'application/x-www-form-urlencoded' });
refused('{}', 415, 'body.type', 'something packed', headers =>
        { 'Content-Type' => 'application/json', 'Content-Encoding' => 'gzip' });
is($t->api(POST => '/v1/programs', { body => '{"name":"charset"}', headers =>
    { 'Content-Type' => 'application/json; charset=utf-8' } })->{status}, 201,
   'a charset is no harm');

for my $bad (['points', '1.0', 'value.type'], ['points', '1e3', 'value.type'],
             ['points', '"5"', 'value.type'], ['points', '0', 'value.minimum'],
             ['points', '9223372036854775808', 'value.maximum'],
             ['points', '-1', 'value.minimum'], ['points', 'null', 'value.type'],
             ['member', '"12347"', 'value.format'], ['member', '""', 'value.too_short'],
             ['wallet', '"A B"', 'value.format'], ['points', 'true', 'value.type']) {
    my %b = (member => '"ext:plain"', points => 1, $bad->[0] => $bad->[1]);
    my $r = $t->api(POST => '/v1/redemptions', {
        headers => { 'Idempotency-Key' => 'strict-' . ++$n },
        body => '{' . join(',', map { "\"$_\":$b{$_}" } sort keys %b) . '}' });
    $t->problem_is($r, 422, $bad->[2], "$bad->[0]: $bad->[1]");
}
{
    my $r = $t->api(POST => '/v1/events', { body => { type => 'Order.Paid', external_id => '',
        member => 5, occurred_at => '2026-02-30T00:00:00Z', x => 1,
        order => { currency => 'gbp', lines => [{ line_id => '1', quantity => 1,
            unit_price => '1.1234567' }, { quantity => 1.5, unit_price => '-1' }] } } });
    is_deeply([sort map { "$_->{pointer} $_->{code}" } @{ $r->{json}{errors} }], [sort
        '/type value.format', '/external_id value.too_short', '/member value.type',
        '/occurred_at value.format', '/x member.unknown', '/order/currency value.format',
        '/order/lines/0/unit_price value.format', '/order/lines/1/line_id value.required',
        '/order/lines/1/quantity value.type', '/order/lines/1/unit_price value.format'],
        'every fault of an event is named at once');
    is($r->{json}{code}, 'value.invalid', 'under one code for several');

    $r = $t->api(POST => '/v1/events', { body => { %{ $t->order('f', 'ext:a', ['1', 1]) },
        type => 'order.refunded' } });
    is_deeply([map { "$_->{pointer} $_->{code}" } @{ $r->{json}{errors} }],
        ['/refund value.required'], 'a refund needs its refund');
    my $o = $t->order('f', 'ext:a', ['1', 1]);
    $o->{order}{lines} = [map { +{ line_id => "$_", quantity => 1, unit_price => '0' } } 1 .. 2001];
    $t->problem_is($t->api(POST => '/v1/events', { body => $o }), 422, 'value.too_long',
                   '2,001 lines');
    $o = $t->order('f', 'ext:a', ['1', 1]);
    $o->{attributes} = { map { $_ => 1 } 1 .. 51 };
    $t->problem_is($t->api(POST => '/v1/events', { body => $o }), 422, 'value.too_long',
                   '51 attributes');
    $o->{attributes} = { a => 'x' x 17000 };
    $t->problem_is($t->api(POST => '/v1/events', { body => $o }), 422, 'value.too_long',
                   'long attributes');
}

# -- bodies in pieces

{
    my $body = '{"name":"in pieces"}';
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port(0))
        or die "connect: $!";
    $s->autoflush(1);
    my $head = "POST /v1/programs HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n"
        . "Authorization: Bearer $t->{tenants}{shop}{key}\r\nContent-Type: application/json\r\n";
    print {$s} $head, "Transfer-Encoding: chunked\r\n\r\n";
    for my $c (split //, $body) {
        print {$s} "1\r\n$c\r\n";
        select undef, undef, undef, 0.002;
    }
    print {$s} "0\r\n\r\n";
    like(join('', <$s>), qr{^HTTP/1.1 201 .*"in pieces"}s, 'byte by byte, chunked');

    $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port(0)) or die;
    print {$s} $head, 'Content-Length: ', length $body, "\r\nExpect: 100-continue\r\n\r\n";
    my $line = <$s>;
    like($line, qr/^HTTP\/1.1 100 /, 'Expect: 100-continue is answered');
    print {$s} $body;
    like(join('', <$s>), qr{HTTP/1.1 201 }, 'and the body taken');

    $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port(0)) or die;
    print {$s} $head, "Content-Length: 100\r\n\r\n{";
    close $s;
    is($t->api(GET => '/v1/programs')->{status}, 200, 'a client that leaves in its body');

    my $big = JSON::XS->new->encode({ events => [map { $t->order("big-$_", 'ext:big',
        map { ['1', 1] } 1 .. 10) } 1 .. 1000] });
    cmp_ok(length $big, '>', 500_000, 'a large batch: ' . length $big);
    my $r = $t->api(POST => '/v1/events/batch', { body => $big });
    is(scalar(grep { $_->{status} == 202 } @{ $r->{json}{data} }), 1000, 'is taken whole');
    my @files = grep { -f } glob($t->house->path('nginx') . '/*/* ' . $t->dir . '/nginx/*/*');
    is("@files", '', 'and no body lies in a file');
}
