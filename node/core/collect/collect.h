/* collect: tombstones, and promises without a record, leave the disks (PROTOCOL 8, Collection),
 * under an era that every storing member has noted. */
#ifndef TOYSTORE_CORE_COLLECT_H
#define TOYSTORE_CORE_COLLECT_H

#include "base/json.h"
#include "core/rpc/rpc.h"

struct collect;
struct collect *collect_new(void);
void collect_free(struct collect *collect);
void collect_start(struct core *core);
/* COLLECT. */
void collect_handle(struct core *core, const struct rpc_request *request);
/* Another owner says that the partition was collected in `era`. */
void collect_heard(struct core *core, uint32_t partition, struct era era);
/* A person asked for it: every partition of the cluster that has anything to collect. */
void collect_asked(struct core *core);
/* For "status": how many tombstones this node keeps, and whom their collection waits for. */
void collect_report(struct core *core, struct json *json);

#endif
