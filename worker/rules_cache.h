/*
 * What a slot of the rules lane keeps from batch to batch: compiled rule
 * versions, which never change, and time zones.
 */

#ifndef RULES_CACHE_H_INCLUDED_
#define RULES_CACHE_H_INCLUDED_

#include "db.h"
#include "rule/rule.h"
#include "../common/ly_base.h"
#include "../common/ly_id.h"
#include "../common/ly_time.h"


/* beyond this many all are forgotten and loaded again as needed */
#define RULES_CACHE_MAX  16384

typedef struct {
    ly_uuid_t              id;
    unsigned char          id_text[LY_UUID_TEXT];
    unsigned char          rule_text[LY_UUID_TEXT];
    const rule_program_t  *program;
    rule_head_t            head;
    bool                   reads_balance;   /* perhaps; for ordering */
    ly_arena_t            *arena;
} rules_version_t;

typedef struct rules_cache_s  rules_cache_t;


ly_must_check ly_err_t rules_cache_create(rules_cache_t **cache,
    const char *zoneinfo);
void rules_cache_destroy(rules_cache_t *cache);

const rule_catalogue_t *rules_cache_catalogue(const rules_cache_t *cache);

/*
 * The versions of these ids (texts of uuids), loaded from the database where
 * they are not known; out[i] is NULL for one that cannot be loaded.  Pointers
 * are good until the next call of rules_cache_trim().
 */
ly_must_check ly_err_t rules_cache_versions(rules_cache_t *cache, db_t *db,
    ly_arena_t *a, ly_str_t tenant, const ly_str_t *ids, size_t n,
    rules_version_t **out);

/* forgets everything if there is too much; between batches only */
void rules_cache_trim(rules_cache_t *cache);

/* an IANA name; NULL if there is no such zone */
const ly_zone_t *rules_cache_zone(rules_cache_t *cache, ly_str_t name);


#endif /* RULES_CACHE_H_INCLUDED_ */
