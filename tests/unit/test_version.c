/* version: the laws of merge on random histories, and what PROTOCOL 2 promises of visibility. */
#include "rules/version.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/prng.h"

enum { REPLICAS = 4, SESSIONS = 4, STEPS = 14, HISTORIES = 1500 };

/* A history: writers that read some replicas and put a register or a sloppy put at some. */
struct history {
    struct prng prng;
    struct arena arena;
    struct record replicas[REPLICAS];
    uint64_t sequences[SESSIONS];
    uint64_t counter;
};

static struct op_id fresh_op(struct history *h)
{
    size_t session = prng_below(&h->prng, SESSIONS);
    struct op_id op = {.sequence = ++h->sequences[session]};
    op.session.bytes[0] = (uint8_t)(session + 1);
    return op;
}

static struct version make_version(struct history *h, struct op_id op)
{
    struct version version = {.op = op, .time_us = 1000 + h->counter, .node = 1};
    version.kind = prng_chance(&h->prng, 1, 4) ? TOYSTORE_TOMBSTONE : TOYSTORE_FILE;
    version.value = arena_copy(&h->arena, slice_of(&op.sequence, sizeof op.sequence));
    version.checksum = version_checksum(&version);
    return version;
}

static void put_sloppy(struct history *h, const struct record *read, struct record *ret)
{
    struct sloppy *sloppy = arena_alloc(&h->arena, sizeof *sloppy);
    *sloppy = (struct sloppy){.version = make_version(h, fresh_op(h))};
    for (size_t i = 0; i < read->sloppy_count; i++) {
        const struct sloppy *seen = &read->sloppy[i];
        covers_add(&h->arena, &sloppy->version, seen->version.covers, seen->version.cover_count);
        covers_add_one(&h->arena, &sloppy->version, &seen->version.op, (struct era){1, 0});
        if (ballot_compare(&seen->sees, &sloppy->sees) > 0)
            sloppy->sees = seen->sees;
    }
    if (read->has_register) {
        const struct reg *reg = &read->reg;
        covers_add(&h->arena, &sloppy->version, reg->version.covers, reg->version.cover_count);
        for (size_t i = 0; i < reg->recent_count; i++)
            covers_add_one(&h->arena, &sloppy->version,
                           &(struct op_id){reg->recent[i].session, reg->recent[i].sequence},
                           reg->recent[i].era);
        if (ballot_compare(&reg->ballot, &sloppy->sees) > 0)
            sloppy->sees = reg->ballot;
    }
    *ret = (struct record){.sloppy = sloppy, .sloppy_count = 1};
}

static void put_register(struct history *h, const struct record *read, struct record *ret)
{
    struct op op = {.id = fresh_op(h), .time_us = h->counter, .era = {1, 0}};
    *ret = (struct record){.has_register = true, .reg = read->reg};
    if (!read->has_register)
        ret->reg = (struct reg){.born = {1, 0}};
    struct version old = ret->reg.version;
    ret->reg.version = make_version(h, op.id);
    covers_add(&h->arena, &ret->reg.version, old.covers, old.cover_count);
    register_take_over(&h->arena, &ret->reg, read, (struct era){0});
    for (size_t i = 0; i < read->sloppy_count; i++) {
        if (prng_chance(&h->prng, 1, 2))
            continue;
        const struct version *named = &read->sloppy[i].version;
        covers_add(&h->arena, &ret->reg.version, named->covers, named->cover_count);
        covers_add_one(&h->arena, &ret->reg.version, &named->op, (struct era){1, 0});
    }
    register_remember(&h->arena, &ret->reg, &op, TOYSTORE_OK, op.era);
    ret->reg.ballot = (struct ballot){.era = {1, 0}, .counter = ++h->counter, .node = 1};
}

