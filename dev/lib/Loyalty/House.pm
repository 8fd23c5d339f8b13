package Loyalty::House;

# A running house: PostgreSQL and Redis on sockets, the worker, nginx with the
# module, all of one folder and one unprivileged user.  dev/house keeps one for
# a developer; every test file starts one of its own.

use strict;
use warnings;

use Cwd qw(abs_path);
use Digest::SHA qw(sha1_hex sha256_hex);
use Errno qw(EAGAIN ECHILD ESRCH EPERM);
use Fcntl qw(:flock :mode O_CREAT O_EXCL O_WRONLY);
use File::Basename qw(dirname basename);
use File::Copy qw(copy);
use File::Path qw(make_path remove_tree);
use IO::Handle;
use IO::Socket::INET;
use POSIX ();
use Time::HiRes qw(sleep time);

our $ROOT = abs_path(dirname(__FILE__) . '/../../..');

my $PGBIN = '/usr/lib/postgresql/15/bin';
my $NGINX = -x '/usr/sbin/nginx' ? '/usr/sbin/nginx' : 'nginx';

# roles that the house's own user may take (contracts, 1)
my @ROLES = qw(postgres loyalty_edge loyalty_edge_ro loyalty_dir loyalty_worker
               loyalty_cli loyalty_migrator);

# the longest path a unix socket may have, without its NUL
my $SOCKET_MAX = 107;

my @FOLDERS = qw(pg run nginx tls log bin);


# var: where everything lies; http, https: ports; tune: dev or test;
# owner: name of the user of the services, when this process is root; via:
# {role => folder} of another socket to PostgreSQL; keep: PostgreSQL is started
# again when it ends by itself
sub new {
    my ($class, %o) = @_;

    my $self = bless {
        http => 8080, https => 8443, tune => 'dev', domain => 'localhost',
        say => sub { }, processes => 2, %o,
    }, $class;

    $self->{uid} = $>;
    $self->{gid} = (split ' ', $))[0];
    $self->{name} = getpwuid($>) // "uid$>";

    if ($> == 0) {
        my @pw = getpwnam($self->{owner} // 'loyalty');
        @pw = getpwnam('nobody') if !@pw && !$self->{owner};
        die "the user " . ($self->{owner} // 'loyalty')
            . " is missing: make deps\n" if !@pw;
        @$self{qw(name uid gid)} = @pw[0, 2, 3];
    }

    return $self;
}


# -- folders ----------------------------------------------------------------

sub path { my ($self, @more) = @_; return join '/', $self->{state}, @more }

# Makes the folders.  Where the services' user cannot reach them they lie in a
# folder of his own, and what stands under var are links.
sub prepare {
    my ($self) = @_;
    my $var = $self->{var};

    make_path($var) if !-d $var;
    die "$var: no such folder\n" if !-d $var;
    $self->{var} = $var = abs_path($var);

    my $marker = readlink "$var/state";
    my $state = $marker // ($self->_reaches($var) ? $var : undef);

    if (!defined $state) {
        $state = $self->_private($var);
        symlink $state, "$var/state" or die "$var/state: $!\n";
        $self->{say}->("the user $self->{name} cannot reach $var: "
                       . "state lies in $state");
    }

    if ($state ne $var) {
        $self->_folder($state);
    }

    $self->{state} = $state;
    my $run = "$state/run";

    if (length("$run/.s.PGSQL.5432.lock") > $SOCKET_MAX) {
        my $short = $self->_private("$var/run");
        $self->_folder($short);
        if (!-l $run) {
            rmdir $run;
            symlink $short, $run or die "$run: $!\n";
        }
    }

    $self->_folder(-l "$state/$_" ? readlink "$state/$_" : "$state/$_")
        for @FOLDERS;
    $self->_folder("$state/nginx/temp");

    if ($state ne $var) {
        for my $name (@FOLDERS, 'keyring') {
            next if -l "$var/$name";
            symlink "$state/$name", "$var/$name" or die "$var/$name: $!\n";
        }
    }

    $self->{run} = -l $run ? readlink $run : $run;
    chmod 0755, $self->{run}, $self->path('tls');

    return $self;
}

sub _private {
    my ($self, $of) = @_;
    return '/var/tmp/loyalty-' . substr sha1_hex($of), 0, 12;
}

sub _folder {
    my ($self, $dir) = @_;

    if (!-d $dir) {
        mkdir $dir, 0700 or die "$dir: $!\n";
        chown $self->{uid}, $self->{gid}, $dir or die "$dir: $!\n" if $> == 0;
        return;
    }

    my $owner = (stat $dir)[4];
    return if $owner == $self->{uid};
    die "$dir belongs to another user\n" if $> != 0 || $owner != 0;
    chown $self->{uid}, $self->{gid}, $dir or die "$dir: $!\n";
}

# can the services' user walk to a folder?
sub _reaches {
    my ($self, $dir) = @_;
    return 1 if $self->{uid} == $>;

    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        $self->_become;
        POSIX::_exit(chdir($dir) ? 0 : 1);
    }
    waitpid $pid, 0;
    return $? == 0;
}

