/* Immutable keys, listings and syncs. */
#include "cluster.h"

#include <stdio.h>

#define CHUNK                                                                                      \
    ".toystore/chunks/000000000000000000000000000000000000000000000001/"                           \
    "000000000000000000000000-0000000000000001"

static struct toystore_request store_of(const char *key, const char *value)
{
    return (struct toystore_request){
        .type = TOYSTORE_STORE, .key = bytes_text(key), .value = bytes_text(value)};
}

static const struct toystore_result *fetch(unsigned node, const char *key)
{
    struct toystore_request get = {
        .type = TOYSTORE_FETCH, .key = bytes_text(key), .deadline_ms = 1000};
    return cluster_call(node, &get);
}

static void a_chunk_is_read_from_any_owner(void **state)
{
    (void)state;
    cluster_start(4);
    struct toystore_request store = store_of(CHUNK, "bytes");
    assert_int_equal(cluster_call(0, &store)->status, TOYSTORE_OK);
    for (unsigned i = 0; i < 4; i++)
        assert_true(shows(fetch(i, CHUNK), "bytes"));
    assert_int_equal(fetch(1, CHUNK "2")->status, TOYSTORE_NOT_FOUND);
    cluster_stop();
}

/* There is nobody else to ask: it is not there, and that is said at once. */
static void a_single_owner_without_it_is_enough(void **state)
{
    (void)state;
    cluster_start(1);
    assert_int_equal(fetch(0, CHUNK)->status, TOYSTORE_NOT_FOUND);
    cluster_stop();
}

static void a_chunk_that_an_owner_missed_comes_by_its_hint(void **state)
{
    (void)state;
    unsigned owners[CLUSTER_MAX];
    struct entry entry;
    struct record record;
    cluster_start(3);
    cluster_owners(CHUNK, owners);
    cluster_kill(owners[2]);
    struct toystore_request store = store_of(CHUNK, "bytes");
    assert_int_equal(cluster_call(owners[0], &store)->status, TOYSTORE_OK);
    cluster_restart(owners[2]);
    cluster_run_ms(5000);
    assert_true(cluster_stored(owners[2], CHUNK, &entry, &record));
    cluster_kill(owners[0]);
    cluster_kill(owners[1]);
    assert_true(shows(fetch(owners[2], CHUNK), "bytes"));
    cluster_stop();
}

static void a_chunk_without_a_majority_goes_to_fallbacks(void **state)
{
    (void)state;
    unsigned owners[CLUSTER_MAX];
    cluster_start(5);
    cluster_owners(CHUNK, owners);
    cluster_kill(owners[1]);
    cluster_kill(owners[2]);
    struct toystore_request store = store_of(CHUNK, "bytes");
    assert_int_equal(cluster_call(owners[0], &store)->status, TOYSTORE_OK);
    cluster_restart(owners[1]);
    cluster_restart(owners[2]);
    cluster_run_ms(6000);
    cluster_kill(owners[0]);
    assert_true(shows(fetch(owners[1], CHUNK), "bytes"));
    cluster_stop();
}

/* A new leader finds that owners differ in a chunk, too: it must not put its ballot on it, or the
 * others would refuse the copy for ever. */
static void a_new_leader_leaves_chunks_as_they_are(void **state)
{
    (void)state;
    unsigned owners[CLUSTER_MAX];
    struct entry entry;
    struct record record;
    cluster_start(3);
    cluster_owners(CHUNK, owners);
    cluster_cut(owners[0], owners[2]);
    struct toystore_request store = store_of(CHUNK, "bytes");
    assert_int_equal(cluster_call(owners[0], &store)->status, TOYSTORE_OK);
    cluster_kill(owners[0]); /* with the hint */
    cluster_heal();
    cluster_lose(METHOD_TRANSFER, true); /* nobody repairs it before owners[1] leads */
    cluster_lose(METHOD_FETCH, true);
    cluster_run_ms(4000);
    cluster_lose(METHOD_TRANSFER, false);
    cluster_lose(METHOD_FETCH, false);
    cluster_restart(owners[0]);
    cluster_run_ms(4000);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(cluster_stored(owners[i], CHUNK, &entry, &record));
        assert_true(ballot_none(&record.reg.ballot));
    }
    cluster_stop();
}

