/* The keyring and the directory of tenants, as several commands need them. */

#ifndef KEYS_H_INCLUDED_
#define KEYS_H_INCLUDED_

#include "cli.h"
#include "db.h"
#include "ly_crypto.h"
#include "ly_id.h"
#include "ly_seal.h"


typedef struct {
    cli_t         *c;
    db_t          *db;
    ly_crypto_t   *crypto;
    ly_keyring_t  *ring;
} keys_t;


/* the database, and the keyring: a file that others may not read */
ly_must_check int keys_open(cli_t *c, keys_t *k);

/* the database alone */
ly_must_check int keys_open_plain(cli_t *c, keys_t *k);

/* wipes the ring; also after a failed open */
void keys_close(keys_t *k);

/* the keyring alone, without a database; k->ring is set */
ly_must_check int keys_ring(cli_t *c, keys_t *k);

/* the one JSON value a statement gives; 0 or an exit code, said already */
ly_must_check int keys_call(keys_t *k, const char *sql, unsigned n,
    const char *const *params, const ly_json_node_t **answer);

/* the record of a tenant by its slug; CLI_NOTFOUND, said already */
ly_must_check int keys_tenant(keys_t *k, const char *slug,
    const ly_json_node_t **tenant);

/* a member's text with a NUL behind, in the arena; NULL if there is none */
const char *keys_string(cli_t *c, const ly_json_node_t *node,
    const char *name);

/* text of a uuid; NULL: no memory */
const char *keys_uuid(cli_t *c, const ly_uuid_t *id);


#endif /* KEYS_H_INCLUDED_ */
