/*
 * The hash that chains the ledger entries of one balance.  The byte layout is
 * the section "Chain" of docs/internals/contracts.md; SQL computes the same.
 */

#ifndef LY_CHAIN_H_INCLUDED_
#define LY_CHAIN_H_INCLUDED_

#include "ly_base.h"
#include "ly_crypto.h"
#include "ly_id.h"


#define LY_CHAIN_VERSION  1
#define LY_CHAIN_BYTES    275       /* hashed for version 1 */

/* the type codes of the layout */
typedef enum {
    LY_ENTRY_EARN = 1,
    LY_ENTRY_EARN_PENDING,
    LY_ENTRY_ACTIVATE,
    LY_ENTRY_CANCEL_PENDING,
    LY_ENTRY_REDEEM,
    LY_ENTRY_REDEEM_REVERSAL,
    LY_ENTRY_EARN_REVERSAL,
    LY_ENTRY_EXPIRE,
    LY_ENTRY_EXPIRE_REVERSAL,
    LY_ENTRY_ADJUST_CREDIT,
    LY_ENTRY_ADJUST_DEBIT,
    LY_ENTRY_TRANSFER_OUT,
    LY_ENTRY_TRANSFER_IN,
    LY_ENTRY_IMPORT,
    LY_ENTRY_MERGE_OUT,
    LY_ENTRY_MERGE_IN
} ly_entry_type_e;

/* "earn", ...; LY_PARSE, and NULL for no code of ours */
ly_must_check ly_err_t ly_entry_type_parse(ly_str_t name,
    ly_entry_type_e *type);
const char *ly_entry_type_name(ly_entry_type_e type);

typedef struct {
    ly_uuid_t        tenant;
    ly_uuid_t        wallet;
    ly_uuid_t        member;
    ly_uuid_t        entry;
    uint64_t         seq;
    ly_entry_type_e  type;
    int64_t          points;
    int64_t          effective_at;      /* us since the epoch */
    int64_t          recorded_at;
    int64_t          available;         /* after the entry */
    int64_t          pending;
    int64_t          held;
    int64_t          debt;
    ly_uuid_t        event;             /* zeros where there is none */
    ly_uuid_t        rule_version;
    ly_uuid_t        hold;
    ly_uuid_t        redemption;
    ly_uuid_t        reverses;
    bool             has_reason;
    ly_str_t         reason;            /* the stored bytes (sealed text) */
} ly_chain_entry_t;


/*
 * previous is the hash before, 32 zero bytes for the first entry of a balance;
 * out gets LY_SHA256_LEN bytes.  LY_PARSE for an unknown type.
 */
ly_must_check ly_err_t ly_chain_hash(ly_crypto_t *c,
    const unsigned char *previous, const ly_chain_entry_t *entry,
    unsigned char *out);


#endif /* LY_CHAIN_H_INCLUDED_ */
