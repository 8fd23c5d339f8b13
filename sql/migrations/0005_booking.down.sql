-- Functions on the type go with it; they are applied again after the next up.

set local role loyalty_owner;
set local lock_timeout = '1s';

drop type loyalty.earning cascade;
