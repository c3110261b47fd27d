/* judge: what a put does to a key's record (PROTOCOL 4). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rules/judge.h"

static const struct era now_era = {3, 1};

struct fixture {
    struct arena arena;
    struct record base;
    struct judge_put put;
    struct judgement said;
};

static struct op_id op_of(uint8_t session, uint64_t sequence)
{
    struct op_id id = {.sequence = sequence};
    memset(id.session.bytes, session, SESSION_SIZE);
    return id;
}

/* A put of session 1 that sets a file, unless a test says otherwise. */
static void begin(struct fixture *f)
{
    *f = (struct fixture){0};
    f->put = (struct judge_put){.op = {op_of(1, 10), 5000, now_era},
                                .change = TOYSTORE_SET,
                                .kind = TOYSTORE_FILE,
                                .value = slice_str("new"),
                                .node = 7,
                                .era = now_era};
}

static void end(struct fixture *f)
{
    arena_free(&f->arena);
}

/* What stands there: a version of session 2, with its chain. */
static void stands(struct fixture *f, enum toystore_kind kind, const char *value)
{
    f->base.has_register = true;
    struct reg *reg = &f->base.reg;
    reg->ballot = (struct ballot){now_era, 4, 7, 2};
    reg->version = (struct version){.op = op_of(2, 1),
                                    .kind = (uint8_t)kind,
                                    .value = slice_str(value),
                                    .extra = slice_str("extra"),
                                    .attributes = {.mode = 0640, .file = {.sequence = 99}}};
    reg->version.checksum = version_checksum(&reg->version);
    reg->born = now_era;
    struct op op = {op_of(2, 1), 1000, now_era};
    register_remember(&f->arena, reg, &op, TOYSTORE_OK, now_era);
}

static enum verdict say(struct fixture *f)
{
    judge(&f->arena, &f->base, &f->put, &f->said);
    return f->said.verdict;
}

static void a_first_put_begins_a_chain(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    assert_int_equal(say(&f), VERDICT_APPLY);
    assert_true(f.said.created);
    assert_int_equal(era_compare(f.said.record.reg.born, now_era), 0);
    assert_int_equal(f.said.record.reg.recent_count, 1);
    assert_int_equal(f.said.record.reg.version.attributes.file.sequence, 10);
    end(&f);
}

static void an_applied_op_is_answered_from_the_chain(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    stands(&f, TOYSTORE_FILE, "old");
    f.put.op.id = op_of(2, 1);
    f.put.condition = TOYSTORE_IF_ABSENT;
    assert_int_equal(say(&f), VERDICT_ANSWERED);
    assert_int_equal(f.said.answer, TOYSTORE_OK);
    end(&f);
}

static void an_op_overtaken_by_its_own_session_is_never_applied(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    stands(&f, TOYSTORE_FILE, "old");
    f.base.reg.recent[0].sequence = 5;
    f.put.op.id = op_of(2, 4);
    assert_int_equal(say(&f), VERDICT_TOO_LATE);
    f.put.again = true;
    assert_int_equal(say(&f), VERDICT_ANSWERED);
    assert_int_equal(f.said.answer, TOYSTORE_INDETERMINATE);
    end(&f);
}

static void an_op_older_than_floor_or_born_is_too_late(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    stands(&f, TOYSTORE_FILE, "old");
    f.base.reg.floor = 5000;
    assert_int_equal(say(&f), VERDICT_TOO_LATE);
    assert_int_equal(f.said.floor_us, 5000);
    f.base.reg.floor = 0;
    f.put.op.era.epoch = 0;
    assert_int_equal(say(&f), VERDICT_TOO_LATE);
    end(&f);
    begin(&f); /* with no record at all: the present era */
    f.put.op.era.layout = 2;
    assert_int_equal(say(&f), VERDICT_TOO_LATE);
    end(&f);
}

static void a_refusal_to_a_second_coordinator_is_remembered(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    stands(&f, TOYSTORE_FILE, "old");
    f.put.condition = TOYSTORE_IF_ABSENT;
    assert_int_equal(say(&f), VERDICT_REFUSED);
    assert_int_equal(f.said.answer, TOYSTORE_CONFLICT);
    f.put.again = true;
    assert_int_equal(say(&f), VERDICT_REMEMBER);
    const struct recent *recent = register_recent(&f.said.record.reg, &f.put.op.id);
    assert_non_null(recent);
    assert_int_equal(recent->answer, TOYSTORE_CONFLICT);
    assert_true(slice_equal(f.said.record.reg.version.value, slice_str("old")));
    end(&f);
}

static void if_match_compares_ops(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    stands(&f, TOYSTORE_FILE, "old");
    struct op_id seen = op_of(2, 1), other = op_of(2, 2);
    f.put.condition = TOYSTORE_IF_MATCH;
    f.put.match = &seen;
    f.put.match_count = 1;
    assert_int_equal(say(&f), VERDICT_APPLY);
    f.put.match = &other;
    assert_int_equal(say(&f), VERDICT_REFUSED);
    end(&f);
}

