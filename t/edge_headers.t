#!/usr/bin/perl

# Headers and queries as clients send them: trace context, preconditions,
# preferences, keys in both forms, encodings, more headers than nginx keeps in
# one part, cursors that are not ours.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Loyalty;

my $t = Test::Loyalty->new(plan => 70);
my $n = 0;


# -- traceparent: kept as it came, or not at all

my $trace = '0af7651916cd43dd8448eb211c80319c';
my $good = "00-$trace-b7ad6b7169203331-01";
for my $case ([$good, 1, 'version 00'], ["01-$trace-b7ad6b7169203331-01-more", 1, 'a later version'],
              ["$good-more", 0, 'version 00 with more'], ["ff-$trace-b7ad6b7169203331-01", 0, 'version ff'],
              ["00-$trace-b7ad6b7169203331", 0, 'a part too few'],
              ["00-" . '0' x 32 . "-b7ad6b7169203331-01", 0, 'no trace'],
              ["00-$trace-" . '0' x 16 . '-01', 0, 'no span'],
              ["00-\U$trace\E-b7ad6b7169203331-01", 0, 'capitals'],
              ["00_$trace-b7ad6b7169203331-01", 0, 'another dash'],
              ["${good}x", 0, 'a letter too many'], ['', 0, 'empty']) {
    my ($text, $kept, $name) = @$case;
    my $id = 'trace-' . ++$n;
    my $r = $t->api(POST => '/v1/events', { body => $t->order($id, 'ext:trace', ['1.00', 1]),
        headers => { traceparent => $text } });
    my $stored = $t->value('select traceparent from loyalty.event where external_id = ?', $id);
    is("$r->{status} " . ($stored // 'none'), '202 ' . ($kept ? $text : 'none'), "traceparent: $name");
}
$t->settled;


# -- more headers than one part holds

my @many = map { ["X-Nothing-$_", 'x' x 10] } 1 .. 60;
my $r = $t->api(POST => '/v1/events', { body => $t->order('many', 'ext:many', ['1.00', 1]),
    headers => [@many, ['traceparent', $good]] });
is($t->value('select traceparent from loyalty.event where external_id = ?', 'many'), $good,
    'the sixty-first header is read');
$r = $t->api(GET => '/v1/me', { headers => [@many, ['X-Request-Id', 'mine-61']] });
is($r->{headers}{'x-request-id'}, 'mine-61', 'and the request id');
$t->problem_is($t->api(GET => '/v1/me', { headers => { 'Loyalty-Version' => '1999-01-01' } }),
    400, 'version.unknown', 'a version that never was');


# -- keys: bare, quoted, escaped

my @holds = map { $t->api(POST => '/v1/entries/adjustments', {
    headers => { 'Idempotency-Key' => $_ }, body => { member => 'ext:many', wallet => 'points',
        points => 5, reason => 'a gift' } }) } 'key 1', '"key 1"', '"a\\"b\\\\c"', 'a"b\\c';
is($holds[0]{status}, $holds[1]{status}, 'a key');
is($holds[1]{body}, $holds[0]{body}, 'quoted, it is the same key');
is($holds[3]{body}, $holds[2]{body}, 'escaped, too');
isnt($holds[2]{body}, $holds[0]{body}, 'another is another');
is($t->value("select count(*) from loyalty.entry where type = 10"), 2, 'two were booked');
for my $bad ("k\x7f", "k\xe9", '""', '"a"b"', '"a\\"', '"a\\n"', 'k' x 256) {
    $t->problem_is($t->api(POST => '/v1/entries/adjustments', { headers => { 'Idempotency-Key' => $bad },
        body => { member => 'ext:many', wallet => 'points', points => 5, reason => 'x' } }),
        400, 'idempotency.invalid', 'no key: ' . (length $bad > 99 ? 'too long'
            : $bad =~ s/([^ -~])/sprintf '\\x%02x', ord $1/er));
}
$t->problem_is($t->api(POST => '/v1/entries/adjustments', { body => { member => 'ext:many',
    wallet => 'points', points => 5, reason => 'x' },
    headers => [['Idempotency-Key', 'one'], ['Idempotency-Key', 'two']] }),
    400, 'idempotency.invalid', 'two keys');


# -- preconditions

my $doc = $t->api(GET => '/v1/openapi.json', { key => undef });
is($doc->{status}, 200, 'the contract');
for my $tag ($doc->{headers}{etag}, "W/$doc->{headers}{etag}", "\"x\" , $doc->{headers}{etag}", '*',
             "x, $doc->{headers}{etag}") {
    is($t->api(GET => '/v1/openapi.json', { headers => { 'If-None-Match' => $tag } })->{status}, 304,
        'known already: ' . $tag =~ s/"\w{8}D"/"..."/r);
}
is($t->api(GET => '/v1/openapi.json', { headers => { 'If-None-Match' => '"x' } })->{status}, 200,
    'a tag that does not end');
is($t->api(GET => '/v1/openapi.json', { headers => { 'If-None-Match' => 'W/' } })->{status}, 200,
    'a tag that does not begin');

my $program = "/v1/programs/$t->{tenants}{shop}{program}{id}";
$t->problem_is($t->api(PATCH => $program, { body => { name => 'x' } }), 428,
    'precondition.required', 'a change without If-Match');
$t->problem_is($t->api(PATCH => $program, { body => { name => 'x' },
    headers => { 'If-Match' => '"' . 'x' x 300 . '"' } }), 400, 'header.invalid', 'a long one');
$t->problem_is($t->api(PATCH => $program, { body => { name => 'x' },
    headers => { 'If-Match' => '"0"' } }), 412, 'precondition.failed', 'an old one');
my ($rule) = map { $_->{id} } @{ $t->api(GET => '/v1/earning-rules')->{json}{data} };
$t->problem_is($t->api(PUT => "/v1/earning-rules/$rule/draft", { body => {},
    headers => { 'If-None-Match' => '"1"' } }), 400, 'header.invalid', 'If-None-Match but *');


# -- Prefer

for my $wait ('wait=20', 'respond-async, wait = 20', 'handling=lenient,,WAIT="20"') {
    is($t->api(POST => '/v1/events', { headers => { Prefer => $wait },
        body => $t->order('wait-' . ++$n, 'ext:many', ['1.00', 1]) })->{status}, 200, "Prefer: $wait");
}
for my $not ('wait', 'wait=', 'wait=soon', 'waiting=20', 'x=wait=20') {
    is($t->api(POST => '/v1/events', { headers => { Prefer => $not },
        body => $t->order('wait-' . ++$n, 'ext:many', ['1.00', 1]) })->{status}, 202, "Prefer: $not");
}
$t->settled;


# -- queries and paths

is($t->api(GET => '/v1/members/%65xt%3a%6d%61%6e%79/balances')->{status}, 200, 'a path in escapes');
for my $path ('/v1/members/ext:%', '/v1/members/ext:%4', '/v1/members/ext:%zz', '/v1/members/ext:%00',
              '/v1/members/ext:%ff', '/v1//members', '/v1/members/') {
    is($t->api(GET => $path)->{status} =~ /^40[04]$/, 1, "nothing is at $path");
}
is($t->api(GET => '/v1/members/lookup?external_id=a%2Fb+c&&source=%73hop')->{status}, 404,
    'a query in escapes');
for my $case (['limit=%zz', 'query.invalid'], ['limit=%ff', 'query.invalid'], ['limit=0', 'query.invalid'],
              ['limit=1&limit=2', 'query.duplicate'], ['limit', 'query.invalid'],
              ['&&nothing=1', 'query.unknown'], ['limit=0&limit=1&x=+', 'query.invalid']) {
    my ($query, $code) = @$case;
    $t->problem_is($t->api(GET => "/v1/members?$query"), 400, $code, "?$query");
}


# -- cursors

$t->api(POST => '/v1/members', { body => { external_id => "m$_" } }) for 1 .. 3;
my $cursor = $t->api(GET => '/v1/members?limit=1')->{json}{next_cursor};
is($t->api(GET => "/v1/members?limit=2&cursor=$cursor")->{status}, 200, 'a cursor with another length of page');
(my $changed = $cursor) =~ s/(.)$/$1 eq 'A' ? 'B' : 'A'/e;
for my $case ([$changed, 'changed'], ['x', 'short'], [$cursor . 'x' x 3000, 'long'], ['', 'empty']) {
    $t->problem_is($t->api(GET => "/v1/members?cursor=$case->[0]"), 400, 'cursor.invalid',
        "a cursor that is $case->[1]");
}
$t->problem_is($t->api(GET => "/v1/events?cursor=$cursor"), 400, 'cursor.invalid',
    'of another operation');
$t->audit_ok;
