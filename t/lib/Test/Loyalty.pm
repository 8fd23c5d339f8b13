package Test::Loyalty;

# A private house for one test file: PostgreSQL (a copy of a migrated template
# cluster), Redis, the worker and nginx with the module, on free ports in a
# temporary folder, as an unprivileged user.  Whatever happens to the file, all
# of it is stopped and removed.
#
#   my $t = Test::Loyalty->new(plan => 12);
#   my $r = $t->api(POST => '/v1/events', { body => {...}, wait => 5 });
#   is($r->{status}, 200, 'paid');
#
# The plan grows by one: the last test says that the logs are clean.  See
# docs/internals/testing.md.

use strict;
use warnings;

use Cwd qw(abs_path);
use DBI ();
use Digest::SHA ();
use Fcntl qw(:flock);
use File::Basename qw(dirname);
use File::Path qw(make_path remove_tree);
use File::Temp ();
use IO::Socket::INET;
use JSON::XS ();
use POSIX ();
use Test::More ();
use Time::HiRes qw(sleep time);

use lib abs_path(dirname(__FILE__) . '/../../../dev/lib');
use Loyalty::Demo;
use Loyalty::House;
use Loyalty::Http;

our $ROOT = $Loyalty::House::ROOT;
our $TOOL = "$ROOT/bin/loyalty" . ($ENV{LOYALTY_ASAN} ? '-san' : '');
our $JSON = JSON::XS->new->utf8->canonical->allow_nonref;

# a running house's settings are not the tests' business
BEGIN {
    my %kept = map { $_ => 1 } qw(LOYALTY_DATA LOYALTY_LONG LOYALTY_ALL LOYALTY_SEED
                                  LOYALTY_OPS LOYALTY_ASAN LOYALTY_KEEP LOYALTY_KEEP_FAILED);
    delete @ENV{ grep { /^LOYALTY_/ && !$kept{$_} } keys %ENV };
    delete @ENV{qw(PGHOST PGPORT PGUSER PGDATABASE PGSERVICE PGOPTIONS)};
    delete @ENV{qw(http_proxy https_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY)};
}

# in the template's certificate; another slug gets a new one
my @SLUGS = qw(shop other third demo acme);

my @PARTS = qw(postgres redis worker nginx);

my @open;                   # houses of this process, for END


# plan: number of tests, or undef for a file that plans itself
# parts: [names], all by default
# dir: what folder() gave, for who needs a place in it before
# tenant: 0 makes none; else the tenant 'shop' with its program and keys
# and whatever Loyalty::House takes: worker => {option => value}, processes,
# nginx_http, nginx_server, nginx_main, address_limit, zone, budget, queue
sub new {
    my ($class, %o) = @_;

    my $plan = delete $o{plan};
    my $parts = delete $o{parts} // [@PARTS];
    my $tenant = delete $o{tenant} // 1;
    my %part = map { $_ => 1 } @$parts;

    my $self = bless {
        part => \%part, allowed => [], tenants => {}, clients => {}, pid => $$,
        planned => $plan,
    }, $class;

    Test::More::plan(tests => $plan + 1) if defined $plan;

    my $dir = $self->{dir} = delete $o{dir} // folder();
    $self->_watch;
    push @open, $self;

    my %asan;
    if ($ENV{LOYALTY_ASAN}) {
        chomp(my $lib = `gcc -print-file-name=libasan.so`);
        my %env = (ASAN_OPTIONS => 'detect_leaks=0:abort_on_error=1',
                   UBSAN_OPTIONS => 'print_stacktrace=1');
        my %nginx = (%env, LD_PRELOAD => $lib);
        %asan = (
            worker_bin => "$ROOT/bin/loyalty-worker-san",
            worker_env => \%env,
            module => "$ROOT/build/module-asan/ngx_loyalty_module.so",
            nginx_env => \%nginx,
            tool => $TOOL,
        );
        @ENV{ keys %env } = values %env;

        # nginx hands a new binary what is named so, and nothing else
        $o{nginx_main} = join ' ', map({ "env $_;" } sort keys %nginx),
            $o{nginx_main} // ();

        for my $f ($TOOL, @asan{qw(worker_bin module)}) {
            die "$f is missing: make san\n" if !-f $f;
        }
    }

    my $h = $self->{house} = Loyalty::House->new(
        var => $dir, tune => 'test', %asan, %o);
    ($h->{http}, $h->{https}) = free_ports(2);
    $h->prepare;

    if (!%asan) {
        $h->install('loyalty-worker') if $part{worker};
        $h->install('ngx_loyalty_module.so') if $part{nginx};
    }

    my $from = $self->_template;
    if ($part{postgres}) {
        rmdir $h->path('pg');
        _cp("$from/pg", $h->path('pg'));
        $h->pg_start;
        $self->{template_plan} = 1;
    }
    rmdir $h->path('tls');
    _cp("$from/tls", $h->path('tls'));
    _cp("$from/keyring", $h->path('keyring'));

    $h->redis_start if $part{redis};
    $h->worker_start if $part{worker};
    $self->start_nginx if $part{nginx};

    if ($tenant && $part{postgres}) {
        $self->tenant(ref $tenant ? %$tenant : (), slug => 'shop');
    }

    return $self;
}

