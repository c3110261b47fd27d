/* load: a version is read in pieces, and meanwhile others write, read and publish. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "fs_calls.h"

static struct fs *a, *b; /* mounts of one cluster */

static bool is_below(struct toystore_bytes key, const char *room)
{
    return key.size > strlen(room) && memcmp(key.data, room, strlen(room)) == 0;
}

static unsigned pages_to_hold;

static bool fetches_page(const struct toystore_request *request)
{
    if (request->type != TOYSTORE_FETCH || !is_below(request->key, NAMES_RESERVED "/pages/") ||
        pages_to_hold == 0)
        return false;
    pages_to_hold--;
    return true;
}

static bool gets_record_or_stores(const struct toystore_request *request)
{
    return request->type == TOYSTORE_STORE ||
           (request->type == TOYSTORE_GET && is_below(request->key, NAMES_RESERVED "/files/"));
}

/* More pieces than a file record has room for: two pages. */
enum { PIECES = PAGE_EXTENTS_MAX + 50, PIECE_STEP = 100 };

static void make_pieces(const char *name)
{
    uint64_t handle = open_file(a, name, O_WRONLY | O_CREAT);
    for (uint64_t i = 0; i < PIECES; i++)
        assert_int_equal(write_at(a, handle, i * PIECE_STEP, "twenty bytes of text", 0), 0);
    assert_int_equal(flush(a, handle), 0);
    release(a, handle);
}

static const char *text_at(struct fs *fs, const char *name, uint64_t offset, size_t size)
{
    uint64_t handle = open_file(fs, name, O_RDONLY);
    assert_true(handle != 0);
    fs_read(fs, handle, offset, size, keep, NULL);
    assert_int_equal(ended(), 0);
    last.bytes[last.size] = 0;
    release(fs, handle);
    return last.bytes;
}

static void begin_getattr(struct fs *fs, uint64_t node, uint64_t handle)
{
    fs_getattr(fs, node, handle, keep, NULL);
    pump();
    assert_false(last.given);
}

/* One page is here and the other is not, and what is read meanwhile needs the cache. */
static void a_page_is_kept_until_all_are_there(void **state)
{
    (void)state;
    size_t size = CACHE_MAX + (2 << 20);
    uint8_t *bytes = base_alloc(size);
    write_large(a, "large", bytes, size);
    make_pieces("f");
    uint64_t node = lookup(b, "f");
    store.holds = fetches_page;
    pages_to_hold = 2;
    fs_open(b, node, O_RDONLY, user, keep, NULL);
    pump();
    assert_false(last.given);
    let_one_go();
    pump();
    assert_false(last.given);
    check_large(b, "large", bytes, size);
    free(bytes);
    let_all_go();
    assert_int_equal(ended(), 0);
    release(b, last.answer.handle);
    assert_string_equal(text_at(b, "f", PIECE_STEP, 6), "twenty");
}

/* The handle follows a version that only grew; while its pages are read, its owner writes. */
static void nothing_is_published_over_a_version_that_is_half_loaded(void **state)
{
    (void)state;
    make_pieces("f");
    uint64_t node = lookup(a, "f"), handle = open_file(a, "f", O_RDWR);
    uint64_t other = open_file(b, "f", O_WRONLY | O_APPEND);
    assert_int_equal(write_at(b, other, 0, "what b has written", O_APPEND), 0);
    assert_int_equal(flush(b, other), 0);
    release(b, other);
    pass_ms(FRESH_MS + 1);
    store.holds = fetches_page;
    pages_to_hold = 4;
    begin_getattr(a, node, handle);
    let_one_go();
    let_one_go();
    pump(); /* the version is known to have grown: now the handle's content takes it */
    assert_int_equal(pages_to_hold, 0);
    assert_false(last.given);
    fs_write(a, handle, 0, slice_str("a"), 0, user, keep, NULL);
    assert_int_equal(ended(), 0);
    fs_flush(a, handle, keep, NULL);
    pump();
    let_all_go();
    pump();
    release(a, handle);
    uint64_t end = (uint64_t)(PIECES - 1) * PIECE_STEP + 20;
    assert_string_equal(text_at(b, "f", 0, 6), "awenty");
    assert_string_equal(text_at(b, "f", end, 100), "what b has written");
}

