/*
 * The parent of all slots: starts them, starts them again when they die, hands
 * on signals and the edge's pokes, says to systemd how it goes.  It never
 * touches the database.
 */

#ifndef SUPERVISOR_H_INCLUDED_
#define SUPERVISOR_H_INCLUDED_

#include "config.h"


/* runs until SIGTERM; returns the exit code.  conf is freed by the caller. */
int supervisor_run(config_t *conf, const char *conf_path);


#endif /* SUPERVISOR_H_INCLUDED_ */
