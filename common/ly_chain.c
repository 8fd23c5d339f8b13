#include <string.h>

#include "ly_chain.h"
#include "ly_banned.h"


static const char *const  ly_entry_types[] = {
    NULL, "earn", "earn_pending", "activate", "cancel_pending", "redeem",
    "redeem_reversal", "earn_reversal", "expire", "expire_reversal",
    "adjust_credit", "adjust_debit", "transfer_out", "transfer_in", "import",
    "merge_out", "merge_in"
};


ly_err_t
ly_entry_type_parse(ly_str_t name, ly_entry_type_e *type)
{
    size_t  i;

    for (i = 1; i < ly_countof(ly_entry_types); i++) {
        if (ly_str_eq(name, ly_str_c(ly_entry_types[i]))) {
            *type = (ly_entry_type_e) i;
            return LY_OK;
        }
    }

    return LY_PARSE;
}


const char *
ly_entry_type_name(ly_entry_type_e type)
{
    return (size_t) type < ly_countof(ly_entry_types) ? ly_entry_types[type]
                                                      : NULL;
}


static unsigned char *
ly_chain_bytes(unsigned char *p, const void *data, size_t len)
{
    memcpy(p, data, len);

    return p + len;
}


static unsigned char *
ly_chain_uuid(unsigned char *p, const ly_uuid_t *u)
{
    return ly_chain_bytes(p, u->b, sizeof(u->b));
}


/* two's complement */
static unsigned char *
ly_chain_int(unsigned char *p, int64_t v)
{
    ly_be64_put(p, (uint64_t) v);

    return p + 8;
}


ly_err_t
ly_chain_hash(ly_crypto_t *c, const unsigned char *previous,
    const ly_chain_entry_t *entry, unsigned char *out)
{
    ly_err_t        rc;
    unsigned char  *p;
    unsigned char   reason[LY_SHA256_LEN], bytes[LY_CHAIN_BYTES];

    if (ly_entry_type_name(entry->type) == NULL) {
        return LY_PARSE;
    }

    memset(reason, 0, sizeof(reason));

    if (entry->has_reason) {
        rc = ly_sha256(c, entry->reason, reason);
        if (rc != LY_OK) {
            return rc;
        }
    }

    p = ly_chain_bytes(bytes, previous, LY_SHA256_LEN);
    *p++ = LY_CHAIN_VERSION;
    p = ly_chain_uuid(p, &entry->tenant);
    p = ly_chain_uuid(p, &entry->wallet);
    p = ly_chain_uuid(p, &entry->member);
    p = ly_chain_uuid(p, &entry->entry);
    ly_be64_put(p, entry->seq);
    p += 8;
    ly_be16_put(p, (uint16_t) entry->type);
    p += 2;
    p = ly_chain_int(p, entry->points);
    p = ly_chain_int(p, entry->effective_at);
    p = ly_chain_int(p, entry->recorded_at);
    p = ly_chain_int(p, entry->available);
    p = ly_chain_int(p, entry->pending);
    p = ly_chain_int(p, entry->held);
    p = ly_chain_int(p, entry->debt);
    p = ly_chain_uuid(p, &entry->event);
    p = ly_chain_uuid(p, &entry->rule_version);
    p = ly_chain_uuid(p, &entry->hold);
    p = ly_chain_uuid(p, &entry->redemption);
    p = ly_chain_uuid(p, &entry->reverses);
    p = ly_chain_bytes(p, reason, sizeof(reason));

    return ly_sha256(c, ly_str_of(bytes, (size_t) (p - bytes)), out);
}
