#!/usr/bin/perl

# Lists and cursors, ETags and conditions, CORS.

use strict;
use warnings;

use File::Basename qw(dirname);
use lib dirname(__FILE__) . '/lib';
use MIME::Base64 qw(decode_base64url encode_base64url);
use Test::Loyalty;
use Test::More;

my $t = Test::Loyalty->new(plan => 40);
$t->tenant(slug => 'other');

# -- pages

my $r = $t->api(POST => '/v1/events/batch', { wait => 20, body => { events => [
    map { $t->order("l-$_", "ext:l-" . ($_ % 7), ["$_", 1]) } 1 .. 60] } });
is(scalar(grep { $_->{status} == 200 } @{ $r->{json}{data} }), 60, 'sixty events');

for my $list (['/v1/events?source=shop', 60], ['/v1/members', 7],
              ['/v1/members/ext:l-3/entries', 9], ['/v1/members/ext:l-3/lots?status=open', 9]) {
    my ($path, $total) = @$list;
    my (%seen, $n, $cursor);
    my $pages = 0;
    do {
        my $at = $path . ($path =~ /\?/ ? '&' : '?') . 'limit=4' . ($cursor ? "&cursor=$cursor" : '');
        my $r = $t->api(GET => $at);
        last if $r->{status} != 200;
        $seen{ $_->{id} }++ for @{ $r->{json}{data} };
        $n += @{ $r->{json}{data} };
        $cursor = $r->{json}{next_cursor};
        $pages++;
        my $link = $r->{headers}{link} // '';
        $link = '' if $cursor && $link !~ /cursor=\Q$cursor\E>; rel="next"$/;
        $pages += 1000 if ($link ne '') != ($cursor ? 1 : 0)
            || !!$r->{json}{has_more} != !!$cursor;
    } while ($cursor && $pages < 100);
    is($n, $total, "$path: all of them");
    is(scalar keys %seen, $total, 'each once');
    is($pages, int(($total + 3) / 4), 'in pages that agree with their links');
}

# -- cursors that are not ours

{
    my $first = $t->api(GET => '/v1/events?limit=4&source=shop')->{json};
    my $c = $first->{next_cursor};
    my $at = sub { $t->api(GET => $_[0], { $_[1] ? (tenant => $_[1]) : () }) };
    is($at->("/v1/events?limit=9&source=shop&cursor=$c")->{status}, 200,
       'another length of page is no harm');
    my %bad = (
        'with other filters' => "/v1/events?limit=4&source=till&cursor=$c",
        'without its filter' => "/v1/events?limit=4&cursor=$c",
        'of another list' => "/v1/members?cursor=$c",
        'cut' => '/v1/events?limit=4&source=shop&cursor=' . substr($c, 0, -1),
        'nonsense' => '/v1/events?limit=4&source=shop&cursor=abc',
    );
    $t->problem_is($at->($bad{$_}), 400, 'cursor.invalid', "a cursor $_") for sort keys %bad;
    $t->problem_is($at->("/v1/events?limit=4&source=shop&cursor=$c", 'other'), 400,
                   'cursor.invalid', 'a cursor of another tenant');
    my $members = $t->api(GET => '/v1/members/ext:l-3/entries?limit=2')->{json}{next_cursor};
    $t->problem_is($at->("/v1/members/ext:l-4/entries?limit=2&cursor=$members"), 400,
                   'cursor.invalid', 'a cursor of another member');
    my $bytes = decode_base64url($c);
    my $taken = 0;
    for my $i (0 .. length($bytes) - 1) {
        my $b = $bytes;
        substr($b, $i, 1) = chr(ord(substr $b, $i, 1) ^ 1);
        my $r = $at->('/v1/events?limit=4&source=shop&cursor=' . encode_base64url($b));
        $taken++ if $r->{status} != 400;
    }
    is($taken, 0, 'no bit of a cursor can be changed: ' . length $bytes);
}

# -- ETag, If-None-Match, If-Match

{
    my $path = '/v1/members/ext:l-3/balances';
    my $r = $t->api(GET => $path);
    my $etag = $r->{headers}{etag};
    like($etag, qr/^"[^"]+"$/, 'balances have an ETag');
    is($t->api(GET => $path)->{headers}{etag}, $etag, 'the same from the cache');
    my $cond = sub { $t->api(GET => $path, { headers => { 'If-None-Match' => $_[0] } }) };
    is($cond->($etag)->{status}, 304, 'not modified');
    is($cond->($etag)->{body}, '', 'without a body');
    is($cond->("\"x\", W/$etag")->{status}, 304, 'in a list, weakly');
    is($cond->('*')->{status}, 304, 'or anything');
    is($cond->('"x"')->{status}, 200, 'another tag');
    $t->api(POST => '/v1/events', { wait => 10, body => $t->order('more', 'ext:l-3', ['1', 1]) });
    $r = $cond->($etag);
    is($r->{status}, 200, 'modified after one more event');
    isnt($r->{headers}{etag}, $etag, 'with another tag');

    my ($p) = @{ $t->api(GET => '/v1/programs')->{json}{data} };
    $path = "/v1/programs/$p->{id}";
    $etag = $t->api(GET => $path)->{headers}{etag};
    is($t->api(GET => $path, { headers => { 'If-None-Match' => $etag } })->{status}, 304,
       'a program is not modified');
    my $patch = sub { $t->api(PATCH => $path, { headers => { 'If-Match' => $_[0] },
                                                body => { name => 'Renamed' } }) };
    $t->problem_is($patch->('"v0"'), 412, 'precondition.failed', 'a stale If-Match');
    $r = $patch->($etag);
    is($r->{status}, 200, 'the right one');
    $t->problem_is($patch->($etag), 412, 'precondition.failed', 'is stale now');
}

# -- CORS

{
    $t->sql(q{update loyalty.tenant set origins = '{https://shop.example}' where slug = 'shop'});
    $t->sql(q{insert into loyalty.change (tenant_id, kind, ref)
              select tenant_id, 'tenant', tenant_id::text from loyalty.tenant where slug = 'shop'});
    my $get = sub { $t->api(GET => '/v1/me', { headers => { Origin => $_[0] } }) };
    $t->wait_for(sub { $get->('https://shop.example')->{headers}{'access-control-allow-origin'} },
                 20, 'the origin is known');
    is($get->('https://shop.example')->{headers}{'access-control-allow-origin'},
       'https://shop.example', 'an origin of the tenant');
    is($get->("https://$_")->{headers}{'access-control-allow-origin'}, undef, "not $_")
        for 'shop.example.evil', 'SHOP.example';
    my $r = $t->api(OPTIONS => '/v1/members', { key => undef, headers => {
        Origin => 'https://shop.example', 'Access-Control-Request-Method' => 'POST' } });
    is($r->{status}, 204, 'a preflight');
    like($r->{headers}{'access-control-allow-methods'}, qr/\bPOST\b/, 'says the methods');
}