static void history_step(struct history *h)
{
    struct record read = {0}, put;
    for (size_t i = 0; i < REPLICAS; i++)
        if (prng_chance(&h->prng, 1, 2))
            record_merge(&h->arena, &read, &h->replicas[i], &read);
    h->counter++;
    if (prng_chance(&h->prng, 2, 3))
        put_sloppy(h, &read, &put);
    else
        put_register(h, &read, &put);
    size_t where = prng_below(&h->prng, REPLICAS);
    record_merge(&h->arena, &h->replicas[where], &put, &h->replicas[where]);
    if (prng_chance(&h->prng, 1, 2))
        record_merge(&h->arena, &h->replicas[(where + 1) % REPLICAS], &put,
                     &h->replicas[(where + 1) % REPLICAS]);
}

static void history_run(struct history *h, uint64_t seed)
{
    *h = (struct history){0};
    prng_seed(&h->prng, seed);
    uint64_t steps = 1 + prng_below(&h->prng, STEPS);
    for (uint64_t i = 0; i < steps; i++)
        history_step(h);
}

static void merge_obeys_its_laws(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < HISTORIES; seed++) {
        struct history h;
        history_run(&h, seed);
        const struct record *a = &h.replicas[0], *b = &h.replicas[1], *c = &h.replicas[2];
        struct record ab, ba, ab_c, bc, a_bc, aa, again;
        record_merge(&h.arena, a, b, &ab);
        record_merge(&h.arena, b, a, &ba);
        assert_true(record_equal(&ab, &ba));
        record_merge(&h.arena, &ab, c, &ab_c);
        record_merge(&h.arena, b, c, &bc);
        record_merge(&h.arena, a, &bc, &a_bc);
        assert_true(record_equal(&ab_c, &a_bc));
        record_merge(&h.arena, a, a, &aa);
        assert_true(record_equal(&aa, a));
        record_merge(&h.arena, &ab, b, &again);
        assert_true(record_equal(&again, &ab));
        arena_free(&h.arena);
    }
}

static bool shows(const struct record *record, const struct op_id *op)
{
    for (size_t i = 0; i < record->sloppy_count; i++)
        if (op_id_equal(&record->sloppy[i].version.op, op) && sloppy_visible(record, i))
            return true;
    return false;
}

/* What a copy of the record once hid stays hidden whatever old copy is merged in later. */
static void a_covered_put_never_returns(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < HISTORIES; seed++) {
        struct history h;
        history_run(&h, seed);
        struct record all = {0}, pruned, later;
        for (size_t i = 0; i < REPLICAS; i++)
            record_merge(&h.arena, &all, &h.replicas[i], &all);
        pruned = all;
        record_prune(&h.arena, &pruned); /* as when its register is settled */
        for (size_t i = 0; i < REPLICAS; i++) {
            record_merge(&h.arena, &pruned, &h.replicas[i], &later);
            for (size_t j = 0; j < h.replicas[i].sloppy_count; j++) {
                const struct op_id *op = &h.replicas[i].sloppy[j].version.op;
                assert_int_equal(shows(&later, op), shows(&all, op));
            }
        }
        arena_free(&h.arena);
    }
}

static struct sloppy sloppy_of(uint8_t session, uint64_t sequence)
{
    struct sloppy sloppy = {
        .version = {.op = {.sequence = sequence}, .kind = TOYSTORE_FILE, .time_us = sequence}};
    sloppy.version.op.session.bytes[0] = session;
    sloppy.version.checksum = version_checksum(&sloppy.version);
    return sloppy;
}

/* x, then y that read x, then z of y's session that read nothing: x must not come back with z. */
static void after_three_siblings_an_old_one_does_not_return(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct sloppy x = sloppy_of(1, 1), y = sloppy_of(2, 1), z = sloppy_of(2, 2);
    covers_add_one(&arena, &y.version, &x.version.op, (struct era){1, 0});
    struct record rx = {.sloppy = &x, .sloppy_count = 1}, ry = {.sloppy = &y, .sloppy_count = 1},
                  rz = {.sloppy = &z, .sloppy_count = 1}, merged;
    struct visible visible;
    record_merge(&arena, &ry, &rz, &merged);
    record_merge(&arena, &merged, &rx, &merged);
    record_visible(&merged, &visible);
    assert_int_equal(visible.count, 1);
    assert_true(op_id_equal(&visible.versions[0]->op, &z.version.op));
    arena_free(&arena);
}

