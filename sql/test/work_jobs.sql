\ir prelude.psql
begin;
select plan(20);
\set a '01900000-0000-7000-8000-0000000000a1'
\set b '01900000-0000-7000-8000-0000000000a2'

-- a fresh table with no statistics: never more than was asked for
insert into loyalty.job (queue, kind) select 'default', 'k' from generate_series(1, 2000);
select is((select count(*) from work.job_claim(:'a', 'default', 500)), 500::bigint, 'a claim gives what it was asked for');
select is((select count(*) from loyalty.job where state = 'running'), 500::bigint, 'and takes no more');
select is((select count(*) from work.job_claim(:'a', 'default', 5000)), 1500::bigint, 'or what there is');
select is((select count(*) from work.job_claim(:'b', 'default', 10)), 0::bigint, 'what is leased is not given again');
select work.jobs_release(:'a') as _ \gset
delete from loyalty.job;

-- leases
insert into loyalty.job (queue, kind, max_attempts) values ('default', 'k', 2);
select job_id as j, lease_token as t from work.job_claim(:'a', 'default', 1) \gset
select ok(not work.job_finish(:j, :t + 1), 'another token finishes nothing');
select is(work.jobs_release(:'a'), 1, 'a worker that ends gives its jobs back');
select ok(not work.job_finish(:j, :t), 'and its own token is void');
select job_id as j, lease_token as t, attempt as n from work.job_claim(:'b', 'default', 1) \gset
select is(:n, 2, 'the next attempt');
select ok(work.job_finish(:j, :t), 'its owner finishes it');
select is((select state || ' ' || (finished_at is not null) from loyalty.job where job_id = :j), 'completed true', 'it is completed');
select is((select outcome from loyalty.job_attempt where job_id = :j and attempt = 2), 'completed', 'as its attempt says');

-- failures
insert into loyalty.job (queue, kind, max_attempts) values ('default', 'k', 2);
select job_id as j, lease_token as t from work.job_claim(:'a', 'default', 1) \gset
select ok(work.job_retry(:j, :t, 'x'), 'a passing failure');
select ok((select state = 'retryable' and run_at > clock_timestamp() + interval '10 s' from loyalty.job where job_id = :j), 'is tried later');
update loyalty.job set run_at = now() where job_id = :j;
select job_id as j, lease_token as t from work.job_claim(:'a', 'default', 1) \gset
select ok(work.job_retry(:j, :t, 'x'), 'the last attempt');
select is((select state from loyalty.job where job_id = :j), 'discarded', 'is not tried again');
insert into loyalty.job (queue, kind) values ('default', 'k');
select job_id as j, lease_token as t from work.job_claim(:'a', 'default', 1) \gset
select ok(work.job_bury(:j, :t, 'y'), 'one that cannot succeed');
select is((select state || ' ' || last_error from loyalty.job where job_id = :j), 'discarded y', 'is discarded at once');

-- leases that ran out; queues that are not for jobs
insert into loyalty.job (queue, kind) values ('default', 'k');
select job_id as j, lease_token as t from work.job_claim(:'a', 'default', 1) \gset
update loyalty.job set updated_at = now() - interval '1 hour' where job_id = :j;
select is(work.jobs_expire(60000), 1, 'a lease that ran out');
select ok(not work.job_finish(:j, :t), 'is fenced');
insert into loyalty.job (queue, kind) values ('parked', 'event.retry');
select is((select count(*) from work.job_claim(:'a', 'parked', 10)), 0::bigint, 'what the rules lane put aside is its own');
select * from finish();
rollback;
