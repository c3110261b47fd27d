/* Both sides of a split go on, and heal into siblings (PROTOCOL 6). Five nodes, three owners. */
#include "cluster.h"

struct side {
    unsigned owners[CLUSTER_MAX], count;
    unsigned fallbacks[CLUSTER_MAX], fallback_count;
};

static struct side five_nodes(void)
{
    struct side side = {.count = 0};
    cluster_start(5);
    side.count = cluster_owners("k", side.owners);
    assert_int_equal(side.count, 3);
    for (unsigned i = 0; i < 5; i++)
        if (i != side.owners[0] && i != side.owners[1] && i != side.owners[2])
            side.fallbacks[side.fallback_count++] = i;
    return side;
}

static void two_owners_dead_still_takes_puts(void **state)
{
    (void)state;
    struct side side = five_nodes();
    assert_int_equal(cluster_put(0, "k", "1"), TOYSTORE_OK);
    cluster_kill(side.owners[1]);
    cluster_kill(side.owners[2]);
    struct toystore_request put = put_request_of("k", "2");
    const struct toystore_result *result = cluster_call(side.fallbacks[0], &put);
    assert_int_equal(result->status, TOYSTORE_OK);
    assert_true(result->sloppy);
    result = cluster_get(side.fallbacks[1], "k");
    assert_true(result->sloppy);
    assert_true(shows(result, "2"));
    cluster_stop();
}

static void an_exclusive_put_is_never_sloppy(void **state)
{
    (void)state;
    struct side side = five_nodes();
    cluster_kill(side.owners[1]);
    cluster_kill(side.owners[2]);
    struct toystore_request put = put_request_of("k", "2");
    put.condition = TOYSTORE_IF_ABSENT;
    put.deadline_ms = 1000;
    enum toystore_status status = cluster_call(side.fallbacks[0], &put)->status;
    assert_true(status == TOYSTORE_NOT_APPLIED || status == TOYSTORE_INDETERMINATE);
    assert_int_equal(cluster_get(side.fallbacks[0], "k")->status, TOYSTORE_NOT_FOUND);
    cluster_stop();
}

/* The key may be put sloppily, the directory above it is made by a majority or not at all: the
 * message names it. */
static void a_directory_that_cannot_be_made_is_named(void **state)
{
    (void)state;
    unsigned owners[CLUSTER_MAX], asker = 0;
    cluster_start(5);
    assert_int_equal(cluster_owners("d", owners), 3);
    cluster_kill(owners[1]);
    cluster_kill(owners[2]);
    while (asker == owners[1] || asker == owners[2])
        asker++;
    struct toystore_request put = put_request_of("d/k", "1");
    put.change = TOYSTORE_SET_VALUE;
    put.simple = true;
    const struct toystore_result *result = cluster_call(asker, &put);
    assert_true(result->status == TOYSTORE_NOT_APPLIED || result->status == TOYSTORE_INDETERMINATE);
    assert_non_null(strstr(result->message, "its directory \"d\" could not be made"));
    cluster_restart(owners[1]);
    cluster_run_ms(3000);
    assert_int_equal(cluster_call(asker, &put)->status, TOYSTORE_OK);
    cluster_stop();
}

/* The owners have a new register, a fallback's side a sibling: both are shown once healed, at all
 * owners, and an if-match put that names both leaves one. */
