-- Row security of every table and partitions of the months.
-- table_secure needs the owner of the table; partition_ensure runs as the
-- owner (security definer), because the worker that calls it owns nothing.
-- Locks: ACCESS EXCLUSIVE on a table whose policies change, SHARE UPDATE
-- EXCLUSIVE on the parent of a new partition.

create or replace function loyalty.table_secure(p_table regclass) returns void
language plpgsql as
$$
declare
    v_name      text := (select relname from pg_catalog.pg_class where oid = p_table);
    v_tenant    boolean;
    v_queue     boolean;
    v_root      text := v_name;
    v_own       constant text :=
        '(tenant_id = (select (nullif(current_setting(''app.tenant_id'', true), ''''))::uuid))';
begin
    select c.relname into v_root
      from pg_catalog.pg_partition_ancestors(p_table) a
      join pg_catalog.pg_class c on c.oid = a.relid
     where not c.relispartition;
    v_root := coalesce(v_root, v_name);
    v_tenant := exists (select from pg_catalog.pg_attribute
                         where attrelid = p_table and attname = 'tenant_id' and not attisdropped);
    v_queue := v_root in ('tenant', 'plan', 'host', 'api_key', 'signing_key', 'revocation',
        'change', 'event_log', 'log_cursor', 'event_outcome', 'command', 'job', 'job_attempt',
        'worker',
        'shard_lease', 'outbox', 'delivery', 'delivery_attempt', 'webhook_endpoint',
        'endpoint_secret');

    if exists (select from pg_catalog.pg_class
                where oid = p_table and not (relrowsecurity and relforcerowsecurity)) then
        execute format('alter table %s enable row level security, force row level security',
                       p_table);
    end if;
    if v_tenant and not exists (select from pg_catalog.pg_policy
                                 where polrelid = p_table and polname = 'tenant') then
        execute format('create policy tenant on %s using %s with check %s', p_table, v_own, v_own);
    end if;
    if v_queue and not exists (select from pg_catalog.pg_policy
                                where polrelid = p_table and polname = 'queue_plane') then
        execute format('create policy queue_plane on %s to loyalty_work_exec, loyalty_ops_exec '
                       'using (true) with check (true)', p_table);
    end if;
end
$$;
comment on function loyalty.table_secure(regclass) is
    'forces row security and gives a table its named policies';

-- privileges of one table; partitions get those of their parent
create or replace function loyalty.table_grant(p_table regclass) returns void
language plpgsql as
$$
declare
    v_root      text;
    v_api       text := 'select, insert, update, delete';
    v_work      text := 'select, insert, update, delete';
begin
    select c.relname into v_root
      from pg_catalog.pg_partition_ancestors(p_table) a
      join pg_catalog.pg_class c on c.oid = a.relid
     where not c.relispartition;
    v_root := coalesce(v_root, (select relname from pg_catalog.pg_class where oid = p_table));

    if v_root in ('entry', 'movement', 'event_key', 'event', 'evaluation', 'order_refund') then
        v_api := 'select, insert';
        v_work := v_api;
    elsif v_root in ('event_outcome', 'sales_order', 'order_earn', 'rule_version', 'lot', 'balance',
                     'hold', 'hold_lot', 'redemption', 'member', 'tenant') then
        v_api := 'select, insert, update';
        v_work := v_api;
    elsif v_root in ('event_log', 'change', 'outbox') then
        v_api := 'select, insert';
        v_work := 'select, insert, delete, truncate';
    elsif v_root in ('plan', 'signing_key') then
        v_api := 'select';
    elsif v_root in ('log_cursor', 'worker', 'shard_lease', 'job_attempt') then
        v_api := null;
    end if;

    execute format('revoke all on %s from public, loyalty_api_exec, loyalty_work_exec, '
                   'loyalty_ops_exec', p_table);
    if v_api is not null then
        execute format('grant %s on %s to loyalty_api_exec', v_api, p_table);
    end if;
    execute format('grant %s on %s to loyalty_work_exec, loyalty_ops_exec', v_work, p_table);
    if v_root = 'event' then
        -- erasing a person forgets the sealed attributes and their key
        execute format('grant update (sealed, wrapped) on %s '
                       'to loyalty_work_exec, loyalty_api_exec',
                       p_table);
    end if;
    execute format('grant select on %s to loyalty_reader', p_table);
end
$$;
comment on function loyalty.table_grant(regclass) is
    'privileges of a table: append-only ones cannot be changed or deleted';

create or replace function loyalty.partition_ensure(p_months int)
returns table (made text)
language plpgsql security definer set search_path = '' as
$$
declare
    v_parent    text;
    v_month     timestamp;
    v_name      text;
begin
    if p_months not between 0 and 24 then
        raise exception 'partition_ensure: % months', p_months;
    end if;
    foreach v_parent in array array['event', 'event_outcome', 'evaluation', 'entry', 'movement']
    loop
        for v_month in
            select generate_series(date_trunc('month', clock_timestamp() at time zone 'UTC'),
                                   date_trunc('month', clock_timestamp() at time zone 'UTC')
                                   + make_interval(months => p_months), interval '1 month')
        loop
            v_name := v_parent || '_' || to_char(v_month, 'YYYYMM');
            continue when to_regclass('loyalty.' || v_name) is not null;
            -- a table of its own first, attached with its row security standing
            execute format('create table loyalty.%I (like loyalty.%I including defaults '
                           'including constraints)', v_name, v_parent);
            execute format('comment on table loyalty.%I is %L', v_name,
                           'partition of ' || v_parent || ', ' || to_char(v_month, 'YYYY-MM'));
            execute format('alter table loyalty.%I attach partition loyalty.%I '
                           'for values from (%L) to (%L)', v_parent, v_name,
                           loyalty.uuid_floor(v_month at time zone 'UTC'),
                           loyalty.uuid_floor((v_month + interval '1 month') at time zone 'UTC'));
            perform loyalty.table_secure(to_regclass('loyalty.' || v_name));
            perform loyalty.table_grant(to_regclass('loyalty.' || v_name));
            made := v_name;
            return next;
        end loop;
    end loop;
end
$$;
comment on function loyalty.partition_ensure(int) is
    'partitions of this month and the next p_months; fails if a month''s rows stand in the default';