static struct record register_of(uint8_t session, uint64_t sequence, uint64_t counter)
{
    struct sloppy as = sloppy_of(session, sequence);
    struct record record = {.has_register = true};
    record.reg.version = as.version;
    record.reg.ballot = (struct ballot){.era = {1, 0}, .counter = counter, .node = 1};
    return record;
}

static void only_a_visible_put_hides_the_register(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct record record = register_of(1, 1, 5);
    struct sloppy seen = sloppy_of(2, 1);
    seen.sees = record.reg.ballot;
    record.sloppy = &seen;
    record.sloppy_count = 1;
    struct visible visible;
    record_visible(&record, &visible);
    assert_false(visible.register_visible);
    assert_int_equal(visible.count, 1);
    /* A register that took the sloppy put in shows again. */
    covers_add_one(&arena, &record.reg.version, &seen.version.op, (struct era){1, 0});
    record_visible(&record, &visible);
    assert_true(visible.register_visible);
    assert_int_equal(visible.count, 1);
    assert_int_equal(visible.sloppy_count, 0);
    arena_free(&arena);
}

static void a_write_beats_a_concurrent_delete(void **state)
{
    (void)state;
    struct record record = register_of(1, 1, 5);
    record.reg.version.kind = TOYSTORE_TOMBSTONE;
    struct sloppy puts[2] = {sloppy_of(2, 1), sloppy_of(3, 1)};
    puts[1].version.kind = TOYSTORE_TOMBSTONE;
    record.sloppy = puts;
    record.sloppy_count = 2;
    struct visible visible;
    record_visible(&record, &visible);
    assert_int_equal(visible.count, 1);
    assert_true(op_id_equal(&visible.versions[0]->op, &puts[0].version.op));
    assert_int_equal(visible.sloppy_count, 2);
    puts[0].version.kind = TOYSTORE_TOMBSTONE;
    assert_true(record_absent(&record));
}

static void siblings_come_newest_first_behind_the_register(void **state)
{
    (void)state;
    struct record record = register_of(1, 1, 5);
    struct sloppy puts[70];
    for (size_t i = 0; i < 70; i++)
        puts[i] = sloppy_of((uint8_t)(2 + i), 1 + (i * 37) % 70);
    record.sloppy = puts;
    record.sloppy_count = 70;
    struct visible visible;
    record_visible(&record, &visible);
    assert_int_equal(visible.count, VISIBLE_MAX);
    assert_ptr_equal(visible.versions[0], &record.reg.version);
    assert_false(visible.sloppy[0]);
    for (size_t i = 2; i < visible.count; i++) {
        assert_true(visible.sloppy[i]);
        assert_true(visible.versions[i - 1]->time_us > visible.versions[i]->time_us);
    }
    assert_int_equal(visible.versions[1]->time_us, 70);
}

static void a_match_names_what_is_visible(void **state)
{
    (void)state;
    struct record record = register_of(1, 1, 5);
    struct sloppy put = sloppy_of(2, 1);
    record.sloppy = &put;
    record.sloppy_count = 1;
    struct op_id names[] = {record.reg.version.op, put.version.op, {.sequence = 9}};
    assert_true(record_matches(&record, names, 2));
    assert_true(record_matches(&record, names, 1));
    assert_false(record_matches(&record, names + 1, 1)); /* the register is visible: name it */
    assert_false(record_matches(&record, names, 3));
    assert_false(record_matches(&record, names, 0));
    assert_true(record_matches(&(struct record){0}, names, 0));
}

