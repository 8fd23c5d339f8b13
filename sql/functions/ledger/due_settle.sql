-- Timers of the books: settles balances whose due_at has passed.  Correctness
-- does not depend on it (every write settles first, every read shows what is
-- due); it bounds how late entries and messages are.
-- Refuses nothing.
-- Locks: balances that nobody else holds (the others are settled by who holds
-- them, or next time).  Writes: as settle.

create or replace function work.due_settle(p_limit int) returns int
language plpgsql security definer set search_path = '' set app.tenant_id = ''
set enable_seqscan = off as
$$
declare
    v_tenant    uuid;
    v_now       timestamptz;
    v_done      int := 0;
    b           loyalty.balance;
begin
    for v_tenant in
        select t.tenant_id from loyalty.tenant t
         where t.status in ('active', 'suspended') order by t.tenant_id
    loop
        perform set_config('app.tenant_id', v_tenant::text, true);
        v_now := loyalty.tenant_now(v_tenant);
        for b in
            select * from loyalty.balance x
             where x.tenant_id = v_tenant and x.due_at <= v_now and x.due_at < 'infinity'
             order by x.due_at
             limit greatest(p_limit - v_done, 0)
               for update skip locked
        loop
            perform loyalty.balance_due(b, v_now);
            v_done := v_done + 1;
        end loop;
        exit when v_done >= p_limit;
    end loop;
    return v_done;
end
$$;
comment on function work.due_settle(int) is
    'settles up to p_limit due balances; gives their number';
