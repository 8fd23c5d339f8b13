-- Schemas, tenants, credentials, programs, wallets, members, rules.
-- Every key leads with tenant_id; ids are UUIDv7; state columns are text with
-- a check (an enum's comparison is not leakproof and would lose its index
-- under row security).

set local role loyalty_owner;
set local lock_timeout = '1s';

create schema loyalty authorization loyalty_owner;
create schema api authorization loyalty_owner;
create schema dir authorization loyalty_owner;
create schema work authorization loyalty_owner;
create schema ops authorization loyalty_owner;
comment on schema loyalty is 'tables and internal functions';
comment on schema api is 'operations of the HTTP API, called by the edge';
comment on schema dir is 'directory feed: hosts, tenants, keys, changes';
comment on schema work is 'functions of the worker';
comment on schema ops is 'functions of the command line';

create type api.answer as (status smallint, headers text, body text, changes text);
comment on type api.answer is
    'what every operation returns: HTTP status, header lines, final JSON body, changes for '
    'the cache';

create table loyalty.plan (
    plan_code       text        not null,
    request_rate    int         not null,
    request_burst   int         not null,
    key_rate        int         not null,
    key_burst       int         not null,
    inflight_writes int         not null,
    inflight_batches int        not null,
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),
    constraint plan_pk primary key (plan_code),
    constraint plan_limits check (request_rate > 0 and request_burst > 0 and key_rate > 0
        and key_burst > 0 and inflight_writes > 0 and inflight_batches > 0)
);
comment on table loyalty.plan is 'limits a tenant buys; rates are per second';

create table loyalty.tenant (
    tenant_id       uuid        not null,
    slug            text        not null,
    name            text        not null,
    status          text        not null default 'provisioning',
    mode            text        not null default 'live',
    plan_code       text        not null,
    timezone        text        not null default 'UTC',
    currency        text        not null default 'EUR',
    locale          text        not null default 'en',
    clock_offset    interval    not null default interval '0',
    generation      bigint      not null default 1,
    wrapped_key     bytea       not null,
    origins         text[]      not null default '{}',
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),
    constraint tenant_pk primary key (tenant_id),
    constraint tenant_slug_unique unique (slug),
    constraint tenant_slug_form check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    constraint tenant_status check (status in ('provisioning', 'active', 'suspended', 'closed')),
    constraint tenant_mode check (mode in ('live', 'test')),
    constraint tenant_clock check (mode = 'test' or clock_offset = interval '0'),
    constraint tenant_currency check (currency ~ '^[A-Z]{3}$'),
    constraint tenant_plan_fk foreign key (plan_code) references loyalty.plan
);
comment on table loyalty.tenant is 'a merchant''s account';
comment on column loyalty.tenant.clock_offset is
    'added to the clock for business time; test tenants only';
comment on column loyalty.tenant.generation is
    'part of every cache key; raised to void all of them';

create table loyalty.host (
    host            text        not null,
    tenant_id       uuid        not null,
    created_at      timestamptz not null default now(),
    constraint host_pk primary key (host),
    constraint host_form check (host = lower(host) and host !~ '[:/ ]' and host <> ''),
    constraint host_tenant_fk foreign key (tenant_id) references loyalty.tenant
);
create index host_tenant on loyalty.host (tenant_id);
comment on table loyalty.host is 'host names, lower case and without port, of tenants';

create table loyalty.app_user (
    tenant_id       uuid        not null,
    user_id         uuid        not null,
    sealed          jsonb       not null default '{}',
    email_blind     bytea       not null,
    password_hash   text,
    role            text        not null default 'owner',
    status          text        not null default 'active',
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),
    constraint app_user_pk primary key (tenant_id, user_id),
    constraint app_user_email_unique unique (tenant_id, email_blind),
    constraint app_user_status check (status in ('invited', 'active', 'blocked')),
    constraint app_user_tenant_fk foreign key (tenant_id) references loyalty.tenant
);
comment on table loyalty.app_user is
    'people of the merchant''s staff; names and addresses are sealed';

