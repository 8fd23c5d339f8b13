-- Roles of the cluster and the rights that only a superuser can give.
-- Idempotent; run as superuser in the target database, before the migrations.
-- Owners cannot log in; login roles own nothing and inherit nothing.

do $$
declare
    v_role text;
begin
    foreach v_role in array array[
        'loyalty_owner', 'loyalty_api_exec', 'loyalty_work_exec', 'loyalty_ops_exec']
    loop
        if not exists (select from pg_catalog.pg_roles where rolname = v_role) then
            execute format('create role %I', v_role);
        end if;
        execute format('alter role %I nologin noinherit nosuperuser nocreatedb nocreaterole '
                       'nobypassrls noreplication', v_role);
    end loop;

    foreach v_role in array array[
        'loyalty_edge', 'loyalty_edge_ro', 'loyalty_dir', 'loyalty_worker', 'loyalty_cli',
        'loyalty_migrator', 'loyalty_reader']
    loop
        if not exists (select from pg_catalog.pg_roles where rolname = v_role) then
            execute format('create role %I', v_role);
        end if;
        execute format('alter role %I login noinherit nosuperuser nocreatedb nocreaterole '
                       'nobypassrls noreplication', v_role);
    end loop;
end
$$;

-- the migrator acts as any of the owners; nobody else does
alter role loyalty_migrator inherit;
grant loyalty_owner, loyalty_api_exec, loyalty_work_exec, loyalty_ops_exec to loyalty_migrator;

-- support and development: reads everything, writes nothing
alter role loyalty_reader bypassrls;
alter role loyalty_reader set default_transaction_read_only = on;

-- limits by role: the client's timer is longer than the statement's
alter role loyalty_edge set statement_timeout = '5s';
alter role loyalty_edge set lock_timeout = '2s';
alter role loyalty_edge set idle_in_transaction_session_timeout = '5s';
alter role loyalty_edge_ro set default_transaction_read_only = on;
alter role loyalty_edge_ro set statement_timeout = '2s';
alter role loyalty_edge_ro set idle_in_transaction_session_timeout = '5s';
alter role loyalty_dir set statement_timeout = '10s';
alter role loyalty_dir set idle_in_transaction_session_timeout = '10s';
alter role loyalty_worker set statement_timeout = '60s';
alter role loyalty_worker set lock_timeout = '5s';
alter role loyalty_worker set idle_in_transaction_session_timeout = '30s';
alter role loyalty_cli set statement_timeout = '10min';

-- the hot functions are short: compiling them costs more than it gains
do $$
declare
    v_role text;
begin
    foreach v_role in array array[
        'loyalty_edge', 'loyalty_edge_ro', 'loyalty_dir', 'loyalty_worker', 'loyalty_cli']
    loop
        execute format('alter role %I set jit = off', v_role);
        execute format('alter role %I set timezone = %L', v_role, 'UTC');
    end loop;

    -- plans that look at array parameters seem cheaper and are then made at every call: measured,
    -- an order of a new member takes half the time without
    foreach v_role in array array[
        'loyalty_edge', 'loyalty_edge_ro', 'loyalty_dir', 'loyalty_worker']
    loop
        execute format('alter role %I set plan_cache_mode = force_generic_plan', v_role);
    end loop;

    execute format('grant create, connect on database %I to loyalty_owner',
                   pg_catalog.current_database());
    execute format('revoke temporary on database %I from public',
                   pg_catalog.current_database());
    execute format('grant connect on database %I to loyalty_edge, loyalty_edge_ro, loyalty_dir, '
                   'loyalty_worker, loyalty_cli, loyalty_migrator, loyalty_reader',
                   pg_catalog.current_database());
end
$$;

revoke create on schema public from public;

-- functions pin it in their declaration; only their makers need this right
grant set on parameter app.tenant_id to loyalty_migrator;
