/*
 * Files of vectors: ours under t/vectors, public ones under LOYALTY_DATA
 * (../shared/data beside the checkout unless said).  Tests run in the
 * checkout's root.
 */

#ifndef LY_VECTORS_H_INCLUDED_
#define LY_VECTORS_H_INCLUDED_

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ly_arena.h"
#include "ly_json.h"


/* false if it cannot be read */
static inline bool
vec_file(ly_arena_t *a, const char *path, ly_str_t *out)
{
    FILE           *f;
    long            size;
    bool            good;
    unsigned char  *p;

    f = fopen(path, "rb");
    if (f == NULL) {
        return false;
    }

    good = false;

    if (fseek(f, 0, SEEK_END) == 0 && (size = ftell(f)) >= 0
        && fseek(f, 0, SEEK_SET) == 0)
    {
        p = ly_arena_bytes(a, (size_t) size + 1);

        if (p != NULL && fread(p, 1, (size_t) size, f) == (size_t) size) {
            *out = ly_str_of(p, (size_t) size);
            good = true;
        }
    }

    fclose(f);

    return good;
}


static inline const char *
vec_dir(void)
{
    const char  *dir;

    dir = getenv("LOYALTY_DATA");

    return dir == NULL || *dir == '\0' ? "../shared/data" : dir;
}


static inline bool
vec_data(ly_arena_t *a, const char *name, ly_str_t *out)
{
    char  path[1024];

    (void) snprintf(path, sizeof(path), "%s/%s", vec_dir(), name);

    return vec_file(a, path, out);
}


/* the parsed file, NULL if it is not there or not JSON */
static inline ly_json_node_t *
vec_parse(ly_arena_t *a, ly_str_t text)
{
    ly_json_node_t   *root;
    ly_json_limits_t  limits;

    limits = ly_json_limits_default;
    limits.max_bytes = 16 * 1024 * 1024;
    limits.max_nodes = 4 * 1024 * 1024;
    limits.max_members = 1024 * 1024;
    limits.max_string = 1024 * 1024;
    limits.refuse_nul = 0;

    if (ly_json_parse(a, text, &limits, &root, NULL) != LY_OK) {
        return NULL;
    }

    return root;
}


static inline ly_json_node_t *
vec_ours(ly_arena_t *a, const char *name)
{
    char      path[1024];
    ly_str_t  text;

    (void) snprintf(path, sizeof(path), "t/vectors/%s", name);

    return vec_file(a, path, &text) ? vec_parse(a, text) : NULL;
}


static inline ly_json_node_t *
vec_public(ly_arena_t *a, const char *name)
{
    ly_str_t  text;

    return vec_data(a, name, &text) ? vec_parse(a, text) : NULL;
}


/* member as text, as an integer, or the default */
static inline ly_str_t
vec_text(const ly_json_node_t *node, const char *key)
{
    return ly_json_text(ly_json_member(node, ly_str_c(key)));
}


static inline int64_t
vec_int(const ly_json_node_t *node, const char *key, int64_t missing)
{
    int64_t  v;

    return ly_json_int64(ly_json_member(node, ly_str_c(key)), &v) == LY_OK
           ? v : missing;
}


#endif /* LY_VECTORS_H_INCLUDED_ */
