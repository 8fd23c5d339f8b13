-- Every table and partition × verb × role × tenant of the call, from the
-- catalogue.  Tenant B has a row in each; nobody who is not B may see, lock,
-- change, delete or make one of B's, or hand one of his own to B.  The
-- exceptions are named: owners of worker and operator functions on the queue
-- plane, and loyalty_reader, which reads all.

\ir prelude.psql
begin;
select plan(8);

create temporary table rel as
    select c.oid, c.oid::regclass::text as name, c.relkind, c.relispartition,
           coalesce((select r.relname from pg_partition_ancestors(c.oid) a
                       join pg_class r on r.oid = a.relid where not r.relispartition),
                    c.relname)::text as root,
           pg_get_expr(c.relpartbound, c.oid) as bound
      from pg_class c where c.relnamespace = 'loyalty'::regnamespace and c.relkind in ('r', 'p');
create temporary table queue_plane as
    select unnest(array['tenant', 'plan', 'host', 'api_key', 'signing_key', 'revocation', 'change',
        'event_log', 'log_cursor', 'event_outcome', 'command', 'job', 'job_attempt', 'worker',
        'shard_lease', 'outbox', 'delivery', 'delivery_attempt', 'webhook_endpoint',
        'endpoint_secret']) as root;
delete from rel where root in ('plan', 'signing_key', 'log_cursor', 'worker', 'shard_lease');
create temporary table sample (rel oid, tenant uuid, doc jsonb);
create temporary table res (ok boolean, role text, ctx text, tab text, verb text, got text);
grant all on res, sample, rel to public;

-- a row of A and of B in every table and partition, whatever its columns are
set local session_replication_role = replica;
do $$
declare
    r           record;
    k           record;
    v_tenant    uuid;
    v_doc       jsonb;
    v_n         int := 0;
begin
    for r in select c.conname, c.conrelid::regclass as rel from pg_constraint c
              join rel on rel.oid = c.conrelid where c.contype = 'c' and c.coninhcount = 0
    loop
        execute format('alter table %s drop constraint %I', r.rel, r.conname);
    end loop;
    foreach v_tenant in array array['00000000-0000-7000-8000-00000000000a',
                                    '00000000-0000-7000-8000-00000000000b']::uuid[]
    loop
        for r in select * from rel order by name loop
            -- a partitioned table is reached through its partitions as well
            for v_i in 1 .. case when r.bound like '%modulus%' then 400 else 1 end loop
                v_doc := '{}';
                v_n := v_n + 1;
                for k in select a.attname, a.atttypid::regtype::text as type, a.attidentity
                           from pg_attribute a
                          where a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
                loop
                    v_doc := v_doc || jsonb_build_object(k.attname, case
                        when k.attname = 'tenant_id' then to_jsonb(v_tenant)
                        when k.attname = 'slot' then to_jsonb(coalesce((regexp_match(r.bound, '\d+'))[1], '0'))
                        when r.bound like '%FROM%' and k.attname in ('event_id', 'entry_id', 'subject_id')
                             and k.type = 'uuid'
                            then to_jsonb(overlay((regexp_match(r.bound, '[0-9a-f-]{36}'))[1]
                                                  placing right(gen_random_uuid()::text, 12) from 25))
                        when k.type = 'uuid' then to_jsonb(gen_random_uuid())
                        when k.type in ('smallint', 'integer', 'bigint', 'numeric') then to_jsonb(v_n % 30000)
                        when k.type = 'jsonb' then '{}'
                        when k.type = 'boolean' then 'true'
                        when k.type = 'bytea' then to_jsonb('\x' || encode(sha256(v_n::text::bytea), 'hex'))
                        when k.type like '%[]' then '[]'
                        when k.type = 'timestamp with time zone' then to_jsonb(now())
                        when k.type = 'date' then to_jsonb(current_date)
                        when k.type = 'interval' then to_jsonb('1 day'::text)
                        when k.type = 'xid8' then to_jsonb('1'::text)
                        else to_jsonb('x' || v_n) end);
                end loop;
                begin
                    execute format('insert into %s overriding system value '
                        'select (jsonb_populate_record(null::%s, $1)).*', r.name, r.name) using v_doc;
                    insert into sample values (r.oid, v_tenant, v_doc);
                    exit;
                exception when check_violation then
                    -- a hash partition: another row, until one falls into it
                    if v_i = 400 or r.bound not like '%modulus%' then raise; end if;
                end;
            end loop;
        end loop;
    end loop;
end
$$;
set local session_replication_role = origin;

