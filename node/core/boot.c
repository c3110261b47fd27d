/* boot: from a data directory to a running node: who it is, what it kept, what it may have
 * forgotten (PROTOCOL 7, Forgetting and Copies of a directory).
 *
 * Steps, each begun by the result of the one before: scan META, handing each pair to its module;
 * scan TOKENS into the hash trees; note the new start (nonce, not clean), fsynced, BEFORE anything
 * is answered; then start the modules. A node that stores nothing begins with the last step. */
#include "core/collect/collect.h"
#include "core/coord/lead.h"
#include "core/members/identity.h"
#include "core/members/members.h"
#include "core/move/move.h"
#include "core/repair/entropy.h"
#include "core/replica/grave.h"
#include "core/replica/hint.h"
#include "core/replica/tree.h"
#include "core/retire/retire.h"
#include "core/state/state.h"
#include "core/swim/swim.h"
#include "core/view/view.h"

#include <stdlib.h>

#include "wire/cursor.h"
#include "wire/pack.h"

enum { SCAN_PAIRS = 4096 };

#define META_BOOT    "boot"
#define META_MEMBERS "members"

struct boot {
    bool found_identity, found_boot;
    bool clean, reset;
    enum toystore_space wiping; /* the space that is being emptied, see identity_reset */
    char boot_id[sizeof((struct core_config *)0)->boot_id];
};

/* ---- the mark ---- */

static bool mark_decode(struct boot *boot, struct slice value)
{
    struct cursor cursor = cursor_of(value);
    uint32_t count;
    struct slice id;
    if (!cursor_array(&cursor, &count) || count < 2 || !cursor_bool(&cursor, &boot->clean) ||
        !cursor_bytes(&cursor, &id) || id.size >= sizeof boot->boot_id)
        return false;
    memcpy(boot->boot_id, id.data, id.size);
    return true;
}

static void put_mark(const struct core *core, struct batch *batch, bool clean)
{
    struct buf out = {0};
    pack_array(&out, 2);
    pack_bool(&out, clean);
    pack_bytes(&out, slice_str(core->config.boot_id));
    batch_put_blob(batch, TOYSTORE_META, slice_str(META_BOOT), buf_take(&out));
}

static void on_clean(struct core *core, const struct core_event *event, struct resume resume)
{
    (void)resume;
    if (event->status < 0)
        core_log(core, LOG_WARNING, "the data directory could not be marked clean: %s",
                 strerror(-event->status));
    core_stop(core, 0, "stopped");
}

void boot_mark_clean(struct core *core)
{
    struct batch batch = {0};
    if (core->started)
        put_mark(core, &batch, true);
    disk_commit(core, &batch, true, resume_to(on_clean, 0, 0));
    core->clean_marked = true;
}

/* ---- step 4: everything starts ---- */

static void fill_self(struct core *core)
{
    struct member *self = &core->self;
    const struct core_config *config = &core->config;
    const struct layout *newest = view_newest(core);
    self->id = core->id;
    self->session = core->session;
    self->state = TOYSTORE_ALIVE;
    self->storing = config->storing;
    self->rpc = config->rpc;
    self->gossip = config->gossip;
    self->weight = config->weight;
    memcpy(self->name, config->name, sizeof self->name);
    memcpy(self->zone, config->zone, sizeof self->zone);
    if (newest != NULL) {
        memcpy(self->cluster, newest->cluster, CLUSTER_ID_SIZE);
        self->layout_newest = newest->number;
    }
}

static void start_modules(struct core *core)
{
    boot_free(core);
    fill_self(core);
    core->started = true;
    swim_start(core);
    move_start(core);
    lead_start(core);
    hints_start(core);
    entropy_start(core);
    collect_start(core);
    retire_start(core);
}

/* ---- step 3: note this start ---- */

static void on_noted(struct core *core, const struct core_event *event, struct resume resume)
{
    (void)resume;
    if (event->status < 0)
        core_stop(core, event->status, "the data directory cannot be written: %s",
                  strerror(-event->status));
    else
        start_modules(core);
}

