#!/usr/bin/perl

# tenant create, key create and revoke, token mint: what the database keeps is
# sealed or a digest, what is shown is shown once, no secret is an argument.

use strict;
use warnings;

use MIME::Base64 qw(decode_base64 decode_base64url);
use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Loyalty;

my $t = Test::Loyalty->new(plan => 34, parts => ['postgres'], tenant => 0);
my $h = $t->house;
my %owner = (LOYALTY_OWNER_PASSWORD => 'a long enough word');

# a tenant with its owner
my $r = $t->loyalty([qw(-o json tenant create shop --plan test --owner-email),
                     'Ada.Lovelace@Shop.Example'], env => \%owner);
is($r->{code}, 0, 'a tenant') or diag $r->{err};
my $tenant = $Test::Loyalty::JSON->decode($r->{out});
like($tenant->{ten}, qr/^ten_[0-9a-z]{26}$/, 'has an id');
is($tenant->{mode}, 'test', 'in test mode unless told');

my $user = $t->sql('select password_hash, sealed::text, length(email_blind), role'
                   . ' from loyalty.app_user')->[0];
like($user->[0], qr/^\$argon2id\$v=19\$m=65536,t=3,p=4\$/, 'password as argon2id');
unlike($user->[1], qr/lovelace/i, 'the address is sealed');
is($user->[2], 32, 'and has a blind index');
is($user->[3], 'owner', 'the first user owns');

my $dump = `/usr/lib/postgresql/15/bin/pg_dump --data-only -d '@{[ $h->conninfo('postgres') ]}' 2>/dev/null`;
cmp_ok(length $dump, '>', 1000, 'a dump of the database');
unlike($dump, qr/lovelace|shop\.example|long enough/i, 'has neither address nor password');

$r = $t->loyalty([qw(tenant create shop --plan test)]);
is($r->{code}, 6, 'a taken slug is a conflict');
$r = $t->loyalty([qw(tenant create shop --plan test --if-missing)]);
is($r->{code}, 0, 'unless it may stand');
$r = $t->loyalty([qw(tenant create Not_A_Slug --plan test)]);
isnt($r->{code}, 0, 'a slug of other characters is refused');
$r = $t->loyalty([qw(tenant create second --plan test --owner-email nobody)], env => \%owner);
is($r->{code}, 2, 'an address without @ is refused');
$r = $t->loyalty([qw(tenant create second --plan test --owner-email a@b.example)]);
is($r->{code}, 2, 'an owner needs a password');

# keys
$r = $t->loyalty([qw(key create --tenant shop --scopes), 'ledger:read,members:read']);
is($r->{code}, 0, 'a key');
my ($id, $key) = split ' ', $r->{out};
like($id, qr/^key_[0-9a-z]{26}$/, 'has an id');
like($key, qr/^lsk_test_[0-9A-Za-z]{36}$/, 'and a text');
is($t->value("select encode(digest, 'hex') from loyalty.api_key where name = ''"),
   Digest::SHA::sha256_hex($key), 'the database has its digest');
unlike(`/usr/lib/postgresql/15/bin/pg_dump --data-only -d '@{[ $h->conninfo('postgres') ]}'`,
       qr/\Q$key\E/, 'and not its text');
is($t->value("select array_to_string(scopes, ',') from loyalty.api_key"),
   'ledger:read,members:read', 'and its scopes');

my $file = "$t->{dir}/key";
$r = $t->loyalty([qw(key create --tenant shop --kind publishable --key-file), $file]);
is($r->{code}, 0, 'a key into a file');
unlike($r->{out}, qr/lpk_/, 'is not shown');
is((stat $file)[2] & 0777, 0600, 'for its owner alone');

is($t->loyalty([qw(key revoke --tenant shop), $id])->{code}, 0, 'revoked');
is($t->loyalty([qw(key revoke --tenant shop), $id])->{code}, 5, 'once');
is($t->loyalty([qw(key revoke --tenant nobody), $id])->{code}, 5, 'of that tenant only');
is($t->value("select state from loyalty.api_key where last4 = ?", substr $key, -4),
   'revoked', 'and the directory says so');

# tokens
my @mint = qw(-q token mint --tenant shop --subject usr_01jd2x0v5k8q7r3m9t6w4y2z1a);
$r = $t->loyalty([@mint, '--scopes', 'ledger:read,members:read']);
my @part = split /\./, $r->{out};
is_deeply($Test::Loyalty::JSON->decode(decode_base64url($part[0]))->{typ}, 'at+jwt',
          'a token of the right type');
my $claims = $Test::Loyalty::JSON->decode(decode_base64url($part[1]));
is_deeply([@$claims{qw(iss aud tid scope)}],
          ['https://localhost', 'loyalty', $tenant->{ten}, 'ledger:read members:read'],
          'for this tenant');
my $again = $t->token('shop', subject => 'mem_01jd2x0v5k8q7r3m9t6w4y2z1a');
is($t->value('select count(*) from loyalty.signing_key'), 1, 'one signing key for all');

SKIP: {
    skip 'openssl is missing', 1 if !-x '/usr/bin/openssl';
    put("$t->{dir}/pem", $t->value('select public_pem from loyalty.signing_key'));
    put("$t->{dir}/data", "$part[0].$part[1]");
    my $raw = decode_base64url($part[2]);
    put("$t->{dir}/sig", der(substr($raw, 0, 32), substr($raw, 32)));
    is(system("openssl dgst -sha256 -verify '$t->{dir}/pem' -signature '$t->{dir}/sig'"
              . " '$t->{dir}/data' >/dev/null"), 0, 'its signature holds for OpenSSL');
}

# another keyring cannot open what this one sealed
put("$t->{dir}/ring", "key 0011223344556677 " . MIME::Base64::encode_base64(join('', map { chr } 1 .. 32), '') . "\n");
chmod 0400, "$t->{dir}/ring";
$r = $t->loyalty([@mint], env => { LOYALTY_KEYRING => "$t->{dir}/ring" });
is($r->{code}, 1, 'a keyring without the key opens nothing');
chmod 0644, "$t->{dir}/ring";
$r = $t->loyalty([@mint], env => { LOYALTY_KEYRING => "$t->{dir}/ring" });
is($r->{code}, 2, 'a keyring that others may read is refused');
is($t->loyalty([qw(token mint --tenant shop --subject key_1)])->{code}, 2,
   'a subject is a user or a member');


sub put {
    my ($path, $text) = @_;
    open my $fh, '>', $path or die "$path: $!";
    print {$fh} $text;
    close $fh;
}

# R and S as ASN.1 has them
sub der {
    my @int = map { my $i = $_ =~ s/^\0+//r; $i = "\0$i" if ord($i) > 127; "\x02" . chr(length $i) . $i } @_;
    my $all = join '', @int;
    return "\x30" . chr(length $all) . $all;
}
