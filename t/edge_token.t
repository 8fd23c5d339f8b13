#!/usr/bin/perl

# Access tokens: the known attacks, claims, scopes, revocation of sessions and
# signing keys, and that a verified token is verified once.

use strict;
use warnings;

use File::Temp ();
use MIME::Base64 qw(decode_base64 encode_base64url);

use lib 't/lib';
use Test::Loyalty;
use Test::More;

my $t = Test::Loyalty->new(plan => 36, parts => [qw(postgres redis nginx)]);
my $shop = $t->{tenants}{shop};
my $other = $t->tenant(slug => 'other', program => 0);
my $dir = File::Temp::tempdir('lyt-XXXXXX', DIR => '/tmp', CLEANUP => 1);
my $json = $Test::Loyalty::JSON;

signing_key($_) for qw(ec rsa spare);
my $user = 'usr_' . '01' . '0' x 23 . '1';

my $status = sub {
    my ($token, %o) = @_;
    return $t->api($o{method} // 'GET', $o{path} // '/v1/me', {
        key => $token, tenant => $o{tenant} // 'shop', ($o{method} ? (body => {}) : ()),
    })->{status};
};

my $good = token();
ok($t->wait_for(sub { $status->($good) == 200 }, 5), 'ES256');
ok($t->wait_for(sub { $status->(token(header => { alg => 'RS256', kid => 'rsa' }, key => 'rsa'))
                      == 200 }, 5), 'RS256');
is($status->(token(claims => { sub => 'mem_' . '01' . '0' x 24 })), 200, 'of a member');
is($t->api(GET => '/v1/me', { key => undef,
           headers => { Authorization => "Bearer $good" } })->{status}, 200, 'again');

# a verified token is known by its digest
my $hits = $t->metric('token_cache_hits_total');
my $misses = $t->metric('token_cache_misses_total');
$status->($good) for 1 .. 20;
is($t->metric('token_cache_hits_total') - $hits, 20, 'twenty times known');
is($t->metric('token_cache_misses_total') - $misses, 0, 'never computed again');

# attacks and faults, each one a 401
my $public = slurp("$dir/rsa.pub");
my ($h, $p, $s) = split /\./, $good;
my @bad = (
    ['alg none', token(header => { alg => 'none' }, key => 'none')],
    ['alg none without a signature', "$h.$p."],
    ['HS256 with the public key', token(header => { alg => 'HS256', kid => 'rsa' },
                                        key => 'hmac', secret => $public)],
    ['a header that names another algorithm', token(header => { alg => 'RS256' })],
    ['another key', token(key => 'spare')],
    ['an unknown kid', token(header => { kid => 'nobody' })],
    ['no kid', token(header => { kid => undef })],
    ['crit', token(header => { crit => ['exp'] })],
    ['its own key', token(header => { jwk => { kty => 'EC' } })],
    ['typ JWT', token(header => { typ => 'JWT' })],
    ['a changed payload', "$h." . encode_base64url('{"sub":"x"}') . ".$s"],
    ['a changed signature', "$h.$p." . (substr($s, 0, 1) eq 'A' ? 'B' : 'A') . substr($s, 1)],
    ['a cut signature', "$h.$p." . substr($s, 0, 40)],
    ['padding', "$h.$p.$s="],
    ['four parts', "$good.$s"],
    ['expired', token(claims => { exp => time - 60 })],
    ['no exp', token(claims => { exp => undef })],
    ['not yet', token(claims => { nbf => time + 300 })],
    ['another issuer', token(claims => { iss => 'https://evil.example' })],
    ['another audience', token(claims => { aud => 'billing' })],
    ['no audience', token(claims => { aud => undef })],
    ['another tenant', token(claims => { tid => $other->{id} })],
    ['a subject of another kind', token(claims => { sub => $shop->{id} })],
);

