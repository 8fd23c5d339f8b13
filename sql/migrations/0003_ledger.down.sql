set local role loyalty_owner;
set local lock_timeout = '1s';

drop table loyalty.redemption, loyalty.hold_lot, loyalty.hold, loyalty.lot, loyalty.movement,
    loyalty.entry, loyalty.balance;
