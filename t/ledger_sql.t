#!/usr/bin/perl

# The golden vectors of the chain and plpgsql_check over every function.  The
# files of sql/test stand on their own; those named in LOYALTY_SQL_TESTS run
# here as subtests, against the tree that LOYALTY_SQL names (for mutants).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use File::Basename qw(basename);
use JSON::XS;
use Loyalty::TestDb;
use Test::More;

my @files = map { "$Loyalty::TestDb::ROOT/sql/test/$_.sql" } split ' ', $ENV{LOYALTY_SQL_TESTS} // '';
plan tests => @files + 3;

my $db = Loyalty::TestDb->new;
$db->psql('loyalty', '-c', 'create schema tap', '-c', 'create extension pgtap schema tap',
    '-c', 'create extension plpgsql_check schema tap', '-c', 'grant usage on schema tap to public');

for my $file (@files) {
    subtest basename($file, '.sql') => sub {
        my $pid = open(my $out, '-|') // die "fork: $!";
        if ($pid == 0) {
            open STDERR, '>&', \*STDOUT;
            $ENV{PGOPTIONS} = '-c search_path=public,tap -c client_min_messages=warning';
            exec 'psql', '-X', '-q', '-At', '-v', 'ON_ERROR_STOP=1', '-d', $db->conninfo,
                '-f', $file or exit 127;
        }
        my ($planned, $seen) = (0, 0);
        while (my $line = <$out>) {
            chomp $line;
            if ($line =~ /^1\.\.(\d+)$/) { $planned = $1; plan tests => $1 + 1; }
            elsif ($line =~ /^(not )?ok \d+(?: - (.*))?$/) { $seen++; ok(!$1, $2 // ''); }
            elsif ($line =~ /\S/) { diag $line; }
        }
        close $out;
        plan tests => 1 if !$planned;
        ok($? == 0 && $planned == $seen, "psql ended well, $seen of $planned tests ran");
    };
}

my $dbh = $db->dbh;

subtest 'golden vectors of the chain' => sub {
    my @vectors;
    for my $file (qw(chain chain_books)) {
        open my $fh, '<', "$FindBin::Bin/vectors/$file.json" or die "$file: $!";
        push @vectors, @{decode_json(do { local $/; <$fh> })};
    }
    plan tests => scalar @vectors;
    for my $v (@vectors) {
        my ($hash) = $dbh->selectrow_array(q{
            select encode(sha256(decode(?, 'hex') || loyalty.entry_payload(?, ?, ?, ?, ?,
                (select g::smallint from generate_series(1, 16) g
                  where loyalty.entry_type_text(g::smallint) = ?), ?, loyalty.us_time(?),
                loyalty.us_time(?), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)), 'hex')}, undef,
            @$v{qw(previous tenant wallet member entry seq type points effective_at
                recorded_at available pending held debt event rule_version hold redemption reverses
                reason)});
        is($hash, $v->{hash}, $v->{name} // "$v->{type}, number $v->{seq}");
    }
};

my $faults = $dbh->selectall_arrayref(q{
    select p.oid::regprocedure::text || ' ' || c.lineno || ': ' || c.message
      from pg_proc p
      join pg_namespace n on n.oid = p.pronamespace
      join pg_language l on l.oid = p.prolang
      cross join lateral tap.plpgsql_check_function_tb(p.oid, fatal_errors := false,
          other_warnings := false, extra_warnings := false, performance_warnings := false) c
     where n.nspname in ('loyalty', 'api', 'dir', 'work', 'ops') and l.lanname = 'plpgsql'
       and p.prorettype <> 'trigger'::regtype and c.level = 'error'});
is(join("\n", map { $_->[0] } @$faults), '', 'plpgsql_check finds no error in any function');
is(join('', $db->log_faults), '', 'nothing alarming in the log');
