/* A store for tests of the file layer: keys with one version each, conditions as PROTOCOL has
 * them, answers and timers only when the test pumps, time that only the test moves. Several file
 * systems may stand on one double, as mounts of one cluster do. */
#ifndef TOYSTORE_TEST_STORE_DOUBLE_H
#define TOYSTORE_TEST_STORE_DOUBLE_H

#include "../../fs/fs.h"
#include "../../fs/fs_priv.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/map.h"
#include "base/prng.h"

#include <stdlib.h>

struct double_version {
    struct toystore_op op;
    enum toystore_kind kind;
    struct toystore_attributes attributes;
    struct blob *value, *extra;
    uint64_t time_us;
    struct double_version *sibling; /* the next one; the first is the register */
};

enum { DOUBLE_VISIBLE_MAX = 8 };

struct double_answer {
    struct list link;
    toystore_done_fn *done;
    void *arg;
    enum toystore_status status;
    struct double_version *held; /* a copy of the key's */
    struct toystore_version versions[DOUBLE_VISIBLE_MAX];
    size_t version_count;
    struct toystore_op op;
    struct toystore_entry *entries;
    size_t entry_count;
    bool more;
};

struct double_timer {
    struct list link;
    uint64_t id, at_ns;
    void (*fire)(void *arg);
    void *arg;
};

static struct {
    struct map versions; /* key -> struct double_version */
    struct map durable;  /* those that a SYNC has covered: what a power loss leaves at least */
    struct list answers, timers;
    bool (*holds)(const struct toystore_request *request); /* whose answers wait, in `held` */
    struct list held;
    uint64_t now_ns, ops, timer_ids;
    enum toystore_status put_fails; /* every put of a name ends so; OK: none does */
    enum toystore_status store_fails, get_fails, sync_fails;
    uint8_t session;              /* of all mounts */
    size_t puts_tied, retires_at; /* puts tied to their session; 0, or before which it is retired */
    size_t requests, fail_at;     /* the request of this number fails; 0: none */
    bool fail_done;               /* it is done all the same, and nobody knows */
    void (*deleting)(struct slice key); /* a chunk or page; NULL: nobody looks */
    size_t puts, gets, stores, fetches;
    size_t syncs, synced_chunks, synced_keys; /* requests, and what they named */
    size_t synced_versions; /* of which the version was named that is there, too */
    struct prng prng;       /* when set: answers come in any order */
    bool shuffled;
} store;

static void double_free_version(struct double_version *version)
{
    if (version->sibling)
        double_free_version(version->sibling);
    blob_unref(&version->value);
    blob_unref(&version->extra);
    free(version);
}

static struct double_version *double_copy(const struct double_version *version)
{
    struct double_version *copy = base_copy(version, sizeof *version);
    blob_ref(copy->value);
    blob_ref(copy->extra);
    if (version->sibling)
        copy->sibling = double_copy(version->sibling);
    return copy;
}

static void double_set(struct map *map, struct slice key, struct double_version *version)
{
    struct double_version *old = map_get(map, key);
    if (old)
        double_free_version(old);
    if (version)
        map_put(map, key, version);
    else if (old)
        map_remove(map, key);
}

/* What is visible, in order; NULL: nothing is. */
static const struct double_version *double_visible(const struct double_version *version)
{
    while (version && version->kind == TOYSTORE_TOMBSTONE)
        version = version->sibling;
    return version;
}

static bool double_named(const struct toystore_request *request,
                         const struct double_version *version)
{
    for (size_t i = 0; i < request->match_count; i++)
        if (op_equal(&request->match[i], &version->op))
            return true;
    return false;
}

static bool double_matches(const struct toystore_request *request,
                           const struct double_version *version)
{
    const struct double_version *first = double_visible(version);
    if (request->condition == TOYSTORE_IF_ABSENT)
        return !first;
    if (request->condition == TOYSTORE_ALWAYS)
        return true;
    if (!first)
        return request->match_count == 0;
    size_t named = 0;
    for (const struct double_version *at = first; at; at = double_visible(at->sibling))
        named += double_named(request, at);
    /* the register, when it is visible, and nothing that is not there */
    return named > 0 && named == request->match_count &&
           (first != version || double_named(request, first));
}

