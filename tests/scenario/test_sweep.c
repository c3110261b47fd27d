/* Chunks of a retired session that no version of their file names leave the disks; all others stay.
 * What a session left is swept 300 probe intervals after everybody has noted it: 30 s.
 */
#include "cluster.h"

#include <stdio.h>

#include "../file_bytes.h"
#include "rules/key.h"
#include "core/retire/retire_priv.h"

enum { RETIRED_MS = 9000, SWEPT_MS = 36000 };

static unsigned client;
static struct op_id file;

struct part {
    char key[200];
    struct op_id op;
};

static struct part part_of(const char *room, const struct op_id *of, struct op_id op)
{
    struct part part = {.op = op};
    char file_text[OP_TEXT_SIZE + 1], text[OP_TEXT_SIZE + 1];
    op_text(file_text, of);
    op_text(text, &op);
    snprintf(part.key, sizeof part.key, "%s%s/%.24s-%s", room, file_text, text, text + 24);
    return part;
}

static struct part store_part(unsigned node, const char *room, const struct op_id *of,
                              struct slice value)
{
    struct part part = part_of(room, of, core_op_new(cluster_core(node)));
    struct toystore_request store = {.type = TOYSTORE_STORE,
                                     .key = bytes_text(part.key),
                                     .kind = TOYSTORE_INTERNAL,
                                     .value = {value.data, value.size}};
    assert_int_equal(cluster_call(node, &store)->status, TOYSTORE_OK);
    return part;
}

static struct part store_chunk(unsigned node, const struct op_id *of)
{
    return store_part(node, KEY_CHUNKS, of, slice_str("ten bytes."));
}

/* ---- file records ---- */

static void put_extent(struct buf *out, const struct op_id *chunk)
{
    file_put_extent(out, 0, chunk, slice_str("ten bytes."));
}

static struct toystore_request record_put(struct buf *bytes, char key[100],
                                          const struct op_id *chunk, const struct op_id *page)
{
    char text[OP_TEXT_SIZE + 1];
    op_text(text, &file);
    snprintf(key, 100, "%s%s", KEY_FILES, text);
    file_put_head(bytes, chunk != NULL, page != NULL);
    if (chunk)
        put_extent(bytes, chunk);
    if (page)
        file_put_page(bytes, page, 1);
    return (struct toystore_request){.type = TOYSTORE_PUT,
                                     .key = bytes_text(key),
                                     .kind = TOYSTORE_INTERNAL,
                                     .value = {bytes->blob->data, bytes->size}};
}

static void put_record(unsigned node, const struct op_id *chunk, const struct op_id *page)
{
    struct buf bytes = {0};
    char key[100];
    struct toystore_request put = record_put(&bytes, key, chunk, page);
    assert_int_equal(cluster_call(node, &put)->status, TOYSTORE_OK);
    buf_free(&bytes);
}

static void remove_record(unsigned node)
{
    char key[100], text[OP_TEXT_SIZE + 1];
    op_text(text, &file);
    snprintf(key, sizeof key, "%s%s", KEY_FILES, text);
    struct toystore_request remove = {
        .type = TOYSTORE_PUT, .key = bytes_text(key), .change = TOYSTORE_DELETE};
    assert_int_equal(cluster_call(node, &remove)->status, TOYSTORE_OK);
}

/* ---- */

static bool is_there(const struct part *part)
{
    struct toystore_request fetch = {
        .type = TOYSTORE_FETCH, .key = bytes_text(part->key), .deadline_ms = 1000};
    return cluster_call(0, &fetch)->status == TOYSTORE_OK;
}

static void start(unsigned count)
{
    cluster_start(count);
    client = cluster_join_client();
    file = core_op_new(cluster_core(client));
}

