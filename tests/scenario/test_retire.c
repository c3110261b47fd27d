/* Sessions of clients that have ended are retired, and what comes late in their name is refused
 * (PROTOCOL 8 Retiring). Sixty probe intervals are 6 s here. */
#include "cluster.h"

#include "keys.h"

enum { DEAD_MS = 8000 }; /* until a silent client has been dead for long enough */

static unsigned client;
static struct session old_session;

static void start(unsigned count)
{
    cluster_start(count);
    client = cluster_join_client();
    old_session = core_session(cluster_core(client));
    assert_int_equal(cluster_put(client, "k", "1"), TOYSTORE_OK);
}

static unsigned noted(unsigned count)
{
    unsigned nodes = 0;
    for (unsigned i = 0; i < count; i++)
        nodes += cluster_core(i) && retire_noted(cluster_core(i), &old_session);
    return nodes;
}

static unsigned in_force(unsigned count)
{
    unsigned nodes = 0;
    for (unsigned i = 0; i < count; i++)
        nodes += cluster_core(i) && retire_in_force(cluster_core(i), &old_session);
    return nodes;
}

static bool same_session(const struct toystore_op *op, const struct session *session)
{
    return memcmp(op->session, session->bytes, SESSION_SIZE) == 0;
}

/* An op of the old session, as a node that was left behind with it would ask for it. */
static const struct toystore_result *put_late(unsigned node, uint64_t sequence, const char *value)
{
    struct toystore_request put = put_request_of("k", value);
    put.op = op_to_public((struct op_id){old_session, sequence});
    put.deadline_ms = 1000;
    return cluster_call(node, &put);
}

static bool report_says(unsigned node, const char *what, const char *words)
{
    struct buf out = {0};
    core_report(cluster_core(node), slice_str(what), slice_of(NULL, 0), &out);
    buf_append(&out, "", 1);
    bool found = strstr((const char *)out.blob->data, words) != NULL;
    buf_free(&out);
    return found;
}

static void who_leaves_is_retired_at_once(void **state)
{
    (void)state;
    start(3);
    assert_true(put_late(0, 1000, "of the living")->status == TOYSTORE_OK);
    cluster_end(client);
    cluster_run_ms(2000);
    assert_int_equal(noted(3), 3);
    assert_int_equal(in_force(3), 3);
    assert_true(report_says(1, "status", "\"sessions_retired\": 1"));
    assert_true(report_says(1, "metrics", "\"sessions_retiring\": 0"));
    cluster_stop();
}

static void the_dead_are_retired_after_a_while(void **state)
{
    (void)state;
    start(3);
    cluster_kill(client);
    cluster_run_ms(4000);
    assert_int_equal(noted(3), 0);
    cluster_run_ms(DEAD_MS - 4000);
    assert_int_equal(in_force(3), 3);
    cluster_stop();
}

/* The first in rank of the session's key dies with the client: the next one does it. */
static void another_member_takes_over(void **state)
{
    unsigned owners[CLUSTER_MAX];
    char key[60] = ".toystore/sessions/";
    (void)state;
    start(3);
    for (unsigned i = 0; i < SESSION_SIZE; i++)
        snprintf(key + strlen(key), 3, "%02x", old_session.bytes[i]);
    cluster_owners(key, owners);
    cluster_kill(client);
    cluster_run_ms(5900);
    cluster_kill(owners[0]);
    cluster_run_ms(DEAD_MS);
    assert_int_equal(in_force(3), 2);
    cluster_restart(owners[0]);
    cluster_run_ms(1000);
    assert_int_equal(noted(3), 3);
    cluster_stop();
}

static void what_comes_late_is_refused(void **state)
{
    (void)state;
    start(3);
    cluster_end(client);
    cluster_run_ms(2000);
    for (unsigned node = 0; node < 3; node++) {
        enum toystore_status status = put_late(node, 1000 + node, "late")->status;
        assert_true(status == TOYSTORE_INDETERMINATE || status == TOYSTORE_RETIRED);
    }
    cluster_run_ms(6000);
    for (unsigned node = 0; node < 3; node++)
        assert_true(shows(cluster_get(node, "k"), "1"));
    cluster_stop();
}

/* Two of the owners are away: nor as a sloppy put. */
static void nor_does_it_become_a_sloppy_put(void **state)
{
    unsigned owners[CLUSTER_MAX], asker = 0;
    (void)state;
    start(5);
    cluster_owners("k", owners);
    cluster_end(client);
    cluster_run_ms(2000);
    assert_int_equal(noted(5), 5);
    while (asker == owners[0] || asker == owners[1])
        asker++;
    cluster_kill(owners[0]);
    cluster_kill(owners[1]);
    assert_int_not_equal(put_late(asker, 1000, "late")->status, TOYSTORE_OK);
    struct toystore_request put = put_request_of("k", "2");
    assert_int_equal(cluster_call(asker, &put)->status, TOYSTORE_OK);
    cluster_restart(owners[0]);
    cluster_restart(owners[1]);
    cluster_run_ms(5000);
    const struct toystore_result *result = cluster_get(asker, "k");
    assert_true(shows(result, "2"));
    for (size_t i = 0; i < result->version_count; i++)
        assert_false(same_session(&result->versions[i].op, &old_session));
    cluster_stop();
}