/* The siblings that a put leaves. */
static struct double_version *double_left(const struct toystore_request *request,
                                          const struct double_version *old)
{
    struct double_version *left = NULL, **at = &left;
    for (; old; old = old->sibling) {
        if (double_named(request, old))
            continue;
        struct double_version *copy = base_copy(old, sizeof *copy);
        blob_ref(copy->value);
        blob_ref(copy->extra);
        copy->sibling = NULL;
        *at = copy;
        at = &copy->sibling;
    }
    return left;
}

static enum toystore_status double_put(const struct toystore_request *request,
                                       struct toystore_op *ret_op)
{
    struct slice key = slice_from(request->key);
    store.puts++;
    if (store.put_fails != TOYSTORE_OK)
        return store.put_fails;
    bool tied = request->op.session[0] != 0 && request->op.session[1] == 0; /* as double_op_new */
    if (tied && ++store.puts_tied == store.retires_at)
        store.session++;
    if (tied && request->op.session[0] != store.session)
        return TOYSTORE_RETIRED;
    struct double_version *old = map_get(&store.versions, key);
    if (!double_matches(request, old))
        return TOYSTORE_CONFLICT;
    if (request->change == TOYSTORE_TOUCH) {
        if (old == NULL || old->kind == TOYSTORE_TOMBSTONE)
            return TOYSTORE_NOT_FOUND;
        if (old->attributes.mtime_ns < request->attributes.mtime_ns)
            old->attributes.mtime_ns = request->attributes.mtime_ns;
        old->op.sequence = ++store.ops;
        return TOYSTORE_OK;
    }
    struct double_version *version = base_alloc(sizeof *version);
    version->op.session[0] = 9;
    version->op.sequence = ++store.ops;
    version->kind = request->change == TOYSTORE_DELETE ? TOYSTORE_TOMBSTONE : request->kind;
    version->attributes = request->attributes;
    version->value = blob_copy(slice_from(request->value));
    version->extra = blob_copy(slice_from(request->extra));
    version->time_us = store.now_ns / 1000;
    if (old)
        version->sibling = double_left(request, old->sibling);
    double_set(&store.versions, key, version);
    *ret_op = version->op;
    return TOYSTORE_OK;
}

static int double_entry_order(const void *a, const void *b)
{
    const struct toystore_entry *x = a, *y = b;
    return (x->cookie > y->cookie) - (x->cookie < y->cookie);
}

static void double_list(const struct toystore_request *request, struct double_answer *answer)
{
    answer->entries = base_alloc((store.versions.count + 1) * sizeof *answer->entries);
    MAP_EACH(entry, &store.versions)
    {
        const struct double_version *version = double_visible(entry->value);
        struct slice key = map_key(entry), name = key_last_of(key);
        uint64_t cookie = (hash64(name) >> 1) | 8;
        if (version == NULL || cookie <= request->after ||
            !slice_equal(key_parent_of(key), slice_from(request->key)))
            continue;
        answer->entries[answer->entry_count++] =
            (struct toystore_entry){.name = {base_string(name), name.size},
                                    .cookie = cookie,
                                    .kind = version->kind,
                                    .op = version->op,
                                    .attributes = version->attributes,
                                    .siblings = double_visible(version->sibling) != NULL};
    }
    qsort(answer->entries, answer->entry_count, sizeof *answer->entries, double_entry_order);
    size_t limit = request->limit ? request->limit : 1000;
    answer->more = answer->entry_count > limit;
    while (answer->entry_count > limit)
        slice_free(slice_from(answer->entries[--answer->entry_count].name));
}

static void double_show(struct double_answer *answer, const struct double_version *version)
{
    answer->versions[answer->version_count++] =
        (struct toystore_version){.op = version->op,
                                  .kind = version->kind,
                                  .attributes = version->attributes,
                                  .time_us = version->time_us,
                                  .node = 0xabc,
                                  .value = bytes_of(blob_slice(version->value)),
                                  .extra = bytes_of(blob_slice(version->extra))};
}

