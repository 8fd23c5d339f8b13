-- Functions on the row types go with them; they are applied again after the next up.

set local role loyalty_owner;
set local lock_timeout = '1s';

drop table loyalty.delivery_attempt, loyalty.delivery, loyalty.outbox, loyalty.endpoint_secret,
    loyalty.webhook_endpoint, loyalty.job_attempt, loyalty.job, loyalty.shard_lease, loyalty.worker,
    loyalty.command, loyalty.change cascade;
