/* boot: what a start finds in its data directory, and what it must have written before it speaks:
 * a whole core of one node over a disk in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/core.h"
#include "core/members/identity.h"

struct pair {
    struct blob *key, *value;
};

static struct disk {
    struct pair *pairs;
    size_t count;
} disk[TOYSTORE_SPACES];

static struct {
    struct core *core;
    struct actions actions;
    uint64_t now_us;
    bool noted, ready, stopped; /* noted: the start is durable */
    int stop_status;
    size_t disk_actions;
} node;

/* ---- the disk ---- */

static size_t find(struct disk *space, struct slice key, bool *ret_found)
{
    size_t at = 0;
    while (at < space->count && slice_compare(blob_slice(space->pairs[at].key), key) < 0)
        at++;
    *ret_found = at < space->count && slice_equal(blob_slice(space->pairs[at].key), key);
    return at;
}

static void write_pair(const struct batch_write *write)
{
    struct disk *space = &disk[write->space];
    bool found;
    size_t at = find(space, blob_slice(write->key), &found);
    if (found) {
        blob_unref(&space->pairs[at].key);
        blob_unref(&space->pairs[at].value);
        space->count--;
        memmove(space->pairs + at, space->pairs + at + 1,
                (space->count - at) * sizeof *space->pairs);
    }
    if (write->remove)
        return;
    space->pairs = base_realloc(space->pairs, (space->count + 1) * sizeof *space->pairs);
    memmove(space->pairs + at + 1, space->pairs + at, (space->count - at) * sizeof *space->pairs);
    space->pairs[at] = (struct pair){blob_ref(write->key), blob_ref(write->value)};
    space->count++;
}

static void remove_pair(enum toystore_space space, const char *key)
{
    struct batch batch = {0};
    batch_remove(&batch, space, slice_str(key));
    write_pair(&batch.writes[0]);
    batch_free(&batch);
}

static void step(struct core_event *event)
{
    event->now_us = node.now_us;
    event->wall_us = (int64_t)node.now_us;
    core_step(node.core, event, &node.actions);
}

static void scan(const struct action *action)
{
    struct disk *space = &disk[action->space];
    bool found;
    size_t from = find(space, blob_slice(action->key), &found);
    size_t count = min_size(space->count - from, action->limit);
    struct scan_pair *pairs = base_alloc((count + 1) * sizeof *pairs);
    for (size_t i = 0; i < count; i++)
        pairs[i] = (struct scan_pair){blob_slice(space->pairs[from + i].key),
                                      blob_slice(space->pairs[from + i].value)};
    step(&(struct core_event){.type = EVENT_SCANNED,
                              .resume = action->resume,
                              .pairs = pairs,
                              .pair_count = count,
                              .more = from + count < space->count});
    free(pairs);
}

static void load(const struct action *action)
{
    bool found;
    size_t at = find(&disk[action->space], blob_slice(action->key), &found);
    step(&(struct core_event){.type = EVENT_LOADED,
                              .resume = action->resume,
                              .status = found ? 0 : -ENOENT,
                              .bytes = found ? disk[action->space].pairs[at].value : NULL});
}

static void commit(const struct action *action)
{
    for (size_t i = 0; i < action->batch.count; i++) {
        const struct batch_write *write = &action->batch.writes[i];
        write_pair(write);
        if (action->durable && slice_equal(blob_slice(write->key), slice_str("boot")))
            node.noted = true;
    }
    step(&(struct core_event){.type = EVENT_COMMITTED, .resume = action->resume});
}

static void carry_out(const struct action *action)
{
    if (action->type == ACTION_LOAD || action->type == ACTION_COMMIT || action->type == ACTION_SCAN)
        node.disk_actions++;
    switch (action->type) {
    case ACTION_SCAN:
        scan(action);
        break;
    case ACTION_LOAD:
        load(action);
        break;
    case ACTION_COMMIT:
        commit(action);
        break;
    case ACTION_READY:
        node.ready = true;
        break;
    case ACTION_STOP:
        node.stopped = true;
        node.stop_status = action->status;
        break;
    case ACTION_SEND:
    case ACTION_DATAGRAM:
    case ACTION_CONNECT:
        assert_true(node.noted || !node.core->config.storing); /* not a word before */
        break;
    default:
        break;
    }
}

static void run_ms(uint64_t ms)
{
    uint64_t until_us = node.now_us + ms * 1000;
    for (;;) {
        struct action action;
        while (actions_take(&node.actions, &action)) {
            carry_out(&action);
            action_free(&action);
        }
        uint64_t at_us = core_deadline(node.core);
        if (at_us > until_us)
            break;
        node.now_us = max_u64(node.now_us, at_us);
        step(&(struct core_event){.type = EVENT_TICK});
    }
    node.now_us = until_us;
}

/* ---- the node ---- */