static void double_get(struct slice key, struct double_answer *answer)
{
    const struct double_version *version = map_get(&store.versions, key);
    answer->status = TOYSTORE_NOT_FOUND;
    if (version == NULL)
        return;
    version = answer->held = double_copy(version);
    if (double_visible(version) == NULL)
        double_show(answer, version);
    else
        answer->status = TOYSTORE_OK;
    for (version = double_visible(version); version && answer->version_count < DOUBLE_VISIBLE_MAX;
         version = double_visible(version->sibling))
        double_show(answer, version);
}

static void double_sync(const struct toystore_request *request)
{
    static const char chunks[] = ".toystore/chunks/";
    store.syncs++;
    for (size_t i = 0; i < request->key_count; i++) {
        bool chunk = request->keys[i].size > sizeof chunks - 1 &&
                     memcmp(request->keys[i].data, chunks, sizeof chunks - 1) == 0;
        store.synced_chunks += chunk;
        store.synced_keys += !chunk;
        const struct double_version *version =
            map_get(&store.versions, slice_from(request->keys[i]));
        if (request->key_ops && !op_none(&request->key_ops[i]) && version)
            store.synced_versions += op_equal(&version->op, &request->key_ops[i]);
        if (version)
            double_set(&store.durable, slice_from(request->keys[i]), double_copy(version));
    }
}

static int double_submit(void *arg, const struct toystore_request *request, toystore_done_fn *done,
                         void *done_arg)
{
    (void)arg;
    struct double_answer *answer = base_alloc(sizeof *answer);
    *answer = (struct double_answer){.done = done, .arg = done_arg};
    bool held = store.holds && store.holds(request);
    list_push_back(held ? &store.held : &store.answers, &answer->link);
    bool fails = ++store.requests == store.fail_at;
    if (fails && !store.fail_done) {
        answer->status = TOYSTORE_UNAVAILABLE;
        return 0;
    }
    switch (request->type) {
    case TOYSTORE_PUT:
        answer->status = double_put(request, &answer->op);
        break;
    case TOYSTORE_STORE:
        store.stores++;
        struct toystore_request put = *request;
        if (request->change == TOYSTORE_DELETE && store.deleting)
            store.deleting(slice_from(request->key));
        put.condition = TOYSTORE_ALWAYS;
        put.change = request->change == TOYSTORE_DELETE ? TOYSTORE_DELETE : TOYSTORE_SET;
        answer->status = store.store_fails ? store.store_fails : double_put(&put, &answer->op);
        break;
    case TOYSTORE_GET:
        store.gets++;
        double_get(slice_from(request->key), answer);
        if (store.get_fails)
            answer->status = store.get_fails;
        break;
    case TOYSTORE_FETCH:
        store.fetches++;
        double_get(slice_from(request->key), answer);
        break;
    case TOYSTORE_LIST:
        double_list(request, answer);
        break;
    case TOYSTORE_SYNC:
        answer->status = store.sync_fails;
        if (store.sync_fails == TOYSTORE_OK)
            double_sync(request);
        break;
    case TOYSTORE_ROOM:
        break;
    }
    if (fails)
        answer->status = TOYSTORE_INDETERMINATE;
    return 0;
}

static bool double_answer_one(void)
{
    struct list *link = store.answers.next;
    if (link == &store.answers)
        return false;
    while (store.shuffled && link->next != &store.answers && prng_chance(&store.prng, 1, 2))
        link = link->next;
    list_remove(link);
    struct double_answer *answer = container_of(link, struct double_answer, link);
    struct toystore_result result = {.status = answer->status,
                                     .message = "",
                                     .versions = answer->versions,
                                     .version_count = answer->version_count,
                                     .op = answer->op,
                                     .entries = answer->entries,
                                     .entry_count = answer->entry_count,
                                     .more = answer->more};
    answer->done(answer->arg, &result);
    for (size_t i = 0; i < answer->entry_count; i++)
        slice_free(slice_from(answer->entries[i].name));
    free(answer->entries);
    if (answer->held)
        double_free_version(answer->held);
    free(answer);
    return true;
}

