/* extents and file records: against a plain array of bytes that is changed in the same way. */
#include "../../fs/changes.h"
#include "../../fs/file_record.h"

#include "base/prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { SPACE = 3000, ROUNDS = 400, SEEDS = 30 };

struct model {
    uint8_t bytes[2 * SPACE];
    uint64_t size;
};

static void change_both(struct prng *prng, struct image *image, struct model *model)
{
    uint64_t at = prng_below(prng, SPACE);
    if (prng_chance(prng, 1, 6)) {
        struct change change = {.type = CHANGE_TRUNCATE, .offset = at};
        image_apply(image, &change);
        if (at < model->size)
            memset(model->bytes + at, 0, model->size - at);
        model->size = at;
        return;
    }
    uint8_t bytes[300];
    uint32_t size = 1 + (uint32_t)prng_below(prng, sizeof bytes - 1);
    prng_bytes(prng, bytes, sizeof bytes);
    bool append = prng_chance(prng, 1, 5) && model->size < SPACE;
    struct segment *segment = segment_of_bytes(slice_of(bytes, sizeof bytes));
    uint32_t start = (uint32_t)prng_below(prng, sizeof bytes - size);
    struct change change = {.type = append ? CHANGE_APPEND : CHANGE_WRITE,
                            .offset = at,
                            .size = size,
                            .start = start,
                            .segment = segment};
    image_apply(image, &change);
    segment_unref(segment);
    at = append ? model->size : at;
    memcpy(model->bytes + at, bytes + start, size);
    model->size = max_u64(model->size, at + size);
}

static void check_same(const struct image *image, const struct model *model)
{
    uint8_t bytes[2 * SPACE];
    assert_int_equal(image->attributes.size, model->size);
    extents_copy_bytes(&image->extents, 0, bytes, model->size);
    assert_memory_equal(bytes, model->bytes, model->size);
    for (size_t i = 1; i < image->extents.count; i++) {
        const struct extent *last = &image->extents.items[i - 1];
        assert_true(last->offset + last->size <= image->extents.items[i].offset);
    }
}

static void an_image_is_what_was_written(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct prng prng;
        prng_seed(&prng, seed);
        struct image image = {0}, copy = {0};
        struct model model = {0};
        for (int round = 0; round < ROUNDS; round++)
            change_both(&prng, &image, &model);
        check_same(&image, &model);
        image_copy(&copy, &image);
        image_free(&image);
        check_same(&copy, &model);
        image_free(&copy);
    }
}

static void a_record_comes_back(void **state)
{
    (void)state;
    struct toystore_op file = {.session = {1}, .sequence = 5};
    struct prng prng;
    prng_seed(&prng, 3);
    struct image image = {0}, back = {0};
    struct model model = {0};
    for (int round = 0; round < ROUNDS; round++)
        change_both(&prng, &image, &model);
    struct slice names[] = {slice_str("a/b"), slice_str("c")};
    struct file_record record = {.made_from = {.sequence = 9}, .names = names, .name_count = 2};
    record.extents = image.extents;
    struct buf bytes = {0};
    file_record_encode(&bytes, &record);
    struct file_record decoded;
    assert_int_equal(file_record_decode(buf_slice(&bytes), &file, &decoded), 0);
    assert_int_equal(decoded.name_count, 2);
    assert_true(slice_equal(decoded.names[0], names[0]));
    assert_int_equal(decoded.made_from.sequence, 9);
    back.attributes.size = image.attributes.size;
    extents_copy(&back.extents, &decoded.extents);
    file_record_free(&decoded);
    check_same(&back, &model);
    bytes.blob->data[0] = FILE_RECORD_FORMAT + 1;
    assert_int_equal(file_record_decode(buf_slice(&bytes), &file, &decoded), -EPROTO);
    bytes.blob->data[0] = FILE_RECORD_FORMAT;
    for (size_t size = 0; size < bytes.size; size += 7)
        assert_int_equal(file_record_decode(slice_of(bytes.blob->data, size), &file, &decoded),
                         -EBADMSG);
    buf_free(&bytes);
    image_free(&image);
    image_free(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_image_is_what_was_written),
        cmocka_unit_test(a_record_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