static void on_refused(struct core *core, const struct core_event *event, struct resume resume)
{
    (void)event;
    (void)resume;
    core_stop(core, -EUCLEAN,
              "the data directory has lost the identity of its node: empty it, to begin as a new "
              "member");
}

/* A repair may leave a store that looks like a new one. With a mark the next start refuses it, too:
 * a new cluster in its place would say of everything that was lost that it never was. */
static void refuse_start(struct core *core)
{
    struct batch batch = {0};
    put_mark(core, &batch, false);
    disk_commit(core, &batch, true, resume_to(on_refused, 0, 0));
}

static void note_start(struct core *core)
{
    struct boot *boot = core->boot;
    if (!boot->found_identity && (boot->found_boot || core->config.store_repaired)) {
        refuse_start(core);
        return;
    }
    bool same_boot = boot->found_boot && strcmp(boot->boot_id, core->config.boot_id) == 0;
    core->forgot =
        boot->found_identity && ((!boot->clean && !same_boot) || core->config.store_repaired);
    if (core->forgot)
        core_log(core, LOG_WARNING,
                 "the last run did not end cleanly and the machine was restarted since, or the "
                 "store was repaired: what was acknowledged last is taken from the other replicas");
    if (!boot->found_identity) {
        do
            core->id = prng_next(&core->prng);
        while (core->id == 0);
    }
    core->self.incarnation++;
    identity_new_start(core);
    struct batch batch = {0};
    identity_put(core, &batch);
    put_mark(core, &batch, false);
    if (boot->reset)
        batch_remove(&batch, TOYSTORE_META, slice_str(META_RESET));
    if (core->forgot && !BROKEN(core, never_mute))
        move_forgot(core, &batch);
    disk_commit(core, &batch, true, resume_to(on_noted, 0, 0));
}

/* ---- step 2: the digests of what is stored, into the trees ---- */

static void scan_tokens(struct core *core, struct slice after);

static bool scan_failed(struct core *core, const struct core_event *event)
{
    if (event->status < 0)
        core_stop(core, event->status, "the data directory cannot be read: %s",
                  strerror(-event->status));
    return event->status < 0;
}

static void on_tokens(struct core *core, const struct core_event *event, struct resume resume)
{
    (void)resume;
    if (scan_failed(core, event))
        return;
    for (size_t i = 0; i < event->pair_count; i++)
        tree_restore(core, event->pairs[i].key, event->pairs[i].value);
    if (event->more && event->pair_count > 0)
        scan_tokens(core, event->pairs[event->pair_count - 1].key);
    else {
        hints_restore(core);
        note_start(core);
    }
}

/* The least key above `after` is that with a zero byte more. */
static void scan_after(struct core *core, enum toystore_space space, struct slice after,
                       void (*fn)(struct core *, const struct core_event *, struct resume))
{
    struct buf from = {0};
    if (after.size > 0) {
        buf_append(&from, after.data, after.size);
        buf_append(&from, "", 1);
    }
    disk_scan(core, space, buf_slice(&from), slice_of(NULL, 0), SCAN_PAIRS, resume_to(fn, 0, 0));
    buf_free(&from);
}

static void scan_tokens(struct core *core, struct slice after)
{
    scan_after(core, TOYSTORE_TOKENS, after, on_tokens);
}

/* ---- instead of step 2: a directory that must begin empty ---- */

static void wipe(struct core *core);

static void on_wiped(struct core *core, const struct core_event *event, struct resume resume)
{
    (void)resume;
    if (!scan_failed(core, event))
        wipe(core);
}

/* The members show the way back into the cluster, the identity which one it is, and the mark lets
 * what is interrupted begin again. */
static bool outlives_wiping(enum toystore_space space, struct slice key)
{
    return space == TOYSTORE_META &&
           (slice_equal(key, slice_str(META_MEMBERS)) ||
            slice_equal(key, slice_str(META_IDENTITY)) || slice_equal(key, slice_str(META_RESET)));
}

