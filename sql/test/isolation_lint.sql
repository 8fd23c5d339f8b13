-- What must hold of every table, policy, right and function, read from the
-- catalogue: a new one is checked by being there.  Each test lists offenders.

\ir prelude.psql
begin;
select plan(23);

create temporary view t as
    select c.oid, c.oid::regclass::text as name, c.relkind, c.relrowsecurity, c.relforcerowsecurity,
           c.relowner::regrole::text as owner,
           coalesce((select r.relname from pg_partition_ancestors(c.oid) a
                       join pg_class r on r.oid = a.relid where not r.relispartition),
                    c.relname)::text as root
      from pg_class c where c.relnamespace = 'loyalty'::regnamespace and c.relkind in ('r', 'p');
create temporary view f as
    select p.oid, p.oid::regprocedure::text as name, n.nspname::text as schema, p.proname, p.prosrc,
           p.prosecdef, p.proconfig, p.proowner::regrole::text as owner, p.prokind,
           p.proargtypes, p.proargnames
      from pg_proc p join pg_namespace n on n.oid = p.pronamespace
     where n.nspname in ('loyalty', 'api', 'dir', 'work', 'ops');
-- the only tables that the worker's and operators' functions see across tenants
create temporary view queue_plane as
    select unnest(array['tenant', 'plan', 'host', 'api_key', 'signing_key', 'revocation', 'change',
        'event_log', 'log_cursor', 'event_outcome', 'command', 'job', 'job_attempt', 'worker',
        'shard_lease', 'outbox', 'delivery', 'delivery_attempt', 'webhook_endpoint',
        'endpoint_secret']) as root;
-- of those, the ones that belong to no tenant
create temporary view platform as
    select unnest(array['plan', 'signing_key', 'log_cursor', 'worker', 'shard_lease']) as root;

select is_empty($$select name from t where root not in (select root from platform)
    and not exists (select from pg_attribute a where a.attrelid = t.oid and attname = 'tenant_id'
                      and (attnotnull or root in ('change', 'job', 'job_attempt')))$$,
    'every table of tenants has tenant_id');
select is_empty($$select name from t where not relrowsecurity or not relforcerowsecurity$$,
    'row security is on and forced');
select is_empty($$select name from t where root not in (select root from platform)
    and not exists (select from pg_policy p where p.polrelid = t.oid and p.polname = 'tenant'
                       and p.polcmd = '*' and p.polroles = '{0}' and p.polpermissive)$$,
    'policy tenant stands for everybody and every command');
