/* The catalogue: which facts there are, and where documents hold them. */

#include "rule_int.h"
#include "../../common/ly_jw.h"
#include "../../common/ly_banned.h"


#define rule_none            ly_str_of(NULL, 0)
#define RULE_CATALOGUE_ROOM  ((size_t) 4 << 20)     /* of its canonical form */


typedef struct {
    const char  *name;
    const char  *path;
    uint8_t      type;
    uint8_t      state;
    uint8_t      nullable;
    uint8_t      computed;
} rule_builtin_t;


static const rule_builtin_t  rule_builtin[RULE_F_DEFAULT_N] = {
    { "event.type", "type", RULE_T_STR, 0, 0, 0 },
    { "event.source", "source", RULE_T_STR, 0, 0, 0 },
    { "event.external_id", "external_id", RULE_T_STR, 0, 0, 0 },
    { "event.occurred_at", "occurred_at", RULE_T_INSTANT, 0, 0, 0 },
    { "now", "occurred_at", RULE_T_INSTANT, 0, 0, 1 },
    { "order.currency", "order.currency", RULE_T_STR, 0, 1, 0 },
    { "order.total", "order.total", RULE_T_MONEY, 0, 1, 1 },
    { "order.line_count", "order.line_count", RULE_T_INT, 0, 1, 1 },
    { "order.quantity", "order.quantity", RULE_T_DEC, 0, 1, 1 },
    { "order.lines", "order.lines", RULE_T_LIST, 0, 1, 0 },
    { "refund.order_external_id", "refund.order_external_id", RULE_T_STR,
      0, 1, 0 },
    { "refund.currency", "refund.currency", RULE_T_STR, 0, 1, 0 },
    { "refund.total", "refund.total", RULE_T_MONEY, 0, 1, 1 },
    { "refund.line_count", "refund.line_count", RULE_T_INT, 0, 1, 1 },
    { "refund.quantity", "refund.quantity", RULE_T_DEC, 0, 1, 1 },
    { "refund.lines", "refund.lines", RULE_T_LIST, 0, 1, 0 },
    { "member.status", "member.status", RULE_T_STR, 1, 1, 0 },
    { "member.tier", "member.tier", RULE_T_STR, 1, 1, 0 },
    { "member.segments", "member.segments", RULE_T_SLIST, 1, 1, 0 },
    { "member.achievements", "member.achievements", RULE_T_SLIST, 1, 1, 0 },
    { "member.enrolled_at", "member.enrolled_at", RULE_T_INSTANT, 1, 1, 0 },
    { "member.birthday", "member.birthday", RULE_T_DATE, 1, 1, 0 },
    { "balance.available", "balance.available", RULE_T_INT, 1, 1, 0 },
    { "balance.pending", "balance.pending", RULE_T_INT, 1, 1, 0 },
    { "balance.held", "balance.held", RULE_T_INT, 1, 1, 0 },
    { "balance.debt", "balance.debt", RULE_T_INT, 1, 1, 0 },
    { "balance.earned", "balance.earned", RULE_T_INT, 1, 1, 0 },
    { "balance.spent", "balance.spent", RULE_T_INT, 1, 1, 0 }
};

static const rule_builtin_t  rule_line[RULE_L_N] = {
    { "line_id", "line_id", RULE_T_STR, 0, 0, 0 },
    { "sku", "sku", RULE_T_STR, 0, 1, 0 },
    { "quantity", "quantity", RULE_T_DEC, 0, 0, 0 },
    { "unit_price", "unit_price", RULE_T_MONEY, 0, 0, 0 },
    { "discount", "discount", RULE_T_MONEY, 0, 0, 0 },
    { "total", "total", RULE_T_MONEY, 0, 0, 1 },
    { "categories", "categories", RULE_T_SLIST, 0, 0, 0 }
};

static const char *const  rule_type_names[] = {
    "nothing", "int", "decimal", "money", "string", "bool", "instant",
    "date", "enum", "list of struct", "list of string", "struct",
    "list of literals", "number", "text"
};