static void on_wipe_scan(struct core *core, const struct core_event *event, struct resume resume)
{
    (void)resume;
    struct boot *boot = core->boot;
    struct batch batch = {0};
    if (scan_failed(core, event))
        return;
    for (size_t i = 0; i < event->pair_count; i++)
        if (!outlives_wiping(boot->wiping, event->pairs[i].key))
            batch_remove(&batch, boot->wiping, event->pairs[i].key);
    if (batch.count > 0) {
        disk_commit(core, &batch, true, resume_to(on_wiped, 0, 0));
        return;
    }
    boot->wiping = (enum toystore_space)(boot->wiping + 1);
    wipe(core);
}

static void wipe(struct core *core)
{
    struct boot *boot = core->boot;
    if (boot->wiping < TOYSTORE_SPACES) {
        scan_after(core, boot->wiping, slice_of(NULL, 0), on_wipe_scan);
        return;
    }
    boot->found_identity = boot->found_boot = false;
    core->nonce_count = 0;
    core->self.incarnation = 0;
    core_log(core, LOG_WARNING, "the data directory was emptied; this is a new member now");
    note_start(core);
}

/* ---- step 1: the node's own state, each pair to its module ---- */

static bool has_prefix(struct slice key, const char *prefix)
{
    size_t size = strlen(prefix);
    return key.size >= size && memcmp(key.data, prefix, size) == 0;
}

static bool restore_pair(struct core *core, struct slice key, struct slice value)
{
    struct boot *boot = core->boot;
    if (slice_equal(key, slice_str(META_RESET)))
        return boot->reset = true;
    if (slice_equal(key, slice_str(META_IDENTITY)))
        return boot->found_identity = identity_restore(core, value);
    if (slice_equal(key, slice_str(META_BOOT)))
        return boot->found_boot = mark_decode(boot, value);
    if (slice_equal(key, slice_str(META_MEMBERS)))
        swim_restore(core, value);
    else if (boot->reset)
        return true;
    else if (slice_equal(key, slice_str(META_GONE)))
        gone_restore(core, value);
    else if (has_prefix(key, "layout") || has_prefix(key, "partition/"))
        views_restore(core, key, value);
    else if (slice_equal(key, slice_str("changes")))
        move_restore(core, value);
    else if (slice_equal(key, slice_str(META_SESSIONS)))
        return session_restore(core, value);
    else if (slice_equal(key, slice_str("scrub")))
        scrub_restore(core, value);
    else if (slice_equal(key, slice_str(META_SWEPT)))
        return retire_sweep_restore(core, value);
    else if (has_prefix(key, "session/"))
        retire_restore(core, key, value);
    else if (has_prefix(key, "grave/"))
        grave_restore(core, key, value);
    return true;
}

static void scan_meta(struct core *core, struct slice after);

static void on_meta(struct core *core, const struct core_event *event, struct resume resume)
{
    (void)resume;
    if (scan_failed(core, event))
        return;
    for (size_t i = 0; i < event->pair_count; i++)
        if (!restore_pair(core, event->pairs[i].key, event->pairs[i].value)) {
            core_stop(core, -EUCLEAN,
                      "the data directory is damaged, or of a newer toystore: \"%.*s\" cannot be "
                      "read",
                      (int)min_size(event->pairs[i].key.size, 64),
                      (const char *)event->pairs[i].key.data);
            return;
        }
    if (event->more && event->pair_count > 0) {
        scan_meta(core, event->pairs[event->pair_count - 1].key);
        return;
    }
    if (core->boot->reset) {
        wipe(core);
        return;
    }
    if (view_partition_count(core) > 0)
        trees_size(core, view_partition_count(core));
    scan_tokens(core, slice_of(NULL, 0));
}

static void scan_meta(struct core *core, struct slice after)
{
    scan_after(core, TOYSTORE_META, after, on_meta);
}

void boot_begin(struct core *core)
{
    core->boot = base_alloc(sizeof *core->boot);
    if (core->config.storing) {
        scan_meta(core, slice_of(NULL, 0));
        return;
    }
    do
        core->id = prng_next(&core->prng);
    while (core->id == 0);
    core->self.incarnation = 1;
    start_modules(core);
}

void boot_free(struct core *core)
{
    free(core->boot);
    core->boot = NULL;
}
