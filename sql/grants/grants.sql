-- Owners and rights by schema.  Idempotent, applied last: a new function or
-- table gets its rights by standing in its schema.

do $$
declare
    v_table     regclass;
    v_function  record;
begin
    -- schemas
    revoke all on schema loyalty, api, dir, work, ops from public;
    grant usage on schema loyalty to loyalty_api_exec, loyalty_work_exec, loyalty_ops_exec,
        loyalty_reader;
    grant usage on schema api to loyalty_api_exec, loyalty_edge, loyalty_edge_ro;
    grant usage on schema dir to loyalty_work_exec, loyalty_dir;
    grant usage on schema work to loyalty_work_exec, loyalty_worker;
    grant usage on schema ops to loyalty_ops_exec, loyalty_cli;

    -- a role can be given a function only while it may create in the schema
    grant create on schema api to loyalty_api_exec;
    grant create on schema dir, work to loyalty_work_exec;
    grant create on schema ops to loyalty_ops_exec;

    for v_function in
        select p.oid::regprocedure as name, n.nspname as schema, p.prokind, r.rolname as owner,
               case n.nspname when 'loyalty' then 'loyalty_owner' when 'api' then 'loyalty_api_exec'
                              when 'ops' then 'loyalty_ops_exec' else 'loyalty_work_exec' end as wanted,
               case n.nspname when 'api' then 'loyalty_edge, loyalty_edge_ro'
                              when 'dir' then 'loyalty_dir'
                              when 'work' then 'loyalty_worker'
                              when 'ops' then 'loyalty_cli'
                              when 'loyalty' then 'loyalty_api_exec, loyalty_work_exec, loyalty_ops_exec'
               end as callers
          from pg_catalog.pg_proc p
          join pg_catalog.pg_namespace n on n.oid = p.pronamespace
          join pg_catalog.pg_roles r on r.oid = p.proowner
         where n.nspname in ('loyalty', 'api', 'dir', 'work', 'ops')
    loop
        if v_function.owner <> v_function.wanted then
            execute format('alter routine %s owner to %I', v_function.name, v_function.wanted);
        end if;
        execute format('revoke all on routine %s from public', v_function.name);
        execute format('grant execute on routine %s to %s', v_function.name, v_function.callers);
    end loop;

    revoke create on schema api from loyalty_api_exec;
    revoke create on schema dir, work from loyalty_work_exec;
    revoke create on schema ops from loyalty_ops_exec;

    -- what secures tables is the owner's alone; months may be made by the worker
    revoke all on function loyalty.table_secure(regclass), loyalty.table_grant(regclass)
        from loyalty_api_exec, loyalty_work_exec, loyalty_ops_exec;
    revoke all on function loyalty.partition_ensure(int) from loyalty_api_exec;

    set local role loyalty_owner;
    for v_table in
        select c.oid from pg_catalog.pg_class c
         where c.relnamespace = 'loyalty'::regnamespace and c.relkind in ('r', 'p')
         order by c.relname
    loop
        perform loyalty.table_grant(v_table);
    end loop;
    perform loyalty.partition_ensure(2);
    reset role;
end
$$;
