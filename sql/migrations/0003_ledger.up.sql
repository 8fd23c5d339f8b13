-- The books.  A movement goes from one bucket to another of one balance, so
-- that it balances by construction; an entry is one signed business fact over
-- movements; a lot is points of one origin with one expiry.
-- entry, movement and lot carry no foreign keys: each row is written under the
-- lock of its balance, whose own keys stand, and ops.audit() checks the rest.

set local role loyalty_owner;
set local lock_timeout = '1s';

create table loyalty.balance (
    tenant_id       uuid        not null,
    wallet_id       uuid        not null,
    member_id       uuid        not null,
    available       bigint      not null default 0,
    pending         bigint      not null default 0,
    held            bigint      not null default 0,
    debt            bigint      not null default 0,
    earned          bigint      not null default 0,
    spent           bigint      not null default 0,
    expired         bigint      not null default 0,
    reversed        bigint      not null default 0,
    version         bigint      not null default 0,
    entry_seq       bigint      not null default 0,
    head_hash       bytea       not null
        default '\x0000000000000000000000000000000000000000000000000000000000000000',
    last_at         timestamptz not null default '1970-01-01 00:00:00+00',
    due_at          timestamptz not null default 'infinity',
    created_at      timestamptz not null default now(),
    constraint balance_pk primary key (tenant_id, wallet_id, member_id),
    constraint balance_not_negative
        check (available >= 0 and pending >= 0 and held >= 0 and debt >= 0),
    constraint balance_debt_or_available check (available = 0 or debt = 0),
    constraint balance_lifetime check (
        earned - spent - expired - reversed = available + pending + held - debt),
    constraint balance_size check (available <= 9007199254740991 and pending <= 9007199254740991
        and held <= 9007199254740991 and debt <= 9007199254740991 and earned <= 9007199254740991),
    -- no foreign key to wallet: every new balance would lock that one row
    constraint balance_member_fk foreign key (tenant_id, member_id) references loyalty.member
) with (fillfactor = 70);
create index balance_member on loyalty.balance (tenant_id, member_id);
create index balance_due on loyalty.balance (tenant_id, due_at) where due_at < 'infinity';
comment on table loyalty.balance is
    'what a member has in a wallet: the locked, versioned, chained row';
comment on column loyalty.balance.last_at is
    'recorded_at of the last movement; strictly increasing';
comment on column loyalty.balance.due_at is
    'not later than the next instant when a hold ends or a lot matures or expires';

create table loyalty.entry (
    tenant_id       uuid        not null,
    entry_id        uuid        not null,
    wallet_id       uuid        not null,
    member_id       uuid        not null,
    seq             bigint      not null,
    type            smallint    not null,
    points          bigint      not null,
    effective_at    timestamptz not null,
    recorded_at     timestamptz not null,
    available_after bigint      not null,
    pending_after   bigint      not null,
    held_after      bigint      not null,
    debt_after      bigint      not null,
    event_id        uuid,
    rule_id         uuid,
    rule_version_id uuid,
    hold_id         uuid,
    redemption_id   uuid,
    reverses        uuid,
    principal_kind  text,
    principal_id    uuid,
    reason          text,
    hash_version    smallint    not null default 1,
    hash            bytea       not null,
    constraint entry_pk primary key (tenant_id, entry_id),
    constraint entry_type check (type between 1 and 16),
    constraint entry_points check (case
        when type in (1, 2, 6, 9, 10, 13, 14, 16) then points > 0
        when type = 3 then points = 0
        else points < 0 end),
    constraint entry_size check (abs(points) <= 9007199254740991)
) partition by range (entry_id);
create index entry_member on loyalty.entry (tenant_id, member_id, entry_id);
create index entry_event on loyalty.entry (tenant_id, event_id) where event_id is not null;
comment on table loyalty.entry is
    'append-only journal: one signed business fact of one balance, chained';
comment on column loyalty.entry.type is
    '1 earn 2 earn_pending 3 activate 4 cancel_pending 5 redeem 6 redeem_reversal 7 '
    'earn_reversal 8 expire '
    '9 expire_reversal 10 adjust_credit 11 adjust_debit 12 transfer_out 13 transfer_in 14 '
    'import 15 merge_out 16 merge_in';

create table loyalty.movement (
    tenant_id       uuid        not null,
    subject_id      uuid        not null,
    ord             smallint    not null,
    wallet_id       uuid        not null,
    member_id       uuid        not null,
    entry_id        uuid,
    hold_id         uuid,
    lot_id          uuid,
    from_bucket     smallint    not null,
    to_bucket       smallint    not null,
    amount          bigint      not null,
    recorded_at     timestamptz not null,
    constraint movement_pk primary key (tenant_id, subject_id, ord),
    constraint movement_subject check (subject_id = coalesce(entry_id, hold_id)),
    constraint movement_buckets check (from_bucket <> to_bucket
        and from_bucket in (1, 2, 3, 4, 10, 11, 12, 13, 14, 15, 16)
        and to_bucket in (1, 2, 3, 4, 10, 11, 12, 13, 14, 15, 16)),
    constraint movement_amount check (amount > 0 and amount <= 9007199254740991)
) partition by range (subject_id);
comment on table loyalty.movement is
    'bucket to bucket, append-only; lot_id names the lot whose points moved; hold and '
    'release have no entry';
