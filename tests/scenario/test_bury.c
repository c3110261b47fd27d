/* What raw deletes and raw puts take the name of: a file in chunks goes with its last name, and not
 * before what takes it away is durable. */
#include "cluster.h"

#include "base/buf.h"
#include "base/hash.h"

#include <stdio.h>

#define FILE_TEXT "0900000000000000000000000000000000000005"
#define RECORD    ".toystore/files/0900000000000000000000000000000000000005"
#define CHUNK(n)  ".toystore/chunks/" FILE_TEXT "/070000000000000000000000-000000000000000" n
#define PAGE      ".toystore/pages/" FILE_TEXT "/070000000000000000000000-0000000000000009"

static const struct toystore_op file = {.session = {9}, .sequence = 5};
static const char *const parts[] = {CHUNK("1"), CHUNK("2"), CHUNK("3"), PAGE};

static void number(struct buf *out, uint64_t value, size_t size)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    buf_append(out, bytes, size);
}

static void part_name(struct buf *out, uint64_t sequence)
{
    const uint8_t session[12] = {7};
    buf_append(out, session, sizeof session);
    number(out, sequence, 8);
}

static void extent(struct buf *out, uint64_t offset, uint64_t chunk)
{
    number(out, offset, 8);
    number(out, 5, 4);
    number(out, 0, 4);
    part_name(out, chunk);
    number(out, 5, 4);
    number(out, hash64(slice_str("bytes")), 8);
}

static void store_part(const char *key, struct slice value)
{
    struct toystore_request store = {
        .type = TOYSTORE_STORE, .key = bytes_text(key), .value = {value.data, value.size}};
    assert_int_equal(cluster_call(0, &store)->status, TOYSTORE_OK);
}

/* Two chunks in the record, one in a page. */
static void store_record(const char *first, const char *second)
{
    static const uint8_t none[20];
    struct buf record = {0}, page = {0};
    extent(&page, 10, 3);
    store_part(PAGE, buf_slice(&page));
    number(&record, 1, 2);
    number(&record, second ? 2 : 1, 2);
    number(&record, 2, 4);
    number(&record, 1, 4);
    number(&record, 0, 4);
    buf_append(&record, none, sizeof none);
    for (const char *name = first; name; name = name == first ? second : NULL) {
        number(&record, strlen(name), 2);
        buf_append(&record, name, strlen(name));
    }
    extent(&record, 0, 1);
    extent(&record, 5, 2);
    part_name(&record, 9);
    number(&record, 1, 4);
    number(&record, hash64(buf_slice(&page)), 8);
    struct toystore_request put = {.type = TOYSTORE_PUT,
                                   .key = bytes_text(RECORD),
                                   .kind = TOYSTORE_INTERNAL,
                                   .attributes = {.file = file, .size = 15},
                                   .value = {buf_slice(&record).data, buf_slice(&record).size}};
    assert_int_equal(cluster_call(0, &put)->status, TOYSTORE_OK);
    buf_free(&record);
    buf_free(&page);
}

static void refer(const char *name)
{
    struct toystore_request put = {.type = TOYSTORE_PUT,
                                   .key = bytes_text(name),
                                   .kind = TOYSTORE_REFERENCE,
                                   .attributes = {.file = file, .size = 15}};
    assert_int_equal(cluster_call(0, &put)->status, TOYSTORE_OK);
}

static void make_file(const char *first, const char *second)
{
    for (size_t i = 0; i < 3; i++)
        store_part(parts[i], slice_str("bytes"));
    store_record(first, second);
    refer(first);
    if (second)
        refer(second);
}

static enum toystore_status raw(const char *key, enum toystore_change change)
{
    struct toystore_request put = {.type = TOYSTORE_PUT,
                                   .key = bytes_text(key),
                                   .change = change,
                                   .simple = true,
                                   .value = bytes_text(change == TOYSTORE_DELETE ? "" : "small")};
    return cluster_call(1, &put)->status;
}

static unsigned parts_left(void)
{
    unsigned left = 0;
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        struct toystore_request get = {
            .type = TOYSTORE_FETCH, .key = bytes_text(parts[i]), .deadline_ms = 2000};
        left += cluster_call(2, &get)->status == TOYSTORE_OK;
    }
    return left;
}