const char *
rule_type_name(unsigned type)
{
    return type < ly_countof(rule_type_names) ? rule_type_names[type] : "";
}


int32_t
rule_catalogue_find(const rule_catalogue_t *c, ly_str_t name)
{
    uint32_t  i;

    for (i = 0; i < c->n; i++) {
        if (rule_same_text(c->facts[i].name, name)) {
            return (int32_t) i;
        }
    }

    return -1;
}


int32_t
rule_field_find(const rule_fact_t *list, ly_str_t name)
{
    uint32_t  i;

    for (i = 0; i < list->n_fields; i++) {
        if (rule_same_text(list->fields[i].name, name)) {
            return (int32_t) i;
        }
    }

    return -1;
}


const unsigned char *
rule_catalogue_digest(const rule_catalogue_t *c)
{
    return c->digest;
}


static void
rule_fact_builtin(rule_fact_t *f, const rule_builtin_t *b)
{
    memset(f, 0, sizeof(*f));
    f->name = ly_str_c(b->name);
    f->path = ly_str_c(b->path);
    f->type = b->type;
    f->state = b->state;
    f->nullable = b->nullable;
    f->computed = b->computed;
}


/* puts a fact's path into the trie of its document */
static ly_err_t
rule_trie_add(ly_arena_t *a, rule_trie_t *t, rule_fact_t *f, int32_t slot)
{
    size_t        i, start;
    ly_str_t      key, path;
    rule_trie_t  *child, **last;

    path = f->path;

    for (i = 0, start = 0; i <= path.len; i++) {
        if (i < path.len && path.data[i] != '.') {
            continue;
        }

        key = ly_str_of(path.data + start, i - start);
        start = i + 1;

        for (child = t->child; child != NULL; child = child->next) {
            if (rule_same_text(child->key, key)) {
                break;
            }
        }

        if (child == NULL) {
            child = ly_arena_zalloc(a, sizeof(*child));
            if (child == NULL) {
                return LY_NOMEM;
            }

            child->key = key;
            child->slot = -1;

            /* in the order of declaration, which is that of most documents */
            for (last = &t->child; *last != NULL; last = &(*last)->next) {
                child->at++;
            }

            *last = child;
        }

        t = child;
    }

    f->also = t->slot;
    t->slot = slot;

    return LY_OK;
}


static void
rule_fact_print(ly_jw_t *w, const rule_fact_t *f)
{
    uint32_t       i;
    unsigned char  cur[3];

    ly_jw_object(w);
    ly_jw_kbool(w, "computed", f->computed);

    if (f->currency != 0) {
        rule_currency_text(f->currency, cur);
        ly_jw_kstr(w, "currency", ly_str_of(cur, 3));
    }

    if (f->n_fields > 0) {
        ly_jw_k(w, "fields");
        ly_jw_array(w);

        for (i = 0; i < f->n_fields; i++) {
            rule_fact_print(w, &f->fields[i]);
        }

        ly_jw_array_end(w);
    }

    ly_jw_kcstr(w, "from", f->state ? "state" : "event");
    ly_jw_kstr(w, "name", f->name);
    ly_jw_kbool(w, "nullable", f->nullable);
    ly_jw_kbool(w, "ordered", f->ordered);
    ly_jw_kstr(w, "path", f->path);
    ly_jw_kcstr(w, "type", rule_type_name(f->type));

    if (f->unit.len > 0) {
        ly_jw_kstr(w, "unit", f->unit);
    }

    if (f->n_values > 0) {
        ly_jw_k(w, "values");
        ly_jw_array(w);

        for (i = 0; i < f->n_values; i++) {
            ly_jw_str(w, f->values[i]);
        }

        ly_jw_array_end(w);
    }

    ly_jw_object_end(w);
}


static uint32_t *
rule_facts_sort(ly_arena_t *a, const rule_fact_t *f, uint32_t n)
{
    uint32_t  i, k, *order;

    order = ly_arena_array(a, n, sizeof(*order));
    if (order == NULL) {
        return NULL;
    }

    for (i = 0; i < n; i++) {
        for (k = i; k > 0 && ly_str_cmp(f[order[k - 1]].name, f[i].name) > 0;
             k--)
        {
            order[k] = order[k - 1];
        }

        order[k] = i;
    }

    return order;
}


