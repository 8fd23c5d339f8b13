/*
 * The table of jobs.  A kind of job is a row of job_table.inc and a file in
 * job/.
 */

#include "job.h"

#include "../common/ly_banned.h"


#define JOB(name, run)  ly_err_t run(job_t *job);
#include "job_table.inc"
#undef JOB

#define JOB(name, run)  { name, run },

static const job_kind_t  job_kinds[] = {
#include "job_table.inc"
};

#undef JOB


const job_kind_t *
job_find(ly_str_t kind)
{
    size_t  i;

    for (i = 0; i < ly_countof(job_kinds); i++) {
        if (ly_str_eq(kind, ly_str_c(job_kinds[i].kind))) {
            return &job_kinds[i];
        }
    }

    return NULL;
}
