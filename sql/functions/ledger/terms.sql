-- When a lot's points may be spent and when they are gone, by the wallet's
-- policies.  Days are calendar days in the program's time zone.
-- Refuses nothing, locks nothing, writes nothing.

create or replace function loyalty.lot_starts(p_policy text, p_days int, p_timezone text,
    p_at timestamptz) returns timestamptz
language plpgsql stable parallel safe as
$$
begin
    return case p_policy
        when 'after' then ((p_at at time zone p_timezone) + make_interval(days => p_days))
                          at time zone p_timezone
        when 'on_event' then 'infinity'
        else p_at end;
end
$$;
comment on function loyalty.lot_starts(text, int, text, timestamptz) is
    'when points earned then become available; infinity: on an event';

-- calendar: the end of the month p_month, the first one p_days or more after
create or replace function loyalty.lot_expires(p_policy text, p_days int, p_month smallint,
    p_timezone text, p_at timestamptz) returns timestamptz
language plpgsql stable parallel safe as
$$
declare
    v_from  timestamp;
    v_end   timestamp;
begin
    if p_policy = 'none' then
        return 'infinity';
    end if;
    v_from := (p_at at time zone p_timezone) + make_interval(days => coalesce(p_days, 0));
    if p_policy <> 'calendar' then
        return v_from at time zone p_timezone;
    end if;
    v_end := make_timestamp(extract(year from v_from)::int, p_month, 1, 0, 0, 0)
             + interval '1 month';
    if v_end <= v_from then
        v_end := v_end + interval '1 year';
    end if;
    return v_end at time zone p_timezone;
end
$$;
comment on function loyalty.lot_expires(text, int, smallint, text, timestamptz) is
    'when points earned then expire; infinity: never';
