/* The files of a run: migrations, functions, policies, grants. */

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "migrate.h"
#include "ly_hex.h"
#include "ly_banned.h"


#define FILES_MAX  2000
#define FILE_MAX   (4 * 1024 * 1024)


static int collect_file(migrate_t *m, migrate_files_t *f, const char *path);
static int compare_files(const void *a, const void *b);
static char *join(cli_t *c, const char *a, const char *b, const char *end);


const char *
migrate_folder(cli_t *c)
{
    char         exe[PATH_MAX], *slash;
    ssize_t      n;
    const char  *given, *path;
    struct stat  st;

    given = cli_setting(c, "sql", "LOYALTY_SQL", NULL);
    if (given != NULL) {
        return given;
    }

    n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

    if (n > 0) {
        exe[n] = '\0';
        slash = strrchr(exe, '/');

        if (slash != NULL) {
            *slash = '\0';
            path = join(c, exe, "/../", "sql");

            if (path != NULL && stat(path, &st) == 0) {
                return path;
            }
        }
    }

    return "/usr/share/loyalty/sql";
}


int
migrate_collect(migrate_t *m, migrate_files_t *f, const char *dir,
    const char *suffix, bool deep)
{
    int             code;
    DIR            *d;
    char           *path, *full;
    size_t          len, tail;
    unsigned        first;
    struct stat     st;
    struct dirent  *e;

    if (f->item == NULL) {
        f->item = ly_arena_array(m->c->arena, FILES_MAX,
                                 sizeof(migrate_file_t));
        if (f->item == NULL) {
            return cli_nomem(m->c);
        }
    }

    full = join(m->c, m->root, "/", dir);
    d = (full != NULL) ? opendir(full) : NULL;

    if (d == NULL) {
        return cli_fail(m->c, CLI_USAGE, "%s/%s: %s", m->root, dir,
                        strerror(errno));
    }

    first = f->n;
    code = CLI_OK;
    tail = strlen(suffix);

    while (code == CLI_OK && (e = readdir(d)) != NULL) {

        if (e->d_name[0] == '.') {
            continue;
        }

        path = join(m->c, dir, "/", e->d_name);
        full = (path != NULL) ? join(m->c, m->root, "/", path) : NULL;

        if (full == NULL) {
            code = cli_nomem(m->c);
            break;
        }

        if (deep && stat(full, &st) == 0 && S_ISDIR(st.st_mode)) {
            code = migrate_collect(m, f, path, suffix, false);
            continue;
        }

        len = strlen(path);

        if (len > tail && strcmp(path + len - tail, suffix) == 0) {
            code = collect_file(m, f, path);
        }
    }

    (void) closedir(d);

    if (code == CLI_OK && f->n > first) {
        qsort(&f->item[first], f->n - first, sizeof(migrate_file_t),
              compare_files);
    }

    return code;
}


static int
collect_file(migrate_t *m, migrate_files_t *f, const char *path)
{
    if (f->n == FILES_MAX) {
        return cli_fail(m->c, CLI_FAILED, "more than %d files in %s",
                        FILES_MAX, m->root);
    }

    f->item[f->n].path = cli_text(m->c, ly_str_c(path));

    return migrate_load(m, &f->item[f->n++]);
}


int
migrate_load(migrate_t *m, migrate_file_t *f)
{
    int             code;
    char           *full;
    size_t          n;
    ly_str_t        text;
    unsigned char   digest[LY_SHA256_LEN];

    full = (f->path != NULL) ? join(m->c, m->root, "/", f->path) : NULL;
    if (full == NULL) {
        return cli_nomem(m->c);
    }

    code = cli_read_file(m->c, full, FILE_MAX, &text);
    if (code != CLI_OK) {
        return code;
    }

    if (ly_arena_str(m->c->arena, text, &f->text) != LY_OK
        || ly_sha256(m->crypto, text, digest) != LY_OK)
    {
        return cli_nomem(m->c);
    }

    n = ly_hex_encode(ly_str_of(digest, sizeof(digest)),
                      (unsigned char *) f->digest);
    f->digest[n] = '\0';

    return CLI_OK;
}


static int
compare_files(const void *a, const void *b)
{
    const migrate_file_t  *x = a, *y = b;

    return strcmp(x->path, y->path);
}


/* "migrations/0001_name.up.sql" to number, name, way back */

int
migrate_number(migrate_t *m)
{
    char      *base;
    migrate_file_t    *f;
    size_t     len, digits;
    unsigned   i;

    for (i = 0; i < m->migrations.n; i++) {
        f = &m->migrations.item[i];
        base = strrchr(f->path, '/') + 1;
        len = strlen(base) - strlen(".up.sql");
        digits = strspn(base, "0123456789");

        while (base[0] == '0' && digits > 1) {
            base++;
            digits--;
            len--;
        }

        if (digits == 0 || base[digits] != '_'
            || ly_int64_parse(ly_str_of(base, digits), &f->number) != LY_OK
            || f->number != (int64_t) i + 1)
        {
            return cli_fail(m->c, CLI_USAGE, "%s: migration %u was expected "
                            "here", f->path, i + 1);
        }

        f->name = cli_text(m->c, ly_str_of(base + digits + 1,
                                           len - digits - 1));
        f->down = cli_text(m->c, ly_str_of(f->path, strlen(f->path)
                                           - strlen(".up.sql")));
        f->down = (f->down != NULL) ? join(m->c, f->down, ".down.sql", "")
                                    : NULL;

        if (f->name == NULL || f->down == NULL) {
            return cli_nomem(m->c);
        }
    }

    return CLI_OK;
}


static char *
join(cli_t *c, const char *a, const char *b, const char *end)
{
    ly_buf_t  buf;

    ly_buf_init_arena(&buf, c->arena, 4 * PATH_MAX);
    ly_buf_cstr(&buf, a);
    ly_buf_cstr(&buf, b);
    ly_buf_cstr(&buf, end);
    ly_buf_byte(&buf, '\0');

    return ly_buf_err(&buf) == LY_OK ? (char *) buf.data : NULL;
}
