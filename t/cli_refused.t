#!/usr/bin/perl

# What the tool refuses: options, arguments, files and settings that do not
# do, each with its exit code and a sentence that names the word at fault.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Loyalty;

my $t = Test::Loyalty->new(plan => 135, parts => ['postgres'], tenant => 0);
my $dir = $t->{dir};
my %env = (LOYALTY_OWNER_PASSWORD => 'a long enough word');

is($t->loyalty([qw(tenant create shop --plan test)])->{code}, 0, 'a tenant');
put('short', 'short');
put('word', "a long enough word\r\n");
put('open', "lsk_test_x\n");
put('folder/x', '');

# words, code, what the error says
refused('--nothing', 2, qr/unknown option --nothing/);
refused('-x version', 2, qr/unknown option -x/);
refused('version -x', 2, qr/unknown option -x/);
refused('version -o', 2, qr/-o is table or json/);
refused('version --output=yaml', 2, qr/-o is table or json/);
refused('migrate sideways', 2, qr/unknown command migrate sideways/);
refused('migrate --help-me', 2, qr/unknown command migrate/);
refused('nosuchthinganywhereinthistool', 2, qr/hint: loyalty --help/);
refused('migrate down --yes=please', 2, qr/--yes takes no value/);
refused('migrate down --to', 2, qr/--to needs N/);
refused('migrate down --to=-1', 2, qr/--to is a number from 0/);
refused('migrate down --to 1x', 2, qr/--to is a number from 0/);
refused('jobs retry -- -1', 2, qr/-1 is no id of a job/);

refused('token mint --tenant shop', 2, qr/--tenant and --subject are needed/);
my @subject = qw(--tenant shop --subject usr_01jd2x0v5k8q7r3m9t6w4y2z1a);
refused("token mint @subject --ttl 59", 2, qr/--ttl is a number from 60 to 900/);
refused("token mint @subject --ttl 901", 2, qr/--ttl is a number from 60 to 900/);
refused("token mint @subject --alg HS256", 2, qr/--alg is ES256 or RS256/);
refused('token mint --tenant none --subject usr_01jd2x0v5k8q7r3m9t6w4y2z1a', 5, qr/none/);

refused('key create', 2, qr/--tenant is missing/);
refused('key create --tenant none', 5, qr/none/);
refused('key create --tenant shop --kind other', 2, qr/--kind is secret or publishable/);
refused('key create --tenant shop --scopes members', 2, qr/--scopes are words like/);
refused('key create --tenant shop --scopes members:read,,', 2, qr/--scopes are words like/);
refused("key create --tenant shop --key-file $dir/none/key", 1, qr/No such file/);
refused("key create --tenant shop --key-file $dir/none/key", 1,
    qr/nobody has the key .*key revoke --tenant shop key_/);
refused('key revoke key_01jd2x0v5k8q7r3m9t6w4y2z1a', 2, qr/--tenant is missing/);
refused('key revoke --tenant shop sesame', 2, qr/sesame is no id of a key/);

my $owner = 'tenant create second --plan test --owner-email a@b.example';
refused("$owner --owner-password-file $dir/none", 2, qr/none: No such file/);
refused("$owner --owner-password-file $dir/short", 2, qr/a password has 8 characters/);
refused("$owner --owner-password-file $dir/open", 2, qr/can be read by others/);
refused('tenant create second --plan gold', 7, qr/plan "gold" is not known/);
refused('tenant create second --plan test --mode both', 2, qr/--mode is live or test/);
refused('tenant create second --plan test --timezone Mars/Base', 7, qr/time zone "Mars.Base" is not known/);
refused('tenant create second --plan test --currency pounds', 2, qr/--currency is three capitals/);
is($t->value("select count(*) from loyalty.tenant where slug = 'second'"), 0, 'no tenant of them');
is($t->loyalty([split(' ', $owner), '--owner-password-file', "$dir/word"])->{code}, 0,
    'a password from a file');

