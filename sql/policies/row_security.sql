-- Row security on every table and partition, forced, so that owners are bound
-- as well.  Policy tenant: rows of the tenant in app.tenant_id, for all roles.
-- Policy queue_plane: the owner roles of the worker's and operators' functions
-- see all tenants, on the tables that loyalty.table_secure() lists.
-- Idempotent; a table that has its policies is not touched.

do $$
declare
    v_table regclass;
begin
    set local role loyalty_owner;
    for v_table in
        select c.oid from pg_catalog.pg_class c
         where c.relnamespace = 'loyalty'::regnamespace and c.relkind in ('r', 'p')
         order by c.relname
    loop
        perform loyalty.table_secure(v_table);
    end loop;
    reset role;
end
$$;
