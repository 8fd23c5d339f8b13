/*
 * See rules_cache.h.  Versions stand in an open-addressed table by id.
 */

#include "rules_cache.h"

#include "log.h"
#include "../common/ly_buf.h"
#include "../common/ly_hex.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/ly_banned.h"


#define CACHE_SLOTS        (2 * RULES_CACHE_MAX)
#define CACHE_PROGRAM_MAX  (4 * 1024 * 1024)
#define CACHE_ZONES        128
#define CACHE_ZONE_NAME    64


typedef struct {
    char              name[CACHE_ZONE_NAME + 1];
    ly_arena_t       *arena;
    const ly_zone_t  *zone;             /* NULL: there is none */
} cache_zone_t;


struct rules_cache_s {
    ly_arena_t        *arena;
    rule_catalogue_t  *catalogue;
    const char        *zoneinfo;
    rules_version_t  **slots;
    size_t             n;
    cache_zone_t       zones[CACHE_ZONES];
    size_t             nzones;
};


static const db_call_t  call_versions = { "work.rule_versions", 2 };


ly_err_t
rules_cache_create(rules_cache_t **out, const char *zoneinfo)
{
    ly_err_t        err;
    rules_cache_t  *cache;

    cache = calloc(1, sizeof(rules_cache_t));
    if (cache == NULL) {
        return LY_NOMEM;
    }

    cache->zoneinfo = zoneinfo;
    cache->slots = calloc(CACHE_SLOTS, sizeof(rules_version_t *));
    cache->arena = ly_arena_create(CACHE_PROGRAM_MAX, NULL);

    err = LY_NOMEM;

    if (cache->slots != NULL && cache->arena != NULL) {
        err = rule_catalogue_default(cache->arena, &cache->catalogue);
    }

    if (err != LY_OK) {
        rules_cache_destroy(cache);
        return err;
    }

    *out = cache;

    return LY_OK;
}


static void
cache_empty(rules_cache_t *cache)
{
    size_t       i;
    ly_arena_t  *arena;

    for (i = 0; i < CACHE_SLOTS; i++) {
        if (cache->slots[i] != NULL) {
            /* the version itself lies in its arena */
            arena = cache->slots[i]->arena;
            cache->slots[i] = NULL;
            ly_arena_destroy(arena);
        }
    }

    cache->n = 0;
}


void
rules_cache_destroy(rules_cache_t *cache)
{
    size_t  i;

    if (cache == NULL) {
        return;
    }

    if (cache->slots != NULL) {
        cache_empty(cache);
    }

    for (i = 0; i < cache->nzones; i++) {
        ly_arena_destroy(cache->zones[i].arena);
    }

    ly_arena_destroy(cache->arena);
    free(cache->slots);
    free(cache);
}


const rule_catalogue_t *
rules_cache_catalogue(const rules_cache_t *cache)
{
    return cache->catalogue;
}


void
rules_cache_trim(rules_cache_t *cache)
{
    if (cache->n > RULES_CACHE_MAX) {
        cache_empty(cache);
    }
}


/* the place of an id: where it stands, or where it would */
static rules_version_t **
cache_place(rules_cache_t *cache, const ly_uuid_t *id)
{
    size_t  i;

    /* the last bytes of a UUIDv7 are random */
    i = ly_be32_get(id->b + 12) % CACHE_SLOTS;

    while (cache->slots[i] != NULL
           && !ly_uuid_eq(&cache->slots[i]->id, id))
    {
        i = (i + 1) % CACHE_SLOTS;
    }

    return &cache->slots[i];
}


static bool
cache_mentions(ly_str_t text, ly_str_t word)
{
    return memmem(text.data, text.len, word.data, word.len) != NULL;
}


/* from the compiled form; from the document if that is of another build */
static ly_err_t
cache_program(rules_cache_t *cache, ly_arena_t *a, ly_str_t document,
    ly_str_t hex, rule_program_t **program)
{
    ly_err_t        err;
    ly_str_t        bytes;
    rule_faults_t   faults;
    unsigned char  *raw;

    raw = ly_arena_bytes(a, hex.len / 2 + 1);
    if (raw == NULL) {
        return LY_NOMEM;
    }

    err = ly_hex_decode(hex, raw, hex.len / 2);

    if (err == LY_OK) {
        bytes = ly_str_of(raw, hex.len / 2);
        err = rule_program_load(a, bytes, cache->catalogue, program);
    }

    if (err == LY_OK || err == LY_NOMEM) {
        return err;
    }

    return rule_compile(a, document, cache->catalogue, 0, program, &faults);
}


static ly_err_t
cache_add(rules_cache_t *cache, const db_rows_t *rows, size_t row)
{
    ly_err_t           err;
    ly_str_t           id, rule, document;
    ly_arena_t        *a;
    rule_program_t    *program;
    rules_version_t   *version;

    if (cache->n >= CACHE_SLOTS - 1) {
        return LY_LIMIT;
    }

    id = db_text(rows, row, 0);
    rule = db_text(rows, row, 1);
    document = db_text(rows, row, 2);

    a = ly_arena_create(CACHE_PROGRAM_MAX, NULL);
    if (a == NULL) {
        return LY_NOMEM;
    }

    program = NULL;
    version = ly_arena_zalloc(a, sizeof(rules_version_t));
    err = LY_NOMEM;

    if (version != NULL) {
        err = ly_uuid_parse(id, &version->id);
    }

    if (err == LY_OK) {
        err = cache_program(cache, a, document, db_text(rows, row, 3),
                            &program);
    }

    if (err != LY_OK || rule.len != LY_UUID_TEXT) {
        ly_arena_destroy(a);
        return err == LY_NOMEM ? LY_NOMEM : LY_PARSE;
    }

    memcpy(version->id_text, id.data, LY_UUID_TEXT);
    memcpy(version->rule_text, rule.data, LY_UUID_TEXT);
    version->program = program;
    version->arena = a;
    version->reads_balance = cache_mentions(document, ly_str("balance."));
    rule_program_head(program, &version->head);

    *cache_place(cache, &version->id) = version;
    cache->n++;

    return LY_OK;
}


