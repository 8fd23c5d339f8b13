#!/usr/bin/perl

# What a formatter does not see: lines, comments, words, sizes.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);

chdir dirname(abs_path($0)) . '/..' or die;

my @files = grep { -f && !-l } split /\n/, `git ls-files -co --exclude-standard`;
my $bad = 0;

# of the house: what a stranger must not find in any file
my @words = (
    [qr{\b(?:TODO|FIXME|XXX)\b}, 'a promise of work'],
    [qr{(?<![\w.])/(?:work|root|home)/[a-z]}, 'a path of one machine'],
    [qr{[ \t]+$}, 'a blank at the end of the line'],
);

# functions that have a bounded or stateless counterpart (ly_banned.h)
my $banned = qr/\b(?:sprintf|vsprintf|strcpy|strcat|strncpy|strncat|strtok|atoi|atol|atof|strtol|strtoul|strtoll|strtoull|gmtime|localtime|system|popen|alloca|gets|yajl_tree_parse|yajl_gen_double)\s*\(/;

for my $file (@files) {
    next if $file =~ m{^t/(?:vectors|fuzz/corpus)/|\.(?:png|zst|json|wasm)$};
    next if $file =~ m{^dev/check_style\.pl$};
    next if -B $file && -s $file;

    open my $fh, '<', $file or die "$file: $!\n";
    my $c = $file =~ /\.[ch]$/;
    my $generated = $file =~ /_casefold\.c$/;
    my ($comment, $lines) = (0, 0);

    while (my $line = <$fh>) {
        chomp $line;
        $lines++;

        for my $w (@words) {
            next if $w->[1] =~ /blank/ && $file =~ /\.(?:md|patch|txt)$/;
            complain("$file:$.: $w->[1]") if $line =~ $w->[0];
        }
        complain("$file:$.: a carriage return") if $line =~ /\r/;

        if ($file =~ /\.sql$/) {
            # 100 is the aim; a long condition may go over, a test quotes documents
            complain("$file:$.: over 120 columns")
                if columns($line) > 120 && $file !~ m{^sql/test/};
            complain("$file:$.: a tab") if $line =~ /\t/;
        }

        complain("$file:$.: over 100 columns")
            if $file =~ m{^t/.*\.mjs$} && columns($line) > 100;

        next if !$c || $generated;
        complain("$file:$.: over 79 columns") if columns($line) > 79;
        complain("$file:$.: a tab") if $line =~ /\t/;

        my $code = $line;
        $code =~ s/"(?:\\.|[^"\\])*"/""/g;
        $code =~ s/'(?:\\.|[^'\\])+'/''/g;
        if ($comment) { next if $code !~ s{^.*?\*/}{}; $comment = 0 }
        $code =~ s{/\*.*?\*/}{}g;
        $comment = 1 if $code =~ s{/\*.*$}{};
        complain("$file:$.: a comment of two slashes") if $code =~ m{//};
        complain("$file:$.: $1 is banned")
            if $file !~ m{^t/|ly_banned\.h$} && $code =~ /($banned)/;
    }
}

exit($bad ? 1 : 0);

sub columns { my ($s) = @_; utf8::decode($s); return length $s }

sub complain { print "$_[0]\n"; $bad++ }