static void recent_remembers_answers_and_forgets_in_order(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct record record = register_of(1, 1, 5);
    struct reg *reg = &record.reg;
    for (uint8_t i = 0; i < RECENT_MAX + 2; i++) {
        struct op op = {.id = sloppy_of(i, 3).version.op, .time_us = 100u + i, .era = {1, 0}};
        register_remember(&arena, reg, &op, i == 0 ? TOYSTORE_CONFLICT : TOYSTORE_OK, op.era);
    }
    struct op_id refused = sloppy_of(0, 3).version.op, left = sloppy_of(1, 3).version.op;
    struct op_id kept = sloppy_of(5, 3).version.op, next = sloppy_of(5, 4).version.op;
    assert_int_equal(reg->recent_count, RECENT_MAX);
    assert_int_equal(reg->floor, 101);
    assert_false(register_has(reg, &refused)); /* has replaced nothing */
    assert_true(register_has(reg, &left));
    assert_null(register_recent(reg, &left));
    assert_int_equal(register_recent(reg, &kept)->answer, TOYSTORE_OK);
    assert_null(register_recent(reg, &next));
    struct op op = {.id = next, .time_us = 200, .era = {1, 0}};
    register_remember(&arena, reg, &op, TOYSTORE_CONFLICT, op.era);
    assert_int_equal(register_recent(reg, &kept)->answer, TOYSTORE_CONFLICT);
    assert_true(register_has(reg, &kept));
    assert_false(register_has(reg, &next));
    assert_int_equal(reg->floor, 101);
    arena_free(&arena);
}

static void a_twin_is_hidden_by_recent(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct record record = register_of(1, 1, 5);
    struct sloppy twin = sloppy_of(2, 1);
    struct op op = {.id = twin.version.op, .time_us = 1, .era = {1, 0}};
    record.sloppy = &twin;
    record.sloppy_count = 1;
    assert_true(sloppy_visible(&record, 0));
    register_remember(&arena, &record.reg, &op, TOYSTORE_OK, op.era);
    assert_false(sloppy_visible(&record, 0));
    assert_true(record_prune(&arena, &record));
    assert_int_equal(record.sloppy_count, 0);
    arena_free(&arena);
}

/* One is covered since an era before, one since the present one, one is a sibling. */
static void what_was_covered_before_a_collection_is_forgotten(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct record record = register_of(1, 1, 5);
    struct sloppy sloppy[] = {sloppy_of(2, 1), sloppy_of(3, 1), sloppy_of(4, 1)};
    record.sloppy = sloppy;
    record.sloppy_count = 3;
    covers_add_one(&arena, &record.reg.version, &sloppy[0].version.op, (struct era){1, 1});
    covers_add_one(&arena, &record.reg.version, &sloppy[1].version.op, (struct era){1, 2});
    assert_false(record_forget(&arena, &record, (struct era){0, 0}));
    assert_false(record_forget(&arena, &record, (struct era){1, 1}));
    assert_int_equal(record.sloppy_count, 3);
    struct buf bytes = {0};
    struct record taken;
    record_encode(&bytes, &record);
    assert_int_equal(record_take(&arena, buf_slice(&bytes), (struct era){1, 2}, &taken), 0);
    assert_true(record_forget(&arena, &record, (struct era){1, 2}));
    assert_true(record_equal(&taken, &record));
    buf_free(&bytes);
    assert_int_equal(record.sloppy_count, 2);
    assert_true(op_id_equal(&record.sloppy[0].version.op, &sloppy[1].version.op));
    assert_false(sloppy_visible(&record, 0));
    assert_true(sloppy_visible(&record, 1));
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merge_obeys_its_laws),
        cmocka_unit_test(a_covered_put_never_returns),
        cmocka_unit_test(after_three_siblings_an_old_one_does_not_return),
        cmocka_unit_test(only_a_visible_put_hides_the_register),
        cmocka_unit_test(a_write_beats_a_concurrent_delete),
        cmocka_unit_test(siblings_come_newest_first_behind_the_register),
        cmocka_unit_test(a_match_names_what_is_visible),
        cmocka_unit_test(recent_remembers_answers_and_forgets_in_order),
        cmocka_unit_test(a_twin_is_hidden_by_recent),
        cmocka_unit_test(what_was_covered_before_a_collection_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