static ly_err_t
cache_load(rules_cache_t *cache, db_t *db, ly_arena_t *a, ly_str_t tenant,
    ly_str_t ids)
{
    size_t     i;
    ly_err_t   err;
    ly_str_t   params[2];
    db_rows_t  rows;

    params[0] = tenant;
    params[1] = ids;

    err = db_call(db, a, &call_versions, params, &rows);
    if (err != LY_OK) {
        return err;
    }

    for (i = 0; i < rows.rows; i++) {

        err = cache_add(cache, &rows, i);

        if (err == LY_NOMEM || err == LY_LIMIT) {
            return err;
        }

        if (err != LY_OK) {
            log_line(LY_LOG_ERROR, "rule version cannot be loaded",
                     ly_log_str("tenant", tenant),
                     ly_log_str("rule_version", db_text(&rows, i, 0)));
        }
    }

    return LY_OK;
}


ly_err_t
rules_cache_versions(rules_cache_t *cache, db_t *db, ly_arena_t *a,
    ly_str_t tenant, const ly_str_t *ids, size_t n, rules_version_t **out)
{
    bool        missing;
    size_t      i;
    ly_buf_t    b;
    ly_err_t    err;
    ly_uuid_t  *parsed;

    parsed = ly_arena_array(a, n + 1, sizeof(ly_uuid_t));
    if (parsed == NULL) {
        return LY_NOMEM;
    }

    missing = false;
    ly_buf_init_arena(&b, a, (n + 1) * (LY_UUID_TEXT + 1) + 2);
    ly_buf_byte(&b, '{');

    for (i = 0; i < n; i++) {

        err = ly_uuid_parse(ids[i], &parsed[i]);
        if (err != LY_OK) {
            return LY_FATAL;
        }

        if (*cache_place(cache, &parsed[i]) == NULL) {
            if (missing) {
                ly_buf_byte(&b, ',');
            }

            ly_buf_str(&b, ids[i]);
            missing = true;
        }
    }

    ly_buf_byte(&b, '}');

    if (ly_buf_err(&b) != LY_OK) {
        return ly_buf_err(&b);
    }

    if (missing) {
        err = cache_load(cache, db, a, tenant, ly_buf_view(&b));
        if (err != LY_OK) {
            return err;
        }
    }

    for (i = 0; i < n; i++) {
        out[i] = *cache_place(cache, &parsed[i]);
    }

    return LY_OK;
}


/* names are parts of letters, digits, _ + - joined by /: no dots, no roots */
static bool
cache_zone_name(ly_str_t name)
{
    size_t         i;
    unsigned char  c;

    if (name.len == 0 || name.len > CACHE_ZONE_NAME || name.data[0] == '/') {
        return false;
    }

    for (i = 0; i < name.len; i++) {
        c = name.data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
              || (c >= '0' && c <= '9') || c == '_' || c == '+' || c == '-'
              || c == '/'))
        {
            return false;
        }
    }

    return true;
}


static void
cache_zone_read(rules_cache_t *cache, cache_zone_t *entry)
{
    int             fd;
    char            path[512];
    ssize_t         n;
    ly_zone_t      *zone;
    unsigned char  *data;

    (void) snprintf(path, sizeof(path), "%s/%s", cache->zoneinfo,
                    entry->name);

    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd == -1) {
        return;
    }

    data = malloc(LY_ZONE_MAX);

    if (data != NULL) {
        n = read(fd, data, LY_ZONE_MAX);
        zone = NULL;

        if (n > 0
            && ly_zone_parse(entry->arena, ly_str_of(data, (size_t) n), &zone)
            == LY_OK)
        {
            entry->zone = zone;
        }

        free(data);
    }

    (void) close(fd);
}


const ly_zone_t *
rules_cache_zone(rules_cache_t *cache, ly_str_t name)
{
    size_t         i;
    cache_zone_t  *entry;

    if (ly_str_eq(name, ly_str("UTC"))) {
        return ly_zone_utc();
    }

    for (i = 0; i < cache->nzones; i++) {
        if (ly_str_eq(name, ly_str_c(cache->zones[i].name))) {
            return cache->zones[i].zone;
        }
    }

    if (!cache_zone_name(name) || cache->nzones == CACHE_ZONES) {
        return NULL;
    }

    entry = &cache->zones[cache->nzones];
    memset(entry, 0, sizeof(cache_zone_t));
    memcpy(entry->name, name.data, name.len);

    entry->arena = ly_arena_create(LY_ZONE_MAX * 8, NULL);
    if (entry->arena == NULL) {
        return NULL;
    }

    cache->nzones++;
    cache_zone_read(cache, entry);

    return entry->zone;
}
