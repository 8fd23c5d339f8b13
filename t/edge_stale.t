#!/usr/bin/perl

# The change feed fails while the database answers: what writes is checked in
# the database, so that a revocation holds at once; reads go on.

use strict;
use warnings;

use IO::Socket::INET ();
use MIME::Base64 ();
use POSIX ();
use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Loyalty;

my $t = Test::Loyalty->new(plan => 26, parts => [qw(postgres nginx)], processes => 1);
my $shop = $t->{tenants}{shop};
my @mint = (subject => 'usr_01' . '0' x 23 . '1', scopes => 'members:read,members:write');

my @other = (subject => 'usr_01' . '0' x 23 . '3', scopes => 'members:read,members:write');
my %token = map { $_ => $t->token('shop', @mint) } qw(one two three five six);
$token{four} = $t->token('shop', @other);
$token{member} = $t->token('shop', subject => 'mem_01' . '0' x 23 . '2', scopes => 'members:write');
my $serial = 0;
my $spare = $t->key('shop', name => 'spare');
$t->wait_for(sub { status($token{one}) == 201 && status($spare) == 201 }, 10, 'tokens and keys work');

my $feed = $t->value("select pg_get_functiondef('dir.changes(text)'::regprocedure)");
(my $broken = $feed) =~ s/AS \$function\$.*\$function\$/AS \$f\$ begin raise 'on purpose'; end \$f\$/s or die;
$t->sql($broken);
$t->wait_for(sub { ready() =~ /^503/ }, 20, 'the directory is old');
like(ready(), qr/^503 .*\S/, 'readyz says so');
like($t->log_text('error.log'), qr/on purpose/, 'and the log says why');

# good ones are good, by the database
my $checks = $t->metric('auth_database_checks_total');
is(status($token{one}), 201, 'a token');
is(status($token{member}), 201, 'of a member');
is(status($shop->{key}), 201, 'a key');
is($t->metric('auth_database_checks_total') - $checks, 3, 'each was asked of the database');
$t->wait_for(sub {
    $checks = $t->metric('auth_database_checks_total');
    return status($token{one}) == 201 && $t->metric('auth_database_checks_total') == $checks;
}, 20, 'two calls within a second');
pass('within a second it is known');
is(read_status($token{two}), 200, 'a read is not asked for');
is($t->metric('auth_database_checks_total') - $checks, 0, 'anywhere');
is(status('lsk_test_' . '0' x 36), 401, 'what is no key');
is(status("$token{one}x"), 401, 'what is no token');

# many at once ask once
$checks = $t->metric('auth_database_checks_total');
my @many = together($token{two}, 6);
is("@many", join(' ', (201) x 6), 'six at once');
my $asked = $t->metric('auth_database_checks_total') - $checks;
cmp_ok($asked, '<=', 2, "ask $asked times");

# a client that goes away while its credential is asked for
my $lock = $t->dbh->clone({ AutoCommit => 0 });
$lock->do('lock table loyalty.revocation in access exclusive mode');
my $client = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port) or die "connect: $!\n";
print {$client} "POST /v1/members HTTP/1.1\r\nHost: shop.localhost\r\n"
    . "Authorization: Bearer $token{three}\r\nContent-Type: application/json\r\n"
    . "Content-Length: 2\r\n\r\n{}";
$client->flush;
$t->wait_for(sub { $t->value("select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
    . " and query like '%session_check%'") }, 10, 'it is being asked for');
close $client;
$lock->rollback;
$lock->disconnect;
is(status($token{three}), 201, 'does no harm');

# revoked: at once, though no feed tells it
revoke($t->value("select loyalty.id_uuid('usr', ?)", $other[1]));
is(status($token{four}), 401, 'tokens of a user');
is(status($token{two}), 201, 'not those of another');
my $kid = header($token{five})->{kid};
$t->sql("update loyalty.signing_key set state = 'revoked' where kid = ?", $kid);
is(status($token{five}), 401, 'a signing key');
$t->sql("update loyalty.signing_key set state = 'current' where kid = ?", $kid);
is(status($token{six}), 201, 'and given back');
$t->sql("update loyalty.api_key set state = 'revoked' where name = 'spare'");
$t->sql("select loyalty.change_add(tenant_id, 'api_key', encode(digest, 'hex'))"
    . " from loyalty.api_key where name = 'spare'");
is(status($spare), 401, 'a key');
is(read_status($spare), 200, 'which reads until the feed is back');

# the database does not answer that question either
my $check = $t->value("select pg_get_functiondef('dir.session_check'::regproc)");
(my $odd = $check) =~ s/AS \$function\$.*\$function\$/AS \$f\$ begin return '{}'::jsonb; end \$f\$/s or die;
$t->sql($odd);
my $r = $t->api(POST => '/v1/members', { key => $t->token('shop', @mint), body => {} });
$t->problem_is($r, 503, 'database.unavailable', 'an answer that says nothing lets nobody in');
$t->sql($check);

# back
$t->sql($feed);
$t->wait_for(sub { ready() =~ /^200/ }, 20, 'the feed is back');
is(status($token{one}), 201, 'a token');
is(read_status($spare), 401, 'and what was revoked is told');
is(read_status($token{four}), 401, 'all of it');
$checks = $t->metric('auth_database_checks_total');
is(status($token{two}), 201, 'another token');
is($t->metric('auth_database_checks_total'), $checks, 'without asking the database');


sub status {
    my ($key) = @_;
    return $t->api(POST => '/v1/members', { key => $key,
        body => { external_id => "$$-" . ++$serial } })->{status};
}

sub read_status { return $t->api(GET => '/v1/members', { key => $_[0] })->{status} }

sub ready {
    my $r = $t->client('shop')->request(GET => '/readyz');
    return "$r->{status} $r->{body}";
}

sub header { return $Test::Loyalty::JSON->decode(MIME::Base64::decode_base64url((split /\./, $_[0])[0])) }

sub together {
    my ($key, $n) = @_;
    my @pipes = map {
        my $pid = open(my $in, '-|') // die "fork: $!\n";
        if (!$pid) {
            my $s = eval { $t->api(POST => '/v1/members', { key => $key,
                body => { external_id => "$$" }, connection => "many-$_" })->{status} };
            print $s // "died";
            close STDOUT;
            POSIX::_exit(0);
        }
        $in;
    } 1 .. $n;
    return map { my $in = $_; scalar <$in> } @pipes;
}

sub revoke {
    my ($ref) = @_;
    $t->sql('insert into loyalty.revocation (tenant_id, kind, ref, not_before, expires_at)'
        . " values (?, 'user', ?, now() + interval '1 minute', now() + interval '1 hour')",
        $shop->{uuid}, $ref);
    $t->sql("select loyalty.change_add(?, 'revocation', ?)", $shop->{uuid}, "user:$ref");
}