sub _become {
    my ($self) = @_;
    return if $self->{uid} == $>;
    $) = "$self->{gid} $self->{gid}";
    $( = $self->{gid};
    $< = $self->{uid};
    $> = $self->{uid};
    POSIX::_exit(126) if $> != $self->{uid} || $< != $self->{uid};
}


# -- processes ----------------------------------------------------------------

# Runs to its end as the services' user; dies with its last line of error.
sub command {
    my ($self, $what, $cmd, %o) = @_;

    pipe(my $from, my $to) or die "pipe: $!\n";
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        $self->_become if !$o{as_caller};
        if (defined $o{stdin}) {
            pipe(my $r, my $w) or POSIX::_exit(126);
            my $feeder = fork;
            if (!$feeder) { close $r; print {$w} $o{stdin}; close $w; POSIX::_exit(0) }
            close $w;
            POSIX::dup2(fileno $r, 0);
        } else {
            open STDIN, '<', '/dev/null';
        }
        POSIX::dup2(fileno $to, 1);
        POSIX::dup2(fileno $to, 2) if !$o{stderr};
        %ENV = (%ENV, %{ $o{env} // {} });
        chdir '/' if !$o{as_caller};
        { no warnings; exec @$cmd; }
        print STDERR "$cmd->[0]: $!\n";
        POSIX::_exit(127);
    }

    close $to;
    my $out = do { local $/; <$from> } // '';
    close $from;
    waitpid $pid, 0;

    if ($?) {
        my ($line) = grep { /\S/ } (grep { /error|fatal|emerg|could not|cannot|denied/i }
                                    split /\n/, $out), reverse split /\n/, $out;
        $line = 'no word of why' if !defined $line;
        $line = 'the disk is full' if $out =~ /No space left on device/;
        die "$what: $line\n" if !$o{may_fail};
        return;
    }

    return $out;
}

# Starts one that stays: a session of its own, no descriptor of the caller.
sub daemon {
    my ($self, $log, $cmd, %env) = @_;

    pipe(my $from, my $to) or die "pipe: $!\n";
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        POSIX::setsid();
        my $second = fork // POSIX::_exit(126);
        if ($second) {
            print {$to} $second;
            close $to;
            POSIX::_exit(0);
        }
        $self->_become;
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', $log or POSIX::_exit(126);
        open STDERR, '>&', \*STDOUT;
        my $most = POSIX::sysconf(&POSIX::_SC_OPEN_MAX) // 1024;
        POSIX::close($_) for 3 .. ($most > 4096 ? 4096 : $most);
        chdir '/';
        @ENV{ keys %env } = values %env;
        delete @ENV{qw(MAKEFLAGS MAKELEVEL MFLAGS)};
        { no warnings; exec @$cmd; }
        print STDERR "$cmd->[0]: $!\n";
        POSIX::_exit(127);
    }

    close $to;
    my $child = <$from>;
    close $from;
    waitpid $pid, 0;
    return $child;
}