/* It slept for so long that it was retired: its next put has another session, and all is well. */
static void who_wakes_up_retired_goes_on(void **state)
{
    (void)state;
    start(3);
    cluster_pause(client);
    cluster_run_ms(DEAD_MS);
    assert_int_equal(in_force(3), 3);
    cluster_continue(client);
    assert_int_equal(cluster_put(client, "k", "2"), TOYSTORE_OK);
    const struct toystore_result *result = cluster_get(0, "k");
    assert_true(shows(result, "2"));
    assert_false(same_session(&result->versions[0].op, &old_session));
    struct session now = core_session(cluster_core(client));
    assert_int_not_equal(session_compare(&now, &old_session), 0);
    cluster_run_ms(3000);
    assert_false(retire_noted(cluster_core(0), &now));
    cluster_stop();
}

/* Before it asks for anything. */
static void who_wakes_up_is_told(void **state)
{
    (void)state;
    start(3);
    cluster_pause(client);
    cluster_run_ms(DEAD_MS);
    cluster_continue(client);
    cluster_run_ms(2000);
    struct session now = core_session(cluster_core(client));
    assert_int_not_equal(session_compare(&now, &old_session), 0);
    cluster_stop();
}

/* Cut off with a put on its way: it is begun anew in the new session, once. */
static void a_put_under_way_goes_on_in_the_new_session(void **state)
{
    (void)state;
    start(3);
    for (unsigned i = 0; i < 3; i++)
        cluster_cut(client, i);
    cluster_run_ms(500); /* it knows that nobody is there: the put is not sent, so not in doubt */
    struct toystore_request put = put_request_of("k", "2");
    put.deadline_ms = 20000;
    cluster_ask(client, &put);
    cluster_run_ms(DEAD_MS);
    assert_int_equal(in_force(3), 3);
    cluster_heal();
    const struct toystore_result *result = cluster_answer();
    assert_int_equal(result->status, TOYSTORE_OK);
    assert_false(same_session(&result->op, &old_session));
    assert_true(shows(cluster_get(1, "k"), "2"));
    cluster_stop();
}

/* What was tied to the session is not: its caller has named other things under it. */
static void a_put_that_is_tied_to_its_session_is_refused(void **state)
{
    (void)state;
    start(3);
    cluster_pause(client);
    cluster_run_ms(DEAD_MS);
    cluster_continue(client);
    struct toystore_request put = put_request_of("k", "2");
    put.op = op_to_public((struct op_id){old_session, 0});
    assert_int_equal(cluster_call(client, &put)->status, TOYSTORE_RETIRED);
    assert_int_equal(cluster_call(client, &put)->status, TOYSTORE_RETIRED);
    put.op = op_to_public((struct op_id){core_session(cluster_core(client)), 0});
    assert_int_equal(cluster_call(client, &put)->status, TOYSTORE_OK);
    cluster_stop();
}

/* Whoever comes into the layout has learned it before it answers for what it takes. */
static void a_newcomer_learns_it_with_its_partitions(void **state)
{
    (void)state;
    start(3);
    put_all(0);
    cluster_end(client);
    cluster_run_ms(2000);
    unsigned newcomer = cluster_join();
    assert_true(retire_noted(cluster_core(newcomer), &old_session));
    cluster_run_ms(2000);
    assert_true(retire_in_force(cluster_core(newcomer), &old_session));
    check_all(newcomer);
    cluster_stop();
}

/* An owner is away when it happens: in force without it, since two owners meet every quorum; it
 * learns when it is back, and does not forget. */
static void it_is_kept_over_restarts(void **state)
{
    (void)state;
    start(3);
    cluster_kill(2);
    cluster_end(client);
    cluster_run_ms(3000);
    assert_int_equal(in_force(2), 2);
    cluster_restart(2);
    cluster_run_ms(2000);
    assert_int_equal(in_force(3), 3);
    for (unsigned i = 0; i < 3; i++) {
        cluster_kill(i);
        cluster_restart_machine(i);
        cluster_run_ms(3000);
        assert_int_equal(noted(3), 3);
    }
    assert_int_equal(in_force(3), 3);
    cluster_stop();
}

/* Two of three are away: nothing is decided, and nothing counts as in force. */
static void it_needs_a_majority(void **state)
{
    (void)state;
    start(3);
    cluster_kill(1);
    cluster_kill(2);
    cluster_kill(client);
    cluster_run_ms(3 * DEAD_MS);
    assert_int_equal(in_force(1), 0);
    assert_true(report_says(0, "status", "\"sessions_retiring\": 1"));
    cluster_restart(1);
    cluster_run_ms(DEAD_MS);
    assert_int_equal(in_force(2), 2);
    cluster_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_leaves_is_retired_at_once),
        cmocka_unit_test(the_dead_are_retired_after_a_while),
        cmocka_unit_test(another_member_takes_over),
        cmocka_unit_test(what_comes_late_is_refused),
        cmocka_unit_test(nor_does_it_become_a_sloppy_put),
        cmocka_unit_test(who_wakes_up_retired_goes_on),
        cmocka_unit_test(who_wakes_up_is_told),
        cmocka_unit_test(a_put_under_way_goes_on_in_the_new_session),
        cmocka_unit_test(a_put_that_is_tied_to_its_session_is_refused),
        cmocka_unit_test(a_newcomer_learns_it_with_its_partitions),
        cmocka_unit_test(it_is_kept_over_restarts),
        cmocka_unit_test(it_needs_a_majority),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