/* The oldest that is held is answered with the next pump. */
static inline void let_one_go(void)
{
    struct list *link = list_pop_front(&store.held);
    assert(link != NULL);
    list_push_back(&store.answers, link);
}

static inline void let_all_go(void)
{
    store.holds = NULL;
    while (!list_empty(&store.held))
        let_one_go();
}

/* Answers all that was asked. */
static void pump(void)
{
    while (double_answer_one())
        ;
}

/* Lets time pass, and what falls due in it happen. */
static void pass_ms(uint64_t ms)
{
    uint64_t until = store.now_ns + ms * 1000000;
    for (;;) {
        pump();
        struct double_timer *next = NULL;
        LIST_EACH(link, &store.timers)
        {
            struct double_timer *timer = container_of(link, struct double_timer, link);
            if (timer->at_ns <= until && (next == NULL || timer->at_ns < next->at_ns))
                next = timer;
        }
        if (next == NULL)
            break;
        store.now_ns = max_u64(store.now_ns, next->at_ns);
        list_remove(&next->link);
        next->fire(next->arg);
        free(next);
    }
    store.now_ns = until;
}

static struct toystore_op double_op_new(void *arg)
{
    (void)arg;
    struct toystore_op op = {.session = {store.session}, .sequence = ++store.ops};
    return op;
}

static uint64_t double_after(void *arg, unsigned ms, void (*fire)(void *), void *fire_arg)
{
    (void)arg;
    struct double_timer *timer = base_alloc(sizeof *timer);
    *timer = (struct double_timer){.id = ++store.timer_ids,
                                   .at_ns = store.now_ns + (uint64_t)ms * 1000000,
                                   .fire = fire,
                                   .arg = fire_arg};
    list_push_back(&store.timers, &timer->link);
    return timer->id;
}

static void double_cancel(void *arg, uint64_t id)
{
    (void)arg;
    LIST_EACH(link, &store.timers)
    {
        struct double_timer *timer = container_of(link, struct double_timer, link);
        if (timer->id != id)
            continue;
        list_remove(link);
        free(timer);
    }
}

static uint64_t double_now_ns(void *arg)
{
    (void)arg;
    return store.now_ns;
}

static int64_t double_wall_ns(void *arg)
{
    (void)arg;
    return (int64_t)store.now_ns;
}

static const struct store_face double_face = {
    .submit = double_submit,
    .op_new = double_op_new,
    .after = double_after,
    .cancel = double_cancel,
    .now_ns = double_now_ns,
    .wall_ns = double_wall_ns,
};

/* What no SYNC has covered stays or goes, each key for itself. */
static inline void double_power_loss(struct prng *prng)
{
    size_t count = 0;
    struct slice *keys = base_alloc((store.versions.count + 1) * sizeof *keys);
    MAP_EACH(entry, &store.versions)
    {
        if (prng_chance(prng, 1, 2))
            keys[count++] = slice_of(base_string(map_key(entry)), map_key(entry).size);
    }
    for (size_t i = 0; i < count; i++) {
        const struct double_version *durable = map_get(&store.durable, keys[i]);
        double_set(&store.versions, keys[i], durable ? double_copy(durable) : NULL);
        slice_free(keys[i]);
    }
    free(keys);
}

static void store_open(void)
{
    memset(&store, 0, sizeof store);
    list_init(&store.answers);
    list_init(&store.held);
    list_init(&store.timers);
    store.now_ns = 1000000000;
    store.session = 7;
}

static void store_close(void)
{
    MAP_EACH(entry, &store.versions)
    double_free_version(entry->value);
    map_free(&store.versions);
    MAP_EACH(entry, &store.durable)
    double_free_version(entry->value);
    map_free(&store.durable);
    LIST_EACH(link, &store.timers)
    free(container_of(link, struct double_timer, link));
}

#endif
