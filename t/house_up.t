#!/usr/bin/perl

# make up, status and down: everything in one folder, detached, harmless when
# called again, a load that goes on where it was cut off, one clear line where
# something is in the way.

use strict;
use warnings;

use Cwd qw(getcwd abs_path);
use Fcntl ();
use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Loyalty;

my $root = $Test::Loyalty::ROOT;
my $t = Test::Loyalty->new(plan => 39, parts => [], tenant => 0);
my $dir = $t->{dir};
chdir $dir or die;

my $csv = "$dir/year.csv";
put($csv, $t->loyalty([qw(demo generate --orders 300)])->{out});
my %invoice = map { (split /,/)[0] => 1 } grep { /^C?\d/ } split /\n/, slurp($csv);
my $invoices = keys %invoice;

my ($http, $https) = Test::Loyalty::free_ports(2);
my %env = (LOYALTY_VAR => 'var', LOYALTY_HTTP_PORT => $http, LOYALTY_HTTPS_PORT => $https,
           LOYALTY_DEMO => $csv);

# nothing there yet
my $r = house('down', %env);
is($r->{code}, 0, 'down of nothing');
$r = house('status', %env);
is($r->{code}, 3, 'status of nothing: 3');
like($r->{out}, qr/^nginx +stopped$/m, 'says so');

# up, with a descriptor of ours that nobody may keep
pipe(my $from, my $to) or die;
fcntl $to, Fcntl::F_SETFD(), 0;
$r = house('up', %env);
is($r->{code}, 0, 'up') or diag $r->{err};
close $to;
ok(IO::Select->new($from)->can_read(5) && !sysread($from, my $x, 1),
   'what it left running holds none of our descriptors');

my $var = abs_path("$dir/var");
my @lines = split /\n/, slurp("$var/demo.env");
is_deeply([map { /^(\w+)=/ } @lines], [map { "LOYALTY_$_" } qw(URL HTTP_URL CA TENANT SECRET_KEY
    PUBLISHABLE_KEY OWNER_EMAIL OWNER_PASSWORD DATABASE_URL METRICS_URL BIN)],
    'demo.env has what it has to');