# where a house's files lie; it goes with the house
sub folder {
    my $dir = File::Temp::tempdir('lyt-XXXXXX', DIR => '/tmp');
    chmod 0755, $dir;
    return $dir;
}

sub house { $_[0]{house} }
sub dir { $_[0]{dir} }
sub port { my ($self, $tls) = @_; return $self->{house}{ $tls ? 'https' : 'http' } }
sub ca { $_[0]{house}->path('tls/ca.pem') }

# ports that nobody listens on now
sub free_ports {
    my ($n) = @_;
    my @s = map {
        IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0,
                              Listen => 1) or die "no free port: $!\n"
    } 1 .. $n;
    return map { $_->sockport } @s;
}

# between our look and nginx another may have taken a port
sub start_nginx {
    my ($self) = @_;
    my $h = $self->{house};

    for my $try (1 .. 5) {
        return if eval { $h->nginx_start; 1 };
        my $why = $@;
        die $why if $try == 5 || $why !~ /in use/ || $self->{started_nginx};
        ($h->{http}, $h->{https}) = free_ports(2);
    }
}


# -- the template cluster ------------------------------------------------------

# initdb and migrations once for one state of sql/; files copy the result
sub _template {
    my ($self) = @_;
    my $h = $self->{house};

    my $d = Digest::SHA->new(1);
    $d->add($h->{uid}, $Loyalty::House::ROOT);
    for my $file (sort(split /\n/, `find '$ROOT/sql' -name '*.sql' -not -path '*/test/*'`),
                  __FILE__, "$ROOT/dev/lib/Loyalty/House.pm") {
        $d->add($file);
        $d->addfile($file);
    }
    my $digest = substr $d->hexdigest, 0, 12;

    my $base = "/var/tmp/loyalty-test-$h->{uid}-" . substr(
        Digest::SHA::sha1_hex($ROOT), 0, 8);
    make_path($base);
    chmod 0755, $base;
    my $at = "$base/$digest";

    open my $lock, '>>', "$base/lock" or die "$base/lock: $!\n";
    flock $lock, LOCK_EX or die "$base/lock: $!\n";
    if (-f "$at/done") {
        utime undef, undef, "$at/done";
        return $at;
    }

    # those nobody used for a day are of states that are gone
    for my $old (glob "$base/*/done") {
        remove_tree(dirname($old)) if -M $old > 1;
    }

    remove_tree($at);
    make_path($at);
    my $t = Loyalty::House->new(var => $at, tune => 'test');
    $t->prepare;
    $t->pg_init;
    $t->pg_start;
    my $good = eval {
        $t->migrate;
        $t->psql('loyalty_cli', "select ops.plan_put('" . $JSON->encode({
            code => 'test', request_rate => 1_000_000, request_burst => 1_000_000,
            key_rate => 1_000_000, key_burst => 1_000_000,
            inflight_writes => 10_000, inflight_batches => 1_000,
        }) . "')");
        $t->psql('postgres', 'create extension if not exists pgtap');
        $t->psql('postgres', 'checkpoint');
        1;
    };
    my $why = $@;
    $t->pg_stop;
    die $why if !$good;
    $t->keyring;
    $t->certificate(@SLUGS);
    $t->write_file("$at/done", '');
    return $at;
}

