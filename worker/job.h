/*
 * A handler of jobs: context, compute or call, settle.  It returns how it
 * went; the lane finishes, retries or buries the job and logs one line.
 */

#ifndef JOB_H_INCLUDED_
#define JOB_H_INCLUDED_

#include "config.h"
#include "db.h"
#include "../common/ly_arena.h"
#include "../common/ly_base.h"


#define JOB_WHY_MAX  256

typedef struct {
    int64_t          id;
    ly_str_t         tenant;        /* data NULL: the platform's own */
    ly_str_t         kind;
    ly_str_t         args;          /* JSON */
    int64_t          attempt;
    int64_t          max_attempts;
    ly_str_t         token;
    db_t            *db;
    ly_arena_t      *arena;         /* of the job, reset after it */
    const config_t  *conf;
    char             why[JOB_WHY_MAX];  /* a code; no data of the job */
} job_t;


/*
 * LY_OK: done.  LY_TEMP: later again.  Anything else: never; job->why then
 * says why.
 */
typedef ly_err_t (*job_run_pt)(job_t *job);

typedef struct {
    const char  *kind;
    job_run_pt   run;
} job_kind_t;

/* NULL: this build does not know it */
const job_kind_t *job_find(ly_str_t kind);


#endif /* JOB_H_INCLUDED_ */
