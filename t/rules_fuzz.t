#!/usr/bin/perl

# Random rules: the engine against the second implementation, result and trace,
# and all faults of a document (a tenth as many); and its compatible mode against
# the two JsonLogic engines of JavaScript where they agree.  LOYALTY_LONG=1: a
# million compared each, telling how far it is.  LOYALTY_SEED=N begins at another
# seed; a difference is shown with the seed that makes it again.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use IPC::Run qw(run);
use Test::More;

my $ROOT = abs_path(dirname(__FILE__) . '/..');
my $CASES = $ENV{LOYALTY_LONG} ? 1_000_000 : 20_000;
my $SEED = $ENV{LOYALTY_SEED} // ($ENV{LOYALTY_LONG} ? time : 1);

plan skip_all => 'node is not installed: run dev/deps'
    if system('node --version >/dev/null 2>&1') != 0;
plan tests => 3;

same('fuzz_strict.mjs', 'strict rules and their traces');
same('fuzz_faults.mjs', 'faults of documents', $CASES / 10);

SKIP: {
    if (system("$ROOT/dev/npm") != 0) {
        diag('the peers are not installed: the compatible mode is not compared');
        skip 'dev/npm failed', 1;
    }
    same('fuzz_compatible.mjs', 'classic rules, where both peers agree');
}


sub same {
    my ($program, $what, $cases) = @_;
    $cases //= $CASES;
    my ($out, $err) = ('', '');
    my $good = run(['node', "$ROOT/t/rules/$program", '--cases', $cases, '--seed', $SEED,
                    '--progress', $ENV{LOYALTY_LONG} ? 20_000 : 0],
                   '<', \undef, '>', \$out,
                   '2>', sub { $err .= $_[0]; print {*STDERR} $_[0] if $ENV{LOYALTY_LONG} });
    ok($good, "$what: $cases cases from seed $SEED") or diag $out, $err;
    note($out) if $good;
}