static void a_split_heals_into_siblings(void **state)
{
    (void)state;
    struct side side = five_nodes();
    assert_int_equal(cluster_put(0, "k", "1"), TOYSTORE_OK);
    for (unsigned i = 0; i < 2; i++)
        for (unsigned k = 1; k < 3; k++)
            cluster_cut(side.fallbacks[i], side.owners[k]);
    cluster_cut(side.owners[0], side.owners[1]);
    cluster_cut(side.owners[0], side.owners[2]);
    cluster_run_ms(3000);
    assert_int_equal(cluster_put(side.owners[1], "k", "majority"), TOYSTORE_OK);
    assert_int_equal(cluster_put(side.owners[0], "k", "minority"), TOYSTORE_OK);
    cluster_heal();
    cluster_run_ms(8000);
    struct toystore_op seen[8];
    for (unsigned i = 0; i < 5; i++) {
        const struct toystore_result *result = cluster_get(i, "k");
        assert_int_equal(result->status, TOYSTORE_OK);
        assert_int_equal(result->version_count, 2);
        assert_true(shows(result, "majority"));
        assert_memory_equal(result->versions[1].value.data, "minority", 8);
        seen[0] = result->versions[0].op;
        seen[1] = result->versions[1].op;
    }
    struct toystore_request put = put_request_of("k", "both");
    put.condition = TOYSTORE_IF_MATCH;
    put.match = seen;
    put.match_count = 2;
    assert_int_equal(cluster_call(3, &put)->status, TOYSTORE_OK);
    for (unsigned i = 0; i < 5; i++) {
        const struct toystore_result *result = cluster_get(i, "k");
        assert_true(shows(result, "both"));
        assert_int_equal(result->version_count, 1);
    }
    cluster_stop();
}

/* A publication that finds no majority leaves copies, and one too few; before it is answered the
 * split heals, and the register went on without it. Its copies are siblings by then: it is not told
 * CONFLICT, as if it had not happened. */
static void what_left_copies_is_not_refused(void **state)
{
    (void)state;
    struct side side = five_nodes();
    assert_int_equal(cluster_put(0, "k", "1"), TOYSTORE_OK);
    struct toystore_op first = cluster_get(0, "k")->versions[0].op;
    for (unsigned k = 1; k < 3; k++) {
        for (unsigned i = 0; i < 2; i++)
            cluster_cut(side.fallbacks[i], side.owners[k]);
        cluster_cut(side.owners[0], side.owners[k]);
    }
    cluster_run_ms(3000);
    assert_int_equal(cluster_put(side.owners[1], "k", "majority"), TOYSTORE_OK);
    cluster_pause(side.fallbacks[1]);
    struct toystore_request put = put_request_of("k", "minority");
    put.condition = TOYSTORE_IF_MATCH;
    put.match = &first;
    put.match_count = 1;
    put.w = 3;
    put.deadline_ms = 20000;
    cluster_ask(side.owners[0], &put);
    struct entry entry;
    struct record record;
    for (unsigned ms = 0; ms < 5000; ms += 10) {
        cluster_run_ms(10);
        if (cluster_stored(side.owners[0], "k", &entry, &record) && record.sloppy_count == 1)
            break;
    }
    assert_int_equal(record.sloppy_count, 1);
    cluster_kill(side.fallbacks[0]);
    cluster_heal();
    const struct toystore_result *result = cluster_answer();
    assert_int_equal(result->status, TOYSTORE_OK);
    assert_true(result->sloppy);
    cluster_continue(side.fallbacks[1]);
    cluster_restart(side.fallbacks[0]);
    cluster_run_ms(8000);
    for (unsigned i = 0; i < 5; i++) {
        result = cluster_get(i, "k");
        assert_int_equal(result->version_count, 2);
        assert_true(shows(result, "majority"));
        assert_memory_equal(result->versions[1].value.data, "minority", 8);
    }
    cluster_stop();
}

static void split_and_heal(const struct side *side)
{
    for (unsigned k = 1; k < 3; k++) {
        for (unsigned i = 0; i < 2; i++)
            cluster_cut(side->fallbacks[i], side->owners[k]);
        cluster_cut(side->owners[0], side->owners[k]);
    }
    cluster_run_ms(3000);
    assert_int_equal(cluster_put(side->owners[1], "k", "majority"), TOYSTORE_OK);
    assert_int_equal(cluster_put(side->owners[0], "k", "minority"), TOYSTORE_OK);
    cluster_heal();
    cluster_run_ms(8000);
}