/* facts and fields are written as members of a trace time and again */
static ly_err_t
rule_fact_keys(ly_arena_t *a, rule_fact_t *f, uint32_t n)
{
    size_t          len;
    uint32_t        i;
    unsigned char  *p;

    for (i = 0; i < n; i++) {
        len = f[i].name.len;
        p = ly_arena_bytes(a, len + 3);

        if (p == NULL) {
            return LY_NOMEM;
        }

        p[0] = '"';
        memcpy(p + 1, f[i].name.data, len);
        p[len + 1] = '"';
        p[len + 2] = ':';
        f[i].key = ly_str_of(p, len + 3);
    }

    return LY_OK;
}


static bool
rule_fact_holds_money(const rule_fact_t *f)
{
    uint32_t  i;

    for (i = 0; f->type == RULE_T_LIST && i < f->n_fields; i++) {
        if (f->fields[i].type == RULE_T_MONEY) {
            return true;
        }
    }

    return false;
}


/* the slots that are looked at for every document, so that no others are */
static ly_err_t
rule_catalogue_slots(ly_arena_t *a, rule_catalogue_t *c)
{
    uint32_t            i, state;
    rule_slots_t       *s[3];
    const rule_fact_t  *f;

    c->rank = ly_arena_array(a, c->n, sizeof(*c->rank));

    if (c->rank == NULL) {
        return LY_NOMEM;
    }

    for (i = 0; i < c->n; i++) {
        c->rank[c->by_name[i]] = (uint16_t) i;
    }

    for (state = 0; state < 2; state++) {
        s[0] = &c->all[state];
        s[1] = &c->money[state];
        s[2] = &c->lists[state];

        for (i = 0; i < ly_countof(s); i++) {
            s[i]->n = 0;
            s[i]->slot = ly_arena_array(a, c->n, sizeof(*s[i]->slot));

            if (s[i]->slot == NULL) {
                return LY_NOMEM;
            }
        }

        for (i = 0; i < c->n; i++) {
            f = &c->facts[i];

            if (f->state != state) {
                continue;
            }

            s[0]->slot[s[0]->n++] = (uint16_t) i;

            if (f->type == RULE_T_MONEY) {
                s[1]->slot[s[1]->n++] = (uint16_t) i;

            } else if (rule_fact_holds_money(f)) {
                s[2]->slot[s[2]->n++] = (uint16_t) i;
            }
        }
    }

    return LY_OK;
}


/* tries, orders and digest; the digest takes the facts by name */
static ly_err_t
rule_catalogue_finish(ly_arena_t *a, rule_catalogue_t *c)
{
    ly_jw_t       w;
    ly_buf_t      b;
    uint32_t      i;
    rule_fact_t  *f;

    c->event.slot = -1;
    c->state.slot = -1;
    c->by_name = rule_facts_sort(a, c->facts, c->n);

    if (c->by_name == NULL || rule_catalogue_slots(a, c) != LY_OK
        || rule_fact_keys(a, c->facts, c->n) != LY_OK)
    {
        return LY_NOMEM;
    }

    for (i = 0; i < c->n; i++) {
        f = &c->facts[i];

        if (!f->computed
            && rule_trie_add(a, f->state ? &c->state : &c->event, f,
                             (int32_t) i) != LY_OK)
        {
            return LY_NOMEM;
        }

        f->by_name = rule_facts_sort(a, f->fields, f->n_fields);

        if (f->by_name == NULL
            || rule_fact_keys(a, f->fields, f->n_fields) != LY_OK)
        {
            return LY_NOMEM;
        }
    }

    ly_buf_init_arena(&b, a, RULE_CATALOGUE_ROOM);
    ly_jw_init(&w, &b);
    ly_jw_array(&w);

    for (i = 0; i < c->n; i++) {
        rule_fact_print(&w, &c->facts[c->by_name[i]]);
    }

    ly_jw_array_end(&w);

    if (ly_jw_done(&w) != LY_OK
        || rule_digest(ly_buf_view(&b), c->digest) != LY_OK)
    {
        return LY_NOMEM;
    }

    rule_hex(c->digest, c->hex);

    return LY_OK;
}


