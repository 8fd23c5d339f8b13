/* Values against the tables of the contract: checked, and written anew. */


#include "ngx_loyalty_schema.h"
#include "ly_decimal.h"
#include "ly_time.h"


#define NGX_LOYALTY_DECIMAL_DIGITS  12  /* before the point */
#define NGX_LOYALTY_EMAIL_MAX       254


static void ngx_loyalty_schema_number(const ngx_loyalty_schema_t *schema,
    const ly_json_node_t *node, ngx_loyalty_faults_t *faults);
static void ngx_loyalty_schema_string(const ngx_loyalty_schema_t *schema,
    const ly_json_node_t *node, ngx_loyalty_faults_t *faults);
static void ngx_loyalty_schema_array(const ngx_loyalty_schema_t *schema,
    const ly_json_node_t *node, ngx_loyalty_faults_t *faults);
static void ngx_loyalty_schema_object(const ngx_loyalty_schema_t *schema,
    const ly_json_node_t *node, ngx_loyalty_faults_t *faults);
static void ngx_loyalty_schema_node(const ngx_loyalty_schema_t *schema,
    const ly_json_node_t *node, ngx_loyalty_faults_t *faults);
static ngx_uint_t ngx_loyalty_schema_length(
    const ngx_loyalty_schema_t *schema, const ly_json_node_t *node,
    size_t length, ngx_loyalty_faults_t *faults);
static ngx_uint_t ngx_loyalty_schema_pattern(
    const ngx_loyalty_schema_t *schema, ly_str_t text);
static ngx_uint_t ngx_loyalty_schema_value(const ngx_loyalty_schema_t *schema,
    ly_str_t text);
static const char *ngx_loyalty_schema_format(ngx_loyalty_format_e format,
    ly_str_t text);
static ngx_uint_t ngx_loyalty_schema_email(ly_str_t text);
static ngx_uint_t ngx_loyalty_schema_url(ly_str_t text);
static ngx_uint_t ngx_loyalty_schema_decimal(ly_str_t text);
static ngx_uint_t ngx_loyalty_schema_reference(ly_str_t text);


ngx_int_t
ngx_loyalty_schema_check(const ngx_loyalty_schema_t *schema,
    const ly_json_node_t *node, ngx_loyalty_faults_t *faults)
{
    ngx_uint_t  n;

    n = faults->n;

    ngx_loyalty_schema_node(schema, node, faults);

    return faults->n == n && !faults->nomem ? NGX_OK : NGX_DECLINED;
}


static void
ngx_loyalty_schema_node(const ngx_loyalty_schema_t *schema,
    const ly_json_node_t *node, ngx_loyalty_faults_t *faults)
{
    unsigned  type;

    switch (node->type) {

    case LY_JSON_NULL:
        type = NGX_LOYALTY_TYPE_NULL;
        break;

    case LY_JSON_FALSE:
    case LY_JSON_TRUE:
        type = NGX_LOYALTY_TYPE_BOOL;
        break;

    case LY_JSON_NUMBER:
        type = NGX_LOYALTY_TYPE_NUMBER;

        if (node->is_integer) {
            type |= NGX_LOYALTY_TYPE_INTEGER;
        }

        break;

    case LY_JSON_STRING:
        type = NGX_LOYALTY_TYPE_STRING;
        break;

    case LY_JSON_ARRAY:
        type = NGX_LOYALTY_TYPE_ARRAY;
        break;

    default:
        type = NGX_LOYALTY_TYPE_OBJECT;
    }

    if ((schema->types & type) == 0) {

        if (schema->types & NGX_LOYALTY_TYPE_INTEGER) {
            ngx_loyalty_fault_node(faults, node, ly_str(""), "value.type",
                                   ly_str("It must be a number without "
                                          "fraction and exponent."));

        } else if (schema->types & NGX_LOYALTY_TYPE_STRING) {
            ngx_loyalty_fault_node(faults, node, ly_str(""), "value.type",
                                   ly_str("It must be a text."));

        } else if (schema->types & NGX_LOYALTY_TYPE_OBJECT) {
            ngx_loyalty_fault_node(faults, node, ly_str(""), "value.type",
                                   ly_str("It must be an object."));

        } else if (schema->types & NGX_LOYALTY_TYPE_ARRAY) {
            ngx_loyalty_fault_node(faults, node, ly_str(""), "value.type",
                                   ly_str("It must be a list."));

        } else {
            ngx_loyalty_fault_node(faults, node, ly_str(""), "value.type",
                                   ly_str("It must be true or false."));
        }

        return;
    }

    switch (node->type) {

    case LY_JSON_NUMBER:
        ngx_loyalty_schema_number(schema, node, faults);
        break;

    case LY_JSON_STRING:
        ngx_loyalty_schema_string(schema, node, faults);
        break;

    case LY_JSON_ARRAY:
        ngx_loyalty_schema_array(schema, node, faults);
        break;

    case LY_JSON_OBJECT:
        ngx_loyalty_schema_object(schema, node, faults);
        break;

    default:
        break;
    }
}


