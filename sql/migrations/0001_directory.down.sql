-- Back to an empty database: functions go with their schemas.

set local role loyalty_owner;
set local lock_timeout = '1s';

drop schema ops cascade;
drop schema work cascade;
drop schema dir cascade;
drop schema api cascade;
drop schema loyalty cascade;
