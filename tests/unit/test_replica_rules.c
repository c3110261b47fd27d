/* PROTOCOL 3, row by row: what prepare, accept, store and settled do to a key's entry. */
#include "core/replica/replica_priv.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct replica_work work;
static const struct ballot none;
static struct sloppy siblings[2];

static struct ballot ballot(uint64_t counter, uint64_t turn)
{
    return (struct ballot){{1, 0}, counter, 7, turn};
}

static struct op_id op(uint8_t session, uint64_t sequence)
{
    return (struct op_id){{{session}}, sequence};
}

static struct version version(struct op_id id)
{
    struct version made = {.op = id, .kind = TOYSTORE_FILE, .value = slice_str("v")};
    made.checksum = version_checksum(&made);
    return made;
}

static struct record with_register(uint64_t counter, uint64_t turn)
{
    struct record record = {.has_register = true};
    record.reg.ballot = ballot(counter, turn);
    record.reg.version = version(op(1, counter * 100 + turn));
    return record;
}

static struct record with_sloppy(uint8_t session)
{
    siblings[0] = (struct sloppy){.version = version(op(session, 1))};
    return (struct record){.sloppy = siblings, .sloppy_count = 1};
}

static int setup(void **state)
{
    (void)state;
    memset(&work, 0, sizeof work);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&work.arena);
    return 0;
}

static void stored(uint64_t counter, uint64_t turn)
{
    work.record = with_register(counter, turn);
    work.entry.promised = work.record.reg.ballot;
}

static void assert_ballot(struct ballot is, struct ballot wanted)
{
    assert_int_equal(ballot_compare(&is, &wanted), 0);
}

static void test_prepare_promises_what_is_above(void **state)
{
    (void)state;
    struct ballot asked = ballot(5, 0);
    assert_int_equal(replica_prepare(&work, &none, &asked), TOYSTORE_OK);
    assert_true(work.write);
    assert_ballot(work.entry.promised, asked);
}

static void test_prepare_refuses_what_is_not(void **state)
{
    (void)state;
    stored(5, 0);
    struct ballot same = ballot(5, 0), lower = ballot(4, 9);
    assert_int_equal(replica_prepare(&work, &none, &same), TOYSTORE_NACK);
    assert_int_equal(replica_prepare(&work, &none, &lower), TOYSTORE_NACK);
    assert_false(work.write);
}

static void test_prepare_heeds_the_partitions_promise(void **state)
{
    (void)state;
    struct ballot partition = ballot(6, 0), asked = ballot(6, 0);
    assert_int_equal(replica_prepare(&work, &partition, &asked), TOYSTORE_NACK);
    assert_ballot(replica_promised(&work, &partition), partition);
}

static void test_accept_takes_at_or_above_the_promise(void **state)
{
    (void)state;
    work.entry.promised = ballot(5, 0);
    work.entry.settled = true;
    struct record incoming = with_register(5, 0);
    assert_int_equal(replica_accept(&work, &none, &incoming, ACCEPT_ONE_OF_MANY), TOYSTORE_OK);
    assert_true(work.write && work.record.has_register);
    assert_false(work.entry.settled);
    assert_ballot(work.entry.promised, ballot(5, 0));
}

static void test_accept_below_the_promise_is_refused(void **state)
{
    (void)state;
    stored(3, 0);
    work.entry.promised = ballot(6, 0);
    struct record incoming = with_register(5, 0);
    assert_int_equal(replica_accept(&work, &none, &incoming, ACCEPT_ONE_OF_MANY), TOYSTORE_NACK);
    struct ballot partition = ballot(9, 0);
    incoming = with_register(8, 0);
    assert_int_equal(replica_accept(&work, &partition, &incoming, ACCEPT_ONE_OF_MANY),
                     TOYSTORE_NACK);
    assert_false(work.write);
    assert_ballot(work.record.reg.ballot, ballot(3, 0));
}

static void test_accept_once_more_changes_nothing(void **state)
{
    (void)state;
    stored(5, 1);
    work.entry.promised = ballot(9, 0); /* promised since: the copy is an acceptance all the same */
    work.entry.settled = true;
    struct record incoming = with_register(5, 1);
    assert_int_equal(replica_accept(&work, &none, &incoming, ACCEPT_ONE_OF_MANY), TOYSTORE_OK);
    assert_false(work.write);
    assert_true(work.entry.settled);
}

static void test_accept_unites_sloppy_puts(void **state)
{
    (void)state;
    work.record = with_sloppy(3);
    struct record incoming = with_register(5, 0);
    assert_int_equal(replica_accept(&work, &none, &incoming, ACCEPT_ONE_OF_MANY), TOYSTORE_OK);
    assert_true(work.record.has_register);
    assert_int_equal(work.record.sloppy_count, 1);
}

static void test_accept_that_decides_settles(void **state)
{
    (void)state;
    struct record incoming = with_register(5, 0);
    assert_int_equal(replica_accept(&work, &none, &incoming, ACCEPT_DECIDES), TOYSTORE_OK);
    assert_true(work.entry.settled);
}

