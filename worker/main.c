/*
 * loyalty-worker: arguments, configuration, then the supervisor.
 */

#include "config.h"
#include "log.h"
#include "supervisor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/ly_banned.h"


#define WORKER_VERSION  "0.1.0"
#define WORKER_CONF     "/etc/loyalty/worker.conf"


static const char  usage[] =
    "usage: loyalty-worker [-c FILE] [-t] [--options] [--version] [--help]\n"
    "\n"
    "  -c FILE     configuration, " WORKER_CONF " if not given\n"
    "  -t          check the configuration and end\n"
    "  --options   list the options: name, type, default, change, meaning\n"
    "  --version   print the version\n"
    "\n"
    "Signals to the first process: TERM finishes and ends, a second TERM\n"
    "aborts; HUP reads the configuration again; USR1 opens the log again.\n";


typedef struct {
    const char  *conf;
    bool         test;
} args_t;


static void
put(int fd, const char *text)
{
    (void) !write(fd, text, strlen(text));
}


/* -1: go on; else the exit code */
static int
parse(int argc, char **argv, args_t *args)
{
    int  i;

    args->conf = WORKER_CONF;
    args->test = false;

    for (i = 1; i < argc; i++) {

        if (strcmp(argv[i], "-c") == 0 && i + 1 < argc) {
            args->conf = argv[++i];

        } else if (strcmp(argv[i], "-t") == 0) {
            args->test = true;

        } else if (strcmp(argv[i], "--help") == 0
                   || strcmp(argv[i], "-h") == 0)
        {
            put(STDOUT_FILENO, usage);
            return EXIT_SUCCESS;

        } else if (strcmp(argv[i], "--version") == 0) {
            put(STDOUT_FILENO, "loyalty-worker " WORKER_VERSION "\n");
            return EXIT_SUCCESS;

        } else if (strcmp(argv[i], "--options") == 0) {
            return config_help(STDOUT_FILENO) == LY_OK ? EXIT_SUCCESS
                                                       : EXIT_FAILURE;

        } else {
            put(STDERR_FILENO, usage);
            return 2;
        }
    }

    return -1;
}


int
main(int argc, char **argv)
{
    int       rc;
    args_t    args;
    config_t  conf;
    char      why[CONFIG_WHY_MAX];

    rc = parse(argc, argv, &args);
    if (rc != -1) {
        return rc;
    }

    if (config_load(&conf, args.conf, why) != LY_OK) {
        (void) dprintf(STDERR_FILENO, "loyalty-worker: %s: %s\n", args.conf,
                       why);
        return EXIT_FAILURE;
    }

    if (args.test) {
        (void) dprintf(STDERR_FILENO, "loyalty-worker: %s is good\n",
                       args.conf);
        config_free(&conf);
        return EXIT_SUCCESS;
    }

    if (log_open(conf.log_file, (ly_log_level_e) conf.log_level) != LY_OK) {
        put(STDERR_FILENO, "loyalty-worker: the log file cannot be opened\n");
        config_free(&conf);
        return EXIT_FAILURE;
    }

    rc = supervisor_run(&conf, args.conf);
    config_free(&conf);

    return rc;
}
