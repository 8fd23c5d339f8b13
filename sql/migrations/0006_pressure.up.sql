-- A second slot of the rules lane works only while one is not enough.

set local role loyalty_owner;
set local lock_timeout = '1s';

-- a constant default: no row is rewritten
alter table loyalty.worker add column pressed_at timestamptz not null default '-infinity';
comment on column loyalty.worker.pressed_at is
    'when a slot of the rules lane last said that more waits than one batch takes';