create function pg_temp.matrix(p_roles text[]) returns void language plpgsql as $$
declare
    t       record;
    v_role  text;
    v_ctx   text;
    v_verb  text;
    v_sql   text;
    v_got   text;
    v_ok    boolean;
    v_n     bigint;
    a       constant uuid := '00000000-0000-7000-8000-00000000000a';
    b       constant uuid := '00000000-0000-7000-8000-00000000000b';
begin
    foreach v_role in array p_roles loop
    foreach v_ctx in array array['unset', 'empty', 'A', 'nobody'] loop
    for t in select rel.*, (select doc from sample where sample.rel = rel.oid and tenant = b limit 1) as doc
               from rel order by name
    loop
    foreach v_verb in array array['select', 'insert', 'update', 'delete', 'retag', 'lock'] loop
        begin
            v_sql := case v_verb
                when 'select' then format('select count(*) from %s where tenant_id = %L', t.name, b)
                when 'insert' then format('with x as (insert into %s overriding system value '
                    'select (jsonb_populate_record(null::%s, %L)).* returning 1) select count(*) from x',
                    t.name, t.name, t.doc)
                when 'update' then format('with x as (update %s set tenant_id = tenant_id '
                    'where tenant_id = %L returning 1) select count(*) from x', t.name, b)
                when 'retag' then format('with x as (update %s set tenant_id = %L '
                    'where tenant_id = %L returning 1) select count(*) from x', t.name, b, a)
                when 'delete' then format('with x as (delete from %s where tenant_id = %L returning 1) '
                    'select count(*) from x', t.name, b)
                else format('select count(*) from (select 1 from %s where tenant_id = %L for update) s',
                    t.name, b) end;
            perform set_config('app.tenant_id', case v_ctx when 'unset' then null when 'empty' then ''
                when 'A' then a::text else gen_random_uuid()::text end, true);
            execute format('set local role %I', v_role);
            execute v_sql into v_n;
            v_got := v_n::text;
            v_ok := v_n = 0;
            raise exception 'undo' using errcode = 'ZZ999';
        exception
            when sqlstate 'ZZ999' then null;
            when insufficient_privilege then v_got := '42501'; v_ok := true;
            -- a row moved to another tenant leaves its hash partition: refused as well
            when check_violation then v_got := '23514'; v_ok := v_verb = 'retag' and t.bound like '%modulus%';
            when others then v_got := sqlstate || ' ' || left(sqlerrm, 80); v_ok := false;
        end;
        insert into res values (v_ok, v_role, v_ctx, t.name, v_verb, v_got);
    end loop; end loop; end loop; end loop;
end
$$;

select is_empty($$select name from rel where not exists (
    select from sample s where s.rel = rel.oid and s.tenant = '00000000-0000-7000-8000-00000000000b')$$,
    'tenant B has a row everywhere, or the matrix would prove nothing');

select pg_temp.matrix(array['loyalty_owner', 'loyalty_api_exec', 'loyalty_edge', 'loyalty_edge_ro',
    'loyalty_dir', 'loyalty_worker', 'loyalty_cli']);
select is_empty($$select distinct role, ctx, tab, verb, got from res where not ok$$,
    'no role reaches a row of another tenant');
delete from res;

select pg_temp.matrix(array['loyalty_work_exec', 'loyalty_ops_exec']);
select is_empty($$select role, ctx, tab, verb, got from res join rel on rel.name = res.tab
    where not ok and rel.root not in (select root from queue_plane)$$,
    'nor do the owners of worker and operator functions, outside the queue plane');
select isnt_empty($$select from res join rel on rel.name = res.tab
    where not ok and rel.root = 'event_log' and verb = 'select' and ctx = 'unset'$$,
    'on the queue plane they do');
delete from res;

-- controls: the right tenant sees his rows, and they are what was refused above
select set_config('app.tenant_id', '00000000-0000-7000-8000-00000000000b', true);
set local role loyalty_api_exec;
select ok((select count(*) from loyalty.member) = 1 and (select count(*) from loyalty.entry) >= 1
    and (select count(*) from loyalty.balance) = 1, 'tenant B sees his own');
select throws_ok($$update loyalty.entry set points = 1$$, '42501', null, 'and cannot change the journal');
reset role;
select set_config('app.tenant_id', '', true);
set local role loyalty_reader;
select ok((select count(distinct tenant_id) from loyalty.member) = 2, 'loyalty_reader sees all tenants');
select throws_ok($$insert into loyalty.plan select * from loyalty.plan$$, '42501', null,
    'and writes nothing');
reset role;

select * from finish();
rollback;
