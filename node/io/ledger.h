/* ledger: what its two files share. */
#ifndef TOYSTORE_IO_LEDGER_H
#define TOYSTORE_IO_LEDGER_H

#include "io/driver_priv.h"

void ledger_waiters_add(struct ledger_waiters *waiters, struct ledger_waiter waiter);
/* A line in the log, but not for every write to a failing disk. */
void ledger_complain(struct ledger *ledger, const char *what, int status);
/* ledger_stage.c: large values on their way to the disk, before the write that names them. */
bool ledger_stages(const struct ledger *ledger, const struct batch_write *write);
/* The group's last write, whose value is `parts`. */
void ledger_stage(struct ledger *ledger, struct ledger_group *group,
                  const struct toystore_bytes parts[2]);
void ledger_stage_begin(struct ledger *ledger); /* a turn's last values need not wait for more */
bool ledger_staged(struct ledger *ledger, struct ledger_group *group); /* all of them are there */
void ledger_stage_wait(struct ledger *ledger, struct ledger_group *group);
/* Hands what was staged to the writes. Not 0: what went wrong with one of them. */
int ledger_stage_take(struct ledger_group *group);
/* After the write; not written: the values are given back. */
void ledger_stage_end(struct ledger *ledger, struct ledger_group *group, bool written);

void ledger_sync_init(struct ledger *ledger);
void ledger_soil(struct ledger *ledger);        /* something was written */
void ledger_sync_wanted(struct ledger *ledger); /* somebody may wait for a sync */

#endif