is((stat "$var/demo.env")[2] & 07777, 0600, 'for its owner alone');
my %demo = map { /^(\w+)=(.*)$/ } @lines;
is($demo{LOYALTY_URL}, "https://demo.localhost:$https", 'with the chosen port');
is($demo{LOYALTY_CA}, "$var/tls/ca.pem", 'and absolute paths');
is_deeply([grep { /[\s'"\$&;()<>\\`]/ } values %demo], [], 'and nothing to quote');
like($demo{LOYALTY_SECRET_KEY}, qr/^lsk_test_/, 'a secret key in test mode');

my @sids = map { sid($_) } pids();
is(scalar @sids, 4, 'four services run');
ok(!(grep { $_ == sid($$) } @sids), 'in sessions of their own');

SKIP: {
    skip 'not root', 1 if $> != 0;
    is_deeply([grep { (stat "/proc/$_")[4] == 0 } pids()], [], 'none of them as root');
}

is(sql('select count(*) from loyalty.event'), $invoices, 'the year is loaded');
is(sql('select count(*) from loyalty.event_outcome'), $invoices, 'and evaluated');
is(sql("select count(*) from loyalty.rule where is_base and state = 'active'"), 1,
   'by the one rule marked base');
like(slurp_sql('delete from loyalty.tenant'), qr/read-only transaction/, 'the reader only reads');

my $c = Loyalty::Http->new(host => 'demo.localhost', port => $https, tls => 1,
                           ca => $demo{LOYALTY_CA});
my $answer = $c->request(GET => '/v1/me', headers => {
    Authorization => "Bearer $demo{LOYALTY_SECRET_KEY}" });
is($answer->{status}, 200, 'the API answers over HTTPS');
my $plain = Loyalty::Http->new(host => 'demo.localhost', port => $http);
is($plain->request(GET => '/readyz')->{status}, 200, 'and over HTTP');
is($plain->request(GET => '/metrics')->{status}, 200, 'with its figures');
$_->close for $c, $plain;

# again
my %before = map { $_ => 1 } pids();
$r = house('up', %env);
is($r->{code}, 0, 'up again');
is_deeply([grep { !$before{$_} } pids()], [], 'leaves what runs');
is_deeply([split /\n/, slurp("$var/demo.env")], \@lines, 'and the settings');
is(sql('select count(*) from loyalty.event'), $invoices, 'and loads nothing twice');

# with its variable alone; a relative one from elsewhere is another
$r = house('status', LOYALTY_VAR => $var);
is($r->{code}, 0, 'status with LOYALTY_VAR alone');
like($r->{out}, qr/^ready +yes$/m, 'ready');

# a new tenant is in the certificate when the command returns
$r = sh(". '$var/operator.env'; export LOYALTY_DATABASE LOYALTY_KEYRING LOYALTY_TENANT_HOOK;"
        . " '$root/bin/loyalty' tenant create newshop --plan development");
is($r->{code}, 0, 'a second tenant') or diag $r->{err};
$c = Loyalty::Http->new(host => 'newshop.localhost', port => $https, tls => 1,
                        ca => $demo{LOYALTY_CA});
is(eval { $c->request(GET => '/v1/me')->{status} } // $@, 401, 'its name is in the certificate');
$c->close;

# its port taken by another house
$r = house('up', %env, LOYALTY_VAR => 'other', LOYALTY_DEMO => 'none');
is($r->{code}, 1, 'a port in use');
like($r->{err}, qr/^house: port $http of 127\.0\.0\.1 is in use: LOYALTY_HTTP_PORT=N takes another\n\z/,
     'is one clear line');

# down
$r = house('down', LOYALTY_VAR => $var);
is($r->{code}, 0, 'down');
is_deeply([pids()], [], 'nothing is left');

# a load that is cut off goes on; the folder is one that the services' user
# cannot walk to, with a name too long for a socket
my $closed = "$dir/closed";
mkdir $closed, 0700;
my $long = "$closed/" . 'v' x 90;
put($csv, $t->loyalty([qw(demo generate --orders 20000)])->{out});
$env{LOYALTY_VAR} = $long;
my $pid = fork // die;
if ($pid == 0) {
    setpgrp 0, 0;
    @ENV{ keys %env } = values %env;
    open STDERR, '>', "$dir/cut.err";
    open STDOUT, '>&', \*STDERR;
    no warnings 'exec';
    exec "$root/dev/house", 'up';
    POSIX::_exit(127);
}
$t->wait_for(sub { (slurp("$long/demo/events.jsonl.state") =~ /"offset":(\d+)/)[0] }, 60,
             'a load under way');
kill 'KILL', -$pid;
waitpid $pid, 0;
$r = house('up', %env);
is($r->{code}, 0, 'up after a load that was cut off') or diag $r->{err}, slurp("$dir/cut.err");
like($r->{err}, qr/resuming behind line/, 'resumes');
%invoice = map { (split /,/)[0] => 1 } grep { /^C?\d/ } split /\n/, slurp($csv);
is(sql('select count(*) from loyalty.event', $long), scalar keys %invoice, 'each event once');
is_deeply([grep { !-e "$long/$_" } qw(demo.env log/worker.log log/error.log tls/ca.pem)], [],
          'settings and logs are found there');
is(house('down', LOYALTY_VAR => $long)->{code}, 0, 'down');

my $private = readlink "$long/state";
is($> == 0 ? -d $private : 1, 1, 'state lay where its user can reach it');
unlink_private($long);


sub house { my ($verb, %e) = @_; return sh("'$root/dev/house' $verb", %e) }

sub sh {
    my ($command, %e) = @_;
    local @ENV{ keys %e } = values %e;
    # files, not pipes: a service that kept one would keep us waiting
    my $rc = system "($command) > '$dir/sh.out' 2> '$dir/sh.err' < /dev/null";
    return { code => $rc >> 8, out => slurp("$dir/sh.out"), err => slurp("$dir/sh.err") };
}

sub pids {
    my @pids;
    for my $file (glob("$dir/var/run/*.pid"), "$dir/var/pg/postmaster.pid") {
        my ($pid) = slurp($file) =~ /^(\d+)/ or next;
        push @pids, $pid if kill 0, $pid;
    }
    return @pids;
}

sub sid { my ($pid) = @_; return (slurp("/proc/$pid/stat") =~ /\) \S \d+ \d+ (\d+)/)[0] // 0 }

sub sql {
    my ($query, $at) = @_;
    my %e = map { /^(\w+)=(.*)$/ } split /\n/, slurp(($at // $var) . '/demo.env');
    my $out = `psql -X -A -t -c "$query" '$e{LOYALTY_DATABASE_URL}' 2>&1`;
    chomp $out;
    return $out;
}

sub slurp_sql { return sql(@_) }

# what a house keeps outside of the test's folder
sub unlink_private {
    my ($at) = @_;
    for my $link ("$at/state", "$at/state/run") {
        my $to = readlink $link or next;
        system 'rm', '-rf', $to if $to =~ m{^/var/tmp/loyalty-[0-9a-f]{12}$};
    }
}

sub slurp {
    my ($path) = @_;
    open my $fh, '<', $path or return '';
    local $/;
    return scalar <$fh> // '';
}

sub put {
    my ($path, $text) = @_;
    open my $fh, '>', $path or die "$path: $!";
    print {$fh} $text;
    close $fh;
}
