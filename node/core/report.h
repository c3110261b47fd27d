/* report: what this node knows, as JSON, from its memory alone; and "stat KEY", which asks. */
#ifndef TOYSTORE_CORE_REPORT_H
#define TOYSTORE_CORE_REPORT_H

#include "core/rpc.h"

struct reports;
struct reports *reports_new(void);
void reports_free(struct reports *reports);
/* REPORT. */
void report_handle(struct core *core, const struct rpc_request *request);
/* "stat": asks every owner of the key what it keeps, answers when all have, or their time is up. */
void report_stat(struct core *core, const struct rpc_request *request, struct slice key);

struct json;
/* Parts of "status" (report_move.c): who does not answer; what moves, and who leaves. */
void report_absent(const struct core *core, struct json *json);
void report_movements(struct core *core, struct json *json);

#endif