static void
ngx_loyalty_schema_number(const ngx_loyalty_schema_t *schema,
    const ly_json_node_t *node, ngx_loyalty_faults_t *faults)
{
    int64_t   value;
    ly_err_t  err;

    if (!(schema->types & NGX_LOYALTY_TYPE_INTEGER)) {
        return;
    }

    err = ly_json_int64(node, &value);

    if (err == LY_OVERFLOW) {
        value = node->text.len && node->text.data[0] == '-' ? INT64_MIN
                                                            : INT64_MAX;

    } else if (err != LY_OK) {
        ngx_loyalty_fault_node(faults, node, ly_str(""), "value.type",
                               ly_str("It must be a number without fraction "
                                      "and exponent."));
        return;
    }

    if (value < schema->minimum
        || (err == LY_OVERFLOW && value == INT64_MIN))
    {
        ngx_loyalty_fault_bound(faults, node, "value.minimum",
                                "It must be at least ", schema->minimum);

    } else if (value > schema->maximum
               || (err == LY_OVERFLOW && value == INT64_MAX))
    {
        ngx_loyalty_fault_bound(faults, node, "value.maximum",
                                "It must be at most ", schema->maximum);
    }
}


static void
ngx_loyalty_schema_string(const ngx_loyalty_schema_t *schema,
    const ly_json_node_t *node, ngx_loyalty_faults_t *faults)
{
    const char  *detail;

    if (schema->nvalues && !ngx_loyalty_schema_value(schema, node->text)) {
        ngx_loyalty_fault_node(faults, node, ly_str(""), "value.enum",
                               ly_str("It is not one of the values of the "
                                      "contract."));
        return;
    }

    if (schema->min_length || schema->max_length != UINT32_MAX) {
        if (!ngx_loyalty_schema_length(schema, node,
                                       ly_utf8_count(node->text), faults))
        {
            return;
        }
    }

    if (schema->natoms && !ngx_loyalty_schema_pattern(schema, node->text)) {
        ngx_loyalty_fault_node(faults, node, ly_str(""), "value.format",
                               ly_str("It has not the form of the "
                                      "contract."));
        return;
    }

    detail = ngx_loyalty_schema_format(schema->format, node->text);

    if (detail) {
        ngx_loyalty_fault_node(faults, node, ly_str(""), "value.format",
                               ly_str_c(detail));
    }
}


static void
ngx_loyalty_schema_array(const ngx_loyalty_schema_t *schema,
    const ly_json_node_t *node, ngx_loyalty_faults_t *faults)
{
    const ly_json_node_t  *child;

    if (!ngx_loyalty_schema_length(schema, node, node->count, faults)
        || schema->items == NULL)
    {
        return;
    }

    for (child = node->first; child; child = child->next) {
        ngx_loyalty_schema_node(schema->items, child, faults);
    }
}


static void
ngx_loyalty_schema_object(const ngx_loyalty_schema_t *schema,
    const ly_json_node_t *node, ngx_loyalty_faults_t *faults)
{
    uint64_t                       seen;
    ngx_uint_t                     i;
    const ly_json_node_t          *child, *member;
    const ngx_loyalty_when_t      *when;
    const ngx_loyalty_property_t  *p;

    if (!ngx_loyalty_schema_length(schema, node, node->count, faults)) {
        return;
    }

    seen = 0;

    for (child = node->first; child; child = child->next) {

        for (i = 0; i < schema->nproperties; i++) {
            p = &schema->properties[i];

            if (p->name.len == child->key.len
                && ngx_memcmp(p->name.data, child->key.data, p->name.len) == 0)
            {
                break;
            }
        }

        if (i < schema->nproperties) {
            seen |= (uint64_t) 1 << i;
            ngx_loyalty_schema_node(schema->properties[i].schema, child,
                                    faults);

        } else if (schema->closed) {
            ngx_loyalty_fault_node(faults, child, ly_str(""),
                                   "member.unknown",
                                   ly_str("The contract does not know this "
                                          "member."));

        } else if (schema->items) {
            ngx_loyalty_schema_node(schema->items, child, faults);
        }
    }

    for (i = 0; i < schema->nproperties; i++) {
        p = &schema->properties[i];

        if (p->required && !(seen & (uint64_t) 1 << i)) {
            ngx_loyalty_fault_node(faults, node, p->name, "value.required",
                                   ly_str("This member is required."));
        }
    }

    for (i = 0; i < schema->nwhen; i++) {
        when = &schema->when[i];
        member = ly_json_member(node, when->member);

        if (member && member->type == LY_JSON_STRING
            && ly_str_eq(member->text, when->value)
            && ly_json_member(node, when->required) == NULL)
        {
            ngx_loyalty_fault_node(faults, node, when->required,
                                   "value.required",
                                   ly_str("This member is required here."));
        }
    }
}