/* Names in several pages, in the order of their cookies, each once; deleted ones are gone. */
static void a_listing_shows_each_name_once(void **state)
{
    (void)state;
    bool seen[40] = {false};
    char key[32];
    cluster_start(4);
    for (int i = 0; i < 40; i++) {
        snprintf(key, sizeof key, "d/f%02d", i);
        assert_int_equal(cluster_put((unsigned)i % 4, key, "x"), TOYSTORE_OK);
    }
    struct toystore_request bury = {
        .type = TOYSTORE_PUT, .key = bytes_text("d/f07"), .change = TOYSTORE_DELETE};
    assert_int_equal(cluster_call(0, &bury)->status, TOYSTORE_OK);
    struct toystore_request list = {.type = TOYSTORE_LIST, .key = bytes_text("d"), .limit = 7};
    unsigned names = 0;
    bool more = true;
    while (more) {
        const struct toystore_result *result = cluster_call(names % 4, &list);
        assert_int_equal(result->status, TOYSTORE_OK);
        assert_true(result->entry_count > 0 || !result->more);
        for (size_t i = 0; i < result->entry_count; i++) {
            const char *name = result->entries[i].name.data;
            int number = 10 * (name[1] - '0') + name[2] - '0';
            assert_true(result->entries[i].cookie > list.after);
            assert_false(seen[number]);
            seen[number] = true;
            list.after = result->entries[i].cookie;
            names++;
        }
        more = result->more;
    }
    assert_int_equal(names, 39);
    assert_false(seen[7]);
    cluster_stop();
}

/* rmdir asks for one entry: the tombstones of those that were removed are not passed one by one. */
static void a_directory_of_tombstones_is_listed_in_few_rounds(void **state)
{
    (void)state;
    char key[32];
    cluster_start(3);
    for (int i = 0; i < 400; i++) {
        snprintf(key, sizeof key, "d/f%d", i);
        assert_int_equal(cluster_put(0, key, "x"), TOYSTORE_OK);
        struct toystore_request bury = {
            .type = TOYSTORE_PUT, .key = bytes_text(key), .change = TOYSTORE_DELETE};
        assert_int_equal(cluster_call(0, &bury)->status, TOYSTORE_OK);
    }
    struct toystore_request list = {
        .type = TOYSTORE_LIST, .key = bytes_text("d"), .limit = 1, .deadline_ms = 50};
    const struct toystore_result *result = cluster_call(1, &list);
    assert_int_equal(result->status, TOYSTORE_OK);
    assert_int_equal(result->entry_count, 0);
    assert_false(result->more);
    cluster_stop();
}

static void a_listing_needs_its_quorum(void **state)
{
    (void)state;
    cluster_start(3);
    assert_int_equal(cluster_put(0, "d/a", "x"), TOYSTORE_OK);
    cluster_kill(2);
    struct toystore_request list = {
        .type = TOYSTORE_LIST, .key = bytes_text("d"), .deadline_ms = 2000};
    const struct toystore_result *result = cluster_call(0, &list);
    assert_int_equal(result->status, TOYSTORE_OK);
    assert_int_equal(result->entry_count, 1);
    cluster_kill(1);
    assert_int_equal(cluster_call(0, &list)->status, TOYSTORE_UNAVAILABLE);
    cluster_stop();
}

static void a_sync_needs_a_quorum_of_each_key(void **state)
{
    (void)state;
    cluster_start(3);
    assert_int_equal(cluster_put(0, "a", "x"), TOYSTORE_OK);
    assert_int_equal(cluster_put(0, "b", "x"), TOYSTORE_OK);
    struct toystore_bytes keys[2] = {bytes_text("a"), bytes_text("b")};
    struct toystore_request sync = {
        .type = TOYSTORE_SYNC, .keys = keys, .key_count = 2, .deadline_ms = 2000};
    assert_int_equal(cluster_call(1, &sync)->status, TOYSTORE_OK);
    cluster_kill(0);
    assert_int_equal(cluster_call(1, &sync)->status, TOYSTORE_OK);
    cluster_kill(2);
    assert_int_equal(cluster_call(1, &sync)->status, TOYSTORE_UNAVAILABLE);
    cluster_stop();
}

static void lose_mending(bool lost)
{
    cluster_lose_comparing(lost);
    cluster_lose(METHOD_TRANSFER, lost);
    cluster_lose(METHOD_PUT, lost);
    cluster_lose(METHOD_PREPARE, lost);
}

static bool holds(unsigned node, const char *key, const struct toystore_op *op)
{
    struct entry entry;
    struct record record;
    struct op_id id = op_from_public(*op);
    return cluster_stored(node, key, &entry, &record) && record_has(&record, &id);
}

/* One owner has the put, one is dead, and one has missed it: no quorum could tell of it after the
 * next power loss, whoever says what must be there. */