static void a_raw_delete_takes_the_file_with_it(void **state)
{
    (void)state;
    cluster_start(4);
    make_file("big", NULL);
    assert_int_equal(raw("big", TOYSTORE_DELETE), TOYSTORE_OK);
    cluster_run_ms(2000); /* somebody may be reading it */
    assert_int_equal(parts_left(), 4);
    cluster_run_ms(8000);
    assert_int_equal(parts_left(), 0);
    assert_int_equal(cluster_get(3, RECORD)->status, TOYSTORE_NOT_FOUND);
    cluster_stop();
}

static void a_raw_put_takes_what_it_replaces(void **state)
{
    (void)state;
    cluster_start(4);
    make_file("big", NULL);
    assert_int_equal(raw("big", TOYSTORE_SET_VALUE), TOYSTORE_OK);
    cluster_run_ms(10000);
    assert_int_equal(parts_left(), 0);
    assert_true(shows(cluster_get(3, "big"), "small"));
    assert_int_equal(raw("big", TOYSTORE_SET_VALUE), TOYSTORE_OK); /* nothing left to take */
    cluster_run_ms(10000);
    cluster_stop();
}

static void another_name_keeps_it(void **state)
{
    (void)state;
    cluster_start(4);
    make_file("big", "too");
    assert_int_equal(raw("big", TOYSTORE_DELETE), TOYSTORE_OK);
    cluster_run_ms(20000);
    assert_int_equal(parts_left(), 4);
    assert_int_equal(cluster_get(3, RECORD)->status, TOYSTORE_OK);
    assert_int_equal(raw("too", TOYSTORE_DELETE), TOYSTORE_OK);
    cluster_run_ms(10000);
    assert_int_equal(parts_left(), 0);
    cluster_stop();
}

static void nothing_goes_that_a_power_loss_may_bring_back(void **state)
{
    (void)state;
    cluster_start(3);
    make_file("big", NULL);
    cluster_lose(METHOD_SYNC, true); /* the names cannot be made durable: the record stays */
    assert_int_equal(raw("big", TOYSTORE_DELETE), TOYSTORE_OK);
    cluster_run_ms(20000);
    assert_int_equal(cluster_get(0, RECORD)->status, TOYSTORE_OK);
    cluster_lose(METHOD_SYNC, false);
    refer("big");
    assert_int_equal(raw("big", TOYSTORE_DELETE), TOYSTORE_OK);
    cluster_run_ms(2000);
    assert_int_equal(cluster_get(0, RECORD)->status, TOYSTORE_NOT_FOUND);
    cluster_lose(METHOD_SYNC, true); /* nor that the record is gone: the chunks stay */
    cluster_run_ms(20000);
    assert_int_equal(parts_left(), 4);
    cluster_lose(METHOD_SYNC, false); /* it is tried again */
    cluster_run_ms(20000);
    assert_int_equal(parts_left(), 0);
    cluster_stop();
}

/* Without a majority nothing is taken away, and nobody who asks later is misled. */
static void one_of_three_takes_nothing(void **state)
{
    (void)state;
    cluster_start(3);
    make_file("big", NULL);
    assert_int_equal(raw("big", TOYSTORE_DELETE), TOYSTORE_OK);
    cluster_run_ms(2000);
    cluster_kill(0);
    cluster_kill(2);
    cluster_run_ms(20000);
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        struct entry entry;
        struct record record;
        assert_true(cluster_stored(1, parts[i], &entry, &record));
        assert_int_not_equal(record.reg.version.kind, TOYSTORE_TOMBSTONE);
    }
    cluster_restart(0);
    cluster_restart(2);
    cluster_run_ms(40000);
    assert_int_equal(parts_left(), 0);
    cluster_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_raw_delete_takes_the_file_with_it),
        cmocka_unit_test(a_raw_put_takes_what_it_replaces),
        cmocka_unit_test(another_name_keeps_it),
        cmocka_unit_test(nothing_goes_that_a_power_loss_may_bring_back),
        cmocka_unit_test(one_of_three_takes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
