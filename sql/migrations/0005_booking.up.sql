-- What the rules lane books: the shape of its rows.

set local role loyalty_owner;
set local lock_timeout = '1s';

create type loyalty.earning as (
    ord             int,
    event           uuid,
    wallet          uuid,
    member          uuid,
    entry_id        uuid,
    seq             bigint,
    base_seq        bigint,
    type            smallint,
    points          bigint,
    at              timestamptz,
    recorded_at     timestamptz,
    available       bigint,
    pending         bigint,
    held            bigint,
    earned          bigint,
    spent           bigint,
    expired         bigint,
    reversed        bigint,
    hash            bytea,
    rule            uuid,
    rule_version    uuid,
    "order"         uuid,
    shares          bigint[],
    starts_at       timestamptz,
    expires_at      timestamptz,
    due_at          timestamptz,
    last            boolean,
    other           boolean
);
comment on type loyalty.earning is
    'an entry that loyalty.book_earns() makes, with its balance after it';
