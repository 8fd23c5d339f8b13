package Test::LoyaltyWorker;

# The worker without the edge: tenants, rules and events are put into the
# database as the edge's own functions would, and what the worker makes of them
# is read there.
#
#   my $w = Test::LoyaltyWorker->new(plan => 5, worker => { rules_slots => 1 });
#   my $shop = $w->shop('acme', rules => [$document]);
#   $w->accept($shop, $w->paid('o1', 'ext:anna', ['2.50', 2]));
#   $w->settled;
#   is($w->points($shop, 'anna'), 5);

use strict;
use warnings;

use parent 'Test::Loyalty';

use Digest::SHA ();
use IO::Socket::UNIX ();
use Socket qw(SOCK_DGRAM);
use Test::More ();

my $JSON = JSON::XS->new->utf8->canonical->allow_nonref;
my $serial = 0;

sub new {
    my ($class, %o) = @_;
    my $worker = delete $o{worker} // {};
    my $parts = delete $o{parts} // [qw(postgres worker)];
    return $class->SUPER::new(%o, parts => $parts, tenant => 0, worker => {
        webhooks_slots => 0, hint_socket => undef, %$worker });
}

# rule: one point a pound, as text; more members are merged in
sub rate {
    my ($self, %more) = @_;
    return { trigger => { event => 'order.paid' }, effects => [{
        type => 'rate', wallet => 'points', points => 1,
        per => { amount => '1.00', currency => 'GBP' } }], %more };
}

