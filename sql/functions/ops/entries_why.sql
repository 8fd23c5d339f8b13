-- Why an entry is there: the entry, its movements, its event, the rule version that made it and
-- the stored trace, from which the points recompute. Ids and points only, no personal data.
-- Reads: entry, movement, event, evaluation, rule, rule_version. Locks nothing, writes nothing.

-- null for an unknown entry
create or replace function ops.entries_why(p_tenant uuid, p_entry uuid) returns jsonb
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_entry loyalty.entry;
    v_event loyalty.event;
    v_version loyalty.rule_version;
    v_evaluation loyalty.evaluation;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    select e.* into v_entry
      from loyalty.entry e
     where e.tenant_id = p_tenant and e.entry_id = p_entry;
    if not found then
        return null;
    end if;
    select e.* into v_event
      from loyalty.event e
     where e.tenant_id = p_tenant and e.event_id = v_entry.event_id;
    select v.* into v_version
      from loyalty.rule_version v
     where v.tenant_id = p_tenant and v.rule_version_id = v_entry.rule_version_id;
    select x.* into v_evaluation
      from loyalty.evaluation x
     where x.tenant_id = p_tenant and x.event_id = v_entry.event_id
       and x.rule_version_id = v_entry.rule_version_id;
    return jsonb_build_object(
        'entry', jsonb_build_object('id', loyalty.id_text('ent', v_entry.entry_id),
            'member', loyalty.id_text('mem', v_entry.member_id), 'seq', v_entry.seq,
            'wallet', (select w.code from loyalty.wallet w
                        where w.tenant_id = p_tenant and w.wallet_id = v_entry.wallet_id),
            'type', loyalty.entry_type_text(v_entry.type), 'points', v_entry.points,
            'effective_at', loyalty.time_text(v_entry.effective_at),
            'recorded_at', loyalty.time_text(v_entry.recorded_at),
            'reverses', loyalty.id_text('ent', v_entry.reverses),
            'hash', encode(v_entry.hash, 'hex')),
        'movements', (select jsonb_agg(jsonb_build_object('from', m.from_bucket,
                                 'to', m.to_bucket, 'amount', m.amount,
                                 'lot', loyalty.id_text('lot', m.lot_id)) order by m.ord)
                        from loyalty.movement m
                       where m.tenant_id = p_tenant and m.subject_id = v_entry.entry_id),
        'event', case when v_event.event_id is not null then
            jsonb_build_object('id', loyalty.id_text('evt', v_event.event_id),
                'type', v_event.type, 'source', v_event.source,
                'external_id', v_event.external_id,
                'occurred_at', loyalty.time_text(v_event.occurred_at),
                'facts', v_event.facts) end,
        'rule', case when v_version.rule_version_id is not null then
            jsonb_build_object('id', loyalty.id_text('rul', v_version.rule_id),
                'name', (select r.name from loyalty.rule r
                          where r.tenant_id = p_tenant and r.rule_id = v_version.rule_id),
                'version', v_version.number, 'document', v_version.document,
                'checksum', encode(v_version.checksum, 'hex')) end,
        'evaluation', case when v_evaluation.event_id is not null then
            jsonb_build_object('outcome', v_evaluation.outcome,
                'points_raw', v_evaluation.points_raw, 'points', v_evaluation.points,
                'clipped_by', v_evaluation.clipped_by, 'trace', v_evaluation.trace) end);
end $$;
comment on function ops.entries_why(uuid, uuid) is 'why an entry is there';
