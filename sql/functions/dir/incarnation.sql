-- Names this life of the database: system id, timeline, and a mark that every restore changes
-- (database, change table, and start of the server, so that a copy of the files is noticed too).
-- Cached state made under another incarnation must be dropped. Reads no table.

create or replace function dir.incarnation() returns text
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as $$
begin
    return (select s.system_identifier::text from pg_catalog.pg_control_system() s)
        || '-' || (select c.timeline_id::text from pg_catalog.pg_control_checkpoint() c)
        || '-' || (select d.oid::text from pg_catalog.pg_database d
                    where d.datname = pg_catalog.current_database())
        || '.' || 'loyalty.change'::pg_catalog.regclass::oid::text
        || '.' || loyalty.dir_us(pg_catalog.pg_postmaster_start_time())::text;
end $$;
comment on function dir.incarnation() is 'names this life of the database';
