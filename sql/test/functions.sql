-- What every function must be, from the catalogue: a new one is in it by itself.
\ir prelude.psql
begin;
select plan(10);
create extension if not exists plpgsql_check with schema tap;
create temp table f as
select p.oid::regprocedure::text as name, n.nspname as schema, p.*, r.rolname as owner
  from pg_proc p
  join pg_namespace n on n.oid = p.pronamespace
  join pg_roles r on r.oid = p.proowner
 where n.nspname in ('api', 'dir', 'work', 'ops', 'loyalty') and p.prokind = 'f';

select is_empty($$select name from f where schema <> 'loyalty' and not prosecdef$$, 'functions that roles may call are security definer');
select is_empty($$select name from f where schema <> 'loyalty' and not coalesce(proconfig @> array['search_path=""', 'app.tenant_id='] or proconfig @> array['search_path=""', 'app.tenant_id=""'], false)$$, 'with a fixed search path and no tenant');
select is_empty($$select name, owner from f where owner <> case schema when 'api' then 'loyalty_api_exec' when 'ops' then 'loyalty_ops_exec' when 'loyalty' then 'loyalty_owner' else 'loyalty_work_exec' end$$, 'owned by the role of their schema');
select is_empty($$select name from f where schema = 'api' and (proargtypes[0] <> 'uuid'::regtype or proargtypes[1] <> 'jsonb'::regtype or proargnames[1] <> 'p_tenant' or proargnames[2] <> 'p_call' or prorettype <> 'api.answer'::regtype)$$, 'operations take tenant and call first and give an answer');
select is_empty($$select name from f where schema = 'api' and prosrc !~ '^\s*(declare.*?)?begin\s+perform set_config\(''app\.tenant_id'', p_tenant::text, true\);'$$, 'and begin by saying whose rows they mean');
select is_empty($$select name from f where schema = 'api' and proname ~ '_(get|list|lookup|result|trace)$' and provolatile <> 's'$$, 'what reads is stable: it runs where nothing can be written');
select is_empty($$select name from f where has_function_privilege('public', oid, 'execute')$$, 'nobody else may call them');
select is_empty($$select name from f where obj_description(oid, 'pg_proc') is null$$, 'each says what it is');
select is_empty($$select f.name, g.r from f cross join (values ('loyalty_edge', 'api'), ('loyalty_edge_ro', 'api'), ('loyalty_dir', 'dir'), ('loyalty_worker', 'work'), ('loyalty_cli', 'ops')) g (r, s) where has_function_privilege(g.r, f.oid, 'execute') <> (f.schema = g.s)$$, 'each login role may call the functions of its schema and no others');
select is_empty($$select f.name, c.lineno, c.message from f cross join lateral tap.plpgsql_check_function_tb(f.oid, other_warnings := false, extra_warnings := false) c where f.prolang = (select oid from pg_language where lanname = 'plpgsql') and c.level = 'error'$$, 'and plpgsql_check finds no error in any');
select * from finish();
rollback;