static rule_catalogue_t *
rule_catalogue_new(ly_arena_t *a, uint32_t room)
{
    uint32_t           i;
    rule_fact_t       *lines;
    rule_catalogue_t  *c;

    c = ly_arena_zalloc(a, sizeof(*c));
    if (c == NULL) {
        return NULL;
    }

    c->facts = ly_arena_array(a, RULE_F_DEFAULT_N + room, sizeof(*c->facts));
    lines = ly_arena_array(a, RULE_L_N, sizeof(*lines));

    if (c->facts == NULL || lines == NULL) {
        return NULL;
    }

    for (i = 0; i < RULE_L_N; i++) {
        rule_fact_builtin(&lines[i], &rule_line[i]);
    }

    for (i = 0; i < RULE_F_DEFAULT_N; i++) {
        rule_fact_builtin(&c->facts[i], &rule_builtin[i]);
    }

    c->facts[RULE_F_ORDER_LINES].fields = lines;
    c->facts[RULE_F_ORDER_LINES].n_fields = RULE_L_N;
    c->facts[RULE_F_REFUND_LINES].fields = lines;
    c->facts[RULE_F_REFUND_LINES].n_fields = RULE_L_N;
    c->n = RULE_F_DEFAULT_N;

    return c;
}


ly_err_t
rule_catalogue_default(ly_arena_t *a, rule_catalogue_t **out)
{
    rule_catalogue_t  *c;

    c = rule_catalogue_new(a, 0);
    if (c == NULL) {
        return LY_NOMEM;
    }

    *out = c;

    return rule_catalogue_finish(a, c);
}


/* --- from a document --- */

static bool
rule_name_ok(ly_str_t s, bool dotted)
{
    bool    part;
    size_t  i, parts;

    parts = 1;
    part = false;

    for (i = 0; i < s.len; i++) {
        if (s.data[i] == '.') {
            if (!part) {
                return false;
            }

            parts++;
            part = false;
            continue;
        }

        if (!((s.data[i] >= 'a' && s.data[i] <= 'z')
              || (s.data[i] >= 'A' && s.data[i] <= 'Z')
              || (s.data[i] >= '0' && s.data[i] <= '9')
              || s.data[i] == '_' || s.data[i] == '-'))
        {
            return false;
        }

        part = true;
    }

    return part && s.len <= 200 && (dotted ? parts > 1 : parts == 1);
}


static void rule_fact_read(rule_report_t *r, const ly_json_node_t *node,
    bool field, rule_fact_t *f);


static void
rule_fact_of(rule_report_t *r, const ly_json_node_t *node, bool field,
    rule_fact_t *f)
{
    uint32_t               i;
    const ly_json_node_t  *list, *n;

    if (node->type == LY_JSON_STRING
        && rule_same_text(node->text, ly_str("string")))
    {
        f->type = RULE_T_SLIST;
        return;
    }

    list = ly_json_member_of(node, ly_str("fields"), LY_JSON_ARRAY);

    if (list == NULL || node->count != 1 || field || list->count == 0) {
        rule_fault_at(r, node, "value.type", "\"string\" or {\"fields\": "
                      "[facts]}, not within fields", node->text);
        return;
    }

    if (list->count > RULE_FIELDS_MAX) {
        rule_fault_at(r, list, "bound.list", "at most 64 fields",
                      rule_none);
        return;
    }

    f->fields = ly_arena_array(r->arena, list->count, sizeof(*f->fields));
    if (f->fields == NULL) {
        r->nomem = true;
        return;
    }

    for (i = 0, n = list->first; n != NULL; n = n->next, i++) {
        rule_fact_read(r, n, true, &f->fields[i]);

        if (rule_field_find(f, f->fields[i].name) >= 0) {
            rule_fault_at(r, n, "value.unknown", "a name of its own",
                          f->fields[i].name);
        }

        f->n_fields = i + 1;
    }
}