static unsigned sloppy_may;

static bool puts_record(const struct toystore_request *request)
{
    sloppy_may += request->type == TOYSTORE_PUT && !request->exclusive &&
                  is_below(request->key, NAMES_RESERVED "/files/");
    return false;
}

/* A page could not be read: what stands there is not known, but that something does. */
static void who_could_not_load_a_version_replaces_none_unseen(void **state)
{
    (void)state;
    make_pieces("f");
    uint64_t node = lookup(a, "f"), handle = open_file(a, "f", O_RDWR);
    uint64_t other = open_file(b, "f", O_WRONLY | O_APPEND);
    assert_int_equal(write_at(b, other, 0, "what b has written", O_APPEND), 0);
    assert_int_equal(flush(b, other), 0);
    release(b, other);
    pass_ms(FRESH_MS + 1);
    store.fail_at = store.requests + 6; /* name, record, two pages, and these once more */
    fs_getattr(a, node, handle, keep, NULL);
    assert_int_equal(ended(), 0);
    assert_true(store.requests >= store.fail_at);
    sloppy_may = 0;
    store.holds = puts_record;
    assert_int_equal(write_at(a, handle, 0, "a", 0), 0);
    assert_int_equal(flush(a, handle), 0);
    assert_int_equal(sloppy_may, 0);
    release(a, handle);
    uint64_t end = (uint64_t)(PIECES - 1) * PIECE_STEP + 20;
    assert_string_equal(text_at(b, "f", 0, 6), "awenty");
    assert_string_equal(text_at(b, "f", end, 100), "what b has written");
}

/* A read that misses a chunk takes the newest version, but not under a publication's feet. */
static void a_read_renews_nothing_that_is_being_published(void **state)
{
    (void)state;
    enum { SIZE = 600000, CHUNK = 262144 };
    uint8_t *bytes = base_alloc(SIZE);
    fill(bytes, SIZE, 1);
    write_large(a, "f", bytes, SIZE);
    uint64_t handle = open_file(b, "f", O_RDWR);
    fill(bytes, SIZE, 2);
    uint64_t other = open_file(a, "f", O_WRONLY);
    for (size_t at = 0; at < SIZE; at += 100000)
        fs_write(a, other, at, slice_of(bytes + at, 100000), 0, user, keep, NULL);
    assert_int_equal(flush(a, other), 0);
    release(a, other);
    pass_ms(20000); /* the chunks of the first version go */
    store.holds = gets_record_or_stores;
    fs_read(b, handle, 0, 1000, keep, NULL);
    pump();
    assert_false(last.given);
    uint8_t *own = base_alloc(CHUNK);
    fill(own, CHUNK, 3);
    memcpy(bytes, own, CHUNK);
    fs_write(b, handle, 0, slice_of(own, CHUNK), 0, user, keep, NULL);
    assert_int_equal(ended(), 0);
    free(own);
    fs_flush(b, handle, keep, NULL);
    pump();
    assert_false(last.given);
    struct list *store_answer = store.held.prev; /* of the chunk that was full */
    list_remove(store_answer);
    let_one_go(); /* the record */
    pump();
    list_push_back(&store.held, store_answer);
    let_all_go();
    pass_ms(1000);
    release(b, handle);
    check_large(a, "f", bytes, SIZE);
    free(bytes);
}

static int begin(void **state)
{
    (void)state;
    store_open();
    a = mount_new();
    b = mount_new();
    return 0;
}

static int finish(void **state)
{
    (void)state;
    let_all_go();
    drain(a);
    fs_free(a);
    fs_free(b);
    store_close();
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)
    const struct CMUnitTest tests[] = {
        TEST(a_page_is_kept_until_all_are_there),
        TEST(nothing_is_published_over_a_version_that_is_half_loaded),
        TEST(who_could_not_load_a_version_replaces_none_unseen),
        TEST(a_read_renews_nothing_that_is_being_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
