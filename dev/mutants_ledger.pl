#!/usr/bin/perl

# Breaks the books one line at a time and runs their tests: the model, the SQL
# tests, the golden vectors.  A mutant that lives is a missing test.  Names of
# mutants as arguments run only those.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);

my $root = abs_path(dirname(abs_path($0)) . '/..');
chdir $root or die;

# name, file under sql/functions, what stands there, what stands there then
my @mutants = (
    ['hash skips points', 'ledger/chain.sql', 'int2send(p_type) || int8send(p_points)',
        'int2send(p_type) || int8send(0)'],
    ['hash skips the reason', 'ledger/chain.sql', 'coalesce(sha256(convert_to(p_reason',
        'coalesce(sha256(convert_to(null'],
    ['debt is not repaid', 'ledger/entry.sql', 'p_to[i] = 2 and b.debt > 0', 'false and b.debt > 0'],
    ['debt takes too much', 'ledger/entry.sql', 'b.debt := b.debt - least(b.debt, p_amount[i]);',
        'b.debt := 0;'],
    ['sequence stands', 'ledger/entry.sql', 'b.entry_seq := b.entry_seq + 1;', 'null;'],
    ['earned counts twice', 'ledger/entry.sql', 'else b.earned := b.earned + v_n;',
        'else b.earned := b.earned + 2 * v_n;'],
    ['lots keep what is spent', 'ledger/entry.sql',
        'set remaining = l.remaining + v_n * ((v_to <= 3)::int - (v_from <= 3)::int),',
        'set remaining = l.remaining + v_n * ((v_to <= 3)::int - 1),'],
    ['holds do not end by the clock', 'ledger/settle.sql', 'if v_open[i] and v_hold_end[i] < v_next',
        'if false and v_hold_end[i] < v_next'],
    ['held points expire', 'ledger/settle.sql', 'amount := v_rem[i] - v_held[i];', 'amount := v_rem[i];'],
    ['expiry an instant late', 'ledger/settle.sql', 'exit when v_next > p_at', 'exit when v_next >= p_at'],
    ['all lots expire with the first', 'ledger/settle.sql',
        'continue when v_expires[i] <> v_next or v_rem[i] = v_held[i];',
        'continue when v_expires[i] < v_next or v_rem[i] = v_held[i];'],
    ['maturing ignores the instant', 'ledger/settle.sql', 'continue when v_starts[i] <> v_next;', ''],
    ['a read forgets debt', 'ledger/balance.sql', 'v_n := least(b.debt, r.amount);', 'v_n := 0;'],
    ['a read shows what is stored', 'ledger/balance.sql',
        "if b.due_at > p_at then\n        balance := b;", "if true then\n        balance := b;"],
    ['due_at forgets holds', 'ledger/balance.sql', 'select min(h.expires_at) from loyalty.hold h',
        'select null::timestamptz from loyalty.hold h'],
    ['due_at forgets pending lots', 'ledger/balance.sql', 'select min(l.starts_at) from loyalty.lot l',
        'select null::timestamptz from loyalty.lot l'],
    ['a version for each save', 'ledger/balance.sql',
        'then x.version else x.version + 1 end', 'then x.version + 1 else x.version + 1 end'],
    ['what came due by the operation stays', 'ledger/balance.sql',
        'b := loyalty.balance_save(loyalty.settle(b, p_at));', 'b := loyalty.balance_save(b);'],
    ['newest lots first', 'ledger/book.sql', 'order by l.expires_at, l.lot_id',
        'order by l.expires_at desc, l.lot_id'],
    ['takes held points', 'ledger/book.sql', 'select l.lot_id, l.remaining - l.held as free',
        'select l.lot_id, l.remaining as free'],
    ['a batch breaks the chain', 'ledger/book_earns.sql', 'e.hash := sha256(e.hash ||',
        q{e.hash := sha256(coalesce(r.head_hash, '\x00'::bytea) ||}],
    ['a batch forgets debt', 'ledger/book_earns.sql',
        'coalesce(r.debt > 0 or r.due_at <= v_now, false)', 'coalesce(r.due_at <= v_now, false)'],
    ['a batch forgets what is due', 'ledger/book_earns.sql',
        'coalesce(r.debt > 0 or r.due_at <= v_now, false)', 'coalesce(r.debt > 0, false)'],
    ['a batch leaves due_at late', 'ledger/book_earns.sql', 'due_at = least(x.due_at, excluded.due_at),',
        'due_at = x.due_at,'],
    ['a batch takes only the last earn', 'ledger/book_earns.sql',
        'e.earned := e.earned + r.points;', 'e.earned := coalesce(r.earned, 0) + r.points;'],
    ['refunds round up', 'ledger/book_reversal.sql', 'v_n := floor(p_earn.shares', 'v_n := ceil(p_earn.shares'],
    ['refunds forget what was taken', 'ledger/book_reversal.sql',
        'greatest(v_n - taken[r.line], 0)', 'greatest(v_n, 0)'],
    ['refunds beyond the order', 'ledger/book_reversal.sql',
        'p_earn.shares[r.line] * least(r.so_far, r.ordered)', 'p_earn.shares[r.line] * r.so_far'],
    ['within_balance makes debt', 'ledger/book_reversal.sql', "select p.return_policy = 'debt' into v_debt",
        'select true into v_debt'],
    ['debt policy clips', 'ledger/book_reversal.sql', "select p.return_policy = 'debt' into v_debt",
        'select false into v_debt'],
    ['pending points are not taken back', 'ledger/book_reversal.sql', "if v_lot.state = 'pending' then",
        'if false then'],
    ['reversals are not counted', 'ledger/book_reversal.sql', 'set reversed = l.reversed + taken',
        'set reversed = l.reversed'],
    ['redeems more than there is', 'api_ledger/redemption.sql',
        'if coalesce(b.available, 0) < v_points then', 'if coalesce(b.available, 0) < v_points - 1 then'],
    ['a redemption is undone twice', 'api_ledger/redemption.sql', "if r.status <> 'completed' then",
        'if false then'],
    ['capture beyond the hold', 'api_ledger/hold.sql', 'elsif v_points > v_left then',
        'elsif v_points > v_left + 1 then'],
    ['capture keeps the rest', 'api_ledger/hold.sql',
        'if v_left > 0 and not (v_capture and v_keep) then', 'if v_left > 0 and not v_capture then'],
    ['an ended hold can be captured', 'api_ledger/hold.sql', "if h.state <> 'active' then", 'if false then'],
    ['a key of another body replays', '00_base/idempotency.sql',
        'if v_row.body_mac is distinct from v_mac then', 'if false then'],
    ['answers are not stored', '00_base/idempotency.sql', 'set status = p_answer.status,', 'set status = null,'],
    ['blocked members take part', 'api_ledger/target.sql', "elsif v_found.status = 'blocked' then",
        'elsif false then'],
);

my %only = map { $_ => 1 } @ARGV;
my ($killed, @alive) = (0);
for my $m (@mutants) {
    my ($name, $file, $from, $to) = @$m;
    next if %only && !$only{$name};
    my $dir = tempdir(CLEANUP => 1);
    system('cp', '-r', "$root/sql", "$dir/sql") == 0 or die;
    my $path = "$dir/sql/functions/$file";
    open my $in, '<', $path or die "$path: $!";
    my $text = do { local $/; <$in> };
    close $in;
    my $at = index $text, $from;
    die "mutant '$name': its line is not in $file any more\n" if $at < 0;
    substr($text, $at, length $from) = $to;
    open my $out, '>', $path or die $!;
    print $out $text;
    close $out;
    local $ENV{LOYALTY_SQL} = "$dir/sql";
    my $dead = 0;
    for my $test (['t/ledger_sql.t', LOYALTY_SQL_TESTS => 'ledger'],
                  ['t/ledger_model.t', LOYALTY_SEED => 7], ['t/ledger_model.t', LOYALTY_SEED => 8]) {
        my ($script, %env) = @$test;
        local @ENV{keys %env} = values %env;
        system("perl $script >$dir/out 2>&1");
        if ($?) { $dead = 1; last }
    }
    printf "%-8s %s\n", $dead ? 'killed' : 'ALIVE', $name;
    $dead ? $killed++ : push @alive, $name;
}
printf "%d of %d mutants of the books killed\n", $killed, $killed + @alive;
exit(@alive ? 1 : 0);