static void what_no_version_names_goes(void **state)
{
    (void)state;
    start(3);
    struct op_id other = core_op_new(cluster_core(client));
    struct part named = store_chunk(client, &file), in_page = store_chunk(client, &file);
    struct part overwritten = store_chunk(client, &file);
    struct part never = store_chunk(client, &other);
    struct part of_the_living = store_chunk(0, &other);
    struct buf rows = {0};
    put_extent(&rows, &in_page.op);
    struct part page = store_part(client, KEY_PAGES, &file, buf_slice(&rows));
    struct part old_page = store_part(client, KEY_PAGES, &file, buf_slice(&rows));
    buf_free(&rows);
    put_record(client, &named.op, &page.op);
    cluster_kill(client);
    cluster_run_ms(RETIRED_MS);
    assert_true(is_there(&overwritten));
    cluster_run_ms(SWEPT_MS);
    assert_false(is_there(&overwritten));
    assert_false(is_there(&old_page));
    assert_false(is_there(&never));
    assert_true(is_there(&named));
    assert_true(is_there(&in_page));
    assert_true(is_there(&page));
    assert_true(is_there(&of_the_living));
    uint64_t deleted = 0;
    for (unsigned node = 0; node < 3; node++)
        deleted += cluster_core(node)->retire->sweep.deleted;
    assert_int_equal(deleted, 3);
    cluster_stop();
}

/* It may have accepted what nobody else knows: nothing goes before it is back. */
static void a_silent_member_blocks_it(void **state)
{
    (void)state;
    start(3);
    struct part chunk = store_chunk(client, &file);
    cluster_run_ms(500);
    cluster_kill(2);
    cluster_end(client);
    cluster_run_ms(2 * SWEPT_MS);
    assert_true(is_there(&chunk));
    cluster_restart(2);
    cluster_run_ms(SWEPT_MS + 8000);
    assert_false(is_there(&chunk));
    cluster_stop();
}

/* Owners do not find out what the others have. */
static void lose_mending(bool lost)
{
    cluster_lose_comparing(lost);
    cluster_lose(METHOD_TRANSFER, lost);
    cluster_lose(METHOD_PREPARE, lost);
    cluster_lose(METHOD_HINT_PUT, lost);
}

/* And so it was: the record that names it had been accepted by the owner that was away, since
 * before it could note the retirement, or after. */
static bool what_an_absent_owner_has_accepted_is_there(bool noted)
{
    unsigned owners[CLUSTER_MAX], sweepers[CLUSTER_MAX];
    struct buf bytes = {0};
    char key[100];
    start(3);
    struct part other = store_chunk(client, &file), chunk;
    struct toystore_request put;
    do { /* until one of the others would sweep it */
        chunk = store_chunk(client, &file);
        buf_free(&bytes);
        bytes = (struct buf){0};
        put = record_put(&bytes, key, &chunk.op, NULL);
        cluster_owners(key, owners);
        cluster_owners(chunk.key, sweepers);
    } while (sweepers[0] == owners[0]);
    cluster_lose(METHOD_PUT, true);
    lose_mending(true);
    cluster_ask(client, &put);
    cluster_run_ms(noted ? 6000 : 50);
    cluster_kill(client);
    if (noted) {
        cluster_lose(METHOD_PUT, false);
        cluster_run_ms(RETIRED_MS);
        assert_int_equal(retire_complete(cluster_core(owners[0])), 1);
    }
    cluster_kill(owners[0]);
    cluster_lose(METHOD_PUT, false);
    lose_mending(false);
    cluster_run_ms(RETIRED_MS + SWEPT_MS);
    cluster_restart(owners[0]);
    cluster_run_ms(SWEPT_MS + 8000);
    struct toystore_request get = {.type = TOYSTORE_GET, .key = bytes_text(key)};
    assert_int_equal(cluster_call(owners[1], &get)->status, TOYSTORE_OK);
    bool there = is_there(&chunk);
    assert_false(is_there(&other));
    buf_free(&bytes);
    cluster_stop();
    return there;
}

static void what_an_absent_owner_has_accepted_counts(void **state)
{
    (void)state;
    assert_true(what_an_absent_owner_has_accepted_is_there(false));
    assert_true(what_an_absent_owner_has_accepted_is_there(true));
}

#ifdef TOYSTORE_BREAKABLE
static void a_sweep_that_asks_only_who_answers_loses_it(void **state)
{
    (void)state;
    cluster_break(1 + BROKEN_sweep_unasked);
    assert_false(what_an_absent_owner_has_accepted_is_there(true));
    cluster_break(0);
}
#endif

/* The client wakes up before the sweep, under another session: what it stores anew stays. What it
 * has of the old one goes once it has ended: it may have that open. */
