/* identity: which member this data directory is (PROTOCOL 7, Copies of a directory): "identity" of
 * TOYSTORE_META.
 *
 * Enters from boot, and from swim where others know better; leaves to the disk. */
#include "core/members/identity.h"

#include <stdlib.h>

#include "wire/cursor.h"
#include "wire/pack.h"

enum { IDENTITY_FORMAT = 1 };

bool identity_restore(struct core *core, struct slice value)
{
    struct cursor cursor = cursor_of(value);
    uint32_t count, nonce_count;
    uint64_t format, id, incarnation;
    struct slice cluster;
    if (!cursor_array(&cursor, &count) || count < 5 || !cursor_u64(&cursor, &format) ||
        format != IDENTITY_FORMAT || !cursor_u64(&cursor, &id) || id == 0 ||
        !cursor_u64(&cursor, &incarnation) || !cursor_bytes(&cursor, &cluster) ||
        cluster.size != CLUSTER_ID_SIZE || !cursor_array(&cursor, &nonce_count) ||
        nonce_count > NONCES_MAX)
        return false;
    core->nonces = base_realloc(core->nonces, (nonce_count + 1) * sizeof *core->nonces);
    for (core->nonce_count = 0; core->nonce_count < nonce_count; core->nonce_count++)
        if (!cursor_u64(&cursor, &core->nonces[core->nonce_count]))
            return false;
    core->id = id;
    core->self.incarnation = incarnation;
    memcpy(core->self.cluster, cluster.data, CLUSTER_ID_SIZE);
    return true;
}

void identity_put(const struct core *core, struct batch *batch)
{
    struct buf out = {0};
    pack_array(&out, 5);
    pack_u64(&out, IDENTITY_FORMAT);
    pack_u64(&out, core->id);
    pack_u64(&out, core->self.incarnation);
    pack_bytes(&out, slice_of(core->self.cluster, CLUSTER_ID_SIZE));
    pack_array(&out, (uint32_t)core->nonce_count);
    for (size_t i = 0; i < core->nonce_count; i++)
        pack_u64(&out, core->nonces[i]);
    batch_put_blob(batch, TOYSTORE_META, slice_str(META_IDENTITY), buf_take(&out));
}

/* Every start appends one, so that copies of a directory can be told from each other. */
void identity_new_start(struct core *core)
{
    core->nonces = base_realloc(core->nonces, (core->nonce_count + 1) * sizeof *core->nonces);
    if (core->nonce_count == NONCES_MAX)
        core->nonce_count--;
    memmove(core->nonces + 1, core->nonces, core->nonce_count * sizeof *core->nonces);
    core->nonces[0] = prng_next(&core->prng);
    core->nonce_count++;
    core->self.nonces[0] = core->nonces[0];
    core->self.nonces[1] = core->nonce_count > 1 ? core->nonces[1] : 0;
}

void identity_save(struct core *core)
{
    struct batch batch = {0};
    identity_put(core, &batch);
    disk_commit(core, &batch, false, (struct resume){0});
}

static void on_reset(struct core *core, const struct core_event *event, struct resume resume)
{
    (void)event;
    (void)resume;
    core_stop(core, -ESTALE,
              "this data directory is a copy, or came out of a backup, and its node went on "
              "elsewhere: start again, and it begins empty, as a new member");
}

void identity_reset(struct core *core, const char *why)
{
    core_log(core, LOG_ERROR, "%s", why);
    struct batch batch = {0};
    batch_put(&batch, TOYSTORE_META, slice_str(META_RESET), slice_str("1"));
    disk_commit(core, &batch, true, resume_to(on_reset, 0, 0));
    core->clean_marked = true; /* nothing more is to be written here */
}
