-- Codes of problems: their type.  Titles stand in error_title.sql, which is
-- written from docs/errors.yaml.
-- Refuses nothing, locks nothing, writes nothing.

create or replace function loyalty.problem_type(p_code text) returns text
language sql immutable parallel safe
return 'urn:loyalty:problem:' || p_code;
comment on function loyalty.problem_type(text) is 'type of a problem';