# an active tenant with one program, the wallet points, and published rules;
# wallet and program: columns to set beside the defaults
sub shop {
    my ($self, $slug, %o) = @_;
    my $dbh = $self->dbh;
    my $shop = { slug => $slug };

    ($shop->{$_}) = $dbh->selectrow_array('select loyalty.uuid_v7()')
        for qw(id program wallet);
    $dbh->do('insert into loyalty.tenant (tenant_id, slug, name, status, mode, plan_code,'
        . " wrapped_key) values (?, ?, ?, 'active', 'test', 'test', '\\x00')", undef,
        $shop->{id}, $slug, $slug);
    $self->put('program', { tenant_id => $shop->{id}, program_id => $shop->{program},
        name => 'P', status => 'active', timezone => 'UTC', %{ $o{program} // {} } });
    $self->put('wallet', { tenant_id => $shop->{id}, wallet_id => $shop->{wallet},
        program_id => $shop->{program}, code => 'points', ordinal => 0,
        %{ $o{wallet} // {} } });
    $self->publish($shop, $_) for @{ $o{rules} // [$self->rate(base => \1)] };
    return $shop;
}

sub put {
    my ($self, $table, $row) = @_;
    my @c = sort keys %$row;
    $self->dbh->do("insert into loyalty.$table (" . join(', ', @c) . ') values ('
        . join(', ', ('?') x @c) . ')', undef, @$row{@c});
}

# a command as the edge queues it; its id
sub command {
    my ($self, $shop, $kind, $args) = @_;
    my ($id) = $self->dbh->selectrow_array('insert into loyalty.command (tenant_id,'
        . ' command_id, kind, args, principal) values (?, loyalty.uuid_v7(), ?, ?, ?)'
        . ' returning command_id', undef, $shop->{id}, $kind, $JSON->encode($args), '{}');
    $self->poke;
    return $id;
}

# the answer of a command, {status, ...}
sub answer {
    my ($self, $id) = @_;
    my $answer;
    $self->wait_for(sub {
        $answer = $self->value("select answer from loyalty.command where command_id = ?"
            . " and state = 'done'", $id);
    }, 60, 'the command is done');
    return $JSON->decode($answer);
}

# a rule of the program, published by the worker; its id in $shop->{rules}
sub publish {
    my ($self, $shop, $document) = @_;
    my ($rule) = $self->dbh->selectrow_array('select loyalty.uuid_v7()');
    $self->put('rule', { tenant_id => $shop->{id}, rule_id => $rule,
        program_id => $shop->{program}, name => 'r', draft => $JSON->encode($document) });
    my $answer = $self->answer($self->command($shop, 'rule.publish',
        { rule => $rule, version => 1 }));
    die 'not published: ' . $JSON->encode($answer) if $answer->{status} != 200;
    push @{ $shop->{rules} }, $rule;
    return $rule;
}

sub paid {
    my ($self, $id, $member, @lines) = @_;
    return $self->order($id, $member, @lines);
}

# [line_id, price, quantity]...; of: the order's external id
sub refunded {
    my ($self, $id, $member, $of, @lines) = @_;
    return { type => 'order.refunded', source => 'shop', external_id => "$id",
        (defined $member ? (member => $member) : ()),
        occurred_at => '2026-01-03T03:04:05Z',
        refund => { currency => 'GBP', (defined $of ? (order_external_id => "$of") : ()),
            lines => [map { +{ line_id => "$_->[0]", unit_price => "$_->[1]",
                               quantity => $_->[2] + 0 } } @lines] } };
}

sub custom {
    my ($self, $type, $id, $member, %more) = @_;
    return { type => $type, source => 'shop', external_id => "$id", member => $member,
        occurred_at => '2026-01-02T03:04:05Z', %more };
}

# accepts events as the edge does, in one commit; dies unless all are new or
# known ({known} counts those).  dbh: another connection.  Their ids.
sub accept {
    my ($self, $shop, @events) = @_;
    my $dbh = ref $events[0] eq 'DBI::db' ? shift @events : $self->dbh;
    my @items = map {
        # a copy: whoever sends the same again must send the same
        my $text = $JSON->encode($_);
        my $e = $JSON->decode($text);
        for my $line (map { @{ $_->{lines} } } grep { $_ } $e->{order}, $e->{refund}) {
            $line->{discount} //= '0';
            $line->{categories} //= [];
        }
        +{ id => $self->uuid7, mac => Digest::SHA::sha256_hex($text), event => $e,
           sealed => undef };
    } @events;
    my $rows = $dbh->selectall_arrayref('select status, event_id from'
        . " loyalty.events_accept(?, '{\"request_id\":\"req_t\"}', ?)", { Slice => {} },
        $shop->{id}, $JSON->encode(\@items));
    my @bad = grep { $_->{status} !~ /^20[02]$/ } @$rows;
    die 'not accepted: ' . $JSON->encode(\@bad) if @bad;
    $self->{known} += grep { $_->{status} == 200 } @$rows;
    $self->poke;
    return map { $_->{event_id} } @$rows;
}

sub uuid7 {
    my $ms = int(Time::HiRes::time() * 1000);
    my $hex = sprintf '%012x7%03x%04x%012x', $ms, rand 4096, 0x8000 | rand 0x4000,
        (++$serial << 24) | int rand 0x1000000;
    return join '-', unpack 'A8 A4 A4 A4 A12', $hex;
}

# wakes the worker as the edge does; a socket that is not there is no fault
sub poke {
    my ($self) = @_;
    my $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM,
        Peer => "$self->{house}{run}/worker.sock") or return;
    $s->send('1', 0);
}

sub outcome {
    my ($self, $id) = @_;
    my $r = $self->sql('select status, detail, member_seq from loyalty.event_outcome'
        . ' where event_id = ?', $id);
    return if !@$r;
    return { status => $r->[0][0], detail => $JSON->decode($r->[0][1]),
             seq => $r->[0][2] };
}

# the outcome, once there is one of that status
sub becomes {
    my ($self, $id, $status, $seconds) = @_;
    my $o;
    $self->wait_for(sub { ($o = $self->outcome($id)) && $o->{status} eq $status },
        $seconds // 60, "$id becomes $status");
    return $o;
}

# a member's balance as {available, debt, ...}; undef if there is none
sub book {
    my ($self, $shop, $ext) = @_;
    my $sth = $self->dbh->prepare('select b.* from loyalty.balance b join'
        . ' loyalty.member_external x using (tenant_id, member_id)'
        . ' where b.tenant_id = ? and x.external_id = ?');
    $sth->execute($shop->{id}, $ext);
    return $sth->fetchrow_hashref;
}

sub points {
    my ($self, $shop, $ext) = @_;
    my $b = $self->book($shop, $ext);
    return $b ? $b->{available} - $b->{debt} : undef;
}

# a test: the queries of the invariants give no row
sub books_ok {
    my ($self, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $faults = $self->sql('select * from ops.audit()');
    my $good = Test::More::is(scalar @$faults, 0, $name // 'every invariant holds');
    Test::More::diag(Test::More::explain($faults)) if !$good;
    return $good;
}

1;
