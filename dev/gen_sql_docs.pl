#!/usr/bin/perl

# Writes docs/sql.md, the reference of the functions that roles may call, from
# the headers, comments and signatures of sql/functions.
#
#   dev/gen_sql_docs.pl            writes it if it changed
#   dev/gen_sql_docs.pl --check    writes nothing, fails if it would change
#
# Refused: a function of these schemas without a comment.

use strict;
use utf8;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);

my $root = abs_path(dirname(abs_path($0)) . '/..');
my $check = grep { $_ eq '--check' } @ARGV;
my @faults;

my @schemas = (
    [api  => 'Operations of the HTTP API', 'loyalty_edge, loyalty_edge_ro',
     'Each takes the tenant, the call, path parameters, query parameters and the body, and gives '
     . '`api.answer(status, headers, body, changes)`; see `internals/contracts.md`.'],
    [dir  => 'The directory', 'loyalty_dir',
     'What the edge keeps in shared memory, and how it follows changes.'],
    [work => 'The worker', 'loyalty_worker', ''],
    [ops  => 'The command line', 'loyalty_cli', ''],
);

my %found;      # schema => [ [file, header, [functions]] ]

for my $path (sort glob "$root/sql/functions/*/*.sql") {
    open my $fh, '<:encoding(UTF-8)', $path or die "$path: $!\n";
    my $text = do { local $/; <$fh> };
    (my $file = $path) =~ s{^\Q$root\E/sql/functions/}{};
    my $header = $text =~ /\A((?:--[^\n]*\n)+)/ ? prose($1) : '';
    my %list;

    while ($text =~ /((?:^--[^\n]*\n)*)^create\s+or\s+replace\s+function\s+(api|dir|work|ops)\.(\w+)\s*(?=\()/gm) {
        my ($block, $schema, $name, $at) = ($1, $2, $3, pos $text);
        my $args = balanced($text, $at);
        my $rest = substr $text, $at + length $args, 2000;
        my $returns = '';
        if ($rest =~ /^\s*returns\s+(setof\s+[\w.]+|table\s*(?=\()|[\w.]+(?:\[\])?)/) {
            $returns = $1;
            my $end = $+[0];
            $returns = 'table ' . balanced($rest, $end) if $returns =~ /^table/;
        }
        my ($says) = $text =~ /comment\s+on\s+function\s+$schema\.$name\s*\([^;]*?\)\s*is\s*((?:'(?:[^']|'')*'\s*)+);/;
        if (!defined $says) {
            push @faults, "$file: $schema.$name has no comment";
            next;
        }
        $says = join '', map { s/''/'/gr } $says =~ /'((?:[^']|'')*)'/g;
        # a header that stands on the function belongs to both: said once
        my $remark = $block ne '' && $header ne prose($block) ? prose($block) : '';
        push @{ $list{$schema} }, [$name, squeeze("$schema.$name$args"), squeeze($returns),
                                   $says, $remark];
    }
    push @{ $found{$_} }, [$file, $header, $list{$_}] for keys %list;
}

sub prose {
    my ($block) = @_;
    my @lines = map { s/^--\s?//r } split /\n/, $block;
    return join "\n", @lines;
}

# from an opening parenthesis to the one that closes it
sub balanced {
    my ($text, $at) = @_;
    my $depth = 0;
    for my $i ($at .. length($text) - 1) {
        my $c = substr $text, $i, 1;
        $depth++ if $c eq '(';
        return substr $text, $at, $i - $at + 1 if $c eq ')' && --$depth == 0;
    }
    die "a parenthesis is not closed\n";
}

sub squeeze { return $_[0] =~ s/\s+/ /gr =~ s/\( /(/gr =~ s/ \)/)/gr }

# comments are plain text: nothing in them is markup
sub plain {
    my ($t) = @_;
    $t =~ s/([<>*|\[\]\\])/\\$1/g;
    return $t;
}

my $md = "# SQL functions\n\n"
    . "Written by `dev/gen_sql_docs.pl` from the files under `sql/functions`; do not edit. "
    . "Everything a role may call stands here; functions of schema `loyalty` are theirs to use "
    . "and no one else's.\n";

for my $s (@schemas) {
    my ($schema, $title, $roles, $intro) = @$s;
    $md .= "\n## `$schema`: $title\n\nCalled by " . join(' and ', map { "`$_`" } split /, /, $roles)
        . '.' . ($intro ne '' ? " $intro" : '') . "\n";
    for my $f (@{ $found{$schema} // [] }) {
        my ($file, $header, $functions) = @$f;
        $md .= "\n### $file\n\n" . plain($header) . "\n\n";
        for my $fn (@$functions) {
            my (undef, $signature, $returns, $says, $remark) = @$fn;
            $md .= "- `$signature`" . ($returns ne '' ? " → `$returns`" : '') . "  \n  "
                . ucfirst(plain($says)) . ".\n";
            $md .= '  ' . join("\n  ", split /\n/, plain($remark)) . "\n" if $remark ne '';
        }
    }
}

if (@faults) {
    print "gen_sql_docs: $_\n" for @faults;
    exit 1;
}

my $out = "$root/docs/sql.md";
my $old = '';
if (open my $fh, '<:encoding(UTF-8)', $out) { local $/; $old = <$fh> }
exit 0 if $old eq $md;
if ($check) {
    print "gen_sql_docs: docs/sql.md would change\n";
    exit 1;
}
open my $fh, '>:encoding(UTF-8)', $out or die "$out: $!\n";
print {$fh} $md;
close $fh or die "$out: $!\n";
print "gen_sql_docs: wrote docs/sql.md\n";