static ngx_uint_t
ngx_loyalty_schema_length(const ngx_loyalty_schema_t *schema,
    const ly_json_node_t *node, size_t length, ngx_loyalty_faults_t *faults)
{
    if (length < schema->min_length) {
        ngx_loyalty_fault_bound(faults, node, "value.too_short",
                                "Its length must be at least ",
                                schema->min_length);
        return 0;
    }

    if (length > schema->max_length) {
        ngx_loyalty_fault_bound(faults, node, "value.too_long",
                                "Its length must be at most ",
                                schema->max_length);
        return 0;
    }

    return 1;
}


ngx_int_t
ngx_loyalty_schema_text(const ngx_loyalty_schema_t *schema, ly_str_t text)
{
    size_t   length;
    int64_t  value;

    if (schema->types & NGX_LOYALTY_TYPE_INTEGER) {
        if (ly_int64_parse(text, &value) != LY_OK || value < schema->minimum
            || value > schema->maximum)
        {
            return NGX_DECLINED;
        }

        return NGX_OK;
    }

    if (schema->types & NGX_LOYALTY_TYPE_BOOL) {
        return ly_str_eq(text, ly_str("true"))
               || ly_str_eq(text, ly_str("false")) ? NGX_OK : NGX_DECLINED;
    }

    if (schema->nvalues && !ngx_loyalty_schema_value(schema, text)) {
        return NGX_DECLINED;
    }

    if (schema->min_length || schema->max_length != UINT32_MAX) {
        length = ly_utf8_count(text);

        if (length < schema->min_length || length > schema->max_length) {
            return NGX_DECLINED;
        }
    }

    if (schema->natoms && !ngx_loyalty_schema_pattern(schema, text)) {
        return NGX_DECLINED;
    }

    return ngx_loyalty_schema_format(schema->format, text) ? NGX_DECLINED
                                                           : NGX_OK;
}


static ngx_uint_t
ngx_loyalty_schema_value(const ngx_loyalty_schema_t *schema, ly_str_t text)
{
    ngx_uint_t  i;

    for (i = 0; i < schema->nvalues; i++) {
        if (ly_str_eq(schema->values[i], text)) {
            return 1;
        }
    }

    return 0;
}


/*
 * Greedy and without a way back: the generator refuses patterns where that
 * would miss a match.
 */
static ngx_uint_t
ngx_loyalty_schema_pattern(const ngx_loyalty_schema_t *schema, ly_str_t text)
{
    size_t                     i;
    uint32_t                   n;
    ngx_uint_t                 a;
    const ngx_loyalty_atom_t  *atom;

    i = 0;

    for (a = 0; a < schema->natoms; a++) {
        atom = &schema->atoms[a];
        n = 0;

        while (i < text.len && (n < atom->max || atom->max == 65535)
               && (atom->set[text.data[i] >> 5] >> (text.data[i] & 31) & 1))
        {
            i++;
            n++;
        }

        if (n < atom->min) {
            return 0;
        }
    }

    return i == text.len;
}


/* NULL, or what is wrong */
static const char *
ngx_loyalty_schema_format(ngx_loyalty_format_e format, ly_str_t text)
{
    int32_t  days;
    int64_t  us;

    switch (format) {

    case NGX_LOYALTY_FORMAT_NONE:
        break;

    case NGX_LOYALTY_FORMAT_DATE_TIME:
        return ly_time_parse(text, &us) == LY_OK ? NULL
               : "It must be a time of RFC 3339 with an offset.";

    case NGX_LOYALTY_FORMAT_DATE:
        return ly_date_parse(text, &days) == LY_OK ? NULL
               : "It must be a day as YYYY-MM-DD.";

    case NGX_LOYALTY_FORMAT_DECIMAL:
        return ngx_loyalty_schema_decimal(text) ? NULL
               : "It must be a decimal text, not negative, with at most 12 "
               "digits before the point and six after it.";

    case NGX_LOYALTY_FORMAT_EMAIL:
        return ngx_loyalty_schema_email(text) ? NULL
               : "It must be one e-mail address of at most 254 bytes.";

    case NGX_LOYALTY_FORMAT_MEMBER_REF:
        return ngx_loyalty_schema_reference(text) ? NULL
               : "It must be mem_... or ext:...";

    case NGX_LOYALTY_FORMAT_HTTP_URL:
        return ngx_loyalty_schema_url(text) ? NULL
               : "It must be an https URL without user and fragment.";
    }

    return NULL;
}


