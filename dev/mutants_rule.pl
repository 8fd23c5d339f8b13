#!/usr/bin/perl

# Breaks the rules engine one operator, constant, bound or return at a time
# and runs the engine's unit tests on it.  A mutant that lives is a missing
# test, unless its reason stands at the end of this file.
#
#   dev/mutants_rule.pl [--all | --sample N] [--seed S] [--jobs J]
#                       [--again [--open]] [--list] [FILE...]
#
# Takes 400 mutants, or N of them, by a seed that is printed; --all, or a FILE
# without --sample, takes each.  FILE: only mutants of worker/rule/FILE.c.
# --again: what runs before this one killed is taken as killed (also by a run
# that was broken off), unless its function has changed since: only the others
# are run, to see that a new test kills them.  --open: nor those that lived and
# have a reason.
#
# Prints a table of the files; the mutants that live stand in
# build/mutants-rule/living.tsv, which --list prints too: file:line:column,
# function, was, then, the line, separated by tabs.  Exit 1 below 95 of 100.
#
# Every source is compiled once with all its mutants: each function becomes a
# jump through a pointer, beside as many copies of it as it has mutants.  All
# tests are one program that forks, sets the pointer, runs a test and stops at
# the first failure.  Only tests that reach the mutant's line are run.

use strict;
use warnings;

use Cwd qw(abs_path);
use Digest::MD5 qw(md5_hex);
use File::Basename qw(basename dirname);
use File::Path qw(make_path);
use Getopt::Long qw(GetOptions);
use IO::Handle;
use IO::Select;
use IPC::Open2 qw(open2);
use JSON::PP ();
use List::Util qw(max shuffle sum0);

use constant AIM => 95;    # of a hundred mutants

my $root = abs_path(dirname(abs_path($0)) . '/..');
chdir $root or die "$root: $!\n";

