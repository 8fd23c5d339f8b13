-- Functions on the row types go with them; they are applied again after the next up.

set local role loyalty_owner;
set local lock_timeout = '1s';

drop table loyalty.evaluation, loyalty.order_refund, loyalty.order_earn, loyalty.sales_order,
    loyalty.event_outcome, loyalty.log_cursor, loyalty.event_log, loyalty.event,
    loyalty.event_key cascade;
