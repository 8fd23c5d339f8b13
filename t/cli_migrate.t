#!/usr/bin/perl

# migrate: once for each state, twice is nothing, two at once take turns, a
# changed migration is refused, down and up again lead to the same place.

use strict;
use warnings;

use File::Path qw(make_path);
use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Loyalty;

my $t = Test::Loyalty->new(plan => 22, parts => ['postgres'], tenant => 0);
my $h = $t->house;
my $sql = "$t->{dir}/sql";

system('cp', '-a', "$Test::Loyalty::ROOT/sql", $sql) == 0 or die;

# a database of its own beside the template's
$h->psql('postgres', 'create database fresh', db => 'postgres');
my %env = (LOYALTY_DATABASE => $h->conninfo('postgres', 'fresh'),
           LOYALTY_SQL => $sql);

my $r = migrate('status');
is($r->{code}, 0, 'status of an empty database');
like($r->{out}, qr/^ *1 .*pending$/m, 'everything is pending');

# two at once: both succeed, one after the other
require IPC::Run;
my ($out1, $out2, $err1, $err2, $in) = ('', '', '', '', '');
{
    local @ENV{ keys %env } = values %env;
    my @cmd = ($Test::Loyalty::TOOL, 'migrate', 'up');
    my $a = IPC::Run::start([@cmd], \$in, \$out1, \$err1);
    my $b = IPC::Run::start([@cmd], \$in, \$out2, \$err2);
    ok(IPC::Run::finish($a), 'the first of two at once') or diag $err1;
    ok(IPC::Run::finish($b), 'the second of two at once') or diag $err2;
}
is(scalar(() = "$err1$err2" =~ /0001_directory/g), 1,
   'each migration was applied once');

my $n = query('select count(*) from loyalty_meta.migration');
cmp_ok($n, '>=', 1, 'migrations are recorded');
is(query('select bool_and(length(checksum) = 64) from loyalty_meta.migration'), 't',
   'with their checksums');

$r = migrate('up');
is($r->{code}, 0, 'again');
like($r->{err}, qr/nothing to do/, 'nothing to do');

# a function that changed is applied alone, one that did not is left
my $stamp = query("select max(applied_at) from loyalty_meta.file where path like 'functions/%'");
append("$sql/functions/ops/plan.sql", "\n-- a remark\n");
$r = migrate('status');
like($r->{err}, qr/^1 functions, policies and grants to apply/m, 'one file to apply');
is(migrate('up')->{code}, 0, 'applied');
is(query("select count(*) from loyalty_meta.file where path like 'functions/%'"
         . " and applied_at > '$stamp'"), 1, 'that file and no other');

# a faulty function changes nothing at all
append("$sql/functions/ops/plan.sql", "\nselect 1 / 0;\n");
$r = migrate('up');
is($r->{code}, 1, 'a faulty file is refused');
like($r->{err}, qr/plan\.sql: division by zero/, 'and named');

# a migration that fails leaves no trace, and goes on when it is mended
my $next = sprintf '%04d', $n + 1;
put("$sql/migrations/${next}_broken.up.sql",
    "create table loyalty.scratch (a int);\nselect nothing;\n");
put("$sql/migrations/${next}_broken.down.sql", "drop table loyalty.scratch;\n");
system('cp', "$Test::Loyalty::ROOT/sql/functions/ops/plan.sql",
       "$sql/functions/ops/plan.sql");
$r = migrate('up');
isnt($r->{code}, 0, 'a faulty migration is refused');
is(query("select to_regclass('loyalty.scratch') is null"), 't', 'nothing of it stays');
put("$sql/migrations/${next}_broken.up.sql",
    "set local role loyalty_owner;\ncreate table loyalty.scratch (a int);\n");
is(migrate('up')->{code}, 0, 'mended, it is applied');

# a change of what was applied is found
put("$sql/migrations/${next}_broken.up.sql", "select 1;\n");
$r = migrate('up');
is($r->{code}, 10, 'a changed migration is refused');

# and back
$r = migrate('down', '--to', $n);
is($r->{code}, 3, 'down asks for --yes');
put("$sql/migrations/${next}_broken.up.sql",
    "set local role loyalty_owner;\ncreate table loyalty.scratch (a int);\n");
$r = migrate('down', '--to', 0, '--yes');
is($r->{code}, 0, 'all the way down') or diag $r->{err};
is(query("select count(*) from pg_namespace where nspname in"
         . " ('loyalty', 'api', 'dir', 'work', 'ops')"), 0, 'nothing is left');
is(migrate('up')->{code}, 0, 'and up again');


sub migrate { return $t->loyalty(['migrate', @_], env => \%env) }

sub query { return $h->psql('postgres', $_[0], db => 'fresh') }

sub put {
    my ($file, $text) = @_;
    open my $fh, '>', $file or die "$file: $!";
    print {$fh} $text;
    close $fh;
}

sub append {
    my ($file, $text) = @_;
    open my $fh, '>>', $file or die "$file: $!";
    print {$fh} $text;
    close $fh;
}
