#!/usr/bin/perl

# Every operation of docs/openapi.yaml with good, bad, missing and foreign
# credentials, with ids of another tenant, with what it must refuse; every
# answer validates against its schema.  A new operation is in it by itself: it
# needs an example of its body, and an object here for each new path parameter.

use strict;
use warnings;

use File::Basename qw(dirname);
use lib dirname(__FILE__) . '/lib';
use Test::Loyalty;
use Test::LoyaltyContract;
use Test::More;

my $c = Test::LoyaltyContract->new;
my @ops = grep { !$_->{x}{edge} && !$_->{x}{document} } $c->operations;

# how many tests an operation takes is known before anything runs
my %count = map { $_->{id} => count($_) } @ops;
my $total = 3;
$total += $_ for values %count;

my $t = Test::Loyalty->new(plan => $total);
$t->tenant(slug => 'other');

my $serial = 0;
my %mine = objects('shop');
my %foreign = objects('other');
my %reached;

for my $op (@ops) {
    subtest_of($op);
}

my $r = $t->api(GET => '/v1/openapi.json', { key => undef });
is($r->{status}, 200, 'the contract is served without a credential');
is_deeply([sort keys %{ $r->{json}{paths} }], [sort keys %{ $c->{doc}{paths} }],
          'with every path');
unlike($r->{body}, qr/x-loyalty|api\.member_get/, 'and nothing of what is behind it');