static ngx_uint_t
ngx_loyalty_schema_decimal(ly_str_t text)
{
    size_t    i;
    ly_dec_t  value;

    if (ly_dec_parse(text, LY_DEC_MONEY_SCALE, &value) != LY_OK
        || text.data[0] == '-')
    {
        return 0;
    }

    for (i = 0; i < text.len && text.data[i] != '.'; i++) { /* void */ }

    return i <= NGX_LOYALTY_DECIMAL_DIGITS;
}


static ngx_uint_t
ngx_loyalty_schema_reference(ly_str_t text)
{
    size_t     i;
    ly_uuid_t  id;

    if (ly_str_starts(text, ly_str("mem_"))) {
        return ly_id_parse(text, ly_str("mem"), &id) == LY_OK;
    }

    if (!ly_str_starts(text, ly_str("ext:")) || text.len == 4) {
        return 0;
    }

    for (i = 4; i < text.len; i++) {
        if (text.data[i] < 0x20 || text.data[i] == 0x7f) {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
ngx_loyalty_schema_email(ly_str_t text)
{
    size_t      i, at;
    ngx_uint_t  n;

    if (text.len > NGX_LOYALTY_EMAIL_MAX) {
        return 0;
    }

    n = 0;
    at = 0;

    for (i = 0; i < text.len; i++) {

        if (text.data[i] == '@') {
            at = i;
            n++;

        } else if (text.data[i] <= 0x20 || text.data[i] == 0x7f) {
            return 0;
        }
    }

    return n == 1 && at > 0 && at + 1 < text.len;
}


static ngx_uint_t
ngx_loyalty_schema_url(ly_str_t text)
{
    size_t  i, host;

    if (ly_str_starts(text, ly_str("https://"))) {
        host = 8;

    } else if (ly_str_starts(text, ly_str("http://"))) {
        host = 7;

    } else {
        return 0;
    }

    for (i = host; i < text.len; i++) {
        if (text.data[i] <= 0x20 || text.data[i] >= 0x7f
            || text.data[i] == '#' || text.data[i] == '\\')
        {
            return 0;
        }

        if (text.data[i] == '/' || text.data[i] == '?') {
            break;
        }

        if (text.data[i] == '@') {
            return 0;
        }
    }

    if (i == host) {
        return 0;
    }

    for (/* void */; i < text.len; i++) {
        if (text.data[i] <= 0x20 || text.data[i] >= 0x7f
            || text.data[i] == '#')
        {
            return 0;
        }
    }

    return 1;
}


ngx_int_t
ngx_loyalty_schema_write(const ngx_loyalty_schema_t *schema,
    const ly_json_node_t *node, ly_jw_t *w, ngx_loyalty_sealer_pt sealer,
    void *data)
{
    uint64_t                       seen;
    ngx_uint_t                     i;
    const ly_json_node_t          *child;
    const ngx_loyalty_property_t  *p;

    if (schema->items && node->type == LY_JSON_ARRAY) {
        ly_jw_array(w);

        for (child = node->first; child; child = child->next) {
            if (ngx_loyalty_schema_write(schema->items, child, w, sealer, data)
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }

        ly_jw_array_end(w);
        return NGX_OK;
    }

    if (schema->nproperties == 0 || node->type != LY_JSON_OBJECT) {
        ly_jw_node(w, node);
        return NGX_OK;
    }

    ly_jw_object(w);
    seen = 0;

    for (child = node->first; child; child = child->next) {

        for (i = 0; i < schema->nproperties; i++) {
            p = &schema->properties[i];

            if (p->name.len == child->key.len
                && ngx_memcmp(p->name.data, child->key.data, p->name.len) == 0)
            {
                break;
            }
        }

        if (i == schema->nproperties) {
            ly_jw_key(w, child->key);
            ly_jw_node(w, child);
            continue;
        }

        p = &schema->properties[i];
        seen |= (uint64_t) 1 << i;

        if (p->sealed && sealer == NULL) {
            continue;
        }

        ly_jw_key(w, child->key);

        if (p->sealed && child->type != LY_JSON_NULL) {
            if (sealer(data, p->name, child, w) != NGX_OK) {
                return NGX_ERROR;
            }

            continue;
        }

        if (ngx_loyalty_schema_write(p->schema, child, w, sealer, data)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    for (i = 0; i < schema->nproperties; i++) {
        p = &schema->properties[i];

        if (p->preset && !(seen & (uint64_t) 1 << i)) {
            ly_jw_key(w, p->name);
            ly_jw_raw(w, ly_str_c(p->preset));
        }
    }

    ly_jw_object_end(w);

    return NGX_OK;
}