create table loyalty.api_key (
    tenant_id       uuid        not null,
    key_id          uuid        not null,
    digest          bytea       not null,
    prefix          text        not null,
    last4           text        not null,
    name            text        not null,
    kind            text        not null,
    mode            text        not null,
    scopes          text[]      not null default '{}',
    addresses       cidr[]      not null default '{}',
    api_version     date        not null,
    state           text        not null default 'active',
    expires_at      timestamptz,
    last_used_at    timestamptz,
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),
    constraint api_key_pk primary key (tenant_id, key_id),
    constraint api_key_digest_unique unique (digest),
    constraint api_key_digest_size check (octet_length(digest) = 32),
    constraint api_key_kind check (kind in ('secret', 'publishable')),
    constraint api_key_mode check (mode in ('live', 'test')),
    constraint api_key_state check (state in ('active', 'rotating', 'revoked')),
    constraint api_key_tenant_fk foreign key (tenant_id) references loyalty.tenant
);
comment on table loyalty.api_key is
    'API keys by digest; the digest is unique over all tenants because it finds the tenant';

create table loyalty.signing_key (
    kid             text        not null,
    alg             text        not null,
    public_pem      text        not null,
    sealed_private  bytea       not null,
    state           text        not null,
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),
    constraint signing_key_pk primary key (kid),
    constraint signing_key_alg check (alg in ('ES256', 'RS256')),
    constraint signing_key_state check (state in ('standby', 'current', 'previous', 'revoked'))
);
create unique index signing_key_one_current on loyalty.signing_key (alg) where state = 'current';
comment on table loyalty.signing_key is 'keys that sign access tokens, for the whole platform';

create table loyalty.revocation (
    tenant_id       uuid        not null,
    kind            text        not null,
    ref             text        not null,
    not_before      timestamptz not null,
    expires_at      timestamptz not null,
    created_at      timestamptz not null default now(),
    constraint revocation_pk primary key (tenant_id, kind, ref),
    constraint revocation_kind
        check (kind in ('session', 'user', 'member', 'tenant', 'api_key', 'kid'))
);
comment on table loyalty.revocation is
    'credentials made before not_before are refused until expires_at';

create table loyalty.data_key (
    tenant_id       uuid        not null,
    object_id       uuid        not null,
    wrapped         bytea       not null,
    created_at      timestamptz not null default now(),
    constraint data_key_pk primary key (tenant_id, object_id)
);
comment on table loyalty.data_key is
    'wrapped key of one member or user; erasing a person deletes the row, its backups are '
    'kept short';

create table loyalty.program (
    tenant_id       uuid        not null,
    program_id      uuid        not null,
    name            text        not null,
    status          text        not null default 'draft',
    timezone        text        not null default 'UTC',
    join_policy     text        not null default 'on_first_event',
    return_policy   text        not null default 'debt',
    refund_wait     interval    not null default interval '24 hours',
    late_policy     text        not null default 'as_it_arrives',
    metadata        jsonb       not null default '{}',
    version         bigint      not null default 1,
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),
    constraint program_pk primary key (tenant_id, program_id),
    constraint program_status check (status in ('draft', 'active', 'paused', 'archived')),
    constraint program_join check (join_policy in ('on_first_event', 'explicit')),
    constraint program_return check (return_policy in ('debt', 'within_balance')),
    constraint program_late check (late_policy in ('as_it_arrives', 'reevaluate')),
    constraint program_refund_wait check (refund_wait >= interval '0'),
    constraint program_tenant_fk foreign key (tenant_id) references loyalty.tenant
);
comment on table loyalty.program is 'a loyalty program: policies that its wallets and rules share';

create table loyalty.wallet (
    tenant_id       uuid        not null,
    wallet_id       uuid        not null,
    program_id      uuid        not null,
    code            text        not null,
    ordinal         smallint    not null,
    unit_one        text        not null default 'point',
    unit_many       text        not null default 'points',
    scale           smallint    not null default 0,
    pending_policy  text        not null default 'immediate',
    pending_days    int,
    pending_event   text,
    expiry_policy   text        not null default 'none',
    expiry_days     int,
    expiry_month    smallint,
    limits          jsonb       not null default '{}',
    metadata        jsonb       not null default '{}',
    version         bigint      not null default 1,
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),
    constraint wallet_pk primary key (tenant_id, wallet_id),
    constraint wallet_code_unique unique (tenant_id, code),
    constraint wallet_ordinal_unique unique (tenant_id, ordinal),
    constraint wallet_ordinal check (ordinal >= 0),
    constraint wallet_scale check (scale between 0 and 6),
    constraint wallet_pending check (case pending_policy
        when 'immediate' then true
        when 'after' then coalesce(pending_days > 0, false)
        when 'on_event' then pending_event is not null
        else false end),
    constraint wallet_expiry check (case expiry_policy
        when 'none' then true
        when 'rolling' then coalesce(expiry_days > 0, false)
        when 'inactivity' then coalesce(expiry_days > 0, false)
        when 'calendar' then coalesce(expiry_month between 1 and 12, false)
        else false end),
    constraint wallet_program_fk foreign key (tenant_id, program_id) references loyalty.program
);
comment on table loyalty.wallet is
    'a kind of points: units, maturation, expiry; a member''s points in it are a balance';
