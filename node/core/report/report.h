/* report: what this node knows, as JSON, from its memory alone; and "stat KEY", which asks. */
#ifndef TOYSTORE_CORE_REPORT_H
#define TOYSTORE_CORE_REPORT_H

#include "base/pool.h"
#include "core/rpc/rpc.h"

struct reports;
struct reports {
    struct pool stats, plans, samples; /* of report_stat.c, report_plan.c, report_look.c */
};
struct reports *reports_new(void);
void reports_free(struct reports *reports);
extern const size_t report_stat_size, report_plan_size, report_sample_size;
void report_stat_clear(void *stat); /* may be NULL */
void report_plan_clear(void *plan);
void report_sample_clear(void *sample);
/* JSON, as toystore_report; false: no such report. */
bool report_make(struct core *core, struct slice what, struct slice argument, struct buf *out);
/* REPORT. */
void report_handle(struct core *core, const struct rpc_request *request);
/* "stat": asks every owner of the key what it keeps, answers when all have, or their time is up. */
void report_stat(struct core *core, const struct rpc_request *request, struct slice key);

/* "plan": what a change of the layout would move, when all have said what they have. */
void report_plan(struct core *core, const struct rpc_request *request, struct slice change);
/* LOOK and SIZES: what others ask for these two. */
void report_look_handle(struct core *core, const struct rpc_request *request);
void report_sizes_handle(struct core *core, const struct rpc_request *request);

struct json;
struct layout;
void report_cluster(struct json *json, const char *name, const uint8_t *id);
/* The layouts that are live (report_ring.c). */
void report_ring(const struct core *core, struct json *json);
/* What keeps a layout from standing as it should: "why", a list of sentences. */
void report_why(const struct core *core, struct json *json, const struct layout *layout);
/* Parts of "status" (report_move.c): who does not answer; what moves, and who leaves. */
void report_absent(const struct core *core, struct json *json);
void report_movements(struct core *core, struct json *json);

#endif