static void who_wakes_up_in_time_loses_nothing(void **state)
{
    (void)state;
    start(3);
    struct part old = store_chunk(client, &file);
    cluster_pause(client);
    cluster_run_ms(RETIRED_MS);
    cluster_continue(client);
    cluster_run_ms(2000);
    struct part anew = store_chunk(client, &file);
    put_record(client, &anew.op, NULL);
    cluster_run_ms(SWEPT_MS);
    assert_true(is_there(&old));
    assert_true(is_there(&anew));
    cluster_end(client);
    cluster_run_ms(RETIRED_MS + 3 * SWEPT_MS);
    assert_false(is_there(&old));
    assert_true(is_there(&anew));
    cluster_stop();
}

/* A client removes a file that another one had written, which has ended, and may have it open
 * still: its chunks are its own to free. Once it has ended too, a repair finds them. */
static void what_the_living_have_removed_stays(void **state)
{
    (void)state;
    start(3);
    unsigned other = cluster_join_client();
    struct part chunk = store_chunk(client, &file);
    put_record(client, &chunk.op, NULL);
    cluster_end(client);
    cluster_run_ms(SWEPT_MS);
    remove_record(other);
    for (unsigned node = 0; node < 3; node++)
        retire_sweep_again(cluster_core(node));
    cluster_run_ms(SWEPT_MS);
    assert_true(is_there(&chunk));
    cluster_end(other);
    cluster_run_ms(RETIRED_MS + 3 * SWEPT_MS);
    for (unsigned node = 0; node < 3; node++)
        retire_sweep_again(cluster_core(node));
    cluster_run_ms(SWEPT_MS);
    assert_false(is_there(&chunk));
    cluster_stop();
}

/* Done once, it is not done again after a restart. */
static void it_is_remembered(void **state)
{
    (void)state;
    start(2);
    struct session session = core_session(cluster_core(client));
    store_chunk(client, &file);
    cluster_end(client);
    cluster_run_ms(SWEPT_MS);
    for (unsigned node = 0; node < 2; node++) {
        assert_true(cluster_core(node)->retire->swept[0]);
        cluster_kill(node);
        cluster_restart(node);
        cluster_run_ms(2000);
        assert_true(retire_noted(cluster_core(node), &session));
        assert_true(cluster_core(node)->retire->swept[0]);
    }
    cluster_stop();
}

/* A storing member that is killed, as a mount with a store of its own may be: when it is back, it
 * retires the session that its earlier process has stored under. What had been published stays. */
static void a_storing_member_sweeps_what_it_left_itself(void **state)
{
    (void)state;
    for (unsigned count = 1; count <= 3; count += 2) {
        cluster_start(count);
        file = core_op_new(cluster_core(0));
        struct session session = core_session(cluster_core(0));
        struct part lost = store_chunk(0, &file), kept = store_chunk(0, &file);
        put_record(0, &kept.op, NULL);
        cluster_kill(0);
        cluster_restart(0);
        cluster_run_ms(2000);
        assert_true(retire_noted(cluster_core(0), &session));
        assert_true(is_there(&lost));
        cluster_run_ms(SWEPT_MS);
        assert_false(is_there(&lost));
        assert_true(is_there(&kept));
        /* Nothing was stored since: nothing is retired for that. */
        size_t retired = retire_count(cluster_core(0));
        cluster_kill(0);
        cluster_restart(0);
        cluster_run_ms(SWEPT_MS);
        assert_int_equal(retire_count(cluster_core(0)), retired);
        assert_true(is_there(&kept));
        cluster_stop();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_no_version_names_goes),
        cmocka_unit_test(a_silent_member_blocks_it),
        cmocka_unit_test(what_an_absent_owner_has_accepted_counts),
#ifdef TOYSTORE_BREAKABLE
        cmocka_unit_test(a_sweep_that_asks_only_who_answers_loses_it),
#endif
        cmocka_unit_test(who_wakes_up_in_time_loses_nothing),
        cmocka_unit_test(what_the_living_have_removed_stays),
        cmocka_unit_test(it_is_remembered),
        cmocka_unit_test(a_storing_member_sweeps_what_it_left_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
