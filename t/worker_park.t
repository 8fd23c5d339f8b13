#!/usr/bin/perl

# An event that the books refuse: it is found in its batch, put aside and tried
# again; its member's later events stay behind it, everything else goes on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::LoyaltyWorker;
use Test::More;

my $t = Test::LoyaltyWorker->new(plan => 19, worker => {
    rules_slots => 1, retry_first => '100ms', retry_max => '300ms', quarantine_after => '30s' });
my $shop = $t->shop('acme');
my $dbh = $t->dbh;

# more points than a balance can hold
my @too_much = (['9999999999999999', 10]);


# -- in the middle of a batch

$dbh->begin_work;
my @ids = $t->accept($shop,
    (map { $t->paid("a$_", 'ext:m' . $_, ['1.00', 1]) } 1 .. 40),
    $t->paid('bad', 'ext:m7', @too_much),
    $t->paid('behind', 'ext:m7', ['2.00', 1]),
    (map { $t->paid("b$_", 'ext:m' . $_, ['1.00', 1]) } 1 .. 40));
$dbh->commit;
my ($bad, $behind, $last) = @ids[40, 41, 81];
$t->becomes($last, 'processed');
is($t->value("select count(*) from loyalty.event_outcome where status = 'processed'"), 79,
    'all but one member\'s are processed');
is($t->value('select sum(available) from loyalty.balance'), 79, 'and booked');
is($t->becomes($bad, 'waiting')->{detail}{code}, '23514', 'the one waits, and says why');
is($t->becomes($behind, 'waiting')->{detail}{reason}, 'order', 'the member\'s next one behind it');
is($t->outcome($ids[48])->{status}, 'waiting', 'and the one of the same batch after that');

my ($later) = $t->accept($shop, $t->paid('later', 'ext:m7', ['3.00', 1]));
is($t->becomes($later, 'waiting')->{detail}{reason}, 'order', 'and one that comes later');
is($t->points($shop, 'm7'), 1, 'the member has what came before');
my ($other) = $t->accept($shop, $t->paid('other', 'ext:m8', ['5.00', 1]));
$t->becomes($other, 'processed');
is($t->points($shop, 'm8'), 7, 'others go on');
is_deeply($t->sql("select jsonb_array_length(args->'events') from loyalty.job where queue = 'parked'"),
    [[4]], 'one job, the events in their order');

$t->wait_for(sub { $t->value("select attempt from loyalty.job where queue = 'parked'") >= 2 }, 60,
    'two more tries');
pass('it is tried again');


# -- a fault that is mended

$t->sql("alter table loyalty.entry drop constraint entry_size");
$t->sql('alter table loyalty.movement drop constraint movement_amount');
$t->sql('alter table loyalty.balance drop constraint balance_size');
$t->becomes($later, 'processed', 60);
is($t->outcome($bad)->{status}, 'processed', 'it is booked at last');
is_deeply([map { $t->outcome($_)->{seq} } $bad, $behind, $ids[48], $later], [2, 3, 4, 5],
    'the member\'s events in their order');
is($t->value('select count(*) from loyalty.job'), 0, 'nothing waits');
$t->sql('update loyalty.balance set available = available where false');


# -- a fault that stays

$t->sql('alter table loyalty.sales_order add constraint sales_order_small check (total < 1000000)'
    . ' not valid');
$t->house->{worker}{quarantine_after} = '500ms';
$t->house->worker_conf;
kill HUP => $t->pids('worker');
my ($never, $next) = $t->accept($shop, $t->paid('never', 'ext:zoe', ['2000000.00', 1]),
    $t->paid('next', 'ext:zoe', ['6.00', 1]));
my $o = $t->becomes($never, 'quarantined', 60);
is($o->{detail}{code}, '23514', 'an event that can never be booked is quarantined');
$t->becomes($next, 'processed', 60);
is($t->points($shop, 'zoe'), 6, 'and the member goes on');
is($t->value('select count(*) from loyalty.job'), 0, 'nothing waits');

# -- what the server lacks is no event's failure

my $refused = sub { scalar(() = $t->log_text('postgres.log') =~ /no room here/g) };
$t->sql(q{create function public.no_room() returns trigger language plpgsql as $$
    begin raise 'no room here' using errcode = '53100'; end $$});
$t->sql('create trigger no_room before insert on loyalty.entry for each row execute function'
    . ' public.no_room()');
my ($first, $second) = $t->accept($shop, $t->paid('room', 'ext:rob', ['4.00', 1]),
    $t->paid('room-2', 'ext:rob', ['5.00', 1]));
$t->wait_for(sub { $refused->() > 12 }, 60, 'refused again and again');
is($t->outcome($first), undef, 'an event is not put aside for want of room');
$t->sql('drop trigger no_room on loyalty.entry');
$t->becomes($second, 'processed', 60);
is($t->points($shop, 'rob'), 9, 'and booked once there is some');
$t->books_ok;
