-- work.shards_take() reads it; the functions of the older release are applied after this.

set local role loyalty_owner;
set local lock_timeout = '1s';

alter table loyalty.worker drop column pressed_at;
