package Loyalty::TestDb;

# A private PostgreSQL cluster with the project's database in it, for one test
# file: on a socket in a temporary directory, as an unprivileged user, gone
# whatever happens.

use strict;
use warnings;

use Cwd qw(abs_path);
use DBI;
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use POSIX ();

our $ROOT = abs_path(dirname(__FILE__) . '/../../..');

my $BIN = '/usr/lib/postgresql/15/bin';

sub new {
    my ($class, %opt) = @_;
    my $dir = tempdir('lydb-XXXXXX', DIR => '/tmp', CLEANUP => 0);
    my $self = bless {dir => $dir, owner => $$, port => 5432}, $class;

    chmod 0755, $dir;
    if ($> == 0) {
        my (undef, undef, $uid, $gid) = getpwnam('nobody');
        $self->{uid} = $uid;
        $self->{gid} = $gid;
        chown $uid, $gid, $dir;
    }
    $self->run("$BIN/initdb", '-D', "$dir/pg", '-U', 'postgres', '-A', 'trust', '-E', 'UTF8',
        '--locale=C.UTF-8', '-N');
    # crash safety has its own tests; here speed counts
    $self->run("$BIN/pg_ctl", '-D', "$dir/pg", '-w', '-l', "$dir/log", '-o',
        "-c listen_addresses='' -c unix_socket_directories=$dir -c fsync=off"
        . " -c max_connections=40 -c shared_buffers=64MB", 'start');
    $self->{started} = 1;
    $self->psql('postgres', '-c', 'create database loyalty');
    $self->{db} = 'loyalty';
    $self->apply unless $opt{empty};
    return $self;
}

# as the unprivileged user; dies with the output on failure
sub run {
    my ($self, @cmd) = @_;
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        chdir $self->{dir};
        open STDOUT, '>>', "$self->{dir}/out";
        open STDERR, '>&', \*STDOUT;
        if (defined $self->{uid}) {
            POSIX::setgid($self->{gid});
            POSIX::setuid($self->{uid});
        }
        exec @cmd or POSIX::_exit(127);
    }
    waitpid $pid, 0;
    return if $? == 0;
    open my $fh, '<', "$self->{dir}/out";
    local $/;
    die "@cmd failed:\n" . <$fh>;
}

sub conninfo {
    my ($self, $user, $db) = @_;
    return "host=$self->{dir} port=$self->{port} user=" . ($user // 'postgres')
        . ' dbname=' . ($db // $self->{db});
}

sub psql {
    my ($self, $db, @args) = @_;
    my $out = '';
    my $pid = open(my $fh, '-|') // die "fork: $!";
    if ($pid == 0) {
        open STDERR, '>&', \*STDOUT;
        exec 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $self->conninfo('postgres', $db),
            @args or POSIX::_exit(127);
    }
    { local $/; $out = <$fh> // ''; }
    close $fh or die "psql @args failed:\n$out";
    return $out;
}

sub apply {
    my ($self) = @_;
    my $sql = $ENV{LOYALTY_SQL} // "$ROOT/sql";
    # migrations expect a transaction of their own each
    $self->psql($self->{db}, '-f', "$sql/roles.sql");
    $self->psql($self->{db}, '-1', '-f', $_) for sort glob("$sql/migrations/*.up.sql");
    $self->psql($self->{db}, map { ('-f', $_) } sort(glob("$sql/functions/*/*.sql")),
        sort(glob("$sql/policies/*.sql")), sort(glob("$sql/grants/*.sql")));
    return;
}

sub dbh {
    my ($self, $user) = @_;
    my $dbh = DBI->connect("dbi:Pg:dbname=$self->{db};host=$self->{dir};port=$self->{port}",
        $user // 'postgres', '',
        {RaiseError => 1, PrintError => 0, AutoCommit => 1, pg_enable_utf8 => 1,
         AutoInactiveDestroy => 1});
    return $dbh;
}

# lines of the log that no test announced
sub log_faults {
    my ($self) = @_;
    open my $fh, '<', "$self->{dir}/log" or return "no log: $!";
    return grep { /\b(PANIC|FATAL|server process .* was terminated)/ && !/shutting down/ } <$fh>;
}

sub DESTROY {
    my ($self) = @_;
    return if $self->{owner} != $$;
    local ($?, $@);
    if ($self->{started}) {
        eval { $self->run("$BIN/pg_ctl", '-D', "$self->{dir}/pg", '-m', 'immediate', '-w', 'stop') };
    }
    system 'rm', '-rf', $self->{dir};
    return;
}

1;