static void a_raw_put_keeps_what_a_file_has(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    stands(&f, TOYSTORE_FILE, "old");
    f.put.change = TOYSTORE_SET_VALUE;
    assert_int_equal(say(&f), VERDICT_APPLY);
    const struct version *version = &f.said.record.reg.version;
    assert_int_equal(version->attributes.mode, 0640);
    assert_int_equal(version->attributes.size, 3);
    assert_int_equal(version->attributes.file.sequence, 99);
    assert_true(slice_equal(version->extra, slice_str("extra")));
    assert_false(f.said.created);
    end(&f);
    begin(&f);
    f.put.change = TOYSTORE_SET_VALUE;
    assert_int_equal(say(&f), VERDICT_APPLY);
    assert_int_equal(f.said.record.reg.version.attributes.mode, 0100644);
    end(&f);
}

static void a_raw_put_does_not_replace_a_directory(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    stands(&f, TOYSTORE_DIRECTORY, "");
    f.put.change = TOYSTORE_SET_VALUE;
    assert_int_equal(say(&f), VERDICT_REFUSED);
    assert_int_equal(f.said.answer, TOYSTORE_IS_DIRECTORY);
    end(&f);
}

static void touch_raises_times_and_needs_something_there(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.put.change = TOYSTORE_TOUCH;
    assert_int_equal(say(&f), VERDICT_REFUSED);
    assert_int_equal(f.said.answer, TOYSTORE_NOT_FOUND);
    stands(&f, TOYSTORE_DIRECTORY, "");
    f.base.reg.version.attributes.mtime_ns = 50;
    f.base.reg.version.attributes.ctime_ns = 90;
    f.put.attributes.mtime_ns = f.put.attributes.ctime_ns = 70;
    assert_int_equal(say(&f), VERDICT_APPLY);
    assert_int_equal(f.said.record.reg.version.attributes.mtime_ns, 70);
    assert_int_equal(f.said.record.reg.version.attributes.ctime_ns, 90);
    assert_int_equal(f.said.record.reg.version.kind, TOYSTORE_DIRECTORY);
    end(&f);
}

static void only_named_siblings_are_covered(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    stands(&f, TOYSTORE_FILE, "old");
    struct sloppy siblings[2] = {{.version = {.op = op_of(3, 1), .kind = TOYSTORE_FILE}},
                                 {.version = {.op = op_of(4, 1), .kind = TOYSTORE_FILE}}};
    f.base.sloppy = siblings;
    f.base.sloppy_count = 2;
    struct op_id seen[2] = {op_of(2, 1), op_of(3, 1)};
    f.put.condition = TOYSTORE_IF_MATCH;
    f.put.match = seen;
    f.put.match_count = 2;
    assert_int_equal(say(&f), VERDICT_APPLY);
    const struct version *version = &f.said.record.reg.version;
    assert_true(version_covers(version, &siblings[0].version.op));
    assert_false(version_covers(version, &siblings[1].version.op));
    end(&f);
}

/* The op went on as a sloppy put. Where the register is what that put saw, the op takes its place
 * in the chain; where the register has gone on, it stays the sibling that it is. */
static void a_sloppy_op_does_not_replace_what_came_after_it(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    stands(&f, TOYSTORE_FILE, "later");
    struct sloppy twin = {.version = {.op = op_of(1, 10), .kind = TOYSTORE_FILE}};
    f.base.sloppy = &twin;
    f.base.sloppy_count = 1;
    twin.sees = f.base.reg.ballot;
    assert_int_equal(say(&f), VERDICT_APPLY);
    twin.sees.counter--;
    assert_int_equal(say(&f), VERDICT_REMEMBER);
    assert_int_equal(f.said.answer, TOYSTORE_CONFLICT);
    assert_true(sloppy_visible(&f.said.record, 0));
    assert_true(op_id_equal(&f.said.record.reg.version.op, &f.base.reg.version.op));
    end(&f);
}

static void an_op_that_a_sloppy_put_has_read_is_not_applied_again(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    stands(&f, TOYSTORE_FILE, "later");
    struct sloppy reader = {.version = {.op = op_of(3, 1), .kind = TOYSTORE_FILE}};
    f.base.sloppy = &reader;
    f.base.sloppy_count = 1;
    covers_add_one(&f.arena, &reader.version, &f.put.op.id, now_era);
    assert_int_equal(say(&f), VERDICT_ANSWERED);
    assert_int_equal(f.said.answer, TOYSTORE_OK);
    end(&f);
}

/* An earlier put of the op's own session stands beside the register as a sibling: the later one
 * would stand for it, so it is applied only where it names or replaces it anyway. */
