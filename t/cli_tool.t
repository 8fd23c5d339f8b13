#!/usr/bin/perl

# The tool itself: help, completion, exit codes, output, the demo's files.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Loyalty;

my $t = Test::Loyalty->new(plan => 41, parts => [], tenant => 0);
my $dir = $t->{dir};

my $r = loyalty('--help');
is($r->{code}, 0, '--help');
like($r->{out}, qr/^  events import FILE /m, 'names every command');
is($r->{err}, '', 'on stdout');

for my $case (['', 2], ['--version', 0], ['frobnicate', 2], ['migrate', 2],
              ['events import', 2], ['events import a b', 2], ['version --nope', 2],
              ['-o xml version', 2], ['completion tcsh', 2]) {
    my ($words, $code) = @$case;
    is(loyalty(split ' ', $words)->{code}, $code, "loyalty $words: $code");
}

like(loyalty('evnts')->{err}, qr/hint: loyalty events import/, 'the nearest command is named');
like(loyalty('members', 'balance', '--help')->{out}, qr/speaks to: API/,
     'help says whom a command speaks to');
is(loyalty('-o', 'json', 'version')->{out} =~ /^\{"version":"[0-9.]+"\}\n$/, 1, 'version as JSON');

for my $shell (qw(bash zsh fish)) {
    my $script = loyalty('completion', $shell)->{out};
    like($script, qr/members/, "completion for $shell");
    next if $shell ne 'bash';
    put("$dir/complete", "$script\nCOMP_WORDS=(loyalty events i); COMP_CWORD=2\n"
        . "_loyalty; echo \"\${COMPREPLY[@]}\"\n");
    is(`bash $dir/complete`, "import\n", 'completes a verb');
}

# without settings nothing is guessed
is($t->loyalty(['audit'], env => { LOYALTY_DATABASE => '' })->{code}, 2,
   'no database named');
is(loyalty('members', 'balance', 'ext:1')->{code}, 2, 'no address named');
$r = $t->loyalty(['members', 'balance', 'ext:1'],
                 env => { LOYALTY_URL => 'http://127.0.0.1:1', LOYALTY_SECRET_KEY => 'x' });
is($r->{code}, 9, 'nobody there: 9');
$r = $t->loyalty(['audit'], env => { LOYALTY_DATABASE => "host=$dir dbname=x" });
is($r->{code}, 9, 'no database there: 9');
put("$dir/open", "lsk_test_x\n");
chmod 0644, "$dir/open";
$r = $t->loyalty(['members', 'balance', 'ext:1', '--api-key-file', "$dir/open"],
                 env => { LOYALTY_URL => 'http://127.0.0.1:1' });
is($r->{code}, 2, 'a key that others may read is refused');

# the demo's year
my $a = loyalty('demo', 'generate', '--orders', 2000)->{out};
is($a, loyalty('demo', 'generate', '--orders', 2000, '--seed', 1)->{out}, 'a seed, a file');
isnt($a, loyalty('demo', 'generate', '--orders', 2000, '--seed', 2)->{out}, 'another, another');
like($a, qr/^InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n/,
     'in the layout of the real year');
like($a, qr/^(\d+),.*,80995,.*\nC/m, 'with the large order, regretted');
like($a, qr/,0\.0,/, 'prices of zero');
like($a, qr/,""WELCOME""|"[A-Z ]*""WELCOME""/, 'quotes in quotes');
is(scalar(() = $a =~ /^A/gm), 3, 'three A-invoices');

put("$dir/a.csv", $a);
$r = loyalty('demo', 'events', "$dir/a.csv");
is($r->{code}, 0, 'becomes events');
like($r->{err}, qr/3 A-invoices skipped/, 'the A-invoices are counted');
my @events = map { $Test::Loyalty::JSON->decode($_) } split /\n/, $r->{out};
my @times = map { "$_->{occurred_at} $_->{external_id}" } @events;
is_deeply(\@times, [sort @times], 'in order of time, then number');
my %invoice;
$invoice{ (split /,/)[0] }++ for grep { /^C?\d/ } split /\n/, $a;
is(scalar @events, scalar keys %invoice, 'one of each invoice');
is_deeply([grep { @{ ($_->{order} // $_->{refund})->{lines} } != $invoice{ $_->{external_id} } } @events],
          [], 'with all its lines');
system('zstd', '-q', "$dir/a.csv", '-o', "$dir/a.csv.zst");
is(loyalty('demo', 'events', "$dir/a.csv.zst")->{out}, $r->{out}, 'packed, the same');

put("$dir/bad.csv", "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
    . "1,A,x,many,2020-01-01 00:00:00,1.0,5,UK\n");
$r = loyalty('demo', 'events', "$dir/bad.csv");
is($r->{code}, 7, 'a bad line is refused');
like($r->{err}, qr/line 2: Quantity/, 'and named');

SKIP: {
    my $real = Test::Loyalty::data('online_retail_2011/online_retail_2010-12_2011-12.csv.zst');
    skip 'LOYALTY_DATA has no real year', 2 if !$real;
    $r = loyalty('demo', 'events', $real);
    like($r->{err}, qr/^541909 lines: 22061 orders, 3836 refunds, .*3 A-invoices/,
         'the real year, whole');
    is(scalar(() = $r->{out} =~ /"member":/g), 22190, '22,190 invoices with a member');
}


sub loyalty { return $t->loyalty([@_]) }

sub put {
    my ($path, $text) = @_;
    open my $fh, '>', $path or die "$path: $!";
    print {$fh} $text;
    close $fh;
}
