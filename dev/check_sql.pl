#!/usr/bin/perl

# What every function of the public schemas must have, and what none may.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);

chdir dirname(abs_path($0)) . '/..' or die;

my @files = grep { -f } split /\n/,
    `git ls-files -co --exclude-standard -- 'sql/*.sql'`;
my $bad = 0;

# business time is loyalty.tenant_now(); these take real time for records,
# leases, tokens and limits
my $clock = qr/\b(?:now\(\)|current_timestamp|statement_timestamp\(\)|transaction_timestamp\(\))/;

for my $file (@files) {
    open my $fh, '<', $file or die "$file: $!\n";
    my $text = do { local $/; <$fh> };

    if ($file =~ m{^sql/functions/}) {
        complain("$file: no comment at its head") if $text !~ /\A--/;
        complain("$file: a table is made in a function's file")
            if $text =~ /^\s*create table/mi;

        while ($text =~ /create or replace (?:function|procedure) (api|dir|work|ops)\.(\w+)(.*?)\bas \$/gis) {
            my ($schema, $name, $head) = ($1, $2, $3);
            complain("$file: $schema.$name is not security definer")
                if $head !~ /security definer/i;
            complain("$file: $schema.$name sets no search_path")
                if $head !~ /set search_path (?:=|to) ''/i;
            complain("$file: $schema.$name is not plpgsql")
                if $head !~ /language plpgsql/i;
        }
        complain("$file: 'create function' without 'or replace'")
            if $text =~ /\bcreate function\b/i;
    }

    if ($file =~ m{^sql/migrations/\d+_\w+\.up\.sql$}) {
        (my $down = $file) =~ s/\.up\.sql$/.down.sql/;
        complain("$file: no way back ($down)") if !-f $down;
        complain("$file: a function in a migration")
            if $text =~ /create (?:or replace )?function/i;
        for my $table ($text =~ /^create table (\w+\.\w*[a-z0-9])(?!\w| partition)/gm) {
            complain("$file: no comment on $table")
                if $text !~ /comment on table \Q$table\E/
                   && $text !~ /\bpartition of\b.*\Q$table\E/;
        }
    }

    if ($file =~ m{^sql/functions/(?!00_base)}) {
        my $n = 0;
        for my $line (split /\n/, $text) {
            $n++;
            $line =~ s/--.*//;
            # when a row was written is real time, so are expiries of tokens
            complain("$file:$n: business time is loyalty.tenant_now()")
                if $line =~ $clock && $line !~ /\b(?:updated|created|expires)_at\b|at time zone/;
        }
    }

    my $n = 0;
    for my $line (split /\n/, $text) {
        $n++;
        $line =~ s/--.*//;
        $line =~ s/'[^']*'//g;
        complain("$file:$n: a keyword in capitals")
            if $line =~ /\b(?:SELECT|INSERT|UPDATE|DELETE|CREATE|RETURNS|BEGIN|END IF|FROM|WHERE)\b/;
    }
}

exit($bad ? 1 : 0);

sub complain { print "$_[0]\n"; $bad++ }
