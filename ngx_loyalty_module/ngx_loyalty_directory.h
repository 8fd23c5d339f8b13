/*
 * The directory in the zone: hosts, tenants, plans, wallets, key digests,
 * signing keys, revocations.  Written by the one process that reads the feed,
 * read by all.
 */

#ifndef NGX_LOYALTY_DIRECTORY_H_INCLUDED_
#define NGX_LOYALTY_DIRECTORY_H_INCLUDED_

#include "ngx_loyalty.h"
#include "ngx_loyalty_zone.h"
#include "ly_addr.h"
#include "ly_arena.h"
#include "ly_json.h"


#define NGX_LOYALTY_ADDRESSES_MAX  64   /* networks of one API key */
#define NGX_LOYALTY_SLUG_MAX       64
#define NGX_LOYALTY_STALE          5000 /* ms: older needs the database */


/* a tenant's record; its JSON follows */
typedef struct {
    uint64_t   version;                 /* new with each change */
    uint32_t   epoch;
    uint16_t   nwallets;
    uint16_t   slug_len;
    u_char     slug[NGX_LOYALTY_SLUG_MAX];
} ngx_loyalty_tenant_head_t;


/* an API key's record; n times ly_cidr_t follow */
typedef struct {
    u_char     tenant[16];
    u_char     id[16];
    uint64_t   scopes;
    int64_t    expires_at;              /* us, 0 never */
    u_char     api_version[10];
    uint8_t    publishable;
    uint8_t    live;
    uint8_t    usable;                  /* active or rotating */
    uint8_t    restricted;              /* has a list of addresses */
    uint16_t   addresses;
} ngx_loyalty_key_rec_t;


typedef struct {
    int64_t    not_before;              /* us; 0: whatever its age */
    int64_t    expires_at;              /* us; 0: for ever */
} ngx_loyalty_revocation_t;

/* "k" api_key, "s" session, "u" user, "m" member, "t" tenant, "i" kid */
typedef enum {
    NGX_LOYALTY_REVOKED_SESSION = 's',
    NGX_LOYALTY_REVOKED_USER = 'u',
    NGX_LOYALTY_REVOKED_MEMBER = 'm',
    NGX_LOYALTY_REVOKED_TENANT = 't',
    NGX_LOYALTY_REVOKED_KEY = 'k',
    NGX_LOYALTY_REVOKED_KID = 'i'
} ngx_loyalty_revoked_e;


/*
 * Writing.  begin and end enclose a full read; what it did not name is gone
 * after end.  apply takes one row: data NULL for a record that is gone.  All
 * take the lock by themselves.  NGX_ERROR from apply: the row was not
 * understood or found no room (logged); the directory is not whole then.
 */
void ngx_loyalty_directory_begin(ngx_loyalty_zone_t *zone);
void ngx_loyalty_directory_end(ngx_loyalty_zone_t *zone, ngx_uint_t partial);
ngx_int_t ngx_loyalty_directory_apply(ngx_loyalty_zone_t *zone,
    ly_arena_t *scratch, ngx_str_t *kind, ngx_str_t *ref, ngx_str_t *tenant,
    ngx_str_t *data, ngx_log_t *log);

/*
 * Makes all that is cached under the tenants' epochs unreachable, and the
 * directory old: another incarnation of the database speaks.
 */
void ngx_loyalty_directory_void(ngx_loyalty_zone_t *zone);

/* drops revocations whose time is over */
void ngx_loyalty_directory_expire(ngx_loyalty_zone_t *zone, int64_t now);


/*
 * Reading.  complete: the first full read is done; whole: and every record of
 * it found room, so that what is not there does not exist.  fresh: the feed
 * was read within NGX_LOYALTY_STALE.
 */
ngx_uint_t ngx_loyalty_directory_whole(ngx_loyalty_zone_t *zone);
ngx_uint_t ngx_loyalty_directory_complete(ngx_loyalty_zone_t *zone);
ngx_uint_t ngx_loyalty_directory_fresh(ngx_loyalty_zone_t *zone);

/* NGX_OK and *rec, with *addressed: the client's address may use the key */
ngx_int_t ngx_loyalty_directory_key(ngx_loyalty_zone_t *zone,
    const u_char digest[32], struct sockaddr *sa, ngx_loyalty_key_rec_t *rec,
    ngx_uint_t *addressed);

/* the same from the JSON record that dir.credential gives; NGX_DECLINED */
ngx_int_t ngx_loyalty_directory_key_json(ly_arena_t *scratch, ngx_str_t *json,
    struct sockaddr *sa, ngx_loyalty_key_rec_t *rec, ngx_uint_t *addressed);

/* what a revocation is kept under; tenant NULL for a kid */
uint64_t ngx_loyalty_revocation_hash(ngx_loyalty_zone_t *zone,
    ngx_loyalty_revoked_e kind, const u_char *tenant, const u_char *ref,
    size_t len);

/* is any of n hashes revoked for what was issued at iat (us)? */
ngx_uint_t ngx_loyalty_directory_revoked(ngx_loyalty_zone_t *zone,
    const uint64_t *hashes, ngx_uint_t n, int64_t iat);


/* members of a JSON object, for records; 0, empty, or false when absent */
ngx_str_t ngx_loyalty_json_str(const ly_json_node_t *node, const char *key);
int64_t ngx_loyalty_json_int(const ly_json_node_t *node, const char *key);
ngx_int_t ngx_loyalty_json_uuid(const ly_json_node_t *node, const char *key,
    u_char out[16]);

/* the directory's limits for ly_json_parse() */
extern const ly_json_limits_t  ngx_loyalty_directory_limits;


#endif /* NGX_LOYALTY_DIRECTORY_H_INCLUDED_ */