sub count {
    my ($op) = @_;
    my $n = 1;                                          # good
    $n += 3;                                            # credentials
    $n++ if $op->{x}{scope} =~ /:/;                     # scope
    $n++ if $op->{path} =~ /\{/;                        # foreign ids
    $n++;                                               # unknown query
    $n++ if ($op->{x}{idempotency} // '') eq 'required';
    $n++ if match($op);
    $n += 4 if $op->{body};                             # body
    return $n;
}

sub match {
    my ($op) = @_;
    return grep { $_->{name} eq 'If-Match' } @{ $op->{parameters} };
}

sub subtest_of {
    my ($op) = @_;
    my $name = "$op->{method} $op->{path}";

    my ($path, %o) = good($op, 'shop', \%mine);
    my $r = $t->api($op->{method}, $path, \%o);
    valid($op, $r, "$name: good", 200 .. 299);

    my ($again, %more) = good($op, 'shop', \%mine);
    my %none = (%more, key => undef);
    my $without = $t->api($op->{method}, $again, \%none);
    valid($op, $without, "$name: no credential", 401);

    my $bad = $t->api($op->{method}, $again,
        { %more, key => 'lsk_test_' . 'A' x 36 });
    is(alike($bad), alike($without), "$name: a bad one is answered alike");

    my $foreign = $t->api($op->{method}, $again,
        { %more, key => $t->{tenants}{other}{key} });
    is(alike($foreign), alike($without), "$name: so is another tenant's");

    if ($op->{x}{scope} =~ /:/) {
        my $r = $t->api($op->{method}, $again, { %more, key => poor($op->{x}{scope}) });
        refused($op, $r, 403, 'scope.missing', "$name: without the scope");
    }
    if ($op->{path} =~ /\{/) {
        my ($there, %w) = good($op, 'shop', \%foreign);
        my $r = $t->api($op->{method}, $there, \%w);
        valid($op, $r, "$name: ids of another tenant", 404);
    }
    {
        my ($at, %w) = good($op, 'shop', \%mine);
        my $r = $t->api($op->{method}, $at . ($at =~ /\?/ ? '&' : '?') . 'no_such=1', \%w);
        refused($op, $r, 400, 'query.unknown', "$name: unknown query parameter");
    }
    if (($op->{x}{idempotency} // '') eq 'required') {
        my ($at, %w) = good($op, 'shop', \%mine);
        delete $w{headers}{'Idempotency-Key'};
        refused($op, $t->api($op->{method}, $at, \%w), 400, 'idempotency.required',
                "$name: no Idempotency-Key");
    }
    if (match($op)) {
        my ($at, %w) = good($op, 'shop', \%mine);
        delete $w{headers}{'If-Match'};
        refused($op, $t->api($op->{method}, $at, \%w), 428, 'precondition.required',
                "$name: no If-Match");
    }
    return if !$op->{body};

    my ($at, %w) = good($op, 'shop', \%mine);
    refused($op, $t->api($op->{method}, $at, { %w, body => '{"a":' }), 400,
            'json.malformed', "$name: not JSON");
    refused($op, $t->api($op->{method}, $at,
                { %w, headers => { %{ $w{headers} }, 'Content-Type' => 'text/plain' } }),
            415, 'body.type', "$name: not application/json");
    refused($op, $t->api($op->{method}, $at, { %w, body => '[]' }), 422, 'value.type',
            "$name: a list");
    refused($op, $t->api($op->{method}, $at, { %w, body => { %{ $w{body} }, no_such => 1 } }),
            422, 'member.unknown', "$name: unknown member");
    return;
}

# an answer of an allowed status whose body validates
sub valid {
    my ($op, $r, $name, @status) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @wrong;
    push @wrong, "status $r->{status}" if !grep { $_ == $r->{status} } @status;
    push @wrong, "status $r->{status} is not declared" if !$c->declared($op, $r->{status});
    my ($type) = ($r->{headers}{'content-type'} // '') =~ /^([^;]+)/;
    my $schema = defined $type ? $c->answer($op, $r->{status}, $type) : undef;
    if ($r->{status} != 204 && $r->{status} != 304) {
        if ($schema) { push @wrong, $c->faults($schema, $r->{json}) }
        else { push @wrong, 'no schema for ' . ($type // 'nothing') }
    }
    push @wrong, 'no ETag' if $op->{x}{etag} && $r->{status} =~ /^2/
        && $r->{status} != 202 && !$r->{headers}{etag};
    push @wrong, 'no request id' if !$r->{headers}{'x-request-id'};
    push @wrong, 'may be stored' if ($r->{headers}{'cache-control'} // '') ne 'no-store';
    if ($r->{status} >= 400) {
        push @wrong, "code $r->{json}{code} is not in errors.yaml"
            if !$c->{errors}{ $r->{json}{code} // '' };
        push @wrong, 'the instance is not the request id'
            if ($r->{json}{instance} // '') ne ($r->{headers}{'x-request-id'} // '');
        $reached{ $r->{json}{code} // '' }++;
    }
    my $good = ok(!@wrong, $name);
    diag(join("\n", @wrong, substr $r->{body}, 0, 500)) if !$good;
    return $good;
}

sub refused {
    my ($op, $r, $status, $code, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    if (($r->{json}{code} // '') ne $code) {
        my $good = ok(0, $name);
        diag("$r->{status}, not $status $code: " . substr $r->{body}, 0, 500);
        return $good;
    }
    return valid($op, $r, $name, $status);
}

sub alike {
    my ($r) = @_;
    my %p = %{ $r->{json} // {} };
    delete $p{instance};
    return join ' ', $r->{status}, $r->{headers}{'www-authenticate'} // 'none',
        map { "$_=$p{$_}" } sort keys %p;
}

my %poor;

# a key that has every scope but this one
sub poor {
    my ($scope) = @_;
    return $poor{$scope} //= do {
        my %all = map { $_->{x}{scope} => 1 } grep { $_->{x}{scope} =~ /:/ } @ops;
        delete $all{$scope};
        my $key = $t->key('shop', scopes => join(',', sort keys %all));
        $t->wait_for(sub { $t->api(GET => '/v1/me', { key => $key })->{status} == 200 },
                     20, 'the edge knows the key');
        $key;
    };
}

# path and request of a call that must succeed
sub good {
    my ($op, $slug, $objects) = @_;
    my $path = $op->{path};
    my %headers;

    my %made = fresh($op, $slug);
    my %have = (%$objects, $objects == \%mine ? %made : ());
    $path =~ s/\{(\w+)\}/$have{$1} or die "no object for {$1}"/ge;

    my @query;
    for my $p (grep { $_->{in} eq 'query' && $_->{required} } @{ $op->{parameters} }) {
        push @query, "$p->{name}=" . ($p->{name} eq 'external_id' ? 'm-1' : 'x');
    }
    $path .= '?' . join '&', @query if @query;

    $headers{'Idempotency-Key'} = 'contract-' . ++$serial
        if ($op->{x}{idempotency} // '') eq 'required';
    if (match($op)) {
        (my $at = $path) =~ s{/draft$}{};
        $headers{'If-Match'} = $objects == \%mine
            ? $t->api(GET => $at)->{headers}{etag} : '"v1"';
    }
    my %o = (headers => \%headers, tenant => $slug);
    if ($op->{body}) {
        $o{body} = JSON::PP->new->decode(JSON::PP->new->encode($op->{example}
            // die "$op->{id} has no example of its body"));
        adapt($op, $o{body}, \%mine);
    }
    return ($path, %o);
}

# objects that an operation uses up are made for each call
sub fresh {
    my ($op, $slug) = @_;
    return (hold => hold($slug)) if $op->{path} =~ m{/holds/\{hold\}/};
    return (redemption => redemption($slug)) if $op->{path} =~ m{/redemptions/\{redemption\}/};
    return (endpoint => endpoint($slug)) if $op->{path} =~ /\{endpoint\}/;
    return (rule => rule($slug)) if $op->{path} =~ m{/earning-rules/\{rule\}/};
    return;
}

# the examples name objects that are not there
sub adapt {
    my ($op, $body, $objects) = @_;
    $body->{member} = 'ext:m-1' if exists $body->{member};
    $body->{program} = $objects->{program} if exists $body->{program};
    $body->{external_id} = 'contract-' . ++$serial if exists $body->{external_id};
    $_->{external_id} = 'contract-' . ++$serial for @{ $body->{events} // [] };
    $body->{code} = 'wallet-' . ++$serial if $op->{id} eq 'wallet_create';
    $body->{wallet} = 'points' if $op->{id} =~ /^(?:hold|redemption|adjustment)_create$/;
    $body->{points} = 3 if exists $body->{points} && $body->{points} > 0;
    $body->{points} = -3 if exists $body->{points} && $body->{points} < 0;
    return;
}

sub objects {
    my ($slug) = @_;
    my %o = (program => $t->{tenants}{$slug}{program}, member => 'ext:m-1');
    $o{program} = $o{program}{id} if ref $o{program};
    my ($program) = @{ $t->api(GET => '/v1/programs', { tenant => $slug })->{json}{data} };
    $o{program} = $program->{id};
    $o{wallet} = $t->api(GET => "/v1/programs/$o{program}/wallets", { tenant => $slug })
        ->{json}{data}[0]{id};

    my $r = $t->api(POST => '/v1/events', { tenant => $slug, wait => 10,
        body => $t->order("seed-$slug", 'ext:m-1', ['50000', 1]) });
    $o{event} = $r->{json}{id};
    $o{entry} = $r->{json}{entries}[0]{id} or die "no entry: $r->{body}";
    $o{member} = $r->{json}{entries}[0]{member} if $slug eq 'other';
    $o{hold} = hold($slug);
    $o{redemption} = redemption($slug);
    $o{endpoint} = endpoint($slug);
    $o{rule} = rule($slug);
    return %o;
}

sub made {
    my ($slug, $path, $body) = @_;
    my $r = $t->api(POST => $path, { tenant => $slug, body => $body,
        headers => { 'Idempotency-Key' => 'made-' . ++$serial } });
    die "$path: $r->{status} $r->{body}" if $r->{status} != 201;
    return $r->{json}{id};
}

sub hold { return made($_[0], '/v1/holds', { member => 'ext:m-1', wallet => 'points', points => 4 }) }

sub redemption { return made($_[0], '/v1/redemptions', { member => 'ext:m-1', wallet => 'points', points => 2 }) }

sub endpoint {
    my ($slug) = @_;
    my @all = @{ $t->api(GET => '/v1/webhook-endpoints?limit=100', { tenant => $slug })
        ->{json}{data} };
    for my $e (@all > 20 ? @all : ()) {
        $t->api(DELETE => "/v1/webhook-endpoints/$e->{id}", { tenant => $slug,
            headers => { 'If-Match' => '*' } });
    }
    return made($slug, '/v1/webhook-endpoints',
        { url => 'https://127.0.0.1:9/hook', event_types => ['points.earned'] });
}

sub rule {
    my ($slug) = @_;
    my ($program) = @{ $t->api(GET => '/v1/programs', { tenant => $slug })->{json}{data} };
    return made($slug, '/v1/earning-rules', { program => $program->{id}, name => 'one more',
        draft => { trigger => { event => 'review.written' },
                   effects => [{ type => 'fixed', wallet => 'points', points => 1 }] } });
}
