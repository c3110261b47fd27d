/* The scrub: reads every record in turn, slowly, so that a copy that has gone bad is found while
 * others are good. Where it is, is kept over a restart. A pass that somebody asked for
 * goes faster. What is found damaged goes the way of any damaged record that is read
 * (replica.c): its digest leaves the hash tree, and the key is taken from others.
 * Enters from the tick of entropy.c; leaves to the disk and the keys' queues. */
#include "core/repair/entropy_priv.h"
#include "core/replica/replica_priv.h"
#include "core/replica/tree.h"

static void scrub_next(struct core *core);
static void scrub_scan(struct core *core);

static void scrub_work(struct core *core, struct replica_work *work)
{
    core->entropy->scrub.bytes += work->entry.record.size;
    core->entropy->scrub.keys_read++;
}

static void scrub_done(struct core *core, struct replica_work *work)
{
    (void)work; /* what could not be read was logged there */
    scrub_next(core);
}

static void scrub_end(struct scrub *scrub)
{
    while (scrub->first < scrub->count)
        blob_unref(&scrub->keys[scrub->first++]);
    scrub->running = false;
}

static void save_cursor(struct core *core)
{
    struct scrub *scrub = &core->entropy->scrub;
    struct batch batch = {0};
    scrub->unsaved = 0;
    batch_put(&batch, TOYSTORE_META, slice_str(META_SCRUB),
              slice_of(scrub->after.bytes, sizeof scrub->after.bytes));
    disk_commit(core, &batch, false, (struct resume){0});
}

void scrub_restore(struct core *core, struct slice value)
{
    if (value.size == sizeof core->entropy->scrub.after.bytes)
        memcpy(core->entropy->scrub.after.bytes, value.data, value.size);
}

static void scan_over(struct core *core)
{
    struct scrub *scrub = &core->entropy->scrub;
    scrub_end(scrub);
    if (core->stopping)
        return;
    if (++scrub->unsaved >= SCRUB_SAVE_SCANS || scrub->rest > 0)
        save_cursor(core);
    if (scrub->asked && scrub->scans < SCRUB_ASKED_SCANS && scrub->bytes < SCRUB_ASKED_BYTES)
        scrub_scan(core);
}

static void scrub_next(struct core *core)
{
    struct scrub *scrub = &core->entropy->scrub;
    if (scrub->first == scrub->count || core->stopping) {
        scan_over(core);
        return;
    }
    struct blob *key = scrub->keys[scrub->first];
    scrub->keys[scrub->first++] = NULL;
    replica_run_raw(core, blob_slice(key), scrub_work, scrub_done, 0, 0);
    blob_unref(&key);
}

static void scrub_scanned(struct core *core, const struct core_event *event, struct resume resume)
{
    (void)resume;
    struct scrub *scrub = &core->entropy->scrub;
    scrub->first = scrub->count = 0;
    for (size_t i = 0; i < event->pair_count; i++) {
        struct hash128 digest;
        struct slice key, token = event->pairs[i].key;
        if (token.size == sizeof scrub->after.bytes)
            memcpy(scrub->after.bytes, token.data, token.size);
        if (token_decode(event->pairs[i].value, &digest, &key))
            scrub->keys[scrub->count++] = blob_copy(key);
    }
    if (!event->more) { /* a pass is done; the next begins after a rest */
        scrub->after = (struct hash128){{0}};
        scrub->rest = SCRUB_REST_TICKS;
        scrub->asked = false;
        scrub->passes++;
    }
    if (scrub->restart) { /* asked for while this scan was under way */
        scrub->after = (struct hash128){{0}};
        scrub->rest = 0;
        scrub->asked = true;
        scrub->restart = false;
    }
    scrub_next(core);
}

void scrub_tick(struct core *core)
{
    struct scrub *scrub = &core->entropy->scrub;
    scrub->bytes -= min_u64(scrub->bytes, scrub->asked ? SCRUB_ASKED_BYTES : SCRUB_TICK_BYTES);
    scrub->scans = 0;
    if (scrub->rest > 0 && !scrub->asked)
        scrub->rest--;
    if (scrub->running || (scrub->rest > 0 && !scrub->asked) || scrub->bytes > 0 || core->stopping)
        return;
    scrub_scan(core);
}

void scrub_begin(struct core *core)
{
    struct scrub *scrub = &core->entropy->scrub;
    scrub->asked = true;
    scrub->rest = 0;
    if (scrub->running)
        scrub->restart = true; /* the scan under way would move what is set here */
    else
        scrub->after = (struct hash128){{0}};
    scrub_tick(core);
}

unsigned scrub_permille(const struct scrub *scrub)
{
    unsigned high = (unsigned)scrub->after.bytes[0] << 8 | scrub->after.bytes[1];
    return high * 1000 / 65536;
}

static void scrub_scan(struct core *core)
{
    struct scrub *scrub = &core->entropy->scrub;
    scrub->running = true;
    scrub->scans++;
    struct buf from = {0};
    buf_append(&from, scrub->after.bytes, sizeof scrub->after.bytes);
    buf_append(&from, "", 1); /* the next token there could be */
    disk_scan(core, TOYSTORE_TOKENS, buf_slice(&from), slice_of(NULL, 0), SCRUB_TICK_KEYS,
              resume_to(scrub_scanned, 0, 0));
    buf_free(&from);
}

void scrub_free(struct scrub *scrub)
{
    scrub_end(scrub);
}
