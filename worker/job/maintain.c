/*
 * Maintenance on demand: what the timers lane does by itself every minute.
 * Queued by an operator who does not want to wait.
 */

#include "../job.h"

#include <stdio.h>

#include "../../common/ly_banned.h"


#define MAINTAIN_ROWS  "50000"

ly_err_t job_maintain(job_t *job);

static const db_call_t  call_maintain = { "work.maintain", 1 };


ly_err_t
job_maintain(job_t *job)
{
    ly_err_t   err;
    ly_str_t   rows;
    db_rows_t  res;

    rows = ly_str(MAINTAIN_ROWS);

    err = db_call(job->db, job->arena, &call_maintain, &rows, &res);
    if (err != LY_OK) {
        (void) snprintf(job->why, sizeof(job->why), "%s",
                        db_fault(job->db)->sqlstate);
        return err;
    }

    if (db_text(&res, 0, 0).data == NULL) {
        (void) snprintf(job->why, sizeof(job->why), "maintain.busy");
        return LY_TEMP;
    }

    return LY_OK;
}