static void
rule_fact_values(rule_report_t *r, const ly_json_node_t *node, rule_fact_t *f)
{
    const ly_json_node_t  *n;

    if (node->type != LY_JSON_ARRAY || node->count == 0
        || node->count > RULE_LIST_MAX)
    {
        rule_fault_at(r, node, "value.type", "a list of 1 to 1000 texts",
                      node->text);
        return;
    }

    f->values = ly_arena_array(r->arena, node->count, sizeof(*f->values));
    if (f->values == NULL) {
        r->nomem = true;
        return;
    }

    for (n = node->first; n != NULL; n = n->next) {
        if (n->type != LY_JSON_STRING) {
            rule_fault_at(r, n, "value.type", "text", n->text);
        }

        f->values[f->n_values++] = n->text;
    }
}


static uint8_t
rule_fact_type(ly_str_t name)
{
    uint8_t  t;

    if (rule_same_text(name, ly_str("list"))) {
        return RULE_T_LIST;
    }

    for (t = RULE_T_INT; t <= RULE_T_ENUM; t++) {
        if (rule_same_text(name, ly_str_c(rule_type_names[t]))) {
            return t;
        }
    }

    return RULE_T_NONE;
}


static void
rule_fact_member(rule_report_t *r, const ly_json_node_t *n, bool field,
    rule_fact_t *f, const ly_json_node_t **of)
{
    bool  b;

    b = n->type == LY_JSON_TRUE;

    if (rule_same_text(n->key, ly_str("nullable"))
        && (b || n->type == LY_JSON_FALSE))
    {
        f->nullable = b;

    } else if (rule_same_text(n->key, ly_str("ordered"))
               && (b || n->type == LY_JSON_FALSE))
    {
        f->ordered = b;

    } else if (rule_same_text(n->key, ly_str("values"))) {
        rule_fact_values(r, n, f);

    } else if (rule_same_text(n->key, ly_str("of"))) {
        *of = n;

    } else if (rule_same_text(n->key, ly_str("currency"))) {
        f->currency = rule_currency(n->text);

        if (f->currency == 0) {
            rule_fault_at(r, n, "value.type", "three capital letters",
                          n->text);
        }

    } else if (rule_same_text(n->key, ly_str("unit"))
               && n->type == LY_JSON_STRING)
    {
        f->unit = n->text;

    } else if (!field && rule_same_text(n->key, ly_str("from"))
               && (rule_same_text(n->text, ly_str("event"))
                   || rule_same_text(n->text, ly_str("state"))))
    {
        f->state = n->text.data[0] == 's';

    } else if (!field && rule_same_text(n->key, ly_str("path"))
               && n->type == LY_JSON_STRING
               && (rule_name_ok(n->text, true)
                   || rule_name_ok(n->text, false)))
    {
        f->path = n->text;

    } else if (!rule_same_text(n->key, ly_str("name"))
               && !rule_same_text(n->key, ly_str("type")))
    {
        rule_fault_at(r, n, "member.unknown", "a member of a fact", n->key);
    }
}


