-- The header line of an ETag. Refuses nothing, locks nothing, writes nothing.

create or replace function loyalty.etag_line(p_version bigint) returns text
language sql immutable parallel safe
return 'ETag: "v' || p_version || E'"\n';
comment on function loyalty.etag_line(bigint) is 'header line with the ETag of a versioned object';
