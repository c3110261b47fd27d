/* report_look: LOOK and SIZES, what other members ask to answer "stat" and "plan". How large a key
 * is on the average is told by a sample: a few runs of tokens from places that chance draws, which
 * are keys of any kind, since tokens are hashes. */
#include "core/replica/hint.h"
#include "core/replica/tree.h"
#include "core/report/report.h"
#include "core/view/view.h"

#include "core/replica/replica_priv.h"

enum { LOOK_OWNERS_MAX = 64, SAMPLE_RUNS = 8, SAMPLE_KEYS = 16 };

void report_look_handle(struct core *core, const struct rpc_request *request)
{
    struct look_request ask;
    node_id owners[LOOK_OWNERS_MAX];
    struct buf items = {0};
    if (!look_request_decode(request->params, &ask)) {
        rpc_fail(core, &request->origin, TOYSTORE_INVALID, "malformed Look");
        return;
    }
    size_t count = hints_of_key(core, ask.key, owners, LOOK_OWNERS_MAX);
    for (size_t i = 0; i < count; i++)
        wire_put_NODE(&items, owners[i]);
    RPC_REPLY(core, &request->origin, look_reply,
              {.status = TOYSTORE_OK, .hints = {(uint32_t)count, buf_slice(&items)}});
    buf_free(&items);
}

/* ---- SIZES ---- */

struct sample {
    struct rpc_origin origin;
    unsigned runs_left;
    struct blob *keys[SAMPLE_KEYS]; /* of this run, still to be read */
    size_t first, count;
    uint64_t bytes, read;
};

const size_t report_sample_size = sizeof(struct sample);

void report_sample_clear(void *object)
{
    struct sample *sample = object;
    while (sample && sample->first < sample->count)
        blob_unref(&sample->keys[sample->first++]);
}

static void run_begin(struct core *core, struct sample *sample, pool_handle handle);

static void sample_end(struct core *core, struct sample *sample, pool_handle handle)
{
    struct buf keys = {0};
    uint32_t count = view_partition_count(core);
    for (uint32_t p = 0; p < count; p++)
        wire_put_U64(&keys, tree_key_count(core, p));
    RPC_REPLY(core, &sample->origin, sizes_reply,
              {.status = TOYSTORE_OK,
               .bytes_per_key = sample->read ? sample->bytes / sample->read : 0,
               .keys = {count, buf_slice(&keys)}});
    buf_free(&keys);
    pool_delete(&core->reports->samples, handle);
}

static void key_work(struct core *core, struct replica_work *work)
{
    struct sample *sample = pool_get(&core->reports->samples, work->handle);
    sample->bytes += work->key.size + work->entry.record.size;
    sample->read++;
}

static void key_next(struct core *core, struct sample *sample, pool_handle handle);

static void key_done(struct core *core, struct replica_work *work)
{
    key_next(core, pool_get(&core->reports->samples, work->handle), work->handle);
}

static void key_next(struct core *core, struct sample *sample, pool_handle handle)
{
    if (sample->first == sample->count) {
        run_begin(core, sample, handle);
        return;
    }
    struct blob *key = sample->keys[sample->first];
    sample->keys[sample->first++] = NULL;
    replica_run_raw(core, blob_slice(key), key_work, key_done, handle, 0);
    blob_unref(&key);
}

static void run_scanned(struct core *core, const struct core_event *event, struct resume resume)
{
    struct sample *sample = pool_get(&core->reports->samples, resume.handle);
    sample->first = sample->count = 0;
    for (size_t i = 0; i < event->pair_count && sample->count < SAMPLE_KEYS; i++) {
        struct hash128 digest;
        struct slice key;
        if (token_decode(event->pairs[i].value, &digest, &key))
            sample->keys[sample->count++] = blob_copy(key);
    }
    key_next(core, sample, resume.handle);
}

static void run_begin(struct core *core, struct sample *sample, pool_handle handle)
{
    struct hash128 from = {{0}}; /* the last run: the first keys, in a store that has but a few */
    if (sample->runs_left == 0 || core->stopping) {
        sample_end(core, sample, handle);
        return;
    }
    if (--sample->runs_left != 0)
        prng_bytes(&core->prng, from.bytes, sizeof from.bytes);
    disk_scan(core, TOYSTORE_TOKENS, slice_of(from.bytes, sizeof from.bytes), slice_of(NULL, 0),
              SAMPLE_KEYS, resume_to(run_scanned, handle, 0));
}

void report_sizes_handle(struct core *core, const struct rpc_request *request)
{
    pool_handle handle;
    struct sizes_request ask;
    if (!sizes_request_decode(request->params, &ask)) {
        rpc_fail(core, &request->origin, TOYSTORE_INVALID, "malformed Sizes");
        return;
    }
    struct sample *sample = pool_new(&core->reports->samples, &handle);
    if (!sample) {
        rpc_fail(core, &request->origin, TOYSTORE_BUSY, "too many reports under way");
        return;
    }
    sample->origin = request->origin;
    sample->runs_left = SAMPLE_RUNS;
    run_begin(core, sample, handle);
}