static void
rule_fact_read(rule_report_t *r, const ly_json_node_t *node, bool field,
    rule_fact_t *f)
{
    const ly_json_node_t  *n, *of;

    of = NULL;
    memset(f, 0, sizeof(*f));

    n = ly_json_member_of(node, ly_str("name"), LY_JSON_STRING);

    if (n == NULL || !rule_name_ok(n->text, !field)) {
        rule_fault_at(r, node, "member.required", field
                      ? "name: one part of letters, digits, _ and -"
                      : "name: two or more parts joined by dots",
                      n == NULL ? rule_none : n->text);
        return;
    }

    f->name = n->text;
    f->path = n->text;
    f->state = ly_str_starts(f->name, ly_str("member."))
               || ly_str_starts(f->name, ly_str("balance."));

    n = ly_json_member_of(node, ly_str("type"), LY_JSON_STRING);
    f->type = n == NULL ? RULE_T_NONE : rule_fact_type(n->text);

    if (f->type == RULE_T_NONE) {
        rule_fault_at(r, node, "member.required", "type: int, decimal, money, "
                      "string, bool, instant, date, enum or list",
                      n == NULL ? rule_none : n->text);
        return;
    }

    for (n = node->first; n != NULL; n = n->next) {
        rule_fact_member(r, n, field, f, &of);
    }

    if (f->type == RULE_T_LIST) {
        if (of == NULL) {
            rule_fault_at(r, node, "member.required", "of",
                          rule_none);
        } else {
            rule_fact_of(r, of, field, f);
        }

    } else if (of != NULL) {
        rule_fault_at(r, of, "member.unknown", "of only with type list",
                      rule_none);
    }

    if ((f->type == RULE_T_ENUM) != (f->n_values > 0)) {
        rule_fault_at(r, node, "member.required", "values, for an enum only",
                      rule_none);
    }
}


/* a fact of the state may be declared anew, say tier as an ordered enum */
static void
rule_catalogue_put(rule_report_t *r, rule_catalogue_t *c,
    const ly_json_node_t *node, const rule_fact_t *f)
{
    int32_t  slot;

    slot = rule_catalogue_find(c, f->name);

    if (slot >= RULE_F_MEMBER_STATUS && slot < RULE_F_DEFAULT_N && f->state) {
        c->facts[slot] = *f;
        return;
    }

    if (slot >= 0) {
        rule_fault_at(r, node, "value.unknown", "a name of its own", f->name);
        return;
    }

    c->facts[c->n++] = *f;
}


static ly_err_t
rule_catalogue_read(rule_report_t *r, const ly_json_node_t *root,
    rule_catalogue_t **out)
{
    rule_fact_t            f;
    rule_catalogue_t      *c;
    const ly_json_node_t  *n, *list;

    list = ly_json_member_of(root, ly_str("facts"), LY_JSON_ARRAY);
    n = ly_json_member_of(root, ly_str("extends"), LY_JSON_STRING);

    if (list == NULL || n == NULL || root->count != 2
        || !rule_same_text(n->text, ly_str("default")))
    {
        rule_fault_at(r, root, "member.required", "{\"extends\": \"default\", "
                      "\"facts\": [...]} and nothing else",
                      rule_none);
        return LY_PARSE;
    }

    if (list->count > RULE_FACTS_MAX - RULE_F_DEFAULT_N) {
        rule_fault_at(r, list, "bound.list", "at most 200 facts in all",
                      rule_none);
        return LY_LIMIT;
    }

    c = rule_catalogue_new(r->arena, list->count);
    if (c == NULL) {
        return LY_NOMEM;
    }

    for (n = list->first; n != NULL; n = n->next) {
        rule_fact_read(r, n, false, &f);

        if (f.name.len > 0) {
            rule_catalogue_put(r, c, n, &f);
        }
    }

    *out = c;

    return LY_OK;
}


ly_err_t
rule_catalogue_parse(ly_arena_t *a, ly_str_t json, rule_catalogue_t **out,
    rule_faults_t *faults)
{
    ly_err_t          err;
    ly_str_t          copy;
    rule_report_t     r;
    ly_json_node_t   *root;
    ly_json_fault_t   fault;

    memset(faults, 0, sizeof(*faults));
    memset(&r, 0, sizeof(r));
    r.arena = a;
    r.faults = faults;

    err = ly_arena_str(a, json, &copy);
    if (err != LY_OK) {
        return err;
    }

    err = ly_json_parse(a, copy, NULL, &root, &fault);
    if (err != LY_OK) {
        if (err != LY_NOMEM) {
            rule_fault_json(&r, &fault);
        }

        return err;
    }

    err = rule_catalogue_read(&r, root, out);
    if (err != LY_OK) {
        return err;
    }

    if (r.nomem) {
        return LY_NOMEM;
    }

    return rule_faulty(&r) ? LY_PARSE : rule_catalogue_finish(a, *out);
}