comment on column loyalty.movement.from_bucket is
    '1 pending 2 available 3 held 4 debt | 10 issued 11 redeemed 12 expired 13 reversed 14 '
    'forgiven 15 adjusted 16 transferred';

create table loyalty.lot (
    tenant_id       uuid        not null,
    lot_id          uuid        not null,
    wallet_id       uuid        not null,
    member_id       uuid        not null,
    entry_id        uuid        not null,
    original        bigint      not null,
    remaining       bigint      not null,
    held            bigint      not null default 0,
    reversed        bigint      not null default 0,
    starts_at       timestamptz not null,
    expires_at      timestamptz not null default 'infinity',
    state           text        not null,
    created_at      timestamptz not null default now(),
    constraint lot_pk primary key (tenant_id, lot_id),
    constraint lot_amounts check (original > 0 and remaining between 0 and original
        and held between 0 and remaining and reversed between 0 and original),
    constraint lot_state check (case state
        when 'pending' then remaining > 0 and held = 0
        when 'open' then remaining > 0
        when 'exhausted' then remaining = 0
        when 'expired' then remaining = 0
        when 'cancelled' then remaining = 0
        else false end)
) with (fillfactor = 85);
create index lot_open on loyalty.lot (tenant_id, wallet_id, member_id, expires_at, lot_id)
    where state = 'open';
create index lot_pending on loyalty.lot (tenant_id, wallet_id, member_id, starts_at, lot_id)
    where state = 'pending';
create index lot_member on loyalty.lot (tenant_id, member_id, lot_id);
comment on table loyalty.lot is
    'points with one origin and one expiry; an entry that makes one lot shares its uuid';
comment on column loyalty.lot.remaining is 'not yet gone; includes held';
comment on column loyalty.lot.reversed is
    'of its entry taken back so far, wherever the points were found';

create table loyalty.hold (
    tenant_id       uuid        not null,
    hold_id         uuid        not null,
    wallet_id       uuid        not null,
    member_id       uuid        not null,
    amount          bigint      not null,
    captured        bigint      not null default 0,
    released        bigint      not null default 0,
    expires_at      timestamptz not null,
    purpose         text,
    state           text        not null default 'active',
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),
    constraint hold_pk primary key (tenant_id, hold_id),
    constraint hold_amounts check (amount > 0 and captured >= 0 and released >= 0
        and captured + released <= amount),
    constraint hold_state check (case state
        when 'active' then captured + released < amount
        when 'captured' then captured = amount
        when 'partially_captured' then captured > 0 and captured + released = amount
        when 'released' then released = amount
        when 'expired' then released > 0 and captured + released = amount
        else false end),
    constraint hold_balance_fk foreign key (tenant_id, wallet_id, member_id)
        references loyalty.balance
);
create index hold_active on loyalty.hold (tenant_id, wallet_id, member_id, expires_at)
    where state = 'active';
comment on table loyalty.hold is 'points set aside for a redemption';

create table loyalty.hold_lot (
    tenant_id       uuid        not null,
    hold_id         uuid        not null,
    lot_id          uuid        not null,
    amount          bigint      not null,
    constraint hold_lot_pk primary key (tenant_id, hold_id, lot_id),
    constraint hold_lot_amount check (amount >= 0),
    constraint hold_lot_hold_fk foreign key (tenant_id, hold_id) references loyalty.hold
);
create index hold_lot_lot on loyalty.hold_lot (tenant_id, lot_id);
comment on table loyalty.hold_lot is 'how much of which lot a hold still holds';

create table loyalty.redemption (
    tenant_id       uuid        not null,
    redemption_id   uuid        not null,
    wallet_id       uuid        not null,
    member_id       uuid        not null,
    points          bigint      not null,
    hold_id         uuid,
    status          text        not null,
    reversed_points bigint      not null default 0,
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),
    constraint redemption_pk primary key (tenant_id, redemption_id),
    constraint redemption_points check (points > 0 and reversed_points between 0 and points),
    constraint redemption_status check (status in ('pending', 'held', 'completed', 'failed',
        'cancelled', 'reversed', 'partially_reversed')),
    constraint redemption_balance_fk foreign key (tenant_id, wallet_id, member_id)
        references loyalty.balance
);
create index redemption_member on loyalty.redemption (tenant_id, member_id, redemption_id);
comment on table loyalty.redemption is 'points given for a reward or an order';

create table loyalty.entry_default partition of loyalty.entry default;
create table loyalty.movement_default partition of loyalty.movement default;
