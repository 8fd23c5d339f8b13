#!/usr/bin/perl

# Runs a file of pgTAP in a copy of the migrated database, as the superuser;
# the file sets the roles it speaks for.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use lib dirname(abs_path($0)) . '/../t/lib';
use Test::Loyalty;

my $file = abs_path($ARGV[0] // die "usage: dev/pgtap.pl FILE.sql\n");
my $t = Test::Loyalty->new(parts => ['postgres'], tenant => 0);

$| = 1;
my $rc = system '/usr/lib/postgresql/15/bin/psql', qw(-X -q -A -t -v ON_ERROR_STOP=1),
    '-f', $file, $t->house->conninfo('postgres');
exit($rc ? 1 : 0);
