#!/usr/bin/perl

# What the counters of a built tree say: lines and branches by folder, then
# the files that tests reach least.
#
#   dev/cover_table.pl TREE            the tables
#   dev/cover_table.pl TREE FILE…      the lines of these files never run
#
# gcov is asked itself: the module is compiled in nginx's folder, where gcovr
# does not find its sources.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Find qw(find);
use JSON::PP ();

use constant LEAST => 20;    # files that are named

# not written by hand
my $generated = qr/casefold|\.inc$/;

my ($tree, @gaps) = @ARGV;
$tree = abs_path($tree // '.');
chdir $tree or die "$tree: $!\n";

my $json = eval { require JSON::XS; JSON::XS->new } || JSON::PP->new;
my @notes;
find({ no_chdir => 1, wanted => sub {
    push @notes, $_ if /\.gcno$/ && !m{/(?:t|bench)/};
} }, 'build');

my (%line, %branch);
while (my @some = splice @notes, 0, 20) {

    # a file without counters was never run
    open my $in, '-|', 'gcov', '-b', '-c', '-j', '-t',
        map { my $d = s/gcno$/gcda/r; -e $d ? $d : $_ } @some
        or die "gcov: $!\n";
    while (<$in>) {
        my $unit = $json->decode($_);
        for my $f (@{ $unit->{files} }) {
            my $name = $f->{file};
            $name =~ s{^\Q$tree\E/}{};
            $name =~ s{^\./}{};
            next if $name =~ m{^/|^src/} || $name =~ $generated || !-e $name;
            for my $l (@{ $f->{lines} }) {
                my $n = $l->{line_number};
                $line{$name}{$n} += $l->{count};
                my $i = 0;
                $branch{$name}{$n}[ $i++ ] += $_->{count} for @{ $l->{branches} };
            }
        }
    }
    close $in or die "gcov failed\n";
}
die "$tree: no counters\n" if !%line;

if (@gaps) {
    for my $name (@gaps) {
        open my $in, '<', $name or die "$name: $!\n";
        while (<$in>) {
            my $count = $line{$name}{$.};
            print "$name:$.:$_" if defined $count && $count == 0;
        }
    }
    exit 0;
}

sub percent { my ($n, $of) = @_; return $of ? 100 * $n / $of : 100 }

sub row {
    my ($name, $lines, $run, $branches, $taken) = @_;
    printf "%-40s %6d of %6d  %5.1f%%  %6d of %6d  %5.1f%%\n", $name, $run, $lines,
        percent($run, $lines), $taken, $branches, percent($taken, $branches);
}

my (%folder, @file);
my $all = [0, 0, 0, 0];
for my $name (keys %line) {
    my @b = map { @$_ } values %{ $branch{$name} };
    my @n = (scalar(keys %{ $line{$name} }), scalar(grep { $_ } values %{ $line{$name} }),
             scalar(@b), scalar(grep { $_ } @b));
    my ($dir) = $name =~ m{^(.*)/};
    $folder{$dir} //= [0, 0, 0, 0];
    for my $sum ($folder{$dir}, $all) { $sum->[$_] += $n[$_] for 0 .. 3 }
    push @file, [$name, @n];
}

printf "%-40s %16s  %6s  %16s\n", '', 'lines', '', 'branches';
row($_, @{ $folder{$_} }) for sort keys %folder;
row('all', @$all);

print "\nleast covered:\n";
my @least = sort { percent(@$a[2, 1]) <=> percent(@$b[2, 1]) } @file;
row(@$_) for @least[0 .. ($#least < LEAST ? $#least : LEAST - 1)];
