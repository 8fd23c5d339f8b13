#!/usr/bin/perl

# Breaks the rules engine one operator, constant, bound or return at a time
# and runs the engine's unit tests on it.  A mutant that lives is a missing
# test, unless its reason stands at the end of this file.
#
#   dev/mutants_rule.pl [--all | --sample N] [--seed S] [--jobs J] [FILE...]
#
# Takes 200 mutants, or N of them, by a seed that is printed; --all takes each,
# which is hours.  FILE: only mutants of worker/rule/FILE.c.  Works in
# build/mutants-rule/; only the object that changed is compiled anew.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(basename dirname);
use File::Path qw(make_path);
use Getopt::Long qw(GetOptions);
use List::Util qw(shuffle);
use POSIX qw(:sys_wait_h);

use constant TIMEOUT => 60;    # seconds for one run of one test program
use constant AIM     => 95;    # of a hundred mutants

my $root = abs_path(dirname(abs_path($0)) . '/..');
chdir $root or die "$root: $!\n";

my ($sample, $seed, $jobs, $every) = (200, time, 1);
GetOptions('all' => \$every, 'sample=i' => \$sample, 'seed=i' => \$seed, 'jobs=i' => \$jobs) or exit 2;
$sample = 0 if $every;
my %only = map { s/\.c$//r => 1 } map { basename $_ } @ARGV;

my $out = 'build/mutants-rule';
make_path($out);

my @cc = qw(gcc -std=c11 -D_GNU_SOURCE= -D_FILE_OFFSET_BITS=64 -O1 -w -fPIC -I. -Icommon -Iworker
    -Iworker/rule);
my @libs  = qw(-lyajl -lcrypto -lm);
my @rule  = glob 'worker/rule/*.c';
my @tests = grep { !/rule_nomem/ } glob 't/unit/rule_*.c';

# the fast ones first: what fails there costs no more
my %slow = map { $_ => 1 } qw(rule_engine rule_nomem);
@tests = sort { ($slow{ basename $a, '.c' } // 0) <=> ($slow{ basename $b, '.c' } // 0) or $a cmp $b } @tests;

# --- the reasons

my (%reason, %used);
while (<DATA>) {
    chomp;
    next if !length or /^#/;
    my ($where, $why) = split /\s*:::\s*/;
    $reason{$where} = $why;
}

# --- the mutants: file, line, column, what stands there, what then

my @swap = (
    [qr/(?<![<>=!&|+\-*\/%])==(?!=)/, '!='],
    [qr/!=/,                   '=='],
    [qr/<=/,                   '<'],
    [qr/>=/,                   '>'],
    [qr/(?<=\s)<(?=\s)/,       '<='],
    [qr/(?<=\s)>(?=\s)/,       '>='],
    [qr/&&/,                   '||'],
    [qr/\|\|/,                 '&&'],
    [qr/(?<=\s)\+(?=\s)/,      '-'],
    [qr/(?<=\s)-(?=\s)/,       '+'],
    [qr/(?<=\s)\*(?=\s)/,      '+'],
    [qr/(?<=\s)\/(?=\s)/,      '*'],
    [qr/(?<=\s)%(?=\s)/,       '/'],
    [qr/\+=/,                  '-='],
    [qr/-=/,                   '+='],
    [qr/(?<=\w)\+\+/,          '--'],
    [qr/(?<=[\s(])!(?=[\w(])/, ''],
    [qr/\breturn true\b/,      'return false'],
    [qr/\breturn false\b/,     'return true'],
    [qr/(?<=[\s=(,])true(?=[;,)])/,  'false'],
    [qr/(?<=[\s=(,])false(?=[;,)])/, 'true'],
    [qr/\bbreak;/,             ';'],
    [qr/\bcontinue;/,          ';'],
    [qr/(?<![\w.x"'\[])[1-9]\d*(?![\w."'])/, sub { $_[0] + 1 }],
    [qr/(?<![\w.x"'\[])0(?![\w."'])/,        '1'],
    [qr/\bRULE_[A-Z]+_MAX\b/,  sub { "($_[0] - 1)" }],
);

my @mutants;
for my $file (@rule) {
    my $base = basename($file, '.c');
    next if %only && !$only{$base};
    next if $base eq 'rule_casefold' && !$only{$base};    # a table, tested by its vectors
    open my $in, '<', $file or die "$file: $!\n";
    my @text = <$in>;
    close $in;

    my ($body, $comment, $n, $table) = (0, 0, 0, 0);
    for my $line (@text) {
        $n++;
        $comment = 1 if $line =~ m{^\s*/\*};
        my $is_comment = $comment;
        $comment = 0 if $line =~ m{\*/};
        $body = 1 if $line eq "{\n";
        $body = 0 if $line eq "}\n";
        next if $is_comment || !$body;

        # declarations of tables, and what only serves a sanitizer, do not count
        $table = 1 if $line =~ /^\s+static const/ && $line !~ /;$/;
        if ($table) {
            $table = 0 if $line =~ /;$/;
            next;
        }
        next if $line =~ /^\s*(?:#|case\b|\w[\w ]*\s\**\w+(?:, \**\w+)*;$)/;

        # texts of people and of JSON are no code
        my $bare = $line =~ s/("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')/'"' x length $1/ger;
        $bare =~ s{/\*.*}{};
        for my $s (@swap) {
            my ($re, $with) = @$s;
            while ($bare =~ /($re)/g) {
                my ($was, $at) = ($1, pos($bare) - length $1);
                push @mutants,
                    { file => $file, base => $base, line => $n, at => $at, was => $was,
                    then => ref $with ? $with->($was) : $with, text => $line };
            }
        }
    }
}

my $all = @mutants;
if ($sample && $sample < @mutants) {
    srand $seed;
    @mutants = (shuffle @mutants)[ 0 .. $sample - 1 ];
}
printf "# %d of %d mutants, seed %d\n", scalar @mutants, $all, $seed;
$| = 1;

# --- what does not change

my $newest = (sort { $b <=> $a } map { (stat)[9] } glob('common/*.h worker/rule/*.h t/unit/*.h'))[0];

sub object {
    my ($src) = @_;
    my $obj = "$out/" . ($src =~ m{^t/} ? 't/' : '') . basename($src, '.c') . '.o';
    my $have = (stat $obj)[9] // 0;
    if ($have <= (stat $src)[9] || $have <= $newest) {
        system(@cc, '-c', '-o', $obj, $src) == 0 or die "$src does not compile\n";
    }
    return $obj;
}

make_path("$out/t");
my @common = map { object($_) } glob 'common/*.c';
my %object = map { $_ => object($_) } @rule;

# the engine is a library of its own, so that one link serves all tests
sub library {
    my ($dir, $objects) = @_;
    return system('gcc', '-shared', '-o', "$dir/librule.so", @$objects, @common, @libs) == 0;
}

make_path("$out/0");
library("$out/0", [values %object]) or die "the engine does not link\n";
for my $t (@tests) {
    my $obj = object($t);
    my $bin = $obj =~ s/\.o$//r;
    next if ((stat $bin)[9] // 0) > (stat $obj)[9];
    system('gcc', '-o', $bin, $obj, "-L$out/0", '-lrule', @libs) == 0 or die "$t does not link\n";
}

# the engine that is not broken must pass, or nothing is known
sub run_tests {
    my ($dir) = @_;
    local $ENV{LD_LIBRARY_PATH} = $dir;
    for my $t (@tests) {
        my $name = basename($t, '.c');
        my $rc = system('timeout -k 1 ' . TIMEOUT . " $out/t/$name > $dir/log 2>&1");
        return $name if $rc != 0;
    }
    return;
}

my $bad = run_tests("$out/0");
die "$bad fails without a mutant; see $out/0/log\n" if defined $bad;

# --- one after the other, in as many lanes as asked

sub try_one {
    my ($m, $dir) = @_;
    my $src = "$dir/$m->{base}.c";
    open my $in, '<', $m->{file} or die;
    my @text = <$in>;
    close $in;
    substr($text[ $m->{line} - 1 ], $m->{at}, length $m->{was}) = $m->{then};
    open my $fh, '>', $src or die;
    print $fh "#line 1 \"$m->{file}\"\n", @text;
    close $fh;
    return 'stillborn' if system(@cc, '-iquote', 'worker/rule', '-c', '-o', "$dir/m.o", $src) != 0;

    # what the compiler makes the same of is no mutant
    return 'same' if system('cmp', '-s', "$dir/m.o", $object{ $m->{file} }) == 0;
    my @objects = ("$dir/m.o", map { $object{$_} } grep { $_ ne $m->{file} } @rule);
    return 'stillborn' if !library($dir, \@objects);
    return run_tests($dir) // 'lives';
}

my ($killed, $lives, $excused, $none) = (0, 0, 0, 0);
my @survivors;
my @lanes = (undef) x $jobs;
my @queue = @mutants;
my $done  = 0;

sub finish {
    my ($lane, $status) = @_;
    my $m = $lane->{mutant};
    my $code = $status >> 8;
    $done++;
    if ($code == 3 || $code == 4) {
        $none++;
    } elsif ($code != 0) {
        $killed++;
    } else {
        my $key = "$m->{base}: " . ($m->{text} =~ s/^\s+|\s+$//gr) . " [$m->{was} -> $m->{then}]";
        if (exists $reason{$key}) {
            $used{$key} = 1;
            $excused++;
        } else {
            $lives++;
            push @survivors, "$m->{file}:$m->{line}: $key";
            print "LIVES $m->{file}:$m->{line}: $key\n";
        }
    }
    print "# $done of ", scalar @mutants, ": $killed killed, $lives live\n" if $done % 200 == 0;
    return;
}

while (@queue || grep { defined } @lanes) {
    for my $i (0 .. $#lanes) {
        next if defined $lanes[$i] || !@queue;
        my $m   = shift @queue;
        my $dir = "$out/" . ($i + 1);
        make_path($dir);
        my $pid = fork // die "fork: $!\n";
        if ($pid == 0) {
            open STDERR, '>', "$dir/stderr";
            my $r = try_one($m, $dir);
            POSIX::_exit($r eq 'lives' ? 0 : $r eq 'stillborn' ? 3 : $r eq 'same' ? 4 : 1);
        }
        $lanes[$i] = { pid => $pid, mutant => $m };
    }
    my $pid = waitpid(-1, 0);
    for my $i (0 .. $#lanes) {
        next if !defined $lanes[$i] || $lanes[$i]{pid} != $pid;
        finish($lanes[$i], $?);
        $lanes[$i] = undef;
    }
}

my $counted = $killed + $lives;
printf "worker/rule: %d of %d mutants killed, %.1f %%; %d equivalent with a reason, %d not compiled or the same\n",
    $killed, $counted, $counted ? 100 * $killed / $counted : 100, $excused, $none;
if (!$sample && !%only) {
    print "a reason for no mutant: $_\n" for grep { !$used{$_} } sort keys %reason;
}
exit($counted && 100 * $killed / $counted < AIM ? 1 : 0);

# file: line [was -> then] ::: why it changes nothing that can be seen
__DATA__