static void a_sibling_of_its_own_session_must_be_named(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    stands(&f, TOYSTORE_FILE, "the register");
    struct sloppy sibling = {.version = {.op = op_of(1, 5), .kind = TOYSTORE_FILE}};
    sibling.version.checksum = version_checksum(&sibling.version);
    f.base.sloppy = &sibling;
    f.base.sloppy_count = 1;
    const struct op_id match[2] = {op_of(2, 1), op_of(1, 5)};
    f.put.condition = TOYSTORE_IF_MATCH;
    f.put.match = match;
    f.put.match_count = 1;
    assert_int_equal(say(&f), VERDICT_SESSION);
    f.put.op.id = op_of(3, 10); /* of another session */
    assert_int_equal(say(&f), VERDICT_APPLY);
    f.put.op.id = op_of(1, 10);
    f.put.match_count = 2;
    assert_int_equal(say(&f), VERDICT_APPLY);
    f.put.condition = TOYSTORE_ALWAYS;
    f.put.match_count = 0;
    assert_int_equal(say(&f), VERDICT_APPLY);
    f.put.change = TOYSTORE_TOUCH; /* is made of what stands there */
    assert_int_equal(say(&f), VERDICT_SESSION);
    end(&f);
}

/* A sibling stood beside the register while its partition was collected; then its op, tried again,
 * goes through. Who misses the puts after that has the sibling still, and it must not return when
 * the op leaves recent: its cover is of this era, not of that before the collection. */
static void what_leaves_recent_is_covered_until_the_next_collection(void **state)
{
    (void)state;
    struct fixture f;
    const struct era before = {3, 0};
    begin(&f);
    stands(&f, TOYSTORE_FILE, "old");
    f.base.reg.born = before;
    f.put.collected = now_era;
    f.put.op.era = before;
    struct op_id twin = f.put.op.id;
    struct sloppy kept = {.version = {.op = twin, .kind = TOYSTORE_FILE}};
    assert_int_equal(say(&f), VERDICT_APPLY);
    f.put.op.era = now_era;
    for (uint8_t i = 0; i < RECENT_MAX + 1; i++) {
        f.base = f.said.record;
        f.put.op.id = op_of((uint8_t)(10 + i), 1);
        f.put.op.time_us++;
        assert_int_equal(say(&f), VERDICT_APPLY);
    }
    assert_null(register_recent(&f.said.record.reg, &twin));
    f.said.record.sloppy = &kept;
    f.said.record.sloppy_count = 1;
    assert_false(sloppy_visible(&f.said.record, 0));
    /* Collected once more, nobody has it, and the cover goes with the next put. */
    f.put.collected = f.put.era = (struct era){3, 2};
    f.said.record.sloppy_count = 0;
    f.base = f.said.record;
    f.put.op.id = op_of(90, 1);
    f.put.op.time_us++;
    assert_int_equal(say(&f), VERDICT_APPLY);
    assert_false(version_covers(&f.said.record.reg.version, &twin));
    end(&f);
}

/* The register covers a sloppy put since before the collection; what is made of it has no cover for
 * that any more, so it must not have the sloppy put either. */
static void what_was_covered_before_a_collection_is_not_taken_along(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    stands(&f, TOYSTORE_FILE, "old");
    struct sloppy covered = {.version = {.op = op_of(5, 1), .kind = TOYSTORE_FILE}};
    struct sloppy sibling = {.version = {.op = op_of(6, 1), .kind = TOYSTORE_FILE}};
    struct sloppy both[] = {covered, sibling};
    covers_add_one(&f.arena, &f.base.reg.version, &covered.version.op, (struct era){2, 0});
    f.base.sloppy = both;
    f.base.sloppy_count = 2;
    f.put.collected = now_era;
    assert_int_equal(say(&f), VERDICT_APPLY);
    assert_false(version_covers(&f.said.record.reg.version, &covered.version.op));
    assert_int_equal(f.said.record.sloppy_count, 1);
    assert_true(op_id_equal(&f.said.record.sloppy[0].version.op, &sibling.version.op));
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_first_put_begins_a_chain),
        cmocka_unit_test(an_applied_op_is_answered_from_the_chain),
        cmocka_unit_test(an_op_overtaken_by_its_own_session_is_never_applied),
        cmocka_unit_test(an_op_older_than_floor_or_born_is_too_late),
        cmocka_unit_test(a_refusal_to_a_second_coordinator_is_remembered),
        cmocka_unit_test(if_match_compares_ops),
        cmocka_unit_test(a_raw_put_keeps_what_a_file_has),
        cmocka_unit_test(a_raw_put_does_not_replace_a_directory),
        cmocka_unit_test(touch_raises_times_and_needs_something_there),
        cmocka_unit_test(only_named_siblings_are_covered),
        cmocka_unit_test(a_sibling_of_its_own_session_must_be_named),
        cmocka_unit_test(what_leaves_recent_is_covered_until_the_next_collection),
        cmocka_unit_test(what_was_covered_before_a_collection_is_not_taken_along),
        cmocka_unit_test(a_sloppy_op_does_not_replace_what_came_after_it),
        cmocka_unit_test(an_op_that_a_sloppy_put_has_read_is_not_applied_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