# a process of ours by a pid file; the name guards against a pid used again
sub pid {
    my ($self, $part) = @_;

    my $file = $part eq 'postgres' ? $self->path('pg/postmaster.pid')
                                   : "$self->{run}/$part.pid";
    open my $fh, '<', $file or return;
    my ($pid) = (<$fh> // '') =~ /^\s*(\d+)/;
    close $fh;
    return if !$pid || !_alive($pid);

    open my $cmd, '<', "/proc/$pid/cmdline" or return;
    my $line = do { local $/; <$cmd> } // '';
    my $word = { postgres => 'postgres', redis => 'redis', nginx => 'nginx',
                 worker => 'loyalty-worker' }->{$part};
    return $line =~ /\Q$word\E/ ? $pid : undef;
}

sub _alive { my ($pid) = @_; return kill(0, $pid) || $! == EPERM }

sub wait_for {
    my ($self, $what, $seconds, $check) = @_;
    my $end = time + $seconds;

    while (1) {
        my $got = $check->();
        return $got if $got;
        die "$what: not within $seconds s\n" if time > $end;
        sleep 0.02;
    }
}

# tells a process to stop, harder when it does not
sub stop_pid {
    my ($self, $pid, $seconds, @signals) = @_;

    for my $sig (@signals, 'KILL') {
        kill $sig, $pid;
        my $end = time + $seconds;
        while (time < $end) {
            waitpid $pid, POSIX::WNOHANG();
            return 1 if !_alive($pid) || _zombie($pid);
            sleep 0.02;
        }
    }
    return 0;
}

sub _zombie {
    my ($pid) = @_;
    open my $fh, '<', "/proc/$pid/stat" or return 1;
    return (<$fh> // '') =~ /\) Z /;
}

sub last_line {
    my ($self, $log, $like) = @_;
    open my $fh, '<', $self->path('log', $log) or return '';
    my $found = '';
    while (<$fh>) { $found = $_ if !$like || /$like/ }
    chomp $found;
    return $found;
}

sub write_file {
    my ($self, $path, $text, $mode) = @_;
    my $new = "$path.new";

    unlink $new;
    sysopen my $fh, $new, O_CREAT | O_EXCL | O_WRONLY, $mode // 0644
        or die "$path: $!\n";
    print {$fh} $text or die "$path: $!\n";
    close $fh or die "$path: " . ($!{ENOSPC} ? 'the disk is full' : $!) . "\n";
    chmod $mode // 0644, $new;
    chown $self->{uid}, $self->{gid}, $new if $> == 0;
    rename $new, $path or die "$path: $!\n";
}


# -- PostgreSQL ---------------------------------------------------------------

sub conninfo {
    my ($self, $role, $db) = @_;
    my $host = ($self->{via}{ $role // '' } // $self->{run}) =~ s/([\\'])/\\$1/gr;
    $host = "'$host'" if $host =~ /\s/;
    return "host=$host dbname=" . ($db // 'loyalty')
        . ($role ? " user=$role" : '');
}

sub pg_init {
    my ($self) = @_;
    my $pg = $self->path('pg');
    return if -f "$pg/PG_VERSION" && -f "$pg/ready";

    die "postgresql-15 is missing: make deps\n" if !-x "$PGBIN/initdb";

    # an initdb that was cut off leaves nothing worth keeping
    $self->command('the old cluster', [qw(find), $pg, qw(-mindepth 1 -delete)]);
    $self->command('initdb', ["$PGBIN/initdb", '-D', $pg, '-U', 'postgres',
        '-A', 'peer', '-E', 'UTF8', '--locale=C.UTF-8', '--data-checksums',
        $self->{tune} eq 'test' ? '--no-sync' : ()]);
    $self->write_file("$pg/ready", '');
}

# who may connect, and how the server is set; written at each start
sub pg_configure {
    my ($self) = @_;
    my $pg = $self->path('pg');

    my %users = map { $_ => 1 } $self->{name}, scalar getpwuid($<) // (), 'root';
    my $ident = join '', map {
        my $u = $_;
        map { "house \"$u\" $_\n" } @ROLES
    } sort keys %users;

    $self->write_file("$pg/pg_ident.conf", $ident, 0600);
    $self->write_file("$pg/pg_hba.conf", <<'HBA', 0600);
local all loyalty_reader scram-sha-256
local all all            peer map=house
HBA

    my %set = (
        listen_addresses => "''",
        unix_socket_directories => "'" . $self->{run} =~ s/'/''/gr . "'",
        max_connections => 200,
        shared_buffers => '256MB',
        work_mem => '16MB',
        maintenance_work_mem => '128MB',
        effective_cache_size => '2GB',
        max_wal_size => '4GB',
        min_wal_size => '256MB',
        checkpoint_timeout => '15min',
        checkpoint_completion_target => '0.9',
        wal_compression => 'lz4',
        random_page_cost => '1.1',
        jit => 'off',
        timezone => "'UTC'",
        log_timezone => "'UTC'",
        log_line_prefix => "'%m [%p] %u '",
        log_min_duration_statement => '2s',
        log_lock_waits => 'on',
        password_encryption => "'scram-sha-256'",
        fsync => 'on',
    );

    if ($self->{tune} eq 'test') {
        # the machine does not lose power within a test; processes are killed
        @set{qw(fsync full_page_writes shared_buffers max_connections
                min_wal_size max_wal_size log_min_duration_statement)}
            = ('off', 'off', '64MB', 120, '32MB', '1GB', '10s');
    }

    $self->write_file("$pg/house.conf",
        join('', map { "$_ = $set{$_}\n" } sort keys %set), 0600);

    my $conf = do { open my $fh, '<', "$pg/postgresql.conf" or die "$pg: $!\n";
                    local $/; <$fh> };
    if ($conf !~ /^include 'house\.conf'/m) {
        $self->write_file("$pg/postgresql.conf", "$conf\ninclude 'house.conf'\n",
                          0600);
    }
}

# PostgreSQL shuts down when there is no room for its log, even while it
# recovers, and does not come back: what a service manager does elsewhere is
# done here by a shell that starts it again, while its mark is there, until it
# ends as it was told to.  The lock is held by one that lives.
my $KEEPER = <<'SH';
exec 9>>"$2.lock"
flock -n 9 || exit 1
while :; do
    "$0" -D "$1" 9>&-
    test $? -ne 0 && test -e "$2" && sleep 1 && test -e "$2" || exit 1
done
SH

sub pg_start {
    my ($self) = @_;
    return if $self->pid('postgres') && $self->pg_ready;

    $self->pg_configure if !$self->{configured};
    unlink $self->path('pg/postmaster.pid') if !$self->pid('postgres');
    my $mark = "$self->{run}/postgres.keep";
    my @command = ("$PGBIN/postgres", '-D', $self->path('pg'));
    @command = ('/bin/sh', '-c', $KEEPER, $command[0], $command[2], $mark) if $self->{keep};
    my $pid = $self->{keep} && $self->_kept ? undef
        : $self->daemon($self->path('log/postgres.log'), \@command,
                        %{ $self->{pg_env} // {} });

    $self->wait_for('PostgreSQL', 60, sub {
        if ($self->pg_ready) {
            $self->write_file($mark, '') if $self->{keep};
            return 1;
        }
        return if !$pid || _alive($pid) && !_zombie($pid);
        my $why = $self->last_line('postgres.log', qr/FATAL|PANIC|could not/);
        $why = 'the disk is full' if $why =~ /No space left/;
        die "PostgreSQL does not start: $why\n";
    });
}

sub pg_ready {
    my ($self) = @_;
    return system("$PGBIN/pg_isready", '-q', '-h', $self->{run}, '-d',
                  'postgres', '-U', 'postgres') == 0;
}

# does a keeper hold its lock?
sub _kept {
    my ($self) = @_;
    open my $fh, '<', "$self->{run}/postgres.keep.lock" or return 0;
    return !flock $fh, LOCK_EX | LOCK_NB;
}

sub pg_stop {
    my ($self, $signal) = @_;
    unlink "$self->{run}/postgres.keep";
    my $pid = $self->pid('postgres') or return;
    $self->stop_pid($pid, 60, $signal // 'INT', 'QUIT');
}

# one statement as a role, through psql; the text never stands in a list of
# processes
sub psql {
    my ($self, $role, $sql, %o) = @_;
    my $out = $self->command($o{what} // 'psql',
        ["$PGBIN/psql", qw(-X -q -A -t -v ON_ERROR_STOP=1 -f -),
         $self->conninfo($role, $o{db})], stdin => $sql, %o);
    chomp $out if defined $out;
    return $out;
}

sub migrate {
    my ($self, %o) = @_;

    my $db = $self->psql('postgres', "select count(*) from pg_database"
                         . " where datname = 'loyalty'", db => 'postgres');
    $self->psql('postgres', 'create database loyalty', db => 'postgres')
        if !$db;

    $self->command('migrate', ["$ROOT/bin/loyalty", '-q', 'migrate', 'up'],
        as_caller => 1, env => {
            LOYALTY_DATABASE => $self->conninfo('postgres'),
            LOYALTY_SQL => $o{sql} // "$ROOT/sql",
        });
}


# -- Redis --------------------------------------------------------------------

sub redis_start {
    my ($self) = @_;
    return if $self->pid('redis');

    my ($bin) = grep { -x } qw(/usr/bin/redis-server);
    die "redis-server is missing: make deps\n" if !$bin;

    $self->write_file($self->path('run/redis.conf'), <<"CONF");
port 0
unixsocket "$self->{run}/redis.sock"
unixsocketperm 700
pidfile "$self->{run}/redis.pid"
daemonize no
save ""
appendonly no
maxmemory 64mb
maxmemory-policy allkeys-lru
dir "$self->{run}"
CONF
    unlink "$self->{run}/redis.sock", "$self->{run}/redis.pid";
    my $pid = $self->daemon($self->path('log/redis.log'),
        [$bin, $self->path('run/redis.conf')]);
    $self->write_file("$self->{run}/redis.pid", "$pid\n");
    $self->wait_for('Redis', 20, sub {
        die 'Redis does not start: ' . $self->last_line('redis.log') . "\n"
            if !_alive($pid) || _zombie($pid);
        return -S "$self->{run}/redis.sock";
    });
}

sub redis_stop {
    my ($self) = @_;
    my $pid = $self->pid('redis') or return;
    $self->stop_pid($pid, 10, 'TERM');
    unlink "$self->{run}/redis.sock";
}


# -- keys and certificates ------------------------------------------------------

sub random_bytes {
    my ($n) = @_;
    open my $fh, '<:raw', '/dev/urandom' or die "/dev/urandom: $!\n";
    read($fh, my $bytes, $n);
    return $bytes;
}

sub keyring {
    my ($self) = @_;
    my $path = $self->path('keyring');
    return if -f $path;

    require MIME::Base64;
    $self->write_file($path, "# what the platform's keys are wrapped with; a lost "
        . "keyring is lost data\nkey " . unpack('H*', random_bytes(8)) . ' '
        . MIME::Base64::encode_base64(random_bytes(32), '') . "\n", 0400);
}

# The authority is made once; the server's certificate whenever its names
# change.  Returns whether it did.
sub certificate {
    my ($self, @slugs) = @_;
    my $tls = $self->path('tls');

    my @names = ($self->{domain}, map { "$_.$self->{domain}" } sort @slugs);
    my $want = join ',', (map { "DNS:$_" } @names), 'IP:127.0.0.1';

    if (!-f "$tls/ca.pem") {
        $self->command('openssl', ['openssl', 'ecparam', '-name', 'prime256v1',
            '-genkey', '-noout', '-out', "$tls/ca.key"]);
        $self->command('openssl', ['openssl', 'req', '-x509', '-new', '-sha256',
            '-key', "$tls/ca.key", '-days', 3650, '-out', "$tls/ca.pem",
            '-subj', '/CN=loyalty development authority', '-addext',
            'basicConstraints=critical,CA:TRUE,pathlen:0', '-addext',
            'keyUsage=critical,keyCertSign,cRLSign']);
        chmod 0644, "$tls/ca.pem";
    }

    if (open my $fh, '<', "$tls/names") {
        my $old = <$fh> // '';
        return 0 if $old eq $want && -f "$tls/server.pem";
    }

    $self->write_file("$tls/server.ext", "subjectAltName=$want\n"
        . "basicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\n"
        . "keyUsage=critical,digitalSignature\n"
        . "authorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n");
    $self->command('openssl', ['openssl', 'req', '-new', '-newkey', 'ec',
        '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout',
        "$tls/server.key.new", '-subj', "/CN=$self->{domain}", '-out',
        "$tls/server.csr"]);
    $self->command('openssl', ['openssl', 'x509', '-req', '-sha256', '-in',
        "$tls/server.csr", '-CA', "$tls/ca.pem", '-CAkey', "$tls/ca.key",
        '-set_serial', '0x' . unpack('H*', "\x01" . random_bytes(15)), '-days', 397,
        '-extfile', "$tls/server.ext", '-out', "$tls/server.pem.new"]);
    rename "$tls/server.key.new", "$tls/server.key" or die "$tls: $!\n";
    rename "$tls/server.pem.new", "$tls/server.pem" or die "$tls: $!\n";
    chmod 0600, "$tls/server.key";
    $self->write_file("$tls/names", $want);
    return 1;
}


# -- worker and nginx -------------------------------------------------------------

# copies what was built to where the services' user can read it; true when it
# is not what ran before
sub install {
    my ($self, $file, $to) = @_;
    my $from = "$ROOT/bin/$file";
    $to = $self->path('bin', $to // $file);

    die "$from is missing: make build\n" if !-f $from;
    return 0 if -f $to && _digest($from) eq _digest($to);
    copy($from, "$to.new") or die "$to: $!\n";
    chmod 0755, "$to.new";
    chown $self->{uid}, $self->{gid}, "$to.new" if $> == 0;
    rename "$to.new", $to or die "$to: $!\n";
    return 1;
}

sub _digest {
    my ($file) = @_;
    my $d = Digest::SHA->new(1);
    $d->addfile($file, 'b');
    return $d->hexdigest;
}

sub worker_conf {
    my ($self) = @_;

    my %set = (
        database => $self->conninfo('loyalty_worker'),
        socket => "$self->{run}/worker.sock",
        hint_socket => "$self->{run}/edge.sock",
        log_file => $self->path('log/worker.log'),
        pid_file => "$self->{run}/worker.pid",
        metrics_file => "$self->{run}/worker.prom",
        keyring => $self->path('keyring'),
        webhook_allow => '127.0.0.1/32',
        log_level => $self->{tune} eq 'test' ? 'debug' : 'info',
        %{ $self->{worker} // {} },
    );
    $self->write_file($self->path('run/worker.conf'),
        "# this house's worker; loyalty-worker --options tells them all\n"
        . join('', map { "$_ $set{$_}\n" } sort grep { defined $set{$_} } keys %set));
}

sub worker_start {
    my ($self) = @_;
    return if $self->pid('worker');

    $self->worker_conf;
    my $pid = $self->daemon($self->path('log/worker.log'),
        [$self->{worker_bin} // $self->path('bin/loyalty-worker'), '-c',
         $self->path('run/worker.conf')], %{ $self->{worker_env} // {} });
    $self->wait_for('the worker', 20, sub {
        die 'the worker does not start: ' . $self->last_line('worker.log') . "\n"
            if !_alive($pid) || _zombie($pid);
        return $self->pid('worker');
    });
}

sub worker_stop {
    my ($self) = @_;
    my $pid = $self->pid('worker') or return;
    $self->stop_pid($pid, 30, 'TERM', 'TERM');
}

sub nginx_conf {
    my ($self) = @_;

    my $template = do {
        my $file = $self->{nginx_template} // "$ROOT/dev/nginx.conf.in";
        open my $fh, '<', $file or die "$file: $!\n";
        local $/;
        <$fh>;
    };
    my %word = (
        MODULE => $self->{module} // $self->path('bin/ngx_loyalty_module.so'),
        RUN => $self->{run},
        LOG => $self->path('log'),
        TEMP => $self->path('nginx/temp'),
        TLS => $self->path('tls'),
        KEYRING => $self->path('keyring'),
        HTTP => $self->{http},
        HTTPS => $self->{https},
        DOMAIN => $self->{domain},
        PROCESSES => $self->{processes},
        READ => $self->conninfo('loyalty_edge_ro'),
        WRITE => $self->conninfo('loyalty_edge'),
        DIRECTORY => $self->conninfo('loyalty_dir'),
        MAIN => $self->{nginx_main} // '',
        EXTRA => $self->{nginx_http} // '',
        SERVER => $self->{nginx_server} // '',
        ADDRESS_LIMIT => $self->{address_limit} // 'rate=1000000/s burst=1000000',
        ZONE => $self->{zone} // '64m',
        BUDGET => $self->{budget} // '256m',
        QUEUE => $self->{queue} // '4096',
    );
    $template =~ s/\@([A-Z_]+)\@/exists $word{$1} ? $word{$1} : die "\@$1\@ in the template\n"/ge;
    $self->write_file($self->path('nginx/nginx.conf'), $template);
}

sub nginx_command {
    my ($self, @more) = @_;
    return [$NGINX, '-c', $self->path('nginx/nginx.conf'), '-p',
            $self->path('nginx') . '/', '-e', $self->path('log/error.log'), @more];
}

# says so before nginx does, with the setting that moves it
sub ports_free {
    my ($self) = @_;
    my %name = (http => 'LOYALTY_HTTP_PORT', https => 'LOYALTY_HTTPS_PORT');

    for my $p (qw(http https)) {
        my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
            LocalPort => $self->{$p}, Listen => 1, ReuseAddr => 1);
        next if $s;
        die "port $self->{$p} of 127.0.0.1 is "
            . ($!{EADDRINUSE} ? 'in use' : "refused ($!)")
            . ": $name{$p}=N takes another\n";
    }
}

sub nginx_start {
    my ($self) = @_;
    return if $self->pid('nginx');

    $self->ports_free;
    $self->nginx_conf;
    my $log = $self->path('log/error.log');
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        POSIX::setsid();
        $self->_become;
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', $log;
        open STDERR, '>&', \*STDOUT;
        POSIX::close($_) for 3 .. 4096;
        delete @ENV{qw(MAKEFLAGS MAKELEVEL MFLAGS)};
        @ENV{ keys %{ $self->{nginx_env} } } = values %{ $self->{nginx_env} }
            if $self->{nginx_env};
        { no warnings; exec @{ $self->nginx_command }; }
        POSIX::_exit(127);
    }

    waitpid $pid, 0;
    if ($?) {
        die 'nginx does not start: '
            . $self->last_line('error.log', qr/emerg|alert|error while|Sanitizer/) . "\n";
    }
    $self->wait_for('nginx', 10, sub { $self->pid('nginx') });
}

sub nginx_reload {
    my ($self) = @_;
    my $pid = $self->pid('nginx') or return;
    kill 'HUP', $pid;
}

# reloads nginx and returns when a new connection meets a certificate with
# this name
sub nginx_serves {
    my ($self, $host) = @_;
    return if !$self->pid('nginx');

    require Loyalty::Http;
    $self->nginx_reload;
    my $good = 0;

    # an old process may still take a connection while it is told to leave
    $self->wait_for("the certificate of $host", 20, sub {
        my $c = Loyalty::Http->new(tls => 1, host => $host, timeout => 5,
            port => $self->{https}, ca => $self->path('tls/ca.pem'));
        $good = eval { $c->connect; 1 } ? $good + 1 : 0;
        $c->close;
        return $good == 5;
    });
}

sub nginx_stop {
    my ($self) = @_;
    my $pid = $self->pid('nginx') or return;
    $self->stop_pid($pid, 35, 'QUIT', 'TERM');
}


# -- the whole --------------------------------------------------------------------

# nginx first, so that nobody is refused by what stands behind it; the
# database last
sub stop {
    my ($self) = @_;
    $self->nginx_stop;
    $self->worker_stop;
    $self->redis_stop;
    $self->pg_stop;
}

sub cli_env {
    my ($self) = @_;
    return (
        LOYALTY_DATABASE => $self->conninfo('loyalty_cli'),
        LOYALTY_KEYRING => $self->path('keyring'),
        LOYALTY_DOMAIN => $self->{domain},
    );
}

# the command-line tool as an operator of this house
sub cli {
    my ($self, $args, %o) = @_;
    my %env = ($self->cli_env, %{ $o{env} // {} });
    return $self->command($o{what} // "loyalty $args->[0]",
        [$self->{tool} // "$ROOT/bin/loyalty", @$args], %o, as_caller => 1,
        env => \%env);
}

1;