my ($sample, $seed, $jobs, $every, $list, $again, $open) = (undef, time, 1);
GetOptions(
    'all'      => \$every,
    'sample=i' => \$sample,
    'seed=i'   => \$seed,
    'jobs=i'   => \$jobs,
    'list'     => \$list,
    'again'    => \$again,
    'open'     => \$open
) or exit 2;
my %only = map { s/\.c$//r => 1 } map { basename $_ } @ARGV;
$sample //= 400 if !$every && !%only && !$again;
$sample = 0 if $every;

my $out = 'build/mutants-rule';
make_path($out);
$| = 1;

my @cc = qw(gcc -std=c11 -D_GNU_SOURCE= -D_FILE_OFFSET_BITS=64 -w -I. -Icommon -Iworker -Iworker/rule);
my @libs  = qw(-lyajl -lcrypto -lm);
my @rule  = glob 'worker/rule/*.c';
my @tests = map { basename $_, '.c' } glob 't/unit/rule_*.c';
my $json  = eval { require JSON::XS; JSON::XS->new } || JSON::PP->new;

# --- the reasons: where ::: a piece of the line as it is listed ::: why

my @reason;
while (<DATA>) {
    chomp;
    next if !length or /^#/;
    my ($where, $piece, $why) = split /\s*:::\s*/;
    die "a reason has three parts: $_\n" if !defined $why;
    $where = join '.*', map { quotemeta } split /\*/, $where, -1;
    my $wide = $piece =~ m{^/(.*)/$};
    $piece = $wide ? $1 : quotemeta $piece;
    push @reason, { where => qr/^$where$/, piece => qr/$piece/, wide => $wide, why => $why, text => $_, used => 0 };
}

sub reason_of {
    my ($m) = @_;
    my ($r) = grep {
        "$m->{base} $m->{function}" =~ $_->{where}
            && ($_->{wide} ? "$m->{before} | $m->{shown}" : $m->{shown}) =~ $_->{piece}
    } @reason;
    return $r;
}

# --- the functions and the mutants of a source

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

sub read_lines {
    my ($file) = @_;
    open my $in, '<', $file or die "$file: $!\n";
    my @text = <$in>;
    close $in;
    return @text;
}

# a function: its name, the lines of its head, where its body begins and ends
sub functions {
    my (@text) = @_;
    my @found;
    for my $i (0 .. $#text) {
        next if $text[$i] ne "{\n";
        my $head = $i;
        $head-- while $head > 0 && $text[ $head - 1 ] !~ m{^\s*$|\*/\s*$|^\}|^#};
        my ($name) = map { /^(?!__attribute__)(\w+)\(/ ? $1 : () } @text[ $head .. $i - 1 ];
        next if !defined $name;
        my $end = $i;
        $end++ while $text[$end] ne "}\n";
        push @found, { name => $name, head => $head, body => $i, end => $end };
    }
    return @found;
}

sub mutants_of {
    my ($file, $text, $functions) = @_;
    my @found;
    for my $f (@$functions) {
        my $digest = md5_hex(@{$text}[ $f->{head} .. $f->{end} ]);
        my ($comment, $table) = (0, 0);
        for my $n ($f->{body} + 1 .. $f->{end} - 1) {
            my $line = $text->[$n];
            $comment = 1 if $line =~ m{^\s*/\*};
            my $is_comment = $comment;
            $comment = 0 if $line =~ m{\*/};
            next if $is_comment;

            # declarations of tables, and what only serves a sanitizer, do not count
            $table = 1 if $line =~ /^\s+static const/;
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
                    my $then = ref $with ? $with->($was) : $with;
                    my $shown = $line;
                    substr($shown, $at, length $was) = "{{$was -> $then}}";
                    push @found,
                        { key => join(' ', $digest, $n - $f->{head}, $at, $then), file => $file, base => basename($file, '.c'), function => $f->{name}, line => $n + 1,
                        at => $at, was => $was, then => $then, shown => $shown =~ s/^\s+|\s+$//gr,
                          before => $text->[ $n - 1 ] =~ s/^\s+|\s+$//gr };
                }
            }
        }
    }
    return @found;
}

my (%text, %functions, @mutants);
my $number = 0;    # of the source, so that its mutants' are the same in every run
my %known;     # what earlier runs found, by the function's text and the mutant
if ($again && -e "$out/state.tsv") {
    %known = map { /^(.*)\t(.*)$/ ? ($1 => $2) : () } read_lines("$out/state.tsv");
}
for my $file (@rule) {
    my $base = basename($file, '.c');
    $number++;
    $text{$file}      = [read_lines($file)];
    $functions{$file} = [functions(@{ $text{$file} })];
    next if %only && !$only{$base};
    next if $base eq 'rule_casefold' && !$only{$base};    # a table, tested by its vectors
    my @of = sort { $a->{line} <=> $b->{line} || $a->{at} <=> $b->{at} }
        mutants_of($file, $text{$file}, $functions{$file});
    $of[$_]{id} = 10000 * $number + $_ for 0 .. $#of;
    push @mutants, @of;
}

my $all = @mutants;
if ($sample && $sample < @mutants) {
    srand $seed;
    @mutants = (shuffle @mutants)[ 0 .. $sample - 1 ];
}
@mutants = sort { $a->{file} cmp $b->{file} || $a->{line} <=> $b->{line} || $a->{at} <=> $b->{at} } @mutants;
printf "# %d of %d mutants%s\n", scalar @mutants, $all, $sample ? ", seed $seed" : '';

# --- the sources with their mutants

my @headers = glob 'common/*.h worker/rule/*.h';
my @theirs  = glob 't/unit/*.h';

sub is_fresh {
    my ($made, @from) = @_;
    my $have = (stat $made)[9] // 0;
    return !grep { $have <= (stat)[9] } @headers, @from;
}

sub write_if_new {
    my ($file, $content) = @_;
    if (open my $in, '<', $file) {
        local $/;
        my $there = <$in>;
        return if $there eq $content;
    }
    open my $fh, '>', $file or die "$file: $!\n";
    print $fh $content;
    close $fh or die "$file: $!\n";
    return;
}

sub copy_of {
    my ($f, $lines, $name, $m) = @_;
    my @copy = @{$lines}[ $f->{head} .. $f->{end} ];
    substr($copy[ $m->{line} - 1 - $f->{head} ], $m->{at}, length $m->{was}) = $m->{then} if $m;
    s/^\Q$f->{name}\E\(/$name(/ for @copy[ 0 .. $f->{body} - $f->{head} - 1 ];
    $copy[0] = "static $copy[0]" if $copy[0] !~ /^(?:static|__attribute__)\b/;
    return join '', @copy;
}

sub schema {
    my ($file, @of) = @_;
    my $lines = $text{$file};
    my %by;
    push @{ $by{ $_->{function} } }, $_ for @of;
    my ($at, $c, @table) = (0, '');
    for my $f (@{ $functions{$file} }) {
        next if !$by{ $f->{name} };
        my $name = $f->{name};
        $c .= sprintf "#line %d \"%s\"\n", $at + 1, $file;
        $c .= join '', @{$lines}[ $at .. $f->{head} - 1 ];
        my $head = join '', @{$lines}[ $f->{head} .. $f->{body} - 1 ];
        $c .= $head =~ s/\n$/;\n/r;
        $c .= sprintf "#line %d \"%s\"\n", $f->{head} + 1, $file;
        $c .= copy_of($f, $lines, "${name}__0");
        for my $m (@{ $by{$name} }) {
            $c .= sprintf "#line %d \"mutant/%d\"\n", $f->{head} + 1, $m->{id};
            $c .= copy_of($f, $lines, "${name}__$m->{id}", $m);
            push @table, "{ $m->{id}, (void **) &${name}__to, (void *) ${name}__$m->{id} },\n";
        }
        $c .= "static void *${name}__to __attribute__((used)) = (void *) ${name}__0;\n";
        $c .= '__asm__(".text\n' . ($head =~ /^static\b/m ? '' : ".globl $name\\n")
            . ".type $name, \@function\\n$name: jmp *${name}__to(%rip)\\n\");\n";
        $at = $f->{end} + 1;
    }
    $c .= sprintf "#line %d \"%s\"\n", $at + 1, $file;
    $c .= join '', @{$lines}[ $at .. $#$lines ];
    $c =~ s/^static inline(?: __attribute__\(\(always_inline\)\))?/static/mg;    # there is nothing to inline
    my $base = basename $file, '.c';
    $c .= "const struct { long id; void **to; void *then; } mutants_${base}[] = {\n@table\{ 0 } };\n";
    return $c;
}

# what the compiler makes the same of is no mutant: the functions' code, with
# labels and the numbers of static objects by their order
sub bodies {
    my ($asm) = @_;
    my (%body, $name, @code, %label);
    open my $in, '<', $asm or die "$asm: $!\n";
    while (<$in>) {
        if (/^(\w+?)__(\d+):$/) {
            $name  = $2 == 0 ? $1 : $2;
            @code  = ();
            %label = ();
            next;
        }
        next if !defined $name;
        if (/^\s+\.size\s+\w+__\d+,/) {
            $body{$name} = join '', @code;
            undef $name;
            next;
        }
        next if /^\s*\.(?:cfi|loc|p2align|align)|^\.LF[BE]\d+:/;
        s/\.L(\d+)/'.l' . ($label{$1} \/\/= keys %label)/ge;
        s/\b([a-z]\w*)\.\d+\b/$1.#/g;
        push @code, $_;
    }
    close $in;
    return \%body;
}

make_path("$out/t");
my %state;    # of a mutant: none (does not compile), same, or who killed it
my @objects;
for my $src (glob 'common/*.c') {
    my $obj = "$out/" . basename($src, '.c') . '.o';
    if (!is_fresh($obj, $src)) {
        system(@cc, '-O2', '-c', '-o', $obj, $src) == 0 or die "$src does not compile\n";
    }
    push @objects, $obj;
}
my @tables;
for my $src (@rule) {
    my $base = basename $src, '.c';
    my ($c, $asm, $obj) = map { "$out/$base$_" } '.c', '.s', '.o';
    my @of = grep { $_->{file} eq $src } @mutants;
    push @objects, $obj;
    push @tables, $base;

    # what did not compile before does not now
    my $none = "$out/$base.none";
    my %none = is_fresh($none, $src) ? map { s/\s+//gr => 1 } read_lines($none) : ();
    $state{ $_->{id} } = 'none' for grep { $none{ $_->{id} } } @of;
    while (1) {
        write_if_new($c, schema($src, grep { !$state{ $_->{id} } } @of));
        last if is_fresh($obj, $c);
        last if system("@cc -O1 -fno-reorder-blocks-and-partition -S -o $asm $c 2> $out/stderr") == 0
            && system('gcc', '-c', '-o', $obj, $asm) == 0;
        my %bad = map { m{^mutant/(\d+):.*error:} ? ($1 => 1) : () } read_lines("$out/stderr");
        die read_lines("$out/stderr"), "$src does not compile\n" if !%bad;
        $state{$_} = 'none' for keys %bad;
        $none{$_} = 1 for keys %bad;
        open my $fh, '>', $none or die;
        print $fh map { "$_\n" } sort keys %none;
        close $fh;
    }
    my $body = bodies($asm);
    for my $m (@of) {
        next if $state{ $m->{id} };
        $state{ $m->{id} } = 'same' if $body->{ $m->{id} } eq $body->{ $m->{function} };
    }
}

# --- all tests as one program

for my $t (@tests) {
    my $obj = "$out/t/$t.o";
    if (!is_fresh($obj, "t/unit/$t.c", @theirs)) {
        system(@cc, '-O1', '-DTAP_STOP', "-Dmain=main_$t", '-c', '-o', $obj, "t/unit/$t.c") == 0
            or die "$t does not compile\n";
    }
    push @objects, $obj;
}
my $run = join '', map { "extern const mutant_t mutants_${_}[];\n" } @tables;
$run .= join '', map { "int main_$_(void);\n" } @tests;
$run .= 'static const mutant_t *const tables[] = { ' . join(', ', map { "mutants_$_" } @tables) . ", NULL };\n";
$run .= 'static int (*const tests[])(void) = { ' . join(', ', map { "main_$_" } @tests) . " };\n";
write_if_new("$out/run.c", <<'C' =~ s/TABLES/$run/r);
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
typedef struct { long id; void **to; void *then; } mutant_t;
TABLES
/* reads: mutant, test, milliseconds of processor time that it may take;
   answers: mutant, test, 0 if the test passed, milliseconds taken */
int
main(int argc, char **argv)
{
    int               status, fd;
    long              id, test, ms, i, k;
    char              line[200];
    pid_t             pid;
    struct rusage     use;
    struct rlimit     room = { (size_t) 3 << 30, (size_t) 3 << 30 };
    struct itimerval  timer = { { 0, 0 }, { 0, 0 } };

    signal(SIGINT, SIG_IGN);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        sscanf(line, "%ld %ld %ld", &id, &test, &ms);
        pid = fork();
        if (pid == 0) {
            fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0666);
            dup2(fd, 1);
            dup2(fd, 2);
            close(0);
            setrlimit(RLIMIT_AS, &room);
            room.rlim_cur = room.rlim_max = 0;
            setrlimit(RLIMIT_CORE, &room);
            timer.it_value.tv_sec = ms / 1000;
            timer.it_value.tv_usec = ms % 1000 * 1000;
            setitimer(ITIMER_PROF, &timer, NULL);
            alarm(60);
            for (i = 0; id != 0 && tables[i] != NULL; i++) {
                for (k = 0; tables[i][k].id != 0; k++) {
                    if (tables[i][k].id == id) {
                        *tables[i][k].to = tables[i][k].then;
                    }
                }
            }
            exit(tests[test]() != 0);
        }
        if (pid < 0 || wait4(pid, &status, 0, &use) != pid) {
            return 1;
        }
        printf("%ld %ld %d %ld\n", id, test, status != 0,
               (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000
               + (use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1000);
        fflush(stdout);
    }
    return 0;
}
C
system('gcc', '-O1', '-w', '-no-pie', '-o', "$out/run", "$out/run.c", @objects, @libs) == 0
    or die "the tests do not link\n";

# a failure is the first line of a runner's log
sub runner {
    my ($n) = @_;
    my $pid = open2(my $from, my $to, "$out/run", "$out/log.$n");
    $to->autoflush(1);
    return { pid => $pid, from => $from, to => $to, log => "$out/log.$n" };
}

# the engine that is not broken must pass, or nothing is known
my @ms;
{
    my $lane = runner(0);
    for my $i (0 .. $#tests) {
        print { $lane->{to} } "0 $i 100000\n";
        my (undef, undef, $bad, $ms) = split ' ', readline $lane->{from};
        die "$tests[$i] fails without a mutant; see $lane->{log}\n" if $bad;
        $ms[$i] = $ms;
    }
    close $lane->{to};
    waitpid $lane->{pid}, 0;
}

# --- which test reaches which line

my %reach;
{
    my $dir = "$out/cover";
    make_path($dir);
    my @obj;
    for my $src (@rule) {
        my $obj = "$dir/" . basename($src, '.c') . '.o';
        push @obj, $obj;
        next if is_fresh($obj, $src);
        unlink $obj =~ s/o$/gcda/r, glob "$dir/*.json";
        system(@cc, qw(-O0 --coverage -c -o), $obj, $src) == 0 or die "$src does not compile\n";
    }
    my @common = grep { m{/ly_\w+\.o$} } @objects;
    for my $i (0 .. $#tests) {
        my $kept = "$dir/$tests[$i].json";
        if (!is_fresh($kept, @obj, "t/unit/$tests[$i].c", @theirs, glob 't/vectors/rules/*')) {
            unlink glob "$dir/*.gcda";
            my $bin = "$dir/$tests[$i]";
            system('gcc', '-c', @cc[ 1 .. $#cc ], '-O1', '-o', "$bin.t.o", "t/unit/$tests[$i].c") == 0
                && system('gcc', '--coverage', '-o', $bin, "$bin.t.o", @obj, @common, @libs) == 0
                or die "$tests[$i] does not link\n";
            system("$bin > /dev/null 2>&1");
            my %hit;
            my $files = join ' ', glob "$dir/*.gcda";
            for my $text (map { $json->decode($_) } `gcov -j -t $files 2> /dev/null`) {
                for my $f (@{ $text->{files} }) {
                    next if $f->{file} !~ m{^worker/rule/};
                    $_->{count} && push @{ $hit{ $f->{file} } }, $_->{line_number} for @{ $f->{lines} };
                }
            }
            open my $fh, '>', $kept or die;
            print $fh $json->encode(\%hit);
            close $fh;
        }
        my $hit = $json->decode(join '', read_lines($kept));
        for my $file (keys %$hit) {
            $reach{$file}{$_}{$i} = 1 for @{ $hit->{$file} };
        }
    }
}

# gcov counts a statement on its first line: what stands on a further line is
# reached where the next counted line above it is, within the function
my %counted;
{
    my $dir = "$out/cover";
    for my $src (@rule) {
        my $gcno = "$dir/" . basename($src, '.c') . '.gcno';
        for my $text (map { $json->decode($_) } `gcov -j -t $gcno 2> /dev/null`) {
            for my $f (@{ $text->{files} }) {
                $counted{ $f->{file} }{ $_->{line_number} } = 1 for @{ $f->{lines} };
            }
        }
    }
}

sub tests_of {
    my ($m) = @_;
    my ($f) = grep { $_->{name} eq $m->{function} } @{ $functions{ $m->{file} } };
    my %t;
    my $n = $m->{line};
    %t = %{ $reach{ $m->{file} }{$n} // {} } if $counted{ $m->{file} }{$n};

    # up to the statement's first line
    until ($counted{ $m->{file} }{$n} && $text{ $m->{file} }[ $n - 2 ] =~ /[;{}:]\s*$|^\s*$|\*\/\s*$/) {
        $n--;
        last if $n <= $f->{body};
        %t = (%t, %{ $reach{ $m->{file} }{$n} // {} });
    }
    # a declaration above all code: whoever comes into the function
    my ($first) = grep { $counted{ $m->{file} }{$_} } $f->{body} + 2 .. $f->{end} + 1;
    %t = %{ $reach{ $m->{file} }{$first} // {} } if defined $first && $first > $m->{line};
    return keys %t;
}

# --- one after the other, in as many lanes as asked

open my $states, $again ? '>>' : '>', "$out/state.tsv" or die;
$states->autoflush(1);
open my $killers, $again ? '>>' : '>', "$out/killed.tsv" or die;
$killers->autoflush(1);
my (%lane, @living);
my $select = IO::Select->new;
my %kills;    # of a test, in a file
for my $n (1 .. $jobs) {
    my $l = runner($n);
    $lane{ $l->{from} } = $l;
    $select->add($l->{from});
}
my @queue = grep { !$state{ $_->{id} } } @mutants;
for my $m (@queue) {
    my $before = $known{ $m->{key} } // 'new';
    next if $before eq 'new' || ($before =~ /^(?:lives|unreached)$/ && !($open && reason_of($m)));
    $state{ $m->{id} } = $before;
}
# in any order, so that a run that is broken off has taken a sample
@queue = shuffle grep { !$state{ $_->{id} } } @queue;
local $SIG{INT} = local $SIG{TERM} = sub { @queue = () };
my ($todo, $done, $busy, $killed) = (scalar @queue, 0, 0, 0);

sub next_test {
    my ($l) = @_;
    my $t = shift @{ $l->{tests} };
    return finish($l, 'lives') if !defined $t;
    my $limit = 10 * $ms[$t] + 200;
    $l->{test} = $t;
    print { $l->{to} } "$l->{mutant}{id} $t $limit\n";
    return;
}

sub finish {
    my ($l, $what) = @_;
    $state{ $l->{mutant}{id} } = $what;
    print $states "$l->{mutant}{key}\t$what\n";
    print STDERR "lives: $l->{mutant}{file}:$l->{mutant}{line}: $l->{mutant}{shown}\n" if $what eq 'lives';
    $done++;
    $killed++ if $what ne 'lives';
    print STDERR "# $done of $todo: $killed killed\n" if $done % 200 == 0;
    return next_mutant($l);
}

sub next_mutant {
    my ($l) = @_;
    while (my $m = shift @queue) {
        my $k = $kills{ $m->{file} } //= {};
        my @t = sort { (1 + ($k->{$b} // 0)) / ($ms[$b] + 3) <=> (1 + ($k->{$a} // 0)) / ($ms[$a] + 3) } tests_of($m);
        if (!@t) {
            $state{ $m->{id} } = 'unreached';
            $done++;
            next;
        }
        @{$l}{qw(mutant tests)} = ($m, \@t);
        $busy++ if !$l->{busy}++;
        return next_test($l);
    }
    $busy-- if delete $l->{busy};
    return;
}

next_mutant($_) for values %lane;
while ($busy) {
    for my $from ($select->can_read) {    # none when a signal came
        my $l      = $lane{$from};
        my $answer = readline $from // die "the runner ended\n";
        my (undef, $t, $bad) = split ' ', $answer;
        if ($bad) {
            $kills{ $l->{mutant}{file} }{$t}++;
            my ($first) = read_lines($l->{log});
            my $m = $l->{mutant};
            print $killers join("\t", "$m->{file}:$m->{line}:" . ($m->{at} + 1), @$m{qw(function was then)}, $tests[$t],
                $first // "ended\n");
            finish($l, $tests[$t]);
        } else {
            next_test($l);
        }
    }
}
for my $l (values %lane) {
    close $l->{to};
    waitpid $l->{pid}, 0;
}

# --- the table, and who lives

my (%count, @contradicted);
for my $m (@mutants) {
    my $s = $state{ $m->{id} } // 'left';
    my $r = reason_of($m);
    my $lives = $s eq 'lives' || $s eq 'unreached';
    $r->{used} = 1 if $r && $lives;
    push @contradicted, "$m->{file}:$m->{line}: $m->{shown}: $s kills it, yet: $r->{why}"
        if $r && !$lives && $s !~ /^(?:none|same|left)$/;
    push @living, $m if $lives && !$r;
    $count{ $m->{base} }{ $lives ? $r ? 'reason' : $s : $s =~ /^(?:none|same|left)$/ ? $s : 'killed' }++;
}

open my $tsv, '>', "$out/living.tsv" or die;
for my $m (@living) {
    my $row = join "\t", "$m->{file}:$m->{line}:" . ($m->{at} + 1), $m->{function}, $m->{was}, $m->{then},
        $state{ $m->{id} }, $m->{shown};
    print $tsv "$row\n";
    print "$row\n" if $list;
}
close $tsv;

my @columns = qw(killed lives unreached reason same none left);
my %sum;
my @times = times;
printf "# %d s of processor time, compilers and all\n", sum0 @times;
printf "%-22s %7s %7s %9s %10s %6s %12s %7s %7s\n", 'file', 'killed', 'living', 'unreached', 'equivalent', 'same',
    'not compiled', 'not run', 'of 100';
for my $base (sort(keys %count), 'all') {
    my $c = $base eq 'all' ? \%sum : $count{$base};
    my @n = map { $c->{$_} // 0 } @columns;
    my $counted = $n[0] + $n[1] + $n[2];
    printf "%-22s %7d %7d %9d %10d %6d %12d %7d %7.1f\n", $base, @n, $counted ? 100 * $n[0] / $counted : 100;
    next if $base eq 'all';
    $sum{$_} += $c->{$_} // 0 for @columns;
}
print "not so: $_\n" for @contradicted;
if (!$sample && !%only) {
    print "a reason for no mutant: $_->{text}\n" for grep { !$_->{used} } @reason;
}
my $counted = sum0 map { $sum{$_} // 0 } qw(killed lives unreached);
exit($counted && 100 * $sum{killed} / $counted < AIM ? 1 : 0);

# file function ::: a piece of the line, or /a pattern/ of the line before it,
# " | " and the line ::: why it changes nothing that can be seen.  A star in the
# first part stands for anything.
__DATA__

rule_compat rule_js_div ::: {{> -> >=}} 0) == (signbit ::: a dividend of 0 has been answered before
rule_compat* rule_js_* ::: {{> -> >=}} RULE_JS_UNITS ::: no arena here holds that many bytes
rule_compat rule_js_find ::: {{< -> <=}} name->n ::: the unit behind the name does not make the two as long
rule_compat_value rule_js_utf8 ::: c {{< -> <=}} 0x80 ::: no character of UTF-8 begins with that byte
rule_compat_value rule_js_member ::: other {{< -> <=}} at ::: two members of one name are refused
rule_compat_value rule_js_number_text ::: fabs(d) {{< -> <=}} ::: both formats write 2^53 alike
rule_compat_value rule_js_number_text ::: b.len : {{0 -> 1}} ::: a finite number always has a text
rule_compat_value rule_js_decimal ::: i = n > {{0 -> 1}} ::: a sign alone is no number, taken off or not
rule_compat_value rule_js_decimal ::: if (i {{< -> <=}} n && (s[i] == 'e' ::: behind the end no digit follows the e
rule_compat_value rule_js_decimal ::: if (exp {{< -> <=}} n && (s[exp] == '+' ::: behind the end no digit follows the sign
rule_compat_value rule_js_to_number ::: while (n > {{0 -> 1}} ::: of blanks alone one end strips what the other leaves
rule_compat_value rule_js_parse_float ::: while (n > {{0 -> 1}} ::: a blank alone is no number either
rule_compat_value rule_js_text_order ::: a->s[i] {{< -> <=}} b->s[i] ::: the two differ here
rule_compat_value rule_js_relation ::: {{2 -> 3}} ::: whatever is none of less, equal and greater
rule_catalogue rule_* ::: -{{1 -> 2}} ::: any place below 0 means none
rule_catalogue rule_trie_add ::: for (i = {{0 -> 1}} ::: no path begins with a dot
rule_catalogue rule_facts_sort ::: for (i = {{0 -> 1}} ::: the first place holds 0 already
rule_catalogue rule_facts_sort ::: .name) {{> -> >=}} 0 ::: no two facts have one name
rule_catalogue rule_catalogue_default ::: rule_catalogue_new(a, {{0 -> 1}}) ::: room for one fact more
rule_catalogue rule_catalogue_read ::: f.name.len > {{0 -> 1}} ::: a name has three bytes at least
rule_check rule_take ::: t->bad = {{true -> false}} ::: beside what is bad nothing is compared
rule_code rule_prove_const ::: (v->n {{> -> >=}} 0 ::: loading has seen that an empty list begins within the constants
rule_code rule_prove_const ::: (v->n > {{0 -> 1}} ::: a list of one is of one kind
rule_code rule_prove_each ::: i->b {{> -> >=}} x->p->n_ins ::: behind a loop that ends the code there is no end of code
rule_code rule_prove ::: pc - {{1 -> 2}} ::: any place before it
rule_trace rule_trace_list ::: fields = {{0 -> 1}} ::: a list that was read stands in the program's lists
rule_trace rule_trace_list ::: i {{< -> <=}} p->n_list ::: what stands behind the lists is no list that was read
rule_trace rule_trace_counter ::: {{< -> <=}} 0) ::: no two counters have one key
rule_trace rule_multiplies ::: i {{< -> <=}} p->n_effect ::: what stands behind the effects is no multiplier
rule_trace rule_trace_write ::: RULE_TRACE_MAX ::: no trace is of exactly that size
rule_tree rule_parse_in_fields ::: RULE_OP_EQ, n, {{2 -> 3}} ::: room for one argument more

rule_calendar rule_duration_parse ::: s.len {{< -> <=}} 2 ::: two bytes are no duration either way
rule_calendar rule_duration_parse ::: s.len < {{2 -> 3}} ::: likewise
rule_calendar rule_local ::: memset(c, {{0 -> 1}} ::: a date's time of day is not read
rule_calendar rule_calendar ::: backwards = to {{< -> <=}} from ::: no months lie between a day and itself
rule_emit rule_emit_grow ::: /more = \*cap == 0 \? .*\{\{/ ::: how a table grows is seen by nobody
rule_emit rule_emit_grow ::: if (n {{> -> >=}} 0) ::: a copy of nothing
rule_emit rule_emit_grow ::: if (n > {{0 -> 1}}) ::: a table that is full has 32 entries
rule_emit rule_ins ::: e->stack {{> -> >=}} e->stack_max ::: the greater of equals
rule_emit rule_const_num ::: memset(&v, {{0 -> 1}} ::: the block takes member by member what a number has
rule_emit rule_node ::: {{|| -> &&}} e->n_node == RULE_NODES_MAX ::: a tree without nodes is constant, and a document has no more nodes
rule_emit rule_list_field ::: slot {{< -> <=}} 0 ::: slot 0 is a text
rule_emit rule_list_field ::: slot < {{0 -> 1}} ::: likewise
rule_emit rule_emit_const ::: {{1 -> 2}})->a ::: a stack with room to spare
rule_emit rule_emit_var ::: RULE_I_ELEMENT, {{1 -> 2}} ::: likewise
rule_emit rule_emit_var ::: RULE_I_DEFAULT, {{0 -> 1}} ::: likewise
rule_emit rule_emit_names ::: RULE_I_PRESENT, {{1 -> 2}} ::: likewise
rule_emit rule_emit_names ::: /RULE_I_ALL_TRUE, .*\{\{(?:1 -> 2|- -> \+)\}\}/ ::: likewise
rule_emit * ::: slot < 0 ? {{0 -> 1}} : ::: the element itself has no slot
rule_emit * ::: slot, -{{1 -> 2}}) ::: any number below 0 is no field
rule_emit rule_emit_names ::: RULE_IN_NEG : {{0 -> 1}} ::: that it is money is asked of loops only
rule_emit rule_emit_bool ::: first = {{0 -> 1}} ::: the target of the first instruction, a value, is read by nobody
rule_emit rule_emit_bool ::: k {{< -> <=}} first ::: likewise
rule_num rule_num_align ::: a->scale {{< -> <=}} b->scale ::: equal scales have been answered before
rule_num rule_num_align ::: n {{>= -> >}} RULE_POW10_N ::: no scale is above 18
rule_num rule_num_mul ::: r.scale = {{0 -> 1}} ::: a zero loses its places all the same
rule_num rule_num_mul ::: if (r.scale {{<= -> <}} LY_DEC_SCALE_MAX ::: the loop below drops the same zeros
rule_num rule_num_cmp ::: /rule_num_align.* \| .*a\.coef .*\{\{[<>] -> [<>]=\}\}/ ::: minimal forms of two scales are not equal
rule_num rule_digits ::: /; n\{\{\+\+/ ::: only whether there was a digit is asked
rule_num rule_exponent ::: *exp {{< -> <=}} 100000 ::: no number has an exponent near it
rule_num rule_exponent ::: *exp < {{100000 -> 100001}} ::: likewise
rule_num rule_num_make ::: while (d->n > {{0 -> 1}} ::: the first digit is not 0
rule_num rule_num_make ::: || (e {{> -> >=}} 0 ::: that many digits have been refused before
rule_num rule_num_fast ::: negative = s.len > {{0 -> 1}} ::: a sign alone is no number, seen or not
rule_num rule_num_fast ::: if (s.len {{- -> +}} i > 18 ::: what the short way leaves, the long way reads alike
rule_num rule_num_fast ::: if (s.len - i {{> -> >=}} 18 ::: likewise
rule_num rule_num_fast ::: /s\.data\[i\] \{\{(?:<|>) -> (?:<|>)=\}\}/ ::: likewise
rule_num rule_num_fast ::: == '0' {{&& -> ||}} s.len ::: likewise
rule_num rule_num_fast ::: if (s.data[i{{++ -> --}}] ::: likewise
rule_emit rule_emit_bool ::: RULE_I_BOOL, {{0 -> 1}} ::: a stack with room to spare
rule_emit rule_emit_if ::: RULE_I_IF_END, {{0 -> 1}} ::: likewise
rule_emit rule_emit_if ::: n = {{0 -> 1}} ::: the target of the first instruction, a value, is read by nobody
rule_emit rule_emit_each ::: RULE_OP_COUNT, {{0 -> 1}} ::: a stack with room to spare
rule_emit rule_emit_each ::: RULE_I_NEXT, 1 {{- -> +}} ::: likewise
rule_emit rule_emit_in ::: RULE_OP_IN, {{0 -> 1}} ::: likewise
rule_emit rule_emit_block ::: h.stack = e->stack_max + {{1 -> 2}} ::: likewise
rule_emit * ::: e->loops {{> -> >=}} e->loops_max ::: the greater of equals
rule_emit rule_emit_effect ::: e->list = -{{1 -> 2}} ::: any number below 0 is no list
rule_emit rule_emit_effect ::: sizeof(mem) - {{1 -> 2}} ::: no pointer of an effect is that long
rule_emit rule_room ::: + {{15 -> 16}} ::: a gap between two tables
rule_emit rule_emit_block ::: /e->(?:n_ins|n_list|n_node|n_const|text\.len) \{\{> -> >=\}\} 0/ ::: a copy of nothing
rule_emit rule_emit_block ::: if (e->text.len > {{0 -> 1}}) ::: no text of a program is that short
rule_emit rule_emit_tree ::: /&e, .*\{\{0 -> 1\}\}/ ::: a table that nobody reads
rule_input rule_scan_next ::: : {{0 -> 1}}; ::: neither byte is a token
rule_input rule_list_grow ::: n = *room == 0 ::: how a list grows is seen by nobody
rule_input rule_scan_unicode ::: s->end - s->p {{< -> <=}} 6 ::: the quote at the text's end stands behind it
rule_input rule_scan_unicode ::: s->end - s->p < {{6 -> 7}} ::: likewise
rule_input rule_scan_hex ::: s->end - s->p {{< -> <=}} 4 ::: likewise
rule_input rule_scan_word ::: (s->end - s->p) {{< -> <=}} len ::: the event's end stands behind a word
rule_input rule_scan_escaped ::: s->p {{< -> <=}} s->end ::: the quote at the text's end has been found before
rule_input rule_scan_escaped ::: (q - start) + {{1 -> 2}} ::: room to spare
rule_input rule_scan_scalar ::: t->text.len = {{0 -> 1}} ::: a word's text is not read
rule_input rule_line_defaults ::: {{|| -> &&}} c[RULE_L_DISCOUNT].kind ::: what is no money has no currency, and the total is invalid for that
rule_input rule_counters_advance ::: slot {{< -> <=}} 0 ::: slot 0 is a text
rule_eval rule_weigh ::: /i = 0, sum = 0; i \{\{< -> <=\}\} n/ ::: behind the weights stands a 0
rule_eval rule_share ::: /i = 0, sum = 0; i \{\{< -> <=\}\} n/ ::: likewise
rule_eval * ::: (size_t) list->n + {{1 -> 2}} ::: room to spare
rule_eval rule_weights_total ::: {{|| -> &&}} x->faulty ::: the same, computed once more
rule_eval rule_quotient ::: product.scale > 6 {{|| -> &&}} per.scale > 6 ::: more places go the short way as well
rule_eval rule_quotient ::: d {{> -> >=}} UINT64_MAX ::: the long way gives the same
rule_eval rule_quotient ::: q {{> -> >=}} (uint64_t) ::: likewise
rule_eval rule_share ::: {{> -> >=}} INT64_MAX ::: likewise
rule_eval rule_share ::: product {{<= -> <}} UINT64_MAX ::: likewise
rule_eval rule_case_shares ::: {{&& -> ||}} !rule_share( ::: likewise; of no points nothing is left to share
rule_eval rule_case_fault ::: pc {{< -> <=}} p->n_ins ::: each tree of a program has its end
rule_eval rule_case_effects ::: /error_pc > \{\{0 -> 1\}\}|\{\{&& -> \|\|\}\} k->vm\.error_pc > 0/ ::: an amount's code stands behind the condition's; a where has no nodes to point at
rule_eval rule_eval_cases ::: ? x->in->facts[k->lines].n : {{0 -> 1}} ::: without lines there are no weights to share by
rule_eval rule_eval_cases ::: {{> -> >=}} room) ::: the greater of equals
rule_vm * ::: /^(?!.*(?:steps \{\{-= -> \+=\}\} (?:cost|vm)|\? l->count \{\{\/|vm->steps \{\{- -> \+|8 \{\{\+ -> -|\{\{> -> >=\}\} 1 \?|\{\{! -> |steps-- \{\{<=)).*\| .*(?:vm->steps|cost|l->count \/|\/ 64|\/ 8)/ ::: where the budget of steps ends is open (docs/rules.md, 11); that it ends is tested
rule_vm rule_order ::: n = a->n {{< -> <=}} b->n ::: the lesser of equals
rule_vm rule_many ::: /rc \{\{[<>] -> [<>]=\}\} 0/ ::: of two equal numbers either is taken
rule_vm rule_divide ::: RULE_K_MONEY ? {{0 -> 1}} : ::: a number is not asked for its currency
rule_vm rule_arithmetic ::: v[0].u.coef {{< -> <=}} 0 ::: 0 negated is 0
rule_vm rule_vm_init ::: p->n_node {{> -> >=}} 0 ::: room for no records
rule_vm rule_vm_init ::: trace {{&& -> ||}} p->n_node ::: records that nobody prints
rule_vm rule_vm_run ::: {{false -> true}} ::: likewise
rule_vm rule_vm_loop ::: rule_record(vm, ins, &top[-1], false, false, {{0 -> 1}}) ::: only of loops the number is printed
rule_fold rule_fold_run ::: RULE_STEPS, {{false -> true}} ::: a constant part has no nodes
rule_fold rule_fold* ::: /out->kind \{\{!=|RULE_T_S?LIST \{\{|i = \{\{0 -> 1|i\{\{\+\+|\{\{! -> \}\}|RULE_OP_VAR \| \{\{\|\|/ ::: what is not folded is evaluated, with the same result
rule_fold rule_fold ::: x->report.nomem = {{true -> false}} ::: likewise
rule_program rule_program_load ::: RULE_MAGIC, {{4 -> 5}} ::: the layout's number begins with the 0 that ends the text
rule_program rule_const_ok ::: (at {{- -> +}} p->off_const) % sizeof ::: twice a multiple of 16 is one of a constant's 32 bytes
rule_report rule_fault_add ::: found.len {{> -> >=}} 0 ::: what is found is UTF-8, which has no 80 bytes of one character
rule_report rule_buf_string ::: s.len + {{2 -> 3}} ::: room to spare
rule_input rule_input_int ::: slot < {{0 -> 1}} ::: slot 0 is of the event
rule_emit rule_emit_parts ::: /n_(?:sources|segments) \+ \{\{1 -> 2|n_counters \+ \{\{1 -> 2/ ::: room to spare
rule_emit rule_list_slot ::: -{{1 -> 2}} ::: any number below 0 is no list
rule_emit rule_emit_begin ::: -{{1 -> 2}} ::: likewise
rule_emit rule_emit_effect ::: p->has_where = {{1 -> 2}} ::: any but 0 is true
rule_eval rule_quotient ::: /(?:product|per)\.(?:scale|coef) \{\{> -> >=/ ::: the long way gives the same
rule_eval rule_eval_cases ::: {{|| -> &&}} x->stack == NULL ::: what is asked for behind it is not smaller
rule_verify rule_back_counters ::: n->count + {{1 -> 2}} ::: room to spare
rule_program rule_refund_points ::: &consts[e->per]), {{0 -> 1}} ::: rounded down twice is rounded down
rule_tree rule_* ::: /rule_ast_new\(x, .*, json, \{\{0 -> 1\}\}/ ::: room for an argument that a literal has not
rule_tree rule_parse_null ::: json, {{1 -> 2}} ::: room for one argument more
rule_tree rule_parse_var ::: json, {{1 -> 2}} ::: likewise
rule_tree rule_ast_new ::: room {{> -> >=}} 0 ::: room for no arguments
rule_tree rule_ast_new ::: -{{1 -> 2}} ::: any place below 0 means none
rule_tree rule_parse_list ::: x->n_nodes = {{0 -> 1}} ::: one literal is far from the bound, and the count is put back
rule_check rule_resolve ::: t->local = {{1 -> 2}} ::: any but 0 is true
rule_check rule_resolve ::: t->slot = -{{1 -> 2}} ::: any place below 0 means none
rule_check rule_check_* ::: t->currency = {{0 -> 1}} ::: what is no money is not asked for its currency
rule_check rule_check_money ::: t->n = {{0 -> 1}} ::: the arguments of a literal are not looked at
rule_check rule_counter_add ::: /\{\{(?:RULE_TEXT_MAX|4 -> 5)/ ::: room to spare
rule_check rule_check_counter ::: d.us <= {{0 -> 1}} ::: a duration is of whole seconds
rule_check rule_check_if ::: /t->n (?:\{\{\/ -> \*\}\} 2 \+ 1|\/ 2 \+ \{\{1 -> 2\}\})/ ::: room to spare
rule_check rule_check_if ::: i + {{1 -> 2}} < t->n ::: the number of arguments is odd
rule_check rule_check ::: t->op {{> -> >=}} RULE_OP_DISTINCT ::: the operator's own check has looked below already
rule_emit rule_emit_if ::: k + {{1 -> 2}} < t->n ::: the number of arguments is odd
rule_emit rule_emit_if ::: k {{< -> <=}} n ::: the target of the first instruction, a value, is read by nobody
rule_emit rule_emit_each ::: RULE_I_NEXT, {{1 -> 2}} ::: a stack with room to spare
rule_emit rule_emit_member ::: RULE_I_FACT, {{1 -> 2}} ::: likewise
rule_emit rule_emit_member ::: RULE_I_MEETS, {{0 -> 1}} ::: likewise
rule_emit rule_emit_calendar ::: /t->op, .*\{\{(?:1 -> 2|- -> \+)\}\}/ ::: likewise
rule_emit rule_emit_plain ::: /t->op, .*\{\{(?:1 -> 2|- -> \+)\}\}/ ::: likewise
rule_emit rule_emit ::: RULE_I_COUNTER, {{1 -> 2}} ::: likewise
rule_emit rule_emit_root ::: e->stack = {{0 -> 1}} ::: likewise
rule_emit rule_emit_block ::: h.loops = e->loops_max + {{1 -> 2}} ::: likewise
rule_emit rule_emit_calendar ::: c = {{0 -> 1}} ::: only plus and minus, which set it, have a duration
rule_emit rule_emit_begin ::: /\{\{(?:16 -> 17|20 -> 21)\}\}/ ::: no text of a program is that long
rule_emit rule_emit_begin ::: {{RULE_FACTS_MAX ::: of the default's facts, which are in every catalogue, most are no lists
rule_emit rule_emit_block ::: e->n_ins > {{0 -> 1}} ::: a program has two instructions at least
rule_emit rule_emit_block ::: if (k {{> -> >=}} 0) ::: a copy of nothing
rule_emit rule_emit_block ::: /v->u\.(?:b|coef|i) = .* \| \{\{break/ ::: all members of the union begin at one byte: the same is copied again
rule_emit rule_emit_block ::: extra, {{1 -> 2}} ::: a gap behind the texts
rule_emit rule_emit_block ::: (size + {{15 -> 16}}) ::: likewise
rule_emit rule_emit_effect ::: sizeof(mem) {{- -> +}} 1 ::: no pointer of an effect is that long
rule_emit rule_emit_effect ::: p->has_of = {{1 -> 2}} ::: any but 0 is true
rule_* rule_* ::: {{RULE_NORMAL_MAX ::: no normal form of 64 KiB of document is of 4 MiB
rule_english rule_say_if ::: i + {{1 -> 2}} < t->n ::: the number of arguments is odd
rule_catalogue rule_fact_keys ::: ly_arena_bytes(a, len + {{3 -> 4}}) ::: room to spare
rule_catalogue rule_fact_holds_money ::: i {{< -> <=}} f->n_fields ::: a list without money that is looked at is left as it is
rule_doc rule_points ::: expected, {{0 -> 1}} ::: beside a fault the points are not read
rule_doc rule_decimal ::: ly_dec_int({{0 -> 1}}) ::: beside a fault it is not read
rule_trace rule_read_facts ::: {{> -> >=}} c->rank ::: no two facts have one rank
rule_trace rule_put_* ::: /rule_b_room\(b, (?:f->key\.len \+ \{\{1 -> 2|\{\{2 -> 3)/ ::: room to spare
rule_trace rule_trace_counter ::: < {{0 -> 1}}) ::: no two counters have one key
rule_eval rule_weigh ::: /scale = 0; i \{\{< -> <=\}\} n/ ::: behind the weights stands a 0
rule_eval rule_w* ::: coef {{> -> >=}} 0) ::: a weight of 0 is the 0 that stands there
rule_eval rule_quotient ::: scale > {{6 -> 7}} ::: the long way gives the same
rule_eval rule_quotient ::: MAX / {{1000000 -> 1000001}} ::: likewise
rule_eval rule_quotient ::: 1000000 - {{1 -> 2}} ::: likewise
rule_eval rule_rate ::: amount->u.coef {{<= -> <}} 0 ::: of nothing the long way gives 0 too
rule_eval rule_rate ::: /product\.coef (?:> \{\{0|\{\{> -> >=)/ ::: both ways give the same
rule_eval rule_case_effects ::: error_pc {{> -> >=}} 0 ::: an amount's code stands behind the condition's
rule_eval rule_share ::: n {{> -> >=}} RULE_SHARE_FAST ::: the long way gives the same
rule_eval rule_share ::: rest[best] = {{0 -> 1}} ::: as long as one is left, a line not served has a rest above 1
rule_eval rule_case_shares ::: points {{> -> >=}} 0 ::: of no points each share is 0
rule_eval rule_eval_cases ::: room = {{0 -> 1}} ::: no program needs as little
rule_input rule_scan_hex ::: s->p < {{4 -> 5}} ::: the quote at the text's end stands behind it
rule_input rule_scan_unicode ::: (c {{- -> +}} 0xd800) ::: the bits more are set in the first byte anyway
rule_input rule_scan_escaped ::: q {{>= -> >}} s->end ::: a text without its end is refused behind it, too
rule_input rule_scan_escaped ::: (q - start) {{+ -> -}} 1 ::: an escape is longer than what it says
rule_input rule_scan_string ::: *s->p {{< -> <=}} 0x20 ::: no plain bytes end before a blank
rule_input rule_scan_field ::: n {{< -> <=}} f->n_fields ::: one name is looked for twice
rule_input rule_scan_field ::: *next = i ::: where the search begins is seen by nobody
rule_input rule_scan_members ::: next = {{0 -> 1}} ::: likewise
rule_input rule_scan_child ::: *after {{== -> !=}} NULL ::: likewise
rule_input rule_scan_* ::: -{{1 -> 2}} ::: any number below 0 is no field
rule_input rule_scan_members ::: RULE_FACTS_MAX / 64 + {{1 -> 2}} ::: room to spare
rule_input rule_scan_members ::: RULE_FACTS_MAX {{/ -> *}} 64 ::: likewise
rule_input rule_list_grow ::: list->n {{> -> >=}} 0 ::: a copy of nothing
rule_input rule_list_grow ::: list->n > {{0 -> 1}} ::: a list that is full has 4 elements
rule_input rule_scan_whole ::: p - s->p {{== -> !=}} 18 ::: what the short way leaves, the long way reads alike
rule_input rule_scan_whole ::: /f->type \{\{[<>] -> [<>]=\}\}/ ::: likewise
rule_input rule_scan_value ::: '{' {{|| -> &&}} t->child ::: the same bytes are read once more
rule_input rule_ascii ::: all = {{0 -> 1}} ::: its lowest bit is not asked
rule_input rule_ascii ::: {{<= -> <}} s.len ::: the last bytes are read one by one
rule_input rule_ascii ::: i + {{32 -> 33}} <= ::: likewise
rule_input rule_ascii ::: i {{+ -> -}} 32 <= ::: likewise, all of them
rule_input rule_ascii ::: i = {{0 -> 1}}; ::: what begins with another byte is refused anyway
rule_input rule_ascii ::: 0x8080808080808080ULL) == {{0 -> 1}} ::: what is ASCII is UTF-8
rule_input rule_input_list_money ::: {{continue; -> ;}} ::: what has a currency takes no other
rule_input rule_input_int ::: slot {{< -> <=}} 0 ::: slot 0 is of the event
rule_input rule_counters_advance ::: fact.len > {{0 -> 1}} ::: a name has three bytes at least
rule_input rule_counters_advance ::: slot < {{0 -> 1}} ::: slot 0 is a text
rule_normal rule_normal_instant ::: {{0 -> 1}}, sizeof(v) ::: what is not set here is not printed
rule_num rule_num_sum ::: /_scale \{\{[<>] -> [<>]=\}\} [ab]_scale/ ::: of equals either, and times 1
rule_program rule_program_save ::: RULE_LEAD) & ::: both ways write the same bytes
rule_program rule_program_save ::: RULE_MAGIC, {{4 -> 5}} ::: the layout is written behind it
rule_program rule_program_load ::: bytes.len {{< -> <=}} RULE_LEAD ::: a head alone has no code
rule_report rule_fault_add ::: found.len > {{0 -> 1}} && ::: what is found is UTF-8, which has no 80 bytes of one character
rule_report rule_fault_at ::: * {{8 -> 9}} ::: no pointer is that long
rule_report rule_fault_at ::: RULE_DOCUMENT_MAX - 1 ::: likewise
rule_report rule_buf_string ::: stop != s.data {{+ -> -}} s.len ::: the way for escapes writes a plain text alike
rule_report rule_buf_string ::: s.len {{> -> >=}} 0 ::: a copy of nothing
rule_verify rule_back_list ::: stride + {{1 -> 2}} ::: room to spare
rule_vm rule_vm_room ::: p->stack + {{1 -> 2}} ::: room to spare
rule_vm rule_many ::: rc < {{0 -> 1}} ::: of two equal numbers either is taken
rule_vm rule_arithmetic ::: v[0].u.coef < {{0 -> 1}} ::: 0 negated is 0
rule_vm rule_arithmetic ::: v[0].scale {{> -> >=}} ins->x ::: rounded to the places that it has
rule_vm rule_fold_str ::: * 3 + {{1 -> 2}} ::: room to spare
rule_vm rule_fold_str ::: s->len * {{3 -> 4}} ::: likewise
rule_vm rule_operate ::: /ins->b (?:\/ \{\{8|\{\{\/ ->)/ ::: where the budget of steps ends is open (docs/rules.md, 11); that it ends is tested
rule_vm rule_vm_loop ::: &top[-1], missing, false, {{0 -> 1}} ::: only of loops the number is printed
rule_input rule_scan_money ::: memset(cells, {{0 -> 1}} ::: a part that is not of its type is refused like one that is not there
rule_catalogue rule_fact_of ::: /fields == NULL.* \| .*nomem = \{\{/ ::: what finds no room here finds none at the next step, which says so
rule_check rule_check_list ::: nomem = {{true -> false}} ::: likewise
rule_check rule_counter_add ::: nomem = {{true -> false}} ::: likewise
rule_check rule_check_if ::: nomem = {{true -> false}} ::: likewise
rule_doc rule_literal_true ::: nomem = {{true -> false}} ::: likewise
rule_doc rule_amount_var ::: nomem = {{true -> false}} ::: likewise
rule_doc rule_effect_table ::: nomem = {{true -> false}} ::: likewise
rule_report rule_fault_json ::: nomem = {{true -> false}} ::: likewise
rule_check rule_take ::: /memset\(&[fv], \{\{0 -> 1/ ::: what is not set here is not read
rule_check rule_check_money ::: t->bad = {{true -> false}} ::: what is bad below is bad above
rule_check rule_check_if ::: t->bad = {{true -> false}} ::: beside no room no program is made
rule_emit rule_emit ::: memset(&v, {{0 -> 1}} ::: the block takes member by member what a list has
rule_emit rule_emit_block ::: memset(&h, {{0 -> 1}} ::: what is not set here is not read
rule_emit rule_emit_begin ::: {{RULE_PATH_MAX ::: no path is that long
rule_english rule_say_phrase ::: i {{< -> <=}} t->n ::: the phrase of an operator has as many places as arguments
rule_eval rule_rate ::: amount->n != {{0 -> 1}} ::: no currency has that number
rule_eval rule_group_points ::: n {{< -> <=}} c->program->n_effect ::: what stands behind the effects has no wallet
rule_eval rule_share ::: /left = points; i \{\{< -> <=\}\} n/ ::: behind the weights stands a 0
rule_input rule_scalar ::: i {{< -> <=}} f->n_values ::: behind the values stands no text of an event
rule_input rule_line_defaults ::: stride = {{1 -> 2}} ::: an empty list has no elements
rule_input rule_input_read ::: s.stranger = {{false -> true}} ::: where a search begins is seen by nobody
rule_input rule_input_list_money ::: k {{< -> <=}} f->n_fields ::: behind the fields stands none of money
rule_input rule_input_* ::: /i \{\{< -> <=\}\} c->(?:lists|money)\[[01]\]\.n/ ::: behind the slots stands 0, that of a text
rule_normal rule_normal_tree ::: RULE_OP_HAS {{|| -> &&}} ::: a name is written as the literal that it was
rule_program rule_refund_points ::: amount.coef {{<= -> <}} 0 ::: of nothing the long way gives 0 too
rule_program rule_effect_ok ::: /of_pc \{\{>= -> >|where_pc \{\{>= -> >|\{\{\|\| -> &&\}\} \(e->has_where/ ::: the proof of the code refuses it as well
rule_program rule_tables_ok ::: p->n_ins == {{0 -> 1}} ::: a program of one instruction, or none, has no end that is proved
rule_program rule_tables_ok ::: l->slot {{>= -> >}} c->n ::: behind the facts stands no list
rule_report rule_fault_add ::: found.len {{> -> >=}} RULE_FOUND_MAX ::: a text of 80 bytes ends with a whole character
rule_report rule_fault_at ::: RULE_DOCUMENT_MAX {{* -> +}} 8 ::: no pointer is that long
rule_report rule_val_text ::: "false", {{5 -> 6}} ::: room to spare
rule_trace rule_trace_list ::: n {{< -> <=}} f->n_fields ::: behind the fields' order stands a field that is not read
rule_vm rule_common_currency ::: a->n : {{0 -> 1}} ::: a number is not asked for its currency
rule_vm rule_vm_loop ::: memset(l, {{0 -> 1}} ::: what is not set here is not read
rule_report rule_fault_add ::: found.len > {{RULE_FOUND_MAX ::: a text of 80 bytes ends with a whole character
rule_report rule_val_text ::: "null", {{4 -> 5}} ::: room to spare
rule_vm rule_loop_take ::: /RULE_OP_NONE: \| l->count \{\{\+= -> -=/ ::: only whether there was one is asked
rule_compat rule_js_cat ::: /\| n = \{\{0 -> 1\}\};$/ ::: room for one unit more
rule_trace rule_trace_nodes ::: memcpy(p, ",\"missing\"", {{10 -> 11}} ::: the byte behind is written over, for the array is closed