static void start_as(const char *boot_id, bool storing)
{
    struct core_config config = {.storing = storing,
                                 .rpc = {"127.0.0.1", 3001},
                                 .gossip = {"127.0.0.1", 7946},
                                 .name = "n",
                                 .cluster_name = "c",
                                 .weight = 100,
                                 .replicas = 3,
                                 .write_quorum = 2,
                                 .read_quorum = 2,
                                 .partitions = 8,
                                 .handoff_interval_ms = 1000,
                                 .probe_interval_ms = 1000,
                                 .random_seed = node.now_us,
                                 .log_level = -1};
    snprintf(config.boot_id, sizeof config.boot_id, "%s", boot_id);
    node.noted = node.ready = node.stopped = false;
    node.now_us += 1000000;
    node.core = core_new(&config);
    core_start(node.core, node.now_us, (int64_t)node.now_us, &node.actions);
    run_ms(100);
}

static void start(const char *boot_id)
{
    start_as(boot_id, true);
}

static void kill_it(void)
{
    actions_free(&node.actions);
    core_free(node.core);
    node.core = NULL;
}

static void end_well(void)
{
    step(&(struct core_event){.type = EVENT_LEAVE});
    run_ms(100);
    assert_true(node.stopped);
    assert_int_equal(node.stop_status, 0);
    kill_it();
}

static void put(const char *key, const char *value)
{
    struct toystore_request request = {.type = TOYSTORE_PUT,
                                       .key = {key, strlen(key)},
                                       .change = TOYSTORE_SET_VALUE,
                                       .value = {value, strlen(value)}};
    step(&(struct core_event){.type = EVENT_CALL, .call = 1, .request = &request});
    run_ms(100);
}

static int setup(void **state)
{
    (void)state;
    memset(&node, 0, sizeof node);
    start("boot 1");
    return node.ready ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    if (node.core != NULL)
        kill_it();
    for (int s = 0; s < TOYSTORE_SPACES; s++) {
        for (size_t i = 0; i < disk[s].count; i++) {
            blob_unref(&disk[s].pairs[i].key);
            blob_unref(&disk[s].pairs[i].value);
        }
        free(disk[s].pairs);
        disk[s] = (struct disk){0};
    }
    return 0;
}

/* ---- tests ---- */

static void test_identity_stays(void **state)
{
    (void)state;
    node_id id = core_id(node.core);
    struct session session = core_session(node.core);
    uint64_t incarnation = node.core->self.incarnation, nonce = node.core->self.nonces[0];
    end_well();
    start("boot 2");
    assert_true(node.ready);
    assert_int_equal(core_id(node.core), id);
    assert_int_not_equal(session_compare(&node.core->session, &session), 0);
    assert_true(node.core->self.incarnation > incarnation);
    assert_int_equal(node.core->self.nonces[1], nonce);
    assert_false(node.core->forgot); /* it ended well */
}

static void test_killed_in_the_same_boot(void **state)
{
    (void)state;
    kill_it();
    start("boot 1");
    assert_false(node.core->forgot);
}

static void test_killed_by_power(void **state)
{
    (void)state;
    kill_it();
    start("boot 2");
    assert_true(node.core->forgot);
}

static void test_identity_lost(void **state)
{
    (void)state;
    kill_it();
    remove_pair(TOYSTORE_META, "identity");
    start("boot 1");
    assert_true(node.stopped);
    assert_int_equal(node.stop_status, -EUCLEAN);
}

/* The directory that turned out to be a copy begins empty at its next start, in the same cluster.
 */
static void test_reset(void **state)
{
    (void)state;
    put("a", "1");
    assert_true(disk[TOYSTORE_RECORDS].count > 0);
    node_id id = core_id(node.core);
    uint8_t cluster[CLUSTER_ID_SIZE];
    memcpy(cluster, node.core->self.cluster, CLUSTER_ID_SIZE);
    node.core->out = &node.actions;
    identity_reset(node.core, "a test");
    run_ms(100);
    assert_int_equal(node.stop_status, -ESTALE);
    kill_it();
    start("boot 1");
    assert_int_not_equal(core_id(node.core), id);
    assert_memory_equal(node.core->self.cluster, cluster, CLUSTER_ID_SIZE);
    assert_int_equal(disk[TOYSTORE_RECORDS].count, 0);
    assert_int_equal(disk[TOYSTORE_TOKENS].count, 0);
    assert_false(node.ready); /* it waits to be taken in */
    kill_it();
    start("boot 1");
    assert_false(node.stopped); /* once is enough */
}

static void test_nothing_after_the_mark(void **state)
{
    (void)state;
    step(&(struct core_event){.type = EVENT_LEAVE});
    put("late", "1");
    assert_int_equal(disk[TOYSTORE_RECORDS].count, 0);
    assert_true(node.stopped);
}

static void test_client_needs_no_disk(void **state)
{
    (void)state;
    kill_it();
    node.disk_actions = 0;
    start_as("boot 1", false);
    assert_int_equal(node.disk_actions, 0);
    end_well();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_identity_stays),
        TEST(test_killed_in_the_same_boot),
        TEST(test_killed_by_power),
        TEST(test_identity_lost),
        TEST(test_reset),
        TEST(test_nothing_after_the_mark),
        TEST(test_client_needs_no_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