my $none = $t->api(GET => '/v1/me', { key => undef, headers => { 'X-Request-Id' => 'same' } });
for my $case (@bad) {
    my ($name, $token) = @$case;
    my $r = $t->api(GET => '/v1/me', { key => $token, headers => { 'X-Request-Id' => 'same' } });
    is("$r->{status} $r->{body}", "401 $none->{body}", $name);
}

is($status->($good, tenant => 'other'), 401, 'at another tenant');
is($status->($good, method => 'POST', path => '/v1/programs'), 403, 'a scope it lacks');
is($status->($good, path => '/v1/members/ext:nobody'), 404, 'one it has');

# revocations
my $session = token(claims => { sid => 'two' });
is($status->($session), 200, 'another session of the user');
revoke('session', 'one', '1 hour');
ok($t->wait_for(sub { $status->($good) == 401 }, 5), 'a revoked session');
is($status->($session), 200, 'the other one goes on');

$t->sql("update loyalty.signing_key set state = 'revoked' where kid = 'ec'");
$t->sql("select loyalty.change_add(null, 'signing_key', 'ec')");
ok($t->wait_for(sub { $status->($session) == 401 }, 5), 'a revoked signing key');


sub token {
    my (%o) = @_;
    my %header = (alg => 'ES256', typ => 'at+jwt', kid => 'ec', %{ $o{header} // {} });
    my %claims = (
        iss => 'https://localhost', aud => 'loyalty', sub => $user, tid => $shop->{id},
        sid => 'one', scope => 'members:read ledger:read', jti => 'j' . rand,
        iat => time - 1, exp => time + 600, %{ $o{claims} // {} },
    );
    delete $header{$_} for grep { !defined $header{$_} } keys %header;
    delete $claims{$_} for grep { !defined $claims{$_} } keys %claims;

    my $text = join '.', map { encode_base64url($json->encode($_)) } \%header, \%claims;
    return "$text." . encode_base64url(signature($o{key} // 'ec', $text, $o{secret}));
}

sub signature {
    my ($name, $text, $secret) = @_;
    return '' if $name eq 'none';
    require Digest::SHA;
    return Digest::SHA::hmac_sha256($text, $secret) if $name eq 'hmac';

    spew("$dir/in", $text);
    my $der = `openssl dgst -sha256 -sign $dir/$name.pem $dir/in`;
    return $der if $name eq 'rsa';

    # SEQUENCE of two INTEGERs to two times 32 bytes
    my ($r, $s2) = unpack 'x2 x C/a x C/a', $der;
    return join '', map { substr "\0" x 32 . $_, -32 } $r, $s2;
}

sub signing_key {
    my ($name) = @_;
    my $make = $name eq 'rsa' ? 'RSA -pkeyopt rsa_keygen_bits:2048'
        : 'EC -pkeyopt ec_paramgen_curve:P-256';
    system("openssl genpkey -algorithm $make -out $dir/$name.pem 2>$dir/err") == 0
        or die "openssl genpkey failed\n";
    system("openssl pkey -in $dir/$name.pem -pubout -out $dir/$name.pub") == 0
        or die "openssl pkey failed\n";
    return if $name eq 'spare';
    $t->sql('select ops.signing_key_put(?)', $json->encode({
        kid => $name, alg => $name eq 'rsa' ? 'RS256' : 'ES256', state => 'current',
        pem => slurp("$dir/$name.pub"), sealed_private => 'AAAA' x 30,
    }));
    return;
}

sub revoke {
    my ($kind, $ref, $for) = @_;
    $t->sql('insert into loyalty.revocation (tenant_id, kind, ref, not_before, expires_at)'
            . ' values (?, ?, ?, now() + ?::interval, now() + ?::interval)',
            $shop->{uuid}, $kind, $ref, $for, $for);
    $t->sql("select loyalty.change_add(?, 'revocation', ?)", $shop->{uuid}, "$kind:$ref");
}

sub slurp { open my $fh, '<', $_[0] or die "$_[0]: $!\n"; local $/; return <$fh> }
sub spew { open my $fh, '>', $_[0] or die "$_[0]: $!\n"; print $fh $_[1]; close $fh }