comment on column loyalty.wallet.ordinal is
    'dense from 0 in each tenant; place in the edge''s cache';
comment on column loyalty.wallet.expiry_month is
    'calendar: points expire at the end of this month, the first one that is expiry_days or '
    'more after they were earned';

create table loyalty.member (
    tenant_id       uuid        not null,
    member_id       uuid        not null,
    status          text        not null default 'active',
    shard           smallint    not null,
    enrolled_at     timestamptz not null,
    sealed          jsonb       not null default '{}',
    email_blind     bytea,
    member_seq      bigint      not null default 0,
    referral_code   text,
    merged_into     uuid,
    metadata        jsonb       not null default '{}',
    version         bigint      not null default 1,
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),
    constraint member_pk primary key (tenant_id, member_id),
    constraint member_status
        check (status in ('active', 'inactive', 'blocked', 'merged', 'erased')),
    constraint member_shard check (shard between 0 and 255),
    -- no foreign key to tenant: every enrolment would lock that one row
    constraint member_merged check ((status = 'merged') = (merged_into is not null))
) with (fillfactor = 85);
create unique index member_referral on loyalty.member (tenant_id, referral_code)
    where referral_code is not null;
create index member_email on loyalty.member (tenant_id, email_blind) where email_blind is not null;
comment on table loyalty.member is 'a shopper; personal fields are sealed, one base64 text each';
comment on column loyalty.member.shard is 'virtual shard of the rules lane: last byte of member_id';
comment on column loyalty.member.member_seq is 'number of the member''s last evaluated event';

create table loyalty.member_external (
    tenant_id       uuid        not null,
    external_id     text        not null,
    source          text        not null,
    member_id       uuid        not null,
    created_at      timestamptz not null default now(),
    constraint member_external_pk primary key (tenant_id, external_id, source),
    constraint member_external_member_fk foreign key (tenant_id, member_id)
        references loyalty.member
);
create index member_external_member on loyalty.member_external (tenant_id, member_id);
create index member_external_source on loyalty.member_external (tenant_id, source);
comment on table loyalty.member_external is 'the merchant''s own ids of a member, by source';

create table loyalty.rule (
    tenant_id       uuid        not null,
    rule_id         uuid        not null,
    program_id      uuid        not null,
    name            text        not null,
    is_base         boolean     not null default false,
    state           text        not null default 'draft',
    draft           jsonb,
    published_number int,
    metadata        jsonb       not null default '{}',
    version         bigint      not null default 1,
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),
    constraint rule_pk primary key (tenant_id, rule_id),
    constraint rule_state check (state in ('draft', 'active', 'paused', 'archived')),
    constraint rule_published
        check (state = 'draft' or state = 'archived' or published_number is not null),
    constraint rule_program_fk foreign key (tenant_id, program_id) references loyalty.program
);
create unique index rule_one_base on loyalty.rule (tenant_id, program_id)
    where is_base and state in ('active', 'paused');
comment on table loyalty.rule is 'an earning rule: its draft and which version is published';

create table loyalty.rule_version (
    tenant_id       uuid        not null,
    rule_version_id uuid        not null,
    rule_id         uuid        not null,
    number          int         not null,
    document        jsonb       not null,
    program         bytea       not null,
    checksum        bytea       not null,
    catalogue_digest bytea      not null,
    published_at    timestamptz not null,
    superseded_at   timestamptz,
    constraint rule_version_pk primary key (tenant_id, rule_version_id),
    constraint rule_version_number unique (tenant_id, rule_id, number),
    constraint rule_version_rule_fk foreign key (tenant_id, rule_id) references loyalty.rule
);
comment on table loyalty.rule_version is 'an immutable published version of a rule, compiled';

create table loyalty.idempotency (
    tenant_id       uuid        not null,
    principal_id    uuid        not null,
    operation       text        not null,
    key             text        not null,
    body_mac        bytea       not null,
    status          smallint,
    headers         text,
    body            text,
    nonce           text        not null,
    created_at      timestamptz not null default now(),
    constraint idempotency_pk primary key (tenant_id, principal_id, operation, key),
    constraint idempotency_key_size check (length(key) between 1 and 255)
);
create index idempotency_age on loyalty.idempotency (created_at);
comment on table loyalty.idempotency is
    'answers stored under an Idempotency-Key; status is null while the call runs';