# settings
for my $case ([{ LOYALTY_KEYRING => '' }, 2, qr/LOYALTY_KEYRING/], [{ LOYALTY_KEYRING => "$dir/none" }, 1, qr/none/],
              [{ LOYALTY_KEYRING => "$dir/short" }, 2, qr/short/]) {
    my $r = $t->loyalty([qw(tenant create third --plan test)], env => $case->[0]);
    is($r->{code}, $case->[1], 'LOYALTY_KEYRING=' . ($case->[0]{LOYALTY_KEYRING} =~ s/^\Q$dir\E\///r));
    like($r->{err}, $case->[2], '  is named');
}
my $r = $t->loyalty(['audit'], env => { LOYALTY_DATABASE => 'host=/tmp what' });
is($r->{code}, 9, 'a conninfo that is none');
like($r->{err}, qr/what/, '  is named');
$r = $t->loyalty(['audit'], env => { LOYALTY_DATABASE => $t->house->conninfo('loyalty_edge') });
is($r->{code}, 4, 'a role that may not');
$r = $t->loyalty(['-v', 'audit'], env => { LOYALTY_DATABASE => $t->house->conninfo('nobody_at_all') });
is($r->{code}, 9, 'a role that is none');

# the API's address and key
my %nobody = (LOYALTY_URL => 'http://127.0.0.1:1', LOYALTY_SECRET_KEY => '');
for my $case (['', 4, qr/no API key/], ["--api-key-file $dir/none", 2, qr/none/],
              ["--api-key-file $dir/open", 2, qr/can be read by others/],
              ["--api-key-file $dir/folder", 1, qr/folder/]) {
    $r = $t->loyalty([qw(members balance ext:1), split ' ', $case->[0]], env => \%nobody);
    is($r->{code}, $case->[1], 'members balance ' . ($case->[0] =~ s/\Q$dir\E\///r || 'without a key'));
    like($r->{err}, $case->[2], '  says so');
}

# events import, before anything is sent
$nobody{LOYALTY_SECRET_KEY} = 'lsk_test_x';
put('events', qq({"external_id":"1"}\n));
put('state.state', 'not a state');
put('state', qq({"external_id":"1"}\n));
put('other.state', '{"offset":10,"line":1,"size":1}');
put('other', qq({"external_id":"1"}\n));
for my $case (["$dir/none", 1, qr/none: No such file/], ["$dir/folder", 1, qr/folder/],
              ["$dir/state", 1, qr/state\.state is no state of an import/],
              ["$dir/other", 1, qr/other\.state is no state|other/],
              ["$dir/events --batch 0", 2, qr/--batch is a number from 1 to 1000/],
              ["$dir/events --in-flight 17", 2, qr/--in-flight is a number from 1 to 16/],
              ["$dir/events --give-up 1", 9, qr/./]) {
    $r = $t->loyalty(['events', 'import', split ' ', $case->[0]], env => \%nobody);
    is($r->{code}, $case->[1], 'events import ' . $case->[0] =~ s/\Q$dir\E\///r) or diag $r->{err};
    like($r->{err}, $case->[2], '  says why');
}

# invoices that are none: the line and the column are named
my $head = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";
my $good = "1,A,x,1,2020-01-01 00:00:00,1.0,5,UK\n";
for my $case (['', qr/has no column InvoiceNo/], ["InvoiceNo,StockCode\n", qr/has no column/],
              [$head . "1,A,x\n", qr/line 2: another number of fields/],
              [$head . '1' . ',' x 400 . "\n", qr/line 2: (?:too many fields|another number)/],
              [$head . "1,A,\"x,1,2020-01-01 00:00:00,1.0,5,UK\n", qr/line 3: a quoted field does not end/],
              [$head . "1,A,\"x\"y,1,2020-01-01 00:00:00,1.0,5,UK\n", qr/line 2: something behind a quoted/],
              [$head . "x1,A,x,1,2020-01-01 00:00:00,1.0,5,UK\n", qr/line 2: InvoiceNo/],
              [$head . "1,A,x,1,2020-01-01 00:00:00,one,5,UK\n", qr/line 2: UnitPrice/],
              [$head . "1,A,x,1,2020-01-01 00:00:00,1.0000001,5,UK\n", qr/line 2: UnitPrice/],
              [$head . $good . "2,A,x,1,2020-02-30 00:00:00,1.0,5,UK\n", qr/line 3: InvoiceDate/],
              [$head . "1,A,x,1,01/02/2020,1.0,5,UK\n", qr/line 2: InvoiceDate/],
              [$head . "1,A\xff,x,1,2020-01-01 00:00:00,1.0,5,UK\n", qr/invoice 1 is no UTF-8/]) {
    put('csv', $case->[0]);
    $r = $t->loyalty(['demo', 'events', "$dir/csv"]);
    my ($text, $like) = @$case;
    is($r->{code}, 7, 'demo events: ' . substr $like, 4, 30) or diag $r->{err};
    like($r->{err}, $like, '  is said');
}
put('bad.zst', 'not packed');
refused("demo events $dir/bad.zst", 7, qr/cannot be unpacked/);
refused("demo events $dir/none", 1, qr/none: No such file/);
refused('demo generate --orders 99', 2, qr/--orders is a number from 100/);

# output that cannot be written
$r = system("$Test::Loyalty::TOOL --help > /dev/full 2>$dir/err");
is($r >> 8, 1, 'a full disk');
like(slurp("$dir/err"), qr/output: No space/, '  is an error');


sub refused {
    my ($words, $code, $like) = @_;
    my $r = $t->loyalty([split ' ', $words], env => \%env);
    my $name = $words =~ s/\Q$dir\E\///gr;
    is($r->{code}, $code, "$name: $code") or diag $r->{err};
    like($r->{err}, $like, '  and why');
}

sub put {
    my ($name, $text) = @_;
    my $file = "$dir/$name";
    mkdir "$dir/folder";
    open my $fh, '>', $file or die "$file: $!";
    print {$fh} $text;
    close $fh;
    chmod $name eq 'open' ? 0644 : 0600, $file;
}

sub slurp { open my $fh, '<', $_[0] or return ''; local $/; return <$fh> // '' }