sub _cp {
    my ($from, $to) = @_;
    system('cp', '-a', '--reflink=auto', $from, $to) == 0
        or die "cp $from $to failed\n";
}


# -- whatever happens ------------------------------------------------------------

# a process that outlives this one and cleans up behind it, even after kill -9
sub _watch {
    my ($self) = @_;

    pipe(my $r, my $w) or die "pipe: $!\n";
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        POSIX::setsid();
        close $w;
        @open = ();
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', '/dev/null';
        open STDERR, '>', '/dev/null';
        for my $fd (3 .. 255) { POSIX::close($fd) if $fd != fileno $r }
        $SIG{$_} = 'IGNORE' for qw(INT TERM HUP);
        my $word = '';
        1 while sysread($r, $word, 1);
        _sweep($self->{dir}) if -d $self->{dir};
        POSIX::_exit(0);
    }
    close $r;
    $self->{watch} = $w;
    $self->{watcher} = $pid;
}

# every process whose command line, working folder or log is in the house's
# folder
sub _sweep {
    my ($dir) = @_;

    for my $round (1 .. 50) {
        my $any = 0;
        for my $p (glob '/proc/[0-9]*') {
            my ($pid) = $p =~ /(\d+)$/;
            next if $pid == $$;
            my $hit = _names($p, $dir);
            next if !$hit;
            $any = 1;
            kill 'KILL', $pid;
        }
        last if !$any;
        sleep 0.05;
    }
    remove_tree($dir);
}

