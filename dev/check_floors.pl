#!/usr/bin/perl

# Who may include whom (docs/architecture.md, Floors).

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);

chdir dirname(abs_path($0)) . '/..' or die;

# folder => [our folders, outside headers]; the longest folder that fits counts
my $libc = qr{^(?:sys/\w+|sanitizer/\w+|netinet/\w+|arpa/inet|net/if|linux/\w+)\.h$|^[a-z0-9]+\.h$};
my $openssl = qr{^openssl/};
my $yajl = qr{^yajl/};
my $curl = qr{^curl/};
my $hiredis = qr{^hiredis/|^async\.h$|^hiredis\.h$};
my $pq = qr{^libpq-fe\.h$};
my $nginx = qr{^(?:ngx_[a-z0-9_]+|nginx)\.h$};
my $argon = qr{^argon2\.h$};
my $foreign = qr{^(?:libpq-fe|argon2|jwt|hiredis|async|nginx|ngx_\w+)\.h$};

my %floor = (
    'common' => [qr{^common/}, [$openssl, $yajl]],
    'worker/rule' => [qr{^(?:common|worker/rule)/}, []],
    'worker/connector' => [qr{^(?:common/|worker/connector/|worker/http_)}, [$curl]],
    'worker/job' => [qr{^(?:common/|worker/)(?!job/)}, []],
    'worker' => [qr{^(?:common|worker)/}, [$curl, $hiredis, $openssl, $pq]],
    'ngx_loyalty_module' => [qr{^(?:common|ngx_loyalty_module)/},
                             [$nginx, $pq, $hiredis, $openssl]],
    'cli' => [qr{^(?:common|worker/rule|cli)/}, [$pq, $curl, $openssl, $argon]],
    't/unit' => [qr{^(?:common|worker|cli|t)/}, [$openssl, $yajl, $curl]],
    't/fuzz' => [qr{^(?:common|worker|cli|ngx_loyalty_module|t)/},
                 [$openssl, $yajl, $curl]],
);

# one file of each program speaks to the database
my %pq_home = (ngx_loyalty_module => [], worker => [], cli => []);

my @files = grep { -f } split /\n/,
    `git ls-files -co --exclude-standard -- '*.c' '*.h' '*.inc'`;
my $bad = 0;

for my $file (@files) {
    my ($folder) = sort { length $b <=> length $a }
        grep { index($file, "$_/") == 0 } keys %floor;
    next if !$folder;
    my ($ours, $outside) = @{ $floor{$folder} };

    open my $fh, '<', $file or die "$file: $!\n";
    while (<$fh>) {
        my ($open, $header) = /^\s*#\s*include\s+([<"])([^>"]+)[>"]/ or next;
        my $place = "$file:$.";

        if ($open eq '"') {
            my $path = find($file, $header);
            if (!defined $path) {
                complain("$place: $header is not found");
            } elsif ($path !~ $ours
                     && !($folder eq 'worker/job' && $path =~ m{^worker/job/})) {
                complain("$place: $folder may not include $path");
            } elsif ($folder eq 'worker/job' && $path =~ m{^worker/job/}
                     && base($path) ne base($file)) {
                complain("$place: one job includes another");
            } elsif ($folder eq 'ngx_loyalty_module' && $path =~ m{^worker/}) {
                complain("$place: the module includes the worker");
            }
            next;
        }

        if ($header eq 'libpq-fe.h') {
            my ($top) = $file =~ m{^([^/]+)};
            push @{ $pq_home{$top} }, $file;
        }
        next if grep { $header =~ $_ } @$outside;
        next if $header =~ $libc && $header !~ $foreign;
        complain("$place: $folder may not include <$header>");
    }
}

for my $top (sort keys %pq_home) {
    my %seen = map { $_ => 1 } @{ $pq_home{$top} };
    complain("$top: libpq-fe.h is included by " . join(', ', sort keys %seen))
        if keys %seen > 1;
}

for my $file (grep { m{^(?:cli|worker|ngx_loyalty_module|common)/} } @files) {
    open my $fh, '<', $file or die "$file: $!\n";
    while (<$fh>) {
        complain("$file:$.: a table is named in C")
            if /"[^"]*\b(?:from|into|update|join)\s+loyalty\.[a-z]/;
    }
}

# SQL: api never calls work; only loyalty's tables
for my $file (split /\n/, `git ls-files -co --exclude-standard -- sql/functions`) {
    next if $file !~ /\.sql$/ || !-f $file;
    open my $fh, '<', $file or die "$file: $!\n";
    my $schema = '';
    while (<$fh>) {
        s/--.*//;
        $schema = $1 if /create (?:or replace )?function (\w+)\./i;
        complain("$file:$.: api calls work")
            if $schema eq 'api' && /\bwork\.\w+\s*\(/;
    }
}

exit($bad ? 1 : 0);

sub complain { print "$_[0]\n"; $bad++ }

sub base { my ($n) = $_[0] =~ m{([^/]+)\.\w+$}; return $n }

sub find {
    my ($file, $header) = @_;
    for my $dir (dirname($file), qw(common worker worker/rule cli),
                 $file =~ m{^t/fuzz/} ? qw(ngx_loyalty_module t/fuzz) : (), '.') {
        my $path = $dir eq '.' ? $header : "$dir/$header";
        1 while $path =~ s{(^|/)(?!\.\.)[^/]+/\.\./}{$1};
        $path =~ s{^\./}{};
        return $path if -f $path;
    }
    return;
}
