#!/usr/bin/perl

# The documentation names what there is: every directive of the module, option
# of the worker, command of the tool, code of an error; every link leads
# somewhere.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);

chdir dirname(abs_path($0)) . '/..' or die;
my $bad = 0;

sub complain { print "$_[0]\n"; $bad++ }

sub text {
    my ($file) = @_;
    open my $fh, '<', $file or return;
    local $/;
    return scalar <$fh>;
}

# directives and variables
if (defined(my $doc = text('docs/directives.md'))) {
    my %seen;
    for my $file (glob 'ngx_loyalty_module/*.c') {
        my $code = text($file);
        $seen{$_} = $file for $code =~ /ngx_string\("(loyalty_[a-z_]+)"\)/g;
    }
    for my $name (sort keys %seen) {
        complain("docs/directives.md: $name ($seen{$name}) is missing")
            if $doc !~ /\b\Q$name\E\b/;
    }
} else {
    complain('docs/directives.md is missing');
}

# options of the worker
if (-x 'bin/loyalty-worker') {
    my $doc = text('docs/worker.md') // '';
    complain('docs/worker.md is missing') if $doc eq '';
    for my $name (map { /^(\w+)/ ? $1 : () } split /\n/, `bin/loyalty-worker --options 2>/dev/null`) {
        complain("docs/worker.md: $name is missing") if $doc !~ /\b\Q$name\E\b/;
    }
}

# the command line: the table stands between two marks
if (-x 'bin/loyalty') {
    my $doc = text('docs/cli.md') // '';
    my $want = `bin/loyalty --help-docs`;
    my ($have) = $doc =~ /<!-- commands -->\n(.*?)<!-- end -->/s;
    complain('docs/cli.md differs from the tool: make generated')
        if ($have // '') ne $want;
}

# codes of errors
if (defined(my $doc = text('docs/errors.md'))) {
    my $yaml = text('docs/errors.yaml') // '';
    for my $code ($yaml =~ /^\s*([a-z_]+\.[a-z_]+):/gm) {
        complain("docs/errors.md: $code is missing") if $doc !~ /\Q$code\E/;
    }
}

# no page promises a code that there is not, or sends the reader to no page
{
    my $yaml = text('docs/errors.yaml') // '';
    my %known = map { $_ => 1 } $yaml =~ /^\s*([a-z_]+(?:\.[a-z_]+)?):/gm;
    for my $file (split /\n/, `git ls-files -- '*.md' conf`) {
        my $doc = text($file) // next;
        while ($doc =~ /\b[45]\d\d `([a-z][a-z_.]{2,})`/g) {
            complain("$file: the code $1 is not in docs/errors.yaml") if !$known{$1};
        }
        while ($doc =~ m{(?<![\w/.])(docs/[\w/.-]+\.(?:md|yaml))}g) {
            complain("$file: $1 leads nowhere") if !-e $1;
        }
    }
}

# messages that an entry is told by
if (defined(my $doc = text('docs/webhooks.md'))) {
    my ($list) = (text('sql/functions/ledger/entry.sql') // '')
        =~ /function loyalty\.entry_message_type.*?\(array\[(.*?)\]\)/s;
    complain('sql/functions/ledger/entry.sql: no types of messages') if !defined $list;
    my %type = map { $_ => 1 } ($list // '') =~ /'([a-z.]+)'/g;
    for my $type (sort keys %type) {
        complain("docs/webhooks.md: $type is missing") if $doc !~ /`\Q$type\E`/;
    }
}

# links between files
for my $file (split /\n/, `git ls-files -co --exclude-standard -- '*.md'`) {
    my $doc = text($file) // next;
    $doc =~ s/```.*?```//gs;
    $doc =~ s/`[^`]*`//g;
    while ($doc =~ /\]\(([^)#\s]+)(?:#[^)]*)?\)/g) {
        my $to = $1;
        next if $to =~ /^[a-z]+:/;
        my $path = dirname($file) . "/$to";
        complain("$file: $to leads nowhere") if !-e $path;
    }
}

exit($bad ? 1 : 0);
