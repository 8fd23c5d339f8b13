/* reading a parsed tree; see ly_json.h */

#include <string.h>

#include "ly_json.h"
#include "ly_banned.h"


const ly_json_node_t *
ly_json_member(const ly_json_node_t *node, ly_str_t key)
{
    const ly_json_node_t  *child;

    if (node == NULL || node->type != LY_JSON_OBJECT) {
        return NULL;
    }

    for (child = node->first; child != NULL; child = child->next) {
        if (ly_str_eq(child->key, key)) {
            return child;
        }
    }

    return NULL;
}


const ly_json_node_t *
ly_json_member_of(const ly_json_node_t *node, ly_str_t key,
    ly_json_type_e type)
{
    node = ly_json_member(node, key);

    return node != NULL && node->type == type ? node : NULL;
}


const ly_json_node_t *
ly_json_at(const ly_json_node_t *node, uint32_t i)
{
    if (node == NULL || i >= node->count) {
        return NULL;
    }

    for (node = node->first; i > 0; i--) {
        node = node->next;
    }

    return node;
}


/* is the escaped token the key?  A bad escape is no key. */
static bool
ly_json_token_eq(ly_str_t token, ly_str_t key)
{
    size_t         i, k;
    unsigned char  c;

    k = 0;

    for (i = 0; i < token.len; i++) {
        c = token.data[i];

        if (c == '~') {
            i++;

            if (i == token.len || (token.data[i] | 1) != '1') {
                return false;
            }

            c = token.data[i] == '0' ? '~' : '/';
        }

        if (k == key.len || key.data[k] != c) {
            return false;
        }

        k++;
    }

    return k == key.len;
}


static const ly_json_node_t *
ly_json_step(const ly_json_node_t *node, ly_str_t token)
{
    uint64_t               i;
    const ly_json_node_t  *child;

    if (node->type == LY_JSON_ARRAY) {
        if (ly_uint64_parse(token, &i) != LY_OK || i > UINT32_MAX) {
            return NULL;
        }

        return ly_json_at(node, (uint32_t) i);
    }

    if (node->type != LY_JSON_OBJECT) {
        return NULL;
    }

    for (child = node->first; child != NULL; child = child->next) {
        if (ly_json_token_eq(token, child->key)) {
            return child;
        }
    }

    return NULL;
}


const ly_json_node_t *
ly_json_pointer(const ly_json_node_t *node, ly_str_t pointer)
{
    size_t    i, start;
    ly_str_t  token;

    if (pointer.len != 0 && pointer.data[0] != '/') {
        return NULL;
    }

    i = 0;

    while (node != NULL && i < pointer.len) {
        start = ++i;

        while (i < pointer.len && pointer.data[i] != '/') {
            i++;
        }

        token = ly_str_of(pointer.data + start, i - start);
        node = ly_json_step(node, token);
    }

    return node;
}


void
ly_json_pointer_token(ly_buf_t *b, ly_str_t token)
{
    size_t  i, start;

    ly_buf_byte(b, '/');
    start = 0;

    for (i = 0; i < token.len; i++) {
        if (token.data[i] == '~' || token.data[i] == '/') {
            ly_buf_put(b, token.data + start, i - start);
            ly_buf_cstr(b, token.data[i] == '~' ? "~0" : "~1");
            start = i + 1;
        }
    }

    if (token.len != 0) {
        ly_buf_put(b, token.data + start, token.len - start);
    }
}


void
ly_json_pointer_print(const ly_json_node_t *node, ly_buf_t *b)
{
    size_t                 depth, i;
    unsigned char          tmp[LY_INT64_TEXT];
    const ly_json_node_t  *at;

    depth = 0;

    for (at = node; at != NULL && at->parent != NULL; at = at->parent) {
        depth++;
    }

    /* from the root down; the depth is bounded by the parser */
    while (depth > 0) {
        depth--;
        at = node;

        for (i = 0; i < depth; i++) {
            at = at->parent;
        }

        if (at->in_object) {
            ly_json_pointer_token(b, at->key);

        } else {
            ly_json_pointer_token(b, ly_str_of(tmp,
                                               ly_uint64_print(at->index,
                                                               tmp)));
        }
    }
}


ly_err_t
ly_json_int64(const ly_json_node_t *node, int64_t *out)
{
    if (node == NULL || node->type != LY_JSON_NUMBER || !node->is_integer) {
        return LY_PARSE;
    }

    return ly_int64_parse(node->text, out);
}


ly_err_t
ly_json_string(const ly_json_node_t *node, ly_str_t *out)
{
    if (node == NULL || node->type != LY_JSON_STRING) {
        return LY_PARSE;
    }

    *out = node->text;

    return LY_OK;
}


ly_str_t
ly_json_text(const ly_json_node_t *node)
{
    if (node == NULL || node->type != LY_JSON_STRING) {
        return ly_str_of(NULL, 0);
    }

    return node->text;
}


ly_err_t
ly_json_bool(const ly_json_node_t *node, bool *out)
{
    if (node == NULL
        || (node->type != LY_JSON_TRUE && node->type != LY_JSON_FALSE))
    {
        return LY_PARSE;
    }

    *out = node->type == LY_JSON_TRUE;

    return LY_OK;
}