static void both_are_shown(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const struct toystore_result *result = cluster_get(i, "k");
        assert_int_equal(result->version_count, 2);
        assert_true(shows(result, "majority"));
        assert_memory_equal(result->versions[1].value.data, "minority", 8);
    }
}

/* Who put one sibling goes on from the other, as a mount does with the one that stands at the name.
 * Its later put does not stand for the earlier one, which it has not replaced. */
static void a_sibling_stays_when_its_own_writer_goes_on_from_the_other(void **state)
{
    (void)state;
    struct side side = five_nodes();
    assert_int_equal(cluster_put(0, "k", "1"), TOYSTORE_OK);
    split_and_heal(&side);
    const struct toystore_result *result = cluster_get(side.owners[0], "k");
    assert_true(shows(result, "majority"));
    struct toystore_op seen = result->versions[0].op;
    struct toystore_request put = put_request_of("k", "majority and more");
    put.condition = TOYSTORE_IF_MATCH;
    put.match = &seen;
    put.match_count = 1;
    assert_int_equal(cluster_call(side.owners[0], &put)->status, TOYSTORE_OK);
    for (unsigned i = 0; i < 5; i++) {
        result = cluster_get(i, "k");
        assert_int_equal(result->version_count, 2);
        assert_true(shows(result, "majority and more"));
        assert_memory_equal(result->versions[1].value.data, "minority", 8);
    }
    cluster_stop();
}

/* Through moves to newcomers, through kill -9 of each node, and through the loss of power at one
 * after the other, whose owners then take all from the rest. */
static void siblings_outlive_moves_and_crashes(void **state)
{
    (void)state;
    struct side side = five_nodes();
    assert_int_equal(cluster_put(0, "k", "1"), TOYSTORE_OK);
    split_and_heal(&side);
    both_are_shown(5);
    cluster_join();
    unsigned count = cluster_join() + 1;
    both_are_shown(count);
    for (unsigned i = 0; i < count; i++) {
        cluster_kill(i);
        cluster_run_ms(500);
        cluster_restart(i);
        cluster_run_ms(2000);
    }
    both_are_shown(count);
    for (unsigned i = 0; i < count; i++) {
        cluster_kill(i);
        cluster_restart_machine(i);
        cluster_run_ms(4000);
    }
    both_are_shown(count);
    cluster_stop();
}

static const struct toystore_result *put_over(unsigned node, struct toystore_op seen,
                                              const char *value)
{
    static struct toystore_op match;
    match = seen;
    struct toystore_request put = put_request_of("k", value);
    put.condition = TOYSTORE_IF_MATCH;
    put.match = &match;
    put.match_count = 1;
    return cluster_call(node, &put);
}

/* Who names ops and asks for the later one first: the earlier one would be hidden by it at once, so
 * it is not acknowledged as a sloppy put, whether those who answer show the later one or not. */
static void an_op_that_a_later_one_has_overtaken_is_refused(void **state)
{
    (void)state;
    for (unsigned shown = 0; shown < 2; shown++) {
        struct side side = five_nodes();
        unsigned asker = side.fallbacks[0], away = side.owners[shown ? 2 : 0];
        assert_int_equal(cluster_put(asker, "k", "1"), TOYSTORE_OK);
        struct toystore_request earlier = put_request_of("k", "earlier");
        struct toystore_request later = put_request_of("k", "later");
        earlier.op = op_to_public(core_op_new(cluster_core(asker)));
        later.op = op_to_public(core_op_new(cluster_core(asker)));
        cluster_kill(away);
        cluster_run_ms(2000);
        assert_int_equal(cluster_call(asker, &later)->status, TOYSTORE_OK);
        for (unsigned i = 0; i < 3; i++)
            if (side.owners[i] != away && (!shown || i != 0))
                cluster_kill(side.owners[i]);
        if (!shown)
            cluster_restart(away);
        cluster_run_ms(3000);
        assert_int_equal(cluster_call(asker, &earlier)->status, TOYSTORE_RETIRED);
        for (unsigned i = 0; i < 3; i++)
            if (side.owners[i] != (shown ? side.owners[0] : away))
                cluster_restart(side.owners[i]);
        cluster_run_ms(8000);
        for (unsigned i = 0; i < 5; i++) {
            const struct toystore_result *result = cluster_get(i, "k");
            assert_true(shows(result, "later"));
            assert_int_equal(result->version_count, 1);
        }
        cluster_stop();
    }
}

