/* Disks for tests of one room of the core, one a core by its id: disk_load, disk_commit and
 * disk_scan against sorted arrays, carried out when the test says so (disks_step), in order, like
 * a driver would. */
#ifndef TOYSTORE_TEST_DISK_DOUBLE_H
#define TOYSTORE_TEST_DISK_DOUBLE_H

#include "core/state/state.h"

#include <stdlib.h>

struct disk_pair {
    struct blob *key, *value;
};

struct disk_action {
    enum { DISK_LOAD, DISK_COMMIT, DISK_SCAN } type;
    enum toystore_space space;
    struct blob *key, *end;
    size_t limit;
    struct batch batch;
    bool durable;
    struct resume resume;
};

enum { DISKS_MAX = 4 };

static struct disk_double {
    struct {
        struct disk_pair *pairs;
        size_t count;
    } spaces[TOYSTORE_SPACES];
    struct disk_action *queue;
    size_t first, count;
    int fail;                 /* the next commit's status */
    size_t commits, durables; /* made so far */
    size_t writes, loads;
} disks[DISKS_MAX];

static struct disk_double *disk_of(const struct core *core)
{
    assert(core->id < DISKS_MAX);
    return &disks[core->id];
}

static struct disk_action *disk_queue(const struct core *core)
{
    struct disk_double *disk = disk_of(core);
    disk->queue = base_realloc(disk->queue, (disk->first + disk->count + 1) * sizeof *disk->queue);
    struct disk_action *action = &disk->queue[disk->first + disk->count++];
    *action = (struct disk_action){0};
    return action;
}

void disk_load(struct core *core, enum toystore_space space, struct slice key, struct resume resume)
{
    struct disk_action *action = disk_queue(core);
    action->type = DISK_LOAD;
    action->space = space;
    action->key = blob_copy(key);
    action->resume = resume;
}

void disk_commit(struct core *core, struct batch *batch, bool durable, struct resume resume)
{
    struct disk_action *action = disk_queue(core);
    action->type = DISK_COMMIT;
    action->batch = *batch;
    action->durable = durable;
    action->resume = resume;
    *batch = (struct batch){0};
}

void disk_scan(struct core *core, enum toystore_space space, struct slice from, struct slice to,
               size_t limit, struct resume resume)
{
    struct disk_action *action = disk_queue(core);
    action->type = DISK_SCAN;
    action->space = space;
    action->key = blob_copy(from);
    action->end = blob_copy(to);
    action->limit = limit;
    action->resume = resume;
}

/* The first pair at or behind the key. */
static size_t disk_at(const struct disk_double *disk, enum toystore_space space, struct slice key)
{
    size_t i = 0;
    while (i < disk->spaces[space].count &&
           slice_compare(blob_slice(disk->spaces[space].pairs[i].key), key) < 0)
        i++;
    return i;
}

static struct blob *disk_find(const struct disk_double *disk, enum toystore_space space,
                              struct slice key)
{
    size_t i = disk_at(disk, space, key);
    if (i == disk->spaces[space].count ||
        !slice_equal(blob_slice(disk->spaces[space].pairs[i].key), key))
        return NULL;
    return disk->spaces[space].pairs[i].value;
}

static void disk_write(struct disk_double *disk, const struct batch_write *write)
{
    struct disk_pair *pairs = disk->spaces[write->space].pairs;
    size_t *count = &disk->spaces[write->space].count;
    size_t i = disk_at(disk, write->space, blob_slice(write->key));
    bool there = disk_find(disk, write->space, blob_slice(write->key)) != NULL;
    if (there) {
        blob_unref(&pairs[i].key);
        blob_unref(&pairs[i].value);
        memmove(pairs + i, pairs + i + 1, (*count - i - 1) * sizeof *pairs);
        (*count)--;
    }
    if (write->remove)
        return;
    pairs = base_realloc(pairs, (*count + 1) * sizeof *pairs);
    disk->spaces[write->space].pairs = pairs;
    memmove(pairs + i + 1, pairs + i, (*count - i) * sizeof *pairs);
    pairs[i] = (struct disk_pair){blob_ref(write->key), blob_ref(write->value)};
    (*count)++;
}

static void disks_scan(struct core *core, const struct disk_action *action)
{
    const struct disk_double *disk = disk_of(core);
    struct core_event event = {.type = EVENT_SCANNED, .resume = action->resume};
    struct scan_pair *pairs = base_alloc((action->limit + 1) * sizeof *pairs);
    size_t i = disk_at(disk, action->space, blob_slice(action->key));
    for (; i < disk->spaces[action->space].count; i++) {
        const struct disk_pair *pair = &disk->spaces[action->space].pairs[i];
        if (action->end->size > 0 &&
            slice_compare(blob_slice(pair->key), blob_slice(action->end)) >= 0)
            break;
        if (event.pair_count == action->limit) {
            event.more = true;
            break;
        }
        pairs[event.pair_count++] =
            (struct scan_pair){blob_slice(pair->key), blob_slice(pair->value)};
    }
    event.pairs = pairs;
    action->resume.fn(core, &event, action->resume);
    free(pairs);
}

static void disks_commit(struct core *core, struct disk_action *action)
{
    struct disk_double *disk = disk_of(core);
    struct core_event event = {
        .type = EVENT_COMMITTED, .resume = action->resume, .status = disk->fail};
    disk->commits++;
    disk->durables += action->durable;
    if (disk->fail == 0) {
        for (size_t i = 0; i < action->batch.count; i++)
            disk_write(disk, &action->batch.writes[i]);
        disk->writes += action->batch.count;
    }
    disk->fail = 0;
    batch_free(&action->batch);
    if (action->resume.fn != NULL)
        action->resume.fn(core, &event, action->resume);
}

static bool disks_step(struct core *core)
{
    struct disk_double *disk = disk_of(core);
    if (disk->count == 0)
        return false;
    struct disk_action action = disk->queue[disk->first];
    disk->first++;
    disk->count--;
    if (action.type == DISK_LOAD) {
        struct blob *value = disk_find(disk, action.space, blob_slice(action.key));
        struct core_event event = {.type = EVENT_LOADED,
                                   .resume = action.resume,
                                   .bytes = blob_ref(value),
                                   .status = value ? 0 : -ENOENT};
        disk->loads++;
        action.resume.fn(core, &event, action.resume);
        blob_unref(&event.bytes);
    } else if (action.type == DISK_COMMIT) {
        disks_commit(core, &action);
    } else {
        disks_scan(core, &action);
    }
    blob_unref(&action.key);
    blob_unref(&action.end);
    return true;
}

static void disks_free(void)
{
    for (size_t d = 0; d < DISKS_MAX; d++) {
        for (size_t s = 0; s < TOYSTORE_SPACES; s++) {
            for (size_t i = 0; i < disks[d].spaces[s].count; i++) {
                blob_unref(&disks[d].spaces[s].pairs[i].key);
                blob_unref(&disks[d].spaces[s].pairs[i].value);
            }
            free(disks[d].spaces[s].pairs);
        }
        free(disks[d].queue);
    }
    memset(disks, 0, sizeof disks);
}

#endif
