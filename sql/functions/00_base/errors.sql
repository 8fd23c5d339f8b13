-- Codes of problems: their type and title.  docs/errors.yaml says the same for
-- the module and the reference.
-- Refuses nothing, locks nothing, writes nothing.

create or replace function loyalty.problem_type(p_code text) returns text
language sql immutable parallel safe
return 'urn:loyalty:problem:' || p_code;
comment on function loyalty.problem_type(text) is 'type of a problem';

create or replace function loyalty.problem_title(p_code text) returns text
language plpgsql immutable parallel safe as
$$
begin
    return case p_code
        when 'cursor.invalid' then 'The cursor is not one of this list'
        when 'entry.not_found' then 'No such ledger entry'
        when 'event.conflict' then 'This event was sent before with other content'
        when 'event.not_found' then 'No such event'
        when 'hold.not_active' then 'The hold is not active any more'
        when 'hold.not_found' then 'No such hold'
        when 'idempotency.mismatch' then 'The key was used before with another request'
        when 'idempotency.required' then 'This operation needs an Idempotency-Key'
        when 'idempotency.running' then 'A request with this key is still running'
        when 'member.ambiguous' then 'Several members have this external id'
        when 'member.blocked' then 'The member is blocked'
        when 'member.exists' then 'A member with this id exists already'
        when 'member.not_found' then 'No such member'
        when 'points.insufficient' then 'Not enough points'
        when 'points.exceed_hold' then 'More points than the hold has left'
        when 'points.overflow' then 'The balance cannot hold that many points'
        when 'precondition.failed' then 'The object has changed'
        when 'precondition.required' then 'This operation needs If-Match'
        when 'program.not_found' then 'No such program'
        when 'redemption.not_cancellable' then 'The redemption cannot be cancelled any more'
        when 'redemption.not_found' then 'No such redemption'
        when 'reward.unavailable' then 'The reward cannot be redeemed'
        when 'rule.not_found' then 'No such rule'
        when 'trace.not_found' then 'The entry was not made by a rule'
        when 'value.invalid' then 'A value is not acceptable'
        when 'value.required' then 'A value is missing'
        when 'wallet.not_found' then 'No such wallet'
        when 'wallet.required' then 'There are several wallets, name one'
        else p_code
    end;
end
$$;
comment on function loyalty.problem_title(text) is 'title of a problem';