/* One client of the first owner puts through a quorum, another one, which has read what was there
 * before, without one: it is not on a side that shows the first. Both are named in one session. */
static void a_register_of_its_own_session_is_not_replaced_unread(void **state)
{
    (void)state;
    struct side side = five_nodes();
    unsigned asker = side.fallbacks[0];
    assert_int_equal(cluster_put(asker, "k", "1"), TOYSTORE_OK);
    cluster_run_ms(1000);
    struct toystore_op first = cluster_get(asker, "k")->versions[0].op;
    cluster_kill(side.owners[0]);
    cluster_run_ms(2000);
    assert_int_equal(cluster_put(asker, "k", "majority"), TOYSTORE_OK);
    assert_false(cluster_get(asker, "k")->sloppy);
    cluster_kill(side.owners[1]);
    cluster_kill(side.owners[2]);
    cluster_restart(side.owners[0]);
    cluster_run_ms(3000);
    const struct toystore_result *result = put_over(asker, first, "minority");
    assert_int_equal(result->status, TOYSTORE_OK);
    assert_true(result->sloppy);
    cluster_restart(side.owners[1]);
    cluster_restart(side.owners[2]);
    cluster_run_ms(8000);
    both_are_shown(5);
    cluster_stop();
}

/* All six nodes by rank for "k". */
static void six_by_rank(unsigned ret_nodes[6])
{
    node_id ranked[6];
    cluster_start(6);
    const struct core *core = cluster_core(0);
    uint32_t partition = view_partition_of(core, slice_str("k"));
    assert_int_equal(layout_rank(view_newest(core), partition, ranked, 6), 6);
    for (unsigned rank = 0; rank < 6; rank++)
        for (unsigned node = 0; node < 6; node++)
            if (cluster_id(node) == ranked[rank])
                ret_nodes[rank] = node;
}

enum { ASKER = 5 }; /* by rank: neither owner nor fallback of what is put */

/* The last in rank puts 1, then 1 2 sloppily at the first owner and two fallbacks; then all of
 * these die, and two owners that know nothing of it are back. Returns what was put first. */
static struct toystore_op unseen_by_the_majority(const unsigned nodes[6])
{
    unsigned asker = nodes[ASKER];
    assert_int_equal(cluster_put(asker, "k", "1"), TOYSTORE_OK);
    struct toystore_op first = cluster_get(asker, "k")->versions[0].op;
    cluster_run_ms(1000);
    cluster_kill(nodes[1]);
    cluster_kill(nodes[2]);
    const struct toystore_result *result = put_over(asker, first, "1 2");
    assert_int_equal(result->status, TOYSTORE_OK);
    assert_true(result->sloppy);
    cluster_kill(nodes[0]);
    cluster_kill(nodes[3]);
    cluster_kill(nodes[4]);
    cluster_restart(nodes[1]);
    cluster_restart(nodes[2]);
    cluster_run_ms(3000);
    return first;
}

static void all_see(const unsigned nodes[6], const char *value)
{
    cluster_restart(nodes[0]);
    cluster_restart(nodes[3]);
    cluster_restart(nodes[4]);
    cluster_run_ms(10000);
    for (unsigned i = 0; i < 6; i++) {
        const struct toystore_result *result = cluster_get(nodes[i], "k");
        assert_true(shows(result, value));
        assert_int_equal(result->version_count, 1);
    }
}

