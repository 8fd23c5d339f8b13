-- Functions on the row types go with them; they are applied again after the next up.

set local role loyalty_owner;
set local lock_timeout = '1s';

drop table loyalty.redemption, loyalty.hold_lot, loyalty.hold, loyalty.lot, loyalty.movement,
    loyalty.entry, loyalty.balance cascade;