sub _names {
    my ($p, $dir) = @_;
    my $line = '';
    if (open my $fh, '<', "$p/cmdline") { local $/; $line = <$fh> // '' }
    return 1 if index($line, "$dir/") >= 0;
    my $cwd = readlink("$p/cwd") // '';
    return 1 if $cwd eq $dir || index($cwd, "$dir/") == 0;
    # nginx's processes write their title over the command line, and those of
    # a killed master live on
    return grep { index(readlink("$p/fd/$_") // '', "$dir/") == 0 } 1, 2;
}

$SIG{$_} //= sub { exit 130 } for qw(INT TERM HUP);

END {
    my $status = $?;
    for my $t (@open) {
        next if $t->{pid} != $$ || $t->{finished};
        $t->{died} = $status != 0;
        $t->finish;
    }
    $? = $status if $status;
}

# stops all, looks at the logs: the last test of the plan
sub finish {
    my ($self) = @_;
    return if $self->{finished}++;
    chdir "/";

    local ($@, $?);
    my $h = $self->{house};
    $_->close for values %{ $self->{clients} };
    for my $dbh (values %{ $self->{dbh} // {} }) { eval { $dbh->disconnect } }

    my @faults;
    if ($h && $h->{state}) {
        eval { $h->nginx_stop; 1 } or push @faults, "nginx: $@";
        eval { $h->worker_stop; 1 } or push @faults, "worker: $@";
        eval { $h->redis_stop };
        eval { $h->pg_stop('QUIT') };
        push @faults, $self->_log_faults;
    }

    if (defined $self->{planned}) {
        my $tb = Test::More->builder;
        $tb->ok(!@faults, 'the logs are clean');
        $tb->diag($_) for @faults > 10 ? (@faults[0 .. 9], '...') : @faults;
    }

    my $failed = $self->{died} || !Test::More->builder->is_passing;
    if ($ENV{LOYALTY_KEEP} || ($failed && $ENV{LOYALTY_KEEP_FAILED})) {
        Test::More::diag("kept: $self->{dir}");
        kill 'KILL', $self->{watcher};
    } else {
        _sweep($self->{dir});
    }
    close delete $self->{watch};
    waitpid $self->{watcher}, 0;
}

# says that a line of the logs is expected
sub allow { my ($self, @like) = @_; push @{ $self->{allowed} }, @like }

sub _log_faults {
    my ($self) = @_;
    my @faults;

    for my $log (glob $self->{house}->path('log/*')) {
        open my $fh, '<', $log or next;
        my ($name) = $log =~ m{([^/]+)$};
        while (<$fh>) {
            next if !/\[(?:alert|emerg)\]|Sanitizer|runtime error:|"level":60|PANIC|core dumped|terminated by signal (?:4|6|7|8|11)\b/;
            next if /signal process started/;
            my $line = $_;
            next if grep { $line =~ $_ } @{ $self->{allowed} };
            chomp;
            push @faults, "$name: $_";
        }
    }
    push @faults, map { "a core file: $_" } glob "$self->{dir}/core* $self->{dir}/*/core*";
    return @faults;
}


# -- tenants -----------------------------------------------------------------------

# A tenant with keys; with nginx and the worker also its program, wallet and
# base rule.  slug, mode, plan, return_policy, program => 0 for none.
# Returns {slug, id (ten_...), uuid, key, publishable, program}.
sub tenant {
    my ($self, %o) = @_;
    my $h = $self->{house};
    my $slug = $o{slug} // die 'a slug is needed';

    my $out = $h->cli(['-o', 'json', qw(tenant create), $slug, '--plan',
                       $o{plan} // 'test', '--mode', $o{mode} // 'test',
                       '--timezone', $o{timezone} // 'UTC'], stderr => 1);
    my $record = $JSON->decode($out);
    my $tenant = $self->{tenants}{$slug} = {
        slug => $slug, uuid => $record->{id}, id => $record->{ten},
    };
    $self->{first} //= $slug;

    if (!grep { $_ eq $slug } @SLUGS, @{ $self->{more} // [] }) {
        push @{ $self->{more} }, $slug;
        $h->certificate(@SLUGS, @{ $self->{more} });
        $h->nginx_serves("$slug.$h->{domain}");
    }

    $tenant->{key} = $self->key($slug, name => 'tests');
    $tenant->{publishable} = $self->key($slug, kind => 'publishable');

    if ($self->{part}{nginx}) {
        $self->wait_for(sub {
            my $r = eval { $self->api(GET => '/v1/me', { tenant => $slug }) };
            return $r && $r->{status} == 200;
        }, 20, "the edge knows $slug");
    }

    if (($o{program} // 1) && $self->{part}{nginx} && $self->{part}{worker}) {
        $tenant->{program} = Loyalty::Demo::program(
            $self->client($slug, 1), $tenant->{key},
            return_policy => $o{return_policy} // 'debt');
    }
    return $tenant;
}

# a key of a tenant: kind, scopes => 'a:b,c:d', name
sub key {
    my ($self, $slug, %o) = @_;
    my $out = $self->{house}->cli(['-o', 'json', qw(key create --tenant), $slug,
        '--kind', $o{kind} // 'secret', '--name', $o{name} // '',
        ($o{scopes} ? ('--scopes', $o{scopes}) : ())], stderr => 1);
    return $JSON->decode($out)->{key};
}

# an access token: subject => usr_... or mem_..., scopes, ttl
sub token {
    my ($self, $slug, %o) = @_;
    my $out = $self->{house}->cli([qw(-q token mint --tenant), $slug,
        '--subject', $o{subject}, ($o{scopes} ? ('--scopes', $o{scopes}) : ()),
        ($o{ttl} ? ('--ttl', $o{ttl}) : ()), ($o{alg} ? ('--alg', $o{alg}) : ())],
        stderr => 1);
    chomp $out;
    return $out;
}

# the tool itself: {code, out, err}; env is added to what an operator has
sub loyalty {
    my ($self, $args, %o) = @_;
    require IPC::Run;
    my %env = ($self->{house}->cli_env, %{ $o{env} // {} });
    my ($out, $err) = ('', '');
    my $in = $o{stdin} // '';
    local @ENV{ keys %env } = values %env;
    IPC::Run::run([$TOOL, @$args], \$in, \$out, \$err,
                  IPC::Run::timeout($o{timeout} // 300));
    return { code => $? & 127 ? 128 + ($? & 127) : $? >> 8, out => $out, err => $err };
}

# what the tool needs to speak to the API of a tenant
sub api_env {
    my ($self, $slug) = @_;
    $slug //= $self->{first};
    return (LOYALTY_URL => "https://$slug.localhost:$self->{house}{https}",
            LOYALTY_CA => $self->ca,
            LOYALTY_SECRET_KEY => $self->{tenants}{$slug}{key});
}


# -- the API -----------------------------------------------------------------------

# a connection to a tenant's host, kept by name; give a name for a second one
sub client {
    my ($self, $slug, $tls, $name) = @_;
    $slug //= $self->{first};
    $tls //= 0;
    my $host = $slug =~ /\./ ? $slug : "$slug.localhost";
    return $self->{clients}{ join ' ', $host, $tls, $name // '', $$ }
        //= Loyalty::Http->new(host => $host, tls => $tls,
            port => $self->port($tls), ca => $self->ca);
}

# $t->api(METHOD, path, {body, headers, key, tenant, wait, tls, connection}).
# body: a reference becomes JSON, a string goes as it is.  key: undef for none.
# The answer has status, headers, body and, when it is JSON, json.
sub api {
    my ($self, $method, $path, @o) = @_;
    my %o = @o == 1 ? %{ $o[0] } : @o;

    my $slug = $o{tenant} // $self->{first} // 'shop';
    my $key = exists $o{key} ? $o{key} : $self->{tenants}{$slug}{key};
    my $body = $o{body};
    $body = $JSON->encode($body) if ref $body;

    my @headers = ref $o{headers} eq 'ARRAY' ? @{ $o{headers} }
        : map { [$_, $o{headers}{$_}] } sort keys %{ $o{headers} // {} };
    my %given = map { lc $_->[0] => 1 } @headers;
    push @headers, ['Authorization', "Bearer $key"]
        if defined $key && !$given{authorization};
    push @headers, ['Content-Type', 'application/json']
        if defined $body && !$given{'content-type'};
    push @headers, ['Prefer', "wait=$o{wait}"] if defined $o{wait};

    my $client = $self->client($slug, $o{tls} // 0, $o{connection});
    my $r = $client->request($method, $path, headers => \@headers,
        (defined $body ? (body => $body)
         : $method =~ /^(?:POST|PUT|PATCH)$/ ? (body => '') : ()),
        timeout => $o{timeout} // 60);
    $r->{json} = eval { $JSON->decode($r->{body}) }
        if ($r->{headers}{'content-type'} // '') =~ /json/;
    return $r;
}

# What a function gives, called in a process of its own: the sub returned waits
# for that, and dies as it died.  It must be something that JSON can carry.
sub later {
    my ($self, $do) = @_;

    pipe(my $out, my $in) or die "pipe: $!\n";
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        close $out;
        my %said;
        eval { $said{gave} = $do->(); 1 } or $said{died} = "$@";
        print {$in} $JSON->encode(\%said);
        close $in;
        POSIX::_exit(0);
    }
    close $in;
    return sub {
        local $?;
        my $text = do { local $/; <$out> } // '';
        waitpid $pid, 0;
        my $said = eval { $JSON->decode($text) }
            or die "a process ended with status $? and said: " . ($text || 'nothing') . "\n";
        die $said->{died} if defined $said->{died};
        return $said->{gave};
    };
}

# the same for a request that waits for the worker, once it does
sub waiting {
    my ($self, $do) = @_;
    my $before = $self->metric('waits_total');
    my $answer = $self->later($do);
    $self->wait_for(sub { $self->metric('waits_total') > $before }, 20, 'a request that waits');
    return $answer;
}

sub metric {
    my ($self, $name) = @_;
    my $r = $self->client('metrics.localhost')->request(GET => '/metrics');
    return $r->{body} =~ /^loyalty_\Q$name\E (\d+)/m ? $1 : die "no metric $name\n";
}

# a test: an answer is a problem document of this status and code, and every
# member that RFC 9457 and api.md name stands in it
sub problem_is {
    my ($self, $r, $status, $code, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $p = ref $r->{json} eq 'HASH' ? $r->{json} : {};
    my @wrong;
    push @wrong, "status $r->{status}, not $status" if $r->{status} != $status;
    push @wrong, "type " . ($r->{headers}{'content-type'} // 'none')
        if ($r->{headers}{'content-type'} // '') !~ m{^application/problem\+json};
    push @wrong, 'code ' . ($p->{code} // 'none') . ", not $code"
        if defined $code && ($p->{code} // '') ne $code;
    push @wrong, "status $p->{status} in the body"
        if ($p->{status} // -1) != $r->{status};
    push @wrong, "no $_" for grep { !defined $p->{$_} } qw(type title instance);

    my $good = Test::More::ok(!@wrong, $name // "problem $status "
                              . ($code // ''));
    Test::More::diag(join("\n", @wrong, substr $r->{body}, 0, 600)) if !$good;
    return $good;
}

# an order as events carry it: order($id, $member, ['2.55', 6], ...)
sub order {
    my ($self, $id, $member, @lines) = @_;
    my $n = 0;
    return {
        type => 'order.paid', source => 'shop', external_id => "$id",
        (defined $member ? (member => $member) : ()),
        occurred_at => '2026-01-02T03:04:05Z',
        order => { currency => 'GBP', lines => [map { +{
            line_id => '' . ++$n, sku => "sku-$n", unit_price => "$_->[0]",
            quantity => $_->[1] + 0,
        } } @lines] },
    };
}

# of a member in the wallet points, as the API says it now
sub balance {
    my ($self, $member, %o) = @_;
    my $id = $member =~ s{([^A-Za-z0-9._~:-])}{sprintf '%%%02X', ord $1}ger;
    my $r = $self->api(GET => "/v1/members/$id/balances", \%o);
    return if $r->{status} != 200;
    my ($b) = grep { $_->{wallet} eq ($o{wallet} // 'points') } @{ $r->{json}{data} };
    return $b;
}


# -- the database --------------------------------------------------------------------

# a handle as a role; postgres by default
sub dbh {
    my ($self, $role) = @_;
    $role //= 'postgres';
    my $dbh = $self->{dbh}{"$role $$"};
    return $dbh if $dbh && $dbh->ping;
    return $self->{dbh}{"$role $$"} = DBI->connect(
        "dbi:Pg:host=$self->{house}{run};dbname=loyalty", $role, undef,
        { RaiseError => 1, PrintError => 0, PrintWarn => 0, AutoCommit => 1,
          AutoInactiveDestroy => 1, pg_enable_utf8 => 0 });
}

# rows as arrays of arrays; statements that give none return their count
sub sql {
    my ($self, $sql, @bind) = @_;
    my $sth = $self->dbh->prepare($sql);
    my $n = $sth->execute(@bind);
    return $sth->{NUM_OF_FIELDS} ? $sth->fetchall_arrayref : $n;
}

sub value { my ($self, @q) = @_; my $r = $self->sql(@q); return $r->[0] ? $r->[0][0] : undef }

# a test: every invariant of the books holds
sub audit_ok {
    my ($self, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $r = $self->loyalty(['-o', 'json', 'audit']);
    my $good = Test::More::ok($r->{code} == 0, $name // 'every invariant holds');
    Test::More::diag(substr "$r->{out}$r->{err}", 0, 2000) if !$good;
    return $good;
}

# until every accepted event has an outcome that lasts
sub settled {
    my ($self, $seconds) = @_;
    my $left;
    $self->wait_for(sub {
        $left = eval { $self->value('select count(*) from loyalty.event e'
            . ' where not exists (select from loyalty.event_outcome o'
            . ' where o.tenant_id = e.tenant_id and o.event_id = e.event_id)') };
        return defined $left && $left == 0;
    }, $seconds // 60, 'every event has its outcome');
}


# -- faults --------------------------------------------------------------------------

# the condition's first true value; dies at the deadline
sub wait_for {
    my ($self, $check, $seconds, $what) = @_;
    my $end = time + ($seconds // 10);

    while (1) {
        my $got = $check->();
        return $got if $got;
        if (time > $end) {
            $self->scene;
            die 'not within ' . ($seconds // 10) . ' s: ' . ($what // 'the condition') . "\n";
        }
        sleep 0.02;
    }
}

# what the house does at this moment, for a wait that was in vain
sub scene {
    my ($self) = @_;

    for my $log (qw(worker.log error.log postgres.log)) {
        open my $fh, '<', $self->{house}->path("log/$log") or next;
        my @last = <$fh>;
        splice @last, 0, -12 if @last > 12;
        Test::More::diag("-- $log");
        Test::More::diag(substr $_, 0, 300) for @last;
    }
    for my $q (
        [sessions => q{select pid, usename, state, wait_event_type, wait_event,
                              pg_blocking_pids(pid)::text, now() - xact_start, left(query, 120)
                         from pg_stat_activity
                        where datname = 'loyalty' and pid <> pg_backend_pid()
                          and state <> 'idle'}],
        [workers => q{select w.*, count(s.shard) as shards, max(s.expires_at), max(s.token)
                        from loyalty.worker w
                        left join loyalty.shard_lease s on s.worker_id = w.worker_id
                       group by w.worker_id}],
        [cursors => q{select low::text, high::text, position, count(*), max(updated_at), now(),
                             pg_current_snapshot()
                        from loyalty.log_cursor group by low::text, high::text, position
                       order by 5 desc limit 6}],
        [waiting => q{select l.xid, l.log_id, l.shard, c.low, c.high, c.position
                        from loyalty.event_log l
                        join loyalty.log_cursor c on c.shard = l.shard
                       where not exists (select from loyalty.event_outcome o
                                          where o.tenant_id = l.tenant_id
                                            and o.event_id = l.event_id)
                       order by l.log_id limit 6}])
    {
        Test::More::diag("-- $q->[0]");
        my $rows = eval { $self->sql($q->[1]) };
        Test::More::diag($@) if !$rows;
        Test::More::diag(join ' | ', map { $_ // '' } @$_) for @{ $rows // [] };
    }
}

sub pids {
    my ($self, $part) = @_;
    my $h = $self->{house};
    my ($main) = $part =~ /^(nginx|worker|postgres|redis)/;
    my $pid = $h->pid($main) or return;
    return $pid if $part eq $main;
    my @children;
    for my $stat (glob '/proc/[0-9]*/stat') {
        open my $fh, '<', $stat or next;
        my $line = <$fh> // next;
        my ($child, $parent) = $line =~ /^(\d+) \(.*\) \S (\d+)/ or next;
        push @children, $child if $parent == $pid;
    }
    return @children;
}

# kill -9 of a part: nginx (master), nginx-process (one of its workers),
# worker (supervisor), worker-process (a slot), postgres (the server's first
# process), postgres-backend (a client's), redis
sub kill9 {
    my ($self, $part) = @_;
    my @pids;

    if ($part eq 'postgres-backend') {
        @pids = map { $_->[0] } @{ $self->sql('select pid from pg_stat_activity'
            . " where backend_type = 'client backend' and pid <> pg_backend_pid()"
            . " and usename in ('loyalty_edge', 'loyalty_edge_ro', 'loyalty_worker')") };
    } else {
        @pids = $self->pids($part);
    }
    die "no process of $part\n" if !@pids;
    my $pid = $pids[rand @pids];
    $self->allow(qr/exited on signal 9/) if $part =~ /^nginx/;
    kill 'KILL', $pid;

    # it lives until it has run once more: what is started before that finds it
    $self->wait_for(sub {
        open my $fh, '<', "/proc/$pid/stat" or return 1;
        return (<$fh> // ') Z ') =~ /\) [ZX] /;
    }, 30, "$part has died");
    return $pid;
}

# start and stop by name, for faults and recovery
sub start {
    my ($self, $part) = @_;
    my $h = $self->{house};
    return $part eq 'postgres' ? $h->pg_start : $part eq 'redis' ? $h->redis_start
        : $part eq 'worker' ? $h->worker_start : $h->nginx_start;
}

sub stop {
    my ($self, $part, $signal) = @_;
    my $h = $self->{house};
    return $part eq 'postgres' ? $h->pg_stop($signal) : $part eq 'redis' ? $h->redis_stop
        : $part eq 'worker' ? $h->worker_stop : $h->nginx_stop;
}

# reloads nginx and waits until its processes are new ones
sub reload {
    my ($self) = @_;
    my %old = map { $_ => 1 } $self->pids('nginx-process');
    $self->{house}->nginx_conf;
    $self->{house}->nginx_reload;
    $self->wait_for(sub { grep { !$old{$_} } $self->pids('nginx-process') }, 20,
                    'new processes after a reload');
}

sub log_text {
    my ($self, $name) = @_;
    open my $fh, '<', $self->{house}->path('log', $name) or return '';
    local $/;
    return <$fh>;
}

# where public data stands, or nothing (and a visible word)
sub data {
    my ($what) = @_;
    my $dir = $ENV{LOYALTY_DATA} || "$ROOT/../shared/data";
    return "$dir/$what" if -e "$dir/$what";
    Test::More::diag("LOYALTY_DATA has no $what: what it checks is skipped");
    return;
}

1;