/* Its asker goes on from it: else its next put, which stands for all earlier ones of its session,
 * would replace what it had not read. */
static void its_asker_reads_a_sloppy_put_that_no_owner_shows(void **state)
{
    (void)state;
    unsigned nodes[6];
    six_by_rank(nodes);
    unseen_by_the_majority(nodes);
    const struct toystore_result *result = cluster_get(nodes[ASKER], "k");
    assert_true(shows(result, "1 2"));
    assert_int_equal(put_over(nodes[ASKER], result->versions[0].op, "1 2 3")->status, TOYSTORE_OK);
    all_see(nodes, "1 2 3");
    cluster_stop();
}

static void a_put_over_what_its_session_has_replaced_is_refused(void **state)
{
    (void)state;
    unsigned nodes[6];
    six_by_rank(nodes);
    struct toystore_op first = unseen_by_the_majority(nodes);
    assert_int_equal(put_over(nodes[ASKER], first, "1 3")->status, TOYSTORE_CONFLICT);
    all_see(nodes, "1 2");
    cluster_stop();
}

/* A change of times alone is made of what stands there. */
static void a_touch_keeps_what_its_session_has_put(void **state)
{
    (void)state;
    unsigned nodes[6];
    six_by_rank(nodes);
    unseen_by_the_majority(nodes);
    struct toystore_request touch = {.type = TOYSTORE_PUT,
                                     .key = bytes_text("k"),
                                     .change = TOYSTORE_TOUCH,
                                     .attributes = {.mtime_ns = INT64_MAX}};
    assert_int_equal(cluster_call(nodes[ASKER], &touch)->status, TOYSTORE_OK);
    all_see(nodes, "1 2");
    cluster_stop();
}

/* Brought to the owners without anybody asking. */
static void the_asker_spreads_it_by_itself(void **state)
{
    (void)state;
    unsigned nodes[6];
    six_by_rank(nodes);
    unseen_by_the_majority(nodes);
    cluster_run_ms(5000);
    const struct toystore_result *result = cluster_get(nodes[1], "k");
    assert_true(shows(result, "1 2"));
    cluster_stop();
}

/* A client slept while what it had put sloppily was delivered, deleted and collected: it does not
 * bring it back. */
static void a_sloppy_put_that_was_collected_stays_away(void **state)
{
    (void)state;
    struct entry entry;
    struct record record;
    struct side side = five_nodes();
    unsigned client = cluster_join_client();
    for (unsigned i = 0; i < 5; i++)
        cluster_core(i)->config.collect_min = 1;
    cluster_kill(side.owners[1]);
    cluster_kill(side.owners[2]);
    assert_int_equal(cluster_put(client, "k", "sloppy"), TOYSTORE_OK);
    cluster_pause(client);
    cluster_restart(side.owners[1]);
    cluster_restart(side.owners[2]);
    cluster_core(side.owners[1])->config.collect_min = 1;
    cluster_core(side.owners[2])->config.collect_min = 1;
    cluster_run_ms(3000);
    assert_true(shows(cluster_get(side.fallbacks[0], "k"), "sloppy"));
    struct toystore_request delete = {
        .type = TOYSTORE_PUT, .key = bytes_text("k"), .change = TOYSTORE_DELETE};
    const struct toystore_result *result = cluster_get(side.fallbacks[0], "k");
    struct toystore_op seen = result->versions[0].op;
    delete.condition = TOYSTORE_IF_MATCH;
    delete.match = &seen;
    delete.match_count = 1;
    assert_int_equal(cluster_call(side.fallbacks[0], &delete)->status, TOYSTORE_OK);
    for (unsigned ms = 0; cluster_stored(side.owners[0], "k", &entry, &record); ms += 100) {
        assert_true(ms < 20000);
        cluster_run_ms(100);
    }
    cluster_continue(client);
    assert_int_equal(cluster_get(client, "k")->status, TOYSTORE_NOT_FOUND);
    cluster_run_ms(3000);
    for (unsigned i = 0; i < 3; i++)
        assert_false(cluster_stored(side.owners[i], "k", &entry, &record));
    assert_int_equal(cluster_get(client, "k")->status, TOYSTORE_NOT_FOUND);
    cluster_stop();
}

