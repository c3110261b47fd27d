/* rpc_hello: both sides of the first words on a connection: which protocol, which cluster, who.
 * Nodes of different clusters never talk, whatever addresses they were given. */
#include "core/members/members.h"
#include "core/rpc/rpc_priv.h"

#include <stdio.h>

static bool is_zero(struct slice bytes)
{
    for (size_t i = 0; i < bytes.size; i++)
        if (bytes.data[i] != 0)
            return false;
    return true;
}

/* Who is in no cluster yet can still come into this one. */
static bool same_cluster(const struct core *core, struct slice theirs)
{
    struct slice ours = slice_of(core->self.cluster, CLUSTER_ID_SIZE);
    return is_zero(theirs) || is_zero(ours) || slice_equal(ours, theirs);
}

struct blob *hello_params(const struct core *core)
{
    return RPC_PARAMS(hello_request, {.version_low = PROTOCOL_VERSION_LOW,
                                      .version_high = PROTOCOL_VERSION_HIGH,
                                      .cluster_name = slice_str(core->config.cluster_name),
                                      .cluster_id = slice_of(core->self.cluster, CLUSTER_ID_SIZE),
                                      .node = core->id,
                                      .session = core->session,
                                      .member = core->config.storing ? 2 : 1});
}

static enum toystore_status judge_request(const struct core *core,
                                          const struct hello_request *hello, char *error,
                                          size_t error_size)
{
    *error = 0;
    if (hello->version_low > PROTOCOL_VERSION_HIGH || hello->version_high < PROTOCOL_VERSION_LOW)
        snprintf(error, error_size,
                 "protocol versions %u to %u are spoken here, not %u to %u: put a toystore that "
                 "speaks both in the place of the %s first",
                 PROTOCOL_VERSION_LOW, PROTOCOL_VERSION_HIGH, hello->version_low,
                 hello->version_high,
                 hello->version_low > PROTOCOL_VERSION_HIGH ? "one here" : "one that calls");
    else if (!slice_equal(hello->cluster_name, slice_str(core->config.cluster_name)) &&
             hello->cluster_name.size > 0)
        snprintf(error, error_size, "this is cluster \"%s\", not \"%.*s\"",
                 core->config.cluster_name, (int)min_size(hello->cluster_name.size, NAME_SIZE_MAX),
                 (const char *)hello->cluster_name.data);
    else if (!same_cluster(core, hello->cluster_id))
        snprintf(error, error_size, "this is another cluster of the name \"%s\"",
                 core->config.cluster_name);
    if (*error)
        return TOYSTORE_MISMATCH;
    if (hello->node == 0 || !gone_is(core, hello->node))
        return TOYSTORE_OK;
    snprintf(error, error_size, CORE_GONE_MESSAGE);
    return TOYSTORE_REMOVED;
}

void hello_serve(struct core *core, struct inbound *inbound, const struct rpc_origin *origin,
                 struct slice params)
{
    struct hello_request hello;
    char error[256];
    if (!hello_request_decode(params, &hello)) {
        rpc_fail(core, origin, TOYSTORE_INVALID, "malformed Hello");
        return;
    }
    enum toystore_status status = judge_request(core, &hello, error, sizeof error);
    if (status == TOYSTORE_OK) {
        inbound->greeted = true;
        inbound->member = hello.node != 0 ? hello.member : 0;
        inbound->node = inbound->member > 0 ? hello.node : 0;
        inbound->session = hello.session;
    } else {
        core_log(core, LOG_WARNING, "refused a Hello from %s:%u: %s", inbound->from.host,
                 inbound->from.port, error);
    }
    RPC_REPLY(core, origin, hello_reply,
              {.status = (uint32_t)status,
               .message = slice_str(error),
               .version = (uint32_t)min_u64(PROTOCOL_VERSION_HIGH, hello.version_high),
               .cluster_id = slice_of(core->self.cluster, CLUSTER_ID_SIZE),
               .node = core->id,
               .session = core->session,
               .partitions = core->partitions,
               .replicas = core->replicas});
}

enum toystore_status hello_check_reply(const struct core *core, node_id expected,
                                       struct slice result, struct hello_reply *ret, char *error,
                                       size_t error_size)
{
    if (!hello_reply_decode(result, ret)) {
        snprintf(error, error_size, "malformed answer to Hello");
        return TOYSTORE_INVALID;
    }
    if (ret->status != TOYSTORE_OK) {
        snprintf(error, error_size, "%.*s", (int)min_size(ret->message.size, error_size - 1),
                 (const char *)ret->message.data);
        return ret->status == TOYSTORE_REMOVED ? TOYSTORE_REMOVED : TOYSTORE_MISMATCH;
    }
    if (ret->version < PROTOCOL_VERSION_LOW || ret->version > PROTOCOL_VERSION_HIGH) {
        snprintf(error, error_size, "answers in protocol version %u, not in one of %u to %u",
                 ret->version, PROTOCOL_VERSION_LOW, PROTOCOL_VERSION_HIGH);
        return TOYSTORE_MISMATCH;
    }
    if (!same_cluster(core, ret->cluster_id)) {
        snprintf(error, error_size, "belongs to another cluster of the name \"%s\"",
                 core->config.cluster_name);
        return TOYSTORE_MISMATCH;
    }
    if (expected != 0 && ret->node != expected) {
        snprintf(error, error_size, "another node answers there");
        return TOYSTORE_UNAVAILABLE;
    }
    if (core->partitions != 0 && ret->partitions != 0 &&
        (ret->partitions != core->partitions || ret->replicas != core->replicas)) {
        snprintf(error, error_size, "has %u partitions and %u replicas, not %u and %u",
                 ret->partitions, ret->replicas, core->partitions, core->replicas);
        return TOYSTORE_MISMATCH;
    }
    return TOYSTORE_OK;
}