select is_empty($$select t.name from t join pg_policy p on p.polrelid = t.oid where p.polname = 'tenant'
    and (pg_get_expr(polqual, polrelid) <> '(tenant_id = ( SELECT (NULLIF(current_setting(''app.tenant_id''::text, true), ''''::text))::uuid AS "nullif"))'
         or pg_get_expr(polqual, polrelid) is distinct from pg_get_expr(polwithcheck, polrelid))$$,
    'it compares with the tenant of the call, in and out');
select is_empty($$select t.name, p.polname from t join pg_policy p on p.polrelid = t.oid
    where p.polname <> 'tenant'
      and not (p.polname = 'queue_plane' and t.root in (select root from queue_plane)
               and (select array_agg(r::regrole::text order by r::regrole::text) from unnest(p.polroles) r)
                   = array['loyalty_ops_exec', 'loyalty_work_exec'])$$,
    'no other policy but queue_plane, where and for whom it may stand');
select is_empty($$select i.indexrelid::regclass from pg_index i join t on t.oid = i.indrelid
    where i.indisunique and t.root not in (select root from queue_plane)
      and (select attname from pg_attribute a where a.attrelid = i.indrelid
              and a.attnum = i.indkey[0]) <> 'tenant_id'$$,
    'every unique index leads with tenant_id');
select is_empty($$select c.conname from pg_constraint c join t on t.oid = c.conrelid
    where contype = 'f' and c.confrelid <> 'loyalty.plan'::regclass and c.confrelid <> 'loyalty.job'::regclass
      and not exists (select from generate_subscripts(conkey, 1) g
            join pg_attribute a on a.attrelid = conrelid and a.attnum = conkey[g]
            join pg_attribute b on b.attrelid = confrelid and b.attnum = confkey[g]
           where a.attname = 'tenant_id' and b.attname = 'tenant_id')$$,
    'foreign keys carry tenant_id on both sides');
select is_empty($$select r.rolname, t.name from t, pg_roles r
    where r.rolname in ('loyalty_edge', 'loyalty_edge_ro', 'loyalty_dir', 'loyalty_worker', 'loyalty_cli')
      and has_table_privilege(r.oid, t.oid, 'select, insert, update, delete, truncate, references, trigger')$$,
    'no role that logs in can touch a table');
select is_empty($$select t.name from t where has_table_privilege('loyalty_reader', t.oid,
    'insert, update, delete, truncate, references, trigger')
    or not has_table_privilege('loyalty_reader', t.oid, 'select')$$,
    'loyalty_reader reads all and writes none');
select is_empty($$select t.name, r.rolname from t, pg_roles r
    where t.root in ('entry', 'movement', 'event_key', 'event', 'evaluation', 'order_refund')
      and r.rolname in ('loyalty_api_exec', 'loyalty_work_exec', 'loyalty_ops_exec')
      and has_table_privilege(r.oid, t.oid, 'update, delete, truncate')$$,
    'what is append-only is so by privilege');
select is_empty($$select t.name, r.rolname from t, pg_roles r
    where t.root in ('log_cursor', 'worker', 'shard_lease', 'job_attempt')
      and r.rolname = 'loyalty_api_exec'
      and has_table_privilege(r.oid, t.oid, 'select, insert, update, delete')$$,
    'the edge has nothing to do with the worker''s own tables');
select is_empty($$select rolname from pg_roles where rolname like 'loyalty\_%'
    and (rolsuper or rolcreaterole or rolcreatedb or rolreplication
         or (rolbypassrls and rolname <> 'loyalty_reader'))$$,
    'no role is more than it must be; loyalty_reader alone sees past row security');
select is_empty($$select name, owner from t where owner <> 'loyalty_owner'$$,
    'loyalty_owner owns the tables');
select is_empty($$select m.rolname from pg_roles m, pg_roles o
    where o.rolname in ('loyalty_owner', 'loyalty_api_exec', 'loyalty_work_exec', 'loyalty_ops_exec')
      and m.rolname like 'loyalty\_%' and m.oid <> o.oid and m.rolname <> 'loyalty_migrator'
      and pg_has_role(m.oid, o.oid, 'member')$$,
    'only the migrator may act as an owner');
select is_empty($$select name from f where schema <> 'loyalty' and not prosecdef$$,
    'functions that roles call are security definer');
select is_empty($$select name, owner from f where owner <> case schema when 'loyalty' then 'loyalty_owner'
    when 'api' then 'loyalty_api_exec' when 'ops' then 'loyalty_ops_exec' else 'loyalty_work_exec' end$$,
    'and owned by the role of their schema');
select is_empty($$select name from f where prosecdef and (proconfig is null
    or not proconfig && array['search_path=""', 'search_path='])$$,
    'with a search_path of their own');
select is_empty($$select name from f where schema <> 'loyalty'
    and (proconfig is null or not proconfig && array['app.tenant_id=""', 'app.tenant_id='])$$,
    'and a tenant that ends with the call');
select is_empty($$select name from f where prosecdef and schema = 'loyalty'
    and proname <> 'partition_ensure'$$,
    'internal functions run as who calls them');
select is_empty($$select name from f where schema = 'api'
    and (proargtypes[0] <> 'uuid'::regtype or proargnames[1] <> 'p_tenant'
         or prosrc !~* '\mbegin\s+perform set_config\(''app\.tenant_id'', p_tenant::text, true\)'
         or (regexp_match(prosrc, '^(.*?)\mbegin\M', 'i'))[1] ~* ':=\s*loyalty\.(tenant_now|member_find|member_balances|balance_)')$$,
    'operations take the tenant first and set it before they read');
select is_empty($$select name from f where has_function_privilege('public', oid, 'execute')$$,
    'nothing is open to everybody');
select is_empty($$select name from f where prosrc ~* '\mexecute\M'
    and proname not in ('table_secure', 'table_grant', 'partition_ensure', 'log_ring_turn')$$,
    'no SQL is built at run time, but for partitions');
select is_empty($$select name from t where obj_description(oid, 'pg_class') is null
    and not exists (select from pg_partition_ancestors(t.oid) a where a.relid <> t.oid)
    union all select name from f where schema <> 'loyalty' and obj_description(oid, 'pg_proc') is null$$,
    'tables and functions that roles call say what they are');

select * from finish();
rollback;
