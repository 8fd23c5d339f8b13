-- Back to an empty database.

set local role loyalty_owner;
set local lock_timeout = '1s';

drop table loyalty.idempotency, loyalty.rule_version, loyalty.rule, loyalty.member_external,
    loyalty.member, loyalty.wallet, loyalty.program, loyalty.data_key, loyalty.revocation,
    loyalty.signing_key, loyalty.api_key, loyalty.app_user, loyalty.host, loyalty.tenant, loyalty.plan;
drop schema ops cascade;
drop schema work cascade;
drop schema dir cascade;
drop schema api cascade;
drop schema loyalty cascade;