static void test_store_takes_what_the_promise_allows(void **state)
{
    (void)state;
    stored(3, 0);
    work.entry.settled = true;
    struct record incoming = with_register(5, 0);
    assert_int_equal(replica_store(&work, &none, &incoming, false, true), TOYSTORE_OK);
    assert_true(work.write);
    assert_false(work.entry.settled);
    assert_ballot(work.record.reg.ballot, ballot(5, 0));
    assert_ballot(work.entry.promised, ballot(5, 0));
}

static void test_store_below_the_promise_is_refused_but_keeps_siblings(void **state)
{
    (void)state;
    stored(3, 0);
    work.entry.promised = ballot(6, 0);
    struct record incoming = with_register(5, 0), beside = with_sloppy(4);
    incoming.sloppy = beside.sloppy;
    incoming.sloppy_count = 1;
    assert_int_equal(replica_store(&work, &none, &incoming, false, true), TOYSTORE_REFUSED);
    assert_ballot(work.record.reg.ballot, ballot(3, 0));
    assert_int_equal(work.record.sloppy_count, 1);
    assert_true(work.write);
}

static void test_store_of_what_is_chosen_goes_below_the_promise(void **state)
{
    (void)state;
    stored(3, 0);
    work.entry.promised = ballot(6, 0);
    struct record incoming = with_register(5, 0);
    assert_int_equal(replica_store(&work, &none, &incoming, true, true), TOYSTORE_OK);
    assert_ballot(work.record.reg.ballot, ballot(5, 0));
    assert_ballot(work.entry.promised, ballot(6, 0));
    assert_true(work.entry.settled);
}

static void test_store_of_less_or_the_same_changes_nothing(void **state)
{
    (void)state;
    stored(5, 0);
    struct record older = with_register(4, 0), same = with_register(5, 0);
    assert_int_equal(replica_store(&work, &none, &older, true, true), TOYSTORE_OK);
    assert_int_equal(replica_store(&work, &none, &same, false, true), TOYSTORE_OK);
    assert_false(work.write || work.entry.settled);
    assert_int_equal(replica_store(&work, &none, &same, true, true), TOYSTORE_OK);
    assert_true(work.write && work.entry.settled);
}

static void test_a_register_is_taken_only_from_an_owner(void **state)
{
    (void)state;
    struct record incoming = with_register(5, 0), beside = with_sloppy(4);
    incoming.sloppy = beside.sloppy;
    incoming.sloppy_count = 1;
    assert_int_equal(replica_store(&work, &none, &incoming, true, false), TOYSTORE_OK);
    assert_false(work.record.has_register || work.entry.settled);
    assert_int_equal(work.record.sloppy_count, 1);
}

static void test_settled_is_for_that_ballot_only(void **state)
{
    (void)state;
    stored(5, 0);
    struct ballot other = ballot(5, 1), own = ballot(5, 0);
    replica_settled(&work, &other);
    assert_false(work.write || work.entry.settled);
    replica_settled(&work, &own);
    assert_true(work.write && work.entry.settled);
}

static void test_immutable_keys_are_never_rewritten(void **state)
{
    (void)state;
    struct record chunk = {.has_register = true};
    chunk.reg.version = version(op(1, 1));
    struct buf bytes = {0}, other = {0};
    record_encode(&bytes, &chunk);
    chunk.reg.version = version(op(1, 2));
    record_encode(&other, &chunk);
    assert_int_equal(replica_immutable(&work, buf_slice(&bytes), NULL), TOYSTORE_OK);
    assert_true(work.write);
    work.write = false;
    assert_int_equal(replica_immutable(&work, buf_slice(&other), NULL), TOYSTORE_OK);
    assert_false(work.write);
    assert_true(slice_equal(work.entry.record, buf_slice(&bytes)));
    struct buf torn = {0};
    chunk.reg.version.checksum ^= 1;
    record_encode(&torn, &chunk);
    work.entry.record = slice_of(NULL, 0);
    assert_int_equal(replica_immutable(&work, buf_slice(&torn), NULL), TOYSTORE_INVALID);
    buf_free(&bytes);
    buf_free(&other);
    buf_free(&torn);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(prepare_promises_what_is_above),
        TEST(prepare_refuses_what_is_not),
        TEST(prepare_heeds_the_partitions_promise),
        TEST(accept_takes_at_or_above_the_promise),
        TEST(accept_below_the_promise_is_refused),
        TEST(accept_once_more_changes_nothing),
        TEST(accept_unites_sloppy_puts),
        TEST(accept_that_decides_settles),
        TEST(store_takes_what_the_promise_allows),
        TEST(store_below_the_promise_is_refused_but_keeps_siblings),
        TEST(store_of_what_is_chosen_goes_below_the_promise),
        TEST(store_of_less_or_the_same_changes_nothing),
        TEST(a_register_is_taken_only_from_an_owner),
        TEST(settled_is_for_that_ballot_only),
        TEST(immutable_keys_are_never_rewritten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
