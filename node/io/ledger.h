/* ledger: what its two files share. */
#ifndef TOYSTORE_IO_LEDGER_H
#define TOYSTORE_IO_LEDGER_H

#include "io/driver_priv.h"

void ledger_waiters_add(struct ledger_waiters *waiters, struct ledger_waiter waiter);
/* A line in the log, but not for every write to a failing disk. */
void ledger_complain(struct ledger *ledger, const char *what, int status);
void ledger_sync_init(struct ledger *ledger);
void ledger_soil(struct ledger *ledger);        /* something was written */
void ledger_sync_wanted(struct ledger *ledger); /* somebody may wait for a sync */

#endif