/* One owner has accepted it when its asker falls asleep; somebody reads it there, and replaces it.
 * When the asker goes on it must not replace that in turn, which it has caused. */
static void a_put_that_was_read_does_not_replace_who_read_it(void **state)
{
    (void)state;
    struct side side = five_nodes();
    struct toystore_request put = put_request_of("k", "first");
    cluster_lose(METHOD_PUT, true);
    cluster_ask(side.fallbacks[0], &put);
    cluster_run_ms(50);
    cluster_pause(side.fallbacks[0]);
    cluster_kill(side.owners[1]);
    cluster_kill(side.owners[2]);
    cluster_lose(METHOD_PUT, false);
    const struct toystore_result *result = cluster_get(side.fallbacks[1], "k");
    assert_true(result->sloppy);
    assert_true(shows(result, "first"));
    struct toystore_op first = result->versions[0].op;
    struct toystore_request second = put_request_of("k", "second");
    second.condition = TOYSTORE_IF_MATCH;
    second.match = &first;
    second.match_count = 1;
    assert_int_equal(cluster_call(side.fallbacks[1], &second)->status, TOYSTORE_OK);
    cluster_answer_drop();
    cluster_continue(side.fallbacks[0]);
    cluster_run_ms(8000);
    cluster_restart(side.owners[1]);
    cluster_restart(side.owners[2]);
    cluster_run_ms(8000);
    result = cluster_get(side.owners[1], "k");
    assert_int_equal(result->version_count, 1);
    assert_true(shows(result, "second"));
    cluster_stop();
}

/* All owners of the key are dead: others stand in for them, and give it to them when they are back.
 */
static void a_put_without_any_owner_goes_to_fallbacks(void **state)
{
    unsigned owners[CLUSTER_MAX], asker = 0;
    (void)state;
    cluster_start(6);
    unsigned count = cluster_owners("k", owners);
    assert_int_equal(count, 3);
    assert_int_equal(cluster_put(owners[0], "k", "old"), TOYSTORE_OK);
    while (asker == owners[0] || asker == owners[1] || asker == owners[2])
        asker++;
    for (unsigned i = 0; i < count; i++)
        cluster_kill(owners[i]);
    struct toystore_request put = put_request_of("k", "new");
    const struct toystore_result *result = cluster_call(asker, &put);
    assert_int_equal(result->status, TOYSTORE_OK);
    assert_true(result->sloppy);
    put.strict = 1;
    put.value = bytes_text("strict");
    assert_int_equal(cluster_call(asker, &put)->status, TOYSTORE_NOT_APPLIED);
    assert_true(shows(cluster_get(asker, "k"), "new"));
    for (unsigned i = 0; i < count; i++)
        cluster_restart(owners[i]);
    cluster_run_ms(5000);
    result = cluster_get(owners[0], "k");
    assert_int_equal(result->version_count, 2); /* its writer has not seen the other */
    struct toystore_request whole = put_request_of("k", "both");
    struct toystore_op match[2] = {result->versions[0].op, result->versions[1].op};
    whole.condition = TOYSTORE_IF_MATCH;
    whole.match = match;
    whole.match_count = 2;
    assert_int_equal(cluster_call(owners[1], &whole)->status, TOYSTORE_OK);
    assert_true(shows(cluster_get(asker, "k"), "both"));
    cluster_stop();
}

