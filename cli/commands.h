/* The commands, each an entry of the table in main.c. */

#ifndef COMMANDS_H_INCLUDED_
#define COMMANDS_H_INCLUDED_

#include "cli.h"


int migrate_up_cmd(cli_t *c);
int migrate_down_cmd(cli_t *c);
int migrate_status_cmd(cli_t *c);

int tenant_create_cmd(cli_t *c);
int key_create_cmd(cli_t *c);
int key_revoke_cmd(cli_t *c);
int token_mint_cmd(cli_t *c);

int events_import_cmd(cli_t *c);
int members_balance_cmd(cli_t *c);
int entries_why_cmd(cli_t *c);

int jobs_ls_cmd(cli_t *c);
int jobs_retry_cmd(cli_t *c);
int jobs_cancel_cmd(cli_t *c);
int audit_cmd(cli_t *c);
int doctor_cmd(cli_t *c);

int demo_generate_cmd(cli_t *c);
int demo_events_cmd(cli_t *c);


#endif /* COMMANDS_H_INCLUDED_ */
