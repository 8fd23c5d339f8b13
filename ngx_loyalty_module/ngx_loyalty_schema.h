/*
 * Validation of bodies and parameters by the tables that dev/gen_api.pl writes
 * from the contract, and the list of faults that comes of it.
 */

#ifndef NGX_LOYALTY_SCHEMA_H_INCLUDED_
#define NGX_LOYALTY_SCHEMA_H_INCLUDED_

#include "ngx_loyalty.h"
#include "ly_arena.h"
#include "ly_json.h"
#include "ly_jw.h"


#define NGX_LOYALTY_TYPE_NULL     0x01
#define NGX_LOYALTY_TYPE_BOOL     0x02
#define NGX_LOYALTY_TYPE_INTEGER  0x04
#define NGX_LOYALTY_TYPE_NUMBER   0x08
#define NGX_LOYALTY_TYPE_STRING   0x10
#define NGX_LOYALTY_TYPE_ARRAY    0x20
#define NGX_LOYALTY_TYPE_OBJECT   0x40

#define NGX_LOYALTY_FAULTS_MAX    100


typedef enum {
    NGX_LOYALTY_FORMAT_NONE = 0,
    NGX_LOYALTY_FORMAT_DATE_TIME,
    NGX_LOYALTY_FORMAT_DATE,
    NGX_LOYALTY_FORMAT_DECIMAL,         /* text, >= 0, six places */
    NGX_LOYALTY_FORMAT_EMAIL,
    NGX_LOYALTY_FORMAT_MEMBER_REF,      /* mem_…, ext:… */
    NGX_LOYALTY_FORMAT_HTTP_URL
} ngx_loyalty_format_e;


typedef struct ngx_loyalty_schema_s  ngx_loyalty_schema_t;


typedef struct {
    ly_str_t                       name;
    const ngx_loyalty_schema_t    *schema;
    const char                    *preset;      /* JSON written when absent */
    unsigned                       required : 1;
    unsigned                       sealed : 1;
} ngx_loyalty_property_t;


/* a set of bytes and how often: patterns are a row of these */
typedef struct {
    uint32_t                       set[8];
    uint32_t                       min;
    uint32_t                       max;         /* 65535: no end */
} ngx_loyalty_atom_t;


/* when a member has this value, another is required */
typedef struct {
    ly_str_t                       member;
    ly_str_t                       value;
    ly_str_t                       required;
} ngx_loyalty_when_t;


struct ngx_loyalty_schema_s {
    unsigned                       types;
    ngx_loyalty_format_e           format;
    unsigned                       closed;      /* no other members */
    int64_t                        minimum;
    int64_t                        maximum;
    uint32_t                       min_length;  /* characters, elements, */
    uint32_t                       max_length;  /*     or members */
    const ngx_loyalty_property_t  *properties;  /* at most 64, by name */
    ngx_uint_t                     nproperties;
    const ngx_loyalty_schema_t    *items;       /* or of other members */
    const ly_str_t                *values;
    ngx_uint_t                     nvalues;
    const ngx_loyalty_atom_t      *atoms;
    ngx_uint_t                     natoms;
    const ngx_loyalty_when_t      *when;
    ngx_uint_t                     nwhen;
};


typedef struct {
    ly_str_t                       place;       /* pointer, or parameter */
    const char                    *code;
    ly_str_t                       detail;
    unsigned                       parameter : 1;
} ngx_loyalty_fault_t;


/* zeroed but for the arena; elements past the maximum are counted only */
typedef struct {
    ly_arena_t                    *arena;
    const ly_json_node_t          *base;        /* pointers begin here */
    ngx_loyalty_fault_t           *elts;
    ngx_uint_t                     n;
    unsigned                       nomem : 1;
} ngx_loyalty_faults_t;


/*
 * Adds one fault.  detail is copied; node may be NULL: the base itself; name
 * may be empty: a member that is missing from the node.
 */
void ngx_loyalty_fault_node(ngx_loyalty_faults_t *faults,
    const ly_json_node_t *node, ly_str_t name, const char *code,
    ly_str_t detail);
void ngx_loyalty_fault_parameter(ngx_loyalty_faults_t *faults, ly_str_t name,
    const char *code, ly_str_t detail);

/* the same with the detail "text bound.": at most 100 bytes */
void ngx_loyalty_fault_bound(ngx_loyalty_faults_t *faults,
    const ly_json_node_t *node, const char *code, const char *text,
    int64_t bound);

/* the code of all faults if they have one, else "value.invalid" */
const char *ngx_loyalty_faults_code(const ngx_loyalty_faults_t *faults);

/* the array `errors` of a problem */
void ngx_loyalty_faults_write(const ngx_loyalty_faults_t *faults, ly_jw_t *w);


/* every fault of a parsed value; NGX_OK without one, else NGX_DECLINED */
ngx_int_t ngx_loyalty_schema_check(const ngx_loyalty_schema_t *schema,
    const ly_json_node_t *node, ngx_loyalty_faults_t *faults);

/* the same for text of a path or a query: NGX_OK or NGX_DECLINED */
ngx_int_t ngx_loyalty_schema_text(const ngx_loyalty_schema_t *schema,
    ly_str_t text);


/*
 * What takes the place of a sealed member's value when it is written; NGX_OK,
 * or NGX_ERROR, which ends the writing.
 */
typedef ngx_int_t (*ngx_loyalty_sealer_pt)(void *data, ly_str_t name,
    const ly_json_node_t *node, ly_jw_t *w);

/*
 * Writes a checked value with the defaults of absent members, sealed members
 * by the sealer (NULL: they are left out).  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_loyalty_schema_write(const ngx_loyalty_schema_t *schema,
    const ly_json_node_t *node, ly_jw_t *w, ngx_loyalty_sealer_pt sealer,
    void *data);


#endif /* NGX_LOYALTY_SCHEMA_H_INCLUDED_ */