static enum toystore_status sync_where_one_has_missed_the_put(bool named)
{
    cluster_start(3);
    assert_int_equal(cluster_put(0, "k", "old"), TOYSTORE_OK);
    cluster_run_ms(1000);
    cluster_kill(2);
    struct toystore_request put = put_request_of("k", "new");
    const struct toystore_result *result = cluster_call(0, &put);
    assert_int_equal(result->status, TOYSTORE_OK);
    struct toystore_op op = result->op;
    cluster_kill(1);
    lose_mending(true);
    cluster_restart(2);
    cluster_run_ms(1000);
    assert_false(holds(2, "k", &op));
    struct toystore_bytes key = bytes_text("k");
    struct toystore_request sync = {.type = TOYSTORE_SYNC,
                                    .keys = &key,
                                    .key_count = 1,
                                    .key_ops = named ? &op : NULL,
                                    .deadline_ms = 2000};
    enum toystore_status status = cluster_call(0, &sync)->status;
    assert_false(holds(2, "k", &op));
    lose_mending(false);
    sync.deadline_ms = 10000;
    assert_int_equal(cluster_call(0, &sync)->status, TOYSTORE_OK);
    assert_true(status == TOYSTORE_OK || holds(2, "k", &op));
    cluster_stop();
    return status;
}

static void a_sync_does_not_count_who_has_missed_the_put(void **state)
{
    (void)state;
    assert_int_equal(sync_where_one_has_missed_the_put(false), TOYSTORE_UNAVAILABLE);
    assert_int_equal(sync_where_one_has_missed_the_put(true), TOYSTORE_UNAVAILABLE);
}

#ifdef TOYSTORE_BREAKABLE
static void a_sync_that_does_not_look_counts_it(void **state)
{
    (void)state;
    cluster_break(1 + BROKEN_sync_unread);
    assert_int_equal(sync_where_one_has_missed_the_put(true), TOYSTORE_OK);
    cluster_break(0);
}
#endif

static enum toystore_status sync_of_one(unsigned node, const char *key,
                                        const struct toystore_op *op)
{
    struct toystore_bytes name = bytes_text(key);
    struct toystore_request sync = {
        .type = TOYSTORE_SYNC, .keys = &name, .key_count = 1, .key_ops = op, .deadline_ms = 2000};
    return cluster_call(node, &sync)->status;
}

/* An op that was made here and is nowhere was lost with the power; what stands in its place is not
 * what the caller wants to be sure of. What was replaced is in good hands, and of what others have
 * made nobody here can tell. */
static void a_sync_of_what_a_power_loss_took_is_not_ok(void **state)
{
    (void)state;
    cluster_start(3);
    struct toystore_request put = put_request_of("k", "first");
    struct toystore_op first = cluster_call(0, &put)->op, lost = first;
    assert_int_equal(cluster_put(1, "k", "second"), TOYSTORE_OK);
    assert_int_equal(sync_of_one(0, "k", &first), TOYSTORE_OK);
    lost.sequence++;
    assert_int_equal(sync_of_one(0, "k", &lost), TOYSTORE_INDETERMINATE);
    assert_int_equal(sync_of_one(0, "nothing", &lost), TOYSTORE_INDETERMINATE);
    assert_int_equal(sync_of_one(1, "k", &lost), TOYSTORE_OK);
    assert_int_equal(sync_of_one(1, "nothing", &lost), TOYSTORE_OK);
    assert_int_equal(sync_of_one(0, "k", NULL), TOYSTORE_OK);
    cluster_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chunk_is_read_from_any_owner),
        cmocka_unit_test(a_single_owner_without_it_is_enough),
        cmocka_unit_test(a_chunk_that_an_owner_missed_comes_by_its_hint),
        cmocka_unit_test(a_chunk_without_a_majority_goes_to_fallbacks),
        cmocka_unit_test(a_new_leader_leaves_chunks_as_they_are),
        cmocka_unit_test(a_listing_shows_each_name_once),
        cmocka_unit_test(a_directory_of_tombstones_is_listed_in_few_rounds),
        cmocka_unit_test(a_listing_needs_its_quorum),
        cmocka_unit_test(a_sync_needs_a_quorum_of_each_key),
        cmocka_unit_test(a_sync_does_not_count_who_has_missed_the_put),
#ifdef TOYSTORE_BREAKABLE
        cmocka_unit_test(a_sync_that_does_not_look_counts_it),
#endif
        cmocka_unit_test(a_sync_of_what_a_power_loss_took_is_not_ok),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
