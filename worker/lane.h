/*
 * A lane is a kind of work; a slot is one process of it.  The loop here owns
 * the connection, the signals, the beat and the waiting; a kind says what one
 * turn does.
 */

#ifndef LANE_H_INCLUDED_
#define LANE_H_INCLUDED_

#include "config.h"
#include "db.h"
#include "../common/ly_arena.h"
#include "../common/ly_base.h"
#include "../common/ly_id.h"


/* of one turn: a batch of events with their results */
#define LANE_ARENA_MAX  (256 * 1024 * 1024)


/* shared with the supervisor, which writes them out; one writer each */
typedef struct {
    int64_t  turns;             /* turns that found work */
    int64_t  items;             /* events, commands, jobs, balances */
    int64_t  failures;          /* turns that failed */
    int64_t  parked;
    int64_t  quarantined;
    int64_t  reconnects;
    int64_t  busy_us;
    int64_t  restarts;          /* written by the supervisor */
    int64_t  pid;               /* likewise; 0: not running */
} lane_stats_t;


typedef struct lane_kind_s  lane_kind_t;

typedef struct {
    const lane_kind_t  *kind;
    int64_t             slot;
    config_t           *conf;
    const char         *conf_path;
    lane_stats_t       *stats;
    int                 wake_fd;        /* readable when the edge pokes */
    int                 signal_fd;
    int                 poke_fd;        /* sends datagrams; -1: none */
    bool                stopping;
    ly_uuid_t           id;
    ly_str_t            id_text;
    unsigned char       id_bytes[LY_UUID_TEXT];
    db_t               *db;
    ly_arena_t         *arena;          /* of the turn, reset after it */
    void               *data;           /* the kind's own */
    int64_t             beat_us;
    int64_t             failed;         /* turns in a row */
} lane_t;


struct lane_kind_s {
    const char  *name;
    size_t       slots;         /* offset of their number in config_t */

    /* once, before the first connection: makes lane->data */
    ly_err_t   (*open)(lane_t *lane);

    /* after each connection; what was learnt from the old one is void */
    ly_err_t   (*connected)(lane_t *lane);

    /* every conf->beat_ms */
    ly_err_t   (*beat)(lane_t *lane);

    /*
     * One bounded piece of work.  *wait_ms is 0 to come again at once, else
     * how long to wait for a poke.  LY_TEMP: tried again after a while; other
     * errors end the process, and the supervisor starts another.
     */
    ly_err_t   (*turn)(lane_t *lane, int64_t *wait_ms);

    /* NULL: lane_wait(); a lane with sockets of its own waits itself */
    void       (*wait)(lane_t *lane, int64_t wait_ms);

    /* before the process ends in peace; the connection may be gone */
    void       (*close)(lane_t *lane);
};


/* all kinds, NULL at the end */
extern const lane_kind_t *const  lane_kinds[];

/* the process of a slot; returns its exit code */
int lane_run(lane_t *lane);

/* until a poke, a signal, or ms passed */
void lane_wait(lane_t *lane, int64_t ms);

/* takes what signals came; lane->stopping may be set */
void lane_signals(lane_t *lane);

/* one datagram to the edge: outcomes and changes are committed */
void lane_hint(lane_t *lane);

/* one datagram to the worker's own socket: the lane of that name has work */
void lane_poke(lane_t *lane, const char *name);

/*
 * Logs the connection's last fault and counts it; the message itself only at
 * the debug level, for it may quote values.
 */
void lane_fault(lane_t *lane, const char *msg);


#endif /* LANE_H_INCLUDED_ */