/* The key was collected, of which a client is not told, and then all its owners died. */
static unsigned collected_and_without_owners(unsigned *ret_other)
{
    unsigned owners[CLUSTER_MAX], other = 0;
    cluster_start(6);
    unsigned client = cluster_join_client();
    struct toystore_request delete = {
        .type = TOYSTORE_PUT, .key = bytes_text("k"), .change = TOYSTORE_DELETE};
    assert_int_equal(cluster_put(client, "k", "old"), TOYSTORE_OK);
    assert_int_equal(cluster_call(client, &delete)->status, TOYSTORE_OK);
    assert_int_equal(cluster_owners("k", owners), 3);
    uint32_t partition = view_partition_of(cluster_core(client), slice_str("k"));
    for (unsigned node = 0; node < 6; node++)
        cluster_core(node)->config.collect_min = 1;
    const struct core *owner = cluster_core(owners[2]);
    for (unsigned ms = 0; view_of(owner, partition).collected.layout == 0; ms += 10) {
        assert_true(ms < 20000);
        cluster_run_ms(10);
    }
    assert_true(view_of(cluster_core(client), partition).epoch < view_of(owner, partition).epoch);
    while (other == owners[0] || other == owners[1] || other == owners[2])
        other++;
    for (unsigned i = 0; i < 3; i++) {
        node_id id = cluster_id(owners[i]);
        cluster_kill(owners[i]);
        for (unsigned ms = 0; rpc_reachable(cluster_core(client), id); ms += 10) {
            assert_true(ms < 20000);
            cluster_run_ms(10);
        }
    }
    *ret_other = other;
    return client;
}

static void a_put_learns_the_epoch_from_who_stands_in(void **state)
{
    unsigned other, client = collected_and_without_owners(&other);
    (void)state;
    struct toystore_request put = put_request_of("k", "new");
    const struct toystore_result *result = cluster_call(client, &put);
    assert_int_equal(result->status, TOYSTORE_OK);
    assert_true(result->sloppy);
    assert_true(shows(cluster_get(client, "k"), "new"));
    assert_true(shows(cluster_get(other, "k"), "new"));
    cluster_stop();
}

static void a_get_learns_the_epoch_from_who_stands_in(void **state)
{
    unsigned other, client = collected_and_without_owners(&other);
    (void)state;
    assert_int_equal(cluster_put(other, "k", "new"), TOYSTORE_OK);
    assert_true(shows(cluster_get(client, "k"), "new"));
    cluster_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_owners_dead_still_takes_puts),
        cmocka_unit_test(an_exclusive_put_is_never_sloppy),
        cmocka_unit_test(a_directory_that_cannot_be_made_is_named),
        cmocka_unit_test(a_split_heals_into_siblings),
        cmocka_unit_test(a_sibling_stays_when_its_own_writer_goes_on_from_the_other),
        cmocka_unit_test(an_op_that_a_later_one_has_overtaken_is_refused),
        cmocka_unit_test(a_register_of_its_own_session_is_not_replaced_unread),
        cmocka_unit_test(siblings_outlive_moves_and_crashes),
        cmocka_unit_test(what_left_copies_is_not_refused),
        cmocka_unit_test(its_asker_reads_a_sloppy_put_that_no_owner_shows),
        cmocka_unit_test(a_put_over_what_its_session_has_replaced_is_refused),
        cmocka_unit_test(a_touch_keeps_what_its_session_has_put),
        cmocka_unit_test(the_asker_spreads_it_by_itself),
        cmocka_unit_test(a_sloppy_put_that_was_collected_stays_away),
        cmocka_unit_test(a_put_that_was_read_does_not_replace_who_read_it),
        cmocka_unit_test(a_put_without_any_owner_goes_to_fallbacks),
        cmocka_unit_test(a_put_learns_the_epoch_from_who_stands_in),
        cmocka_unit_test(a_get_learns_the_epoch_from_who_stands_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
