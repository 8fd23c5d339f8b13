package Test::Loyalty::Year;

# A shop's year against a house: its events in files, the balances they must
# give, the comparison over the API.

use strict;
use warnings;

use List::Util qw(shuffle);
use Test::More ();
use Time::HiRes qw(time);

use Test::Loyalty;

my $DIR = 'online_retail_2011';


# the real year's folder, or the end of the file with a word of why
sub real {
    my $dir = Test::Loyalty::data($DIR);
    Test::More::plan(skip_all => 'LOYALTY_DATA has no real year') if !$dir;
    return $dir;
}

# {member => {earned_minus_clawed, clamped_balance, shortfall}}
sub expected {
    my ($dir) = @_;
    open my $fh, '<', "$dir/expected_balances.csv" or die "$dir: $!\n";
    chomp(my $head = <$fh>);
    my @names = split /,/, $head;
    my %all;
    while (<$fh>) {
        chomp;
        my %row;
        @row{@names} = split /,/;
        $all{ $row{CustomerID} } = \%row;
    }
    return \%all;
}

# those in which a mistake of order, of clamping or of doubling would show: all
# with a shortfall and some more; everyone with LOYALTY_ALL
sub discriminating {
    my ($all, $more) = @_;
    return $all if $ENV{LOYALTY_ALL};
    my @short = grep { $all->{$_}{shortfall} > 0 } keys %$all;
    my @rest = grep { $all->{$_}{shortfall} == 0 } sort keys %$all;
    my $step = int(@rest / ($more // 200));
    my %some = map { $_ => $all->{$_} } @short, map { $rest[$_ * $step] } 0 .. ($more // 200) - 1;
    return \%some;
}

# JSON lines of a CSV, of some members when they are named; the path
sub events {
    my ($t, $csv, $members) = @_;
    my $to = "$t->{dir}/events.jsonl";
    my $bin = $Test::Loyalty::TOOL;

    open my $in, '-|', $bin, '-q', 'demo', 'events', $csv or die "$bin: $!\n";
    open my $out, '>', $to or die "$to: $!\n";
    my $n = 0;
    while (my $line = <$in>) {
        if ($members) {
            my ($m) = $line =~ /"member":"ext:([^"]+)"/ or next;
            next if !$members->{$m};
        }
        print {$out} $line;
        $n++;
    }
    close $in or die "demo events failed\n";
    close $out or die "$to: $!\n";
    return ($to, $n);
}

# the lines of a file over several, in an order of the seed's
sub deal {
    my ($file, $pieces, $seed) = @_;
    open my $in, '<', $file or die "$file: $!\n";
    my @lines = <$in>;
    srand $seed;
    @lines = shuffle @lines;
    my @files;
    for my $i (0 .. $pieces - 1) {
        push @files, "$file.$i";
        open my $out, '>', $files[-1] or die "$files[-1]: $!\n";
        print {$out} $lines[$_] for grep { $_ % $pieces == $i } 0 .. $#lines;
        close $out;
    }
    return @files;
}

# a test: every member has what is expected, over the API
sub balances_are {
    my ($t, $want, $name, %o) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my @wrong;
    for my $m (sort keys %$want) {
        my $b = $t->balance("ext:$m", %o);
        my $have = $b ? $b->{available} + $b->{pending} + $b->{held} - $b->{debt} : 'nothing';
        push @wrong, "$m has $have, not $want->{$m}" if $have ne $want->{$m};
    }
    my $good = Test::More::ok(!@wrong, $name . ' (' . keys(%$want) . ' members)');
    Test::More::diag(scalar(@wrong) . ' differ:', map { "\n  $_" } grep { defined } @wrong[0 .. 9])
        if !$good;
    return $good;
}

sub column {
    my ($all, $name) = @_;
    return { map { $_ => $all->{$_}{$name} } keys %$all };
}

# what must not change when nothing new comes
sub books {
    my ($t) = @_;
    return $t->sql('select (select count(*) from loyalty.entry),'
        . ' (select coalesce(sum(points), 0) from loyalty.entry),'
        . ' (select count(*) from loyalty.movement),'
        . ' (select count(*) from loyalty.event),'
        . ' (select sum(version) from loyalty.balance)')->[0];
}

1;
