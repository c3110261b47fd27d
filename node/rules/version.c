/* version: the algebra of records (PROTOCOL 2): who covers whom, what is seen, merge.
 *
 * Of sloppy puts a later one covers earlier ones. One that is covered is invisible, but it leaves
 * the set only when a single other one covers it *and* all that it covers, and has seen as much:
 * else, when the middle one of three has gone, a stale copy of the first would be a sibling again.
 * That relation is a partial order, and merge keeps the greatest of the union. */
#include "rules/version.h"

#include <stdlib.h>

/* ---- covers ---- */

static const struct cover *find_cover(const struct version *version, const struct session *session)
{
    size_t low = 0, high = version->cover_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = session_compare(&version->covers[middle].session, session);
        if (order == 0)
            return &version->covers[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

#ifdef TOYSTORE_BREAKABLE
bool version_shallow, version_hidden, ballot_era_minor;
#endif

bool version_covers(const struct version *version, const struct op_id *op)
{
    if (session_compare(&version->op.session, &op->session) == 0 &&
        op->sequence < version->op.sequence)
        return true;
    const struct cover *cover = find_cover(version, &op->session);
    return cover != NULL && cover->sequence >= op->sequence;
}

bool register_has(const struct reg *reg, const struct op_id *op)
{
    if (op_id_equal(&reg->version.op, op) || version_covers(&reg->version, op))
        return true;
    for (size_t i = 0; i < reg->recent_count; i++) {
        const struct recent *recent = &reg->recent[i];
        if (recent->answer == TOYSTORE_OK && recent->sequence >= op->sequence &&
            session_compare(&recent->session, &op->session) == 0)
            return true;
    }
    return false;
}

bool record_has(const struct record *record, const struct op_id *op)
{
    if (record->has_register && register_has(&record->reg, op))
        return true;
    for (size_t i = 0; i < record->sloppy_count; i++) {
        const struct version *version = &record->sloppy[i].version;
        if (op_id_equal(&version->op, op) || version_covers(version, op))
            return true;
    }
    return false;
}

static struct cover later_cover(const struct cover *a, const struct cover *b)
{
    struct cover result = a->sequence >= b->sequence ? *a : *b;
    if (a->sequence == b->sequence && era_compare(a->era, b->era) < 0)
        result.era = b->era;
    return result;
}

void covers_add(struct arena *arena, struct version *version, const struct cover *covers,
                size_t count)
{
    if (count == 0)
        return;
    struct cover *merged = arena_alloc(arena, (version->cover_count + count) * sizeof *merged);
    size_t i = 0, j = 0, size = 0;
    while (i < version->cover_count || j < count) {
        int order = i == version->cover_count ? 1
                    : j == count              ? -1
                                 : session_compare(&version->covers[i].session, &covers[j].session);
        struct cover next = order < 0   ? version->covers[i++]
                            : order > 0 ? covers[j++]
                                        : later_cover(&version->covers[i++], &covers[j++]);
        merged[size++] = next;
    }
    version->covers = merged;
    version->cover_count = size;
}

void covers_add_one(struct arena *arena, struct version *version, const struct op_id *op,
                    struct era era)
{
    struct cover cover = {.session = op->session, .sequence = op->sequence, .era = era};
    covers_add(arena, version, &cover, 1);
}

/* ---- sets of sloppy puts ---- */

/* Of two that cover each other, which only a faulty writer makes, the larger op stays. */
static bool sloppy_loses(const struct sloppy *loser, const struct sloppy *winner)
{
    if (!version_covers(&winner->version, &loser->version.op))
        return false;
    return !version_covers(&loser->version, &winner->version.op) ||
           op_id_compare(&winner->version.op, &loser->version.op) > 0;
}

static bool covers_all(const struct version *version, const struct version *of)
{
    for (size_t i = 0; !VERSION_SHALLOW && i < of->cover_count; i++) {
        struct op_id op = {of->covers[i].session, of->covers[i].sequence};
        if (!version_covers(version, &op))
            return false;
    }
    return true;
}

/* Nothing is lost with `less` while `more` is there. */
static bool sloppy_dominates(const struct sloppy *more, const struct sloppy *less)
{
    return sloppy_loses(less, more) && covers_all(&more->version, &less->version) &&
           ballot_compare(&more->sees, &less->sees) >= 0;
}

static size_t drop_dominated(struct sloppy *all, size_t count)
{
    bool *drops = base_alloc(count * sizeof *drops + 1);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count && !drops[i]; j++)
            drops[i] = i != j && sloppy_dominates(&all[j], &all[i]);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (!drops[i])
            all[kept++] = all[i];
    free(drops);
    return kept;
}

/* The same op twice: its writer tried again, and may have read more. */
static struct sloppy join_same(struct arena *arena, const struct sloppy *a, const struct sloppy *b)
{
    int order = compare_u64(a->version.time_us, b->version.time_us);
    if (order == 0)
        order = compare_u64(a->version.checksum, b->version.checksum);
    if (order == 0)
        order = compare_u64(a->version.node, b->version.node);
    struct sloppy result = order >= 0 ? *a : *b;
    const struct sloppy *other = order >= 0 ? b : a;
    covers_add(arena, &result.version, other->version.covers, other->version.cover_count);
    if (ballot_compare(&other->sees, &result.sees) > 0)
        result.sees = other->sees;
    return result;
}

void record_merge(struct arena *arena, const struct record *a, const struct record *b,
                  struct record *out)
{
    size_t room = a->sloppy_count + b->sloppy_count, count = 0, i = 0, j = 0;
    struct sloppy *all = arena_alloc(arena, room * sizeof *all);
    while (i < a->sloppy_count || j < b->sloppy_count) {
        int order = i == a->sloppy_count ? 1
                    : j == b->sloppy_count
                        ? -1
                        : op_id_compare(&a->sloppy[i].version.op, &b->sloppy[j].version.op);
        if (order < 0)
            all[count++] = a->sloppy[i++];
        else if (order > 0)
            all[count++] = b->sloppy[j++];
        else
            all[count++] = join_same(arena, &a->sloppy[i++], &b->sloppy[j++]);
    }
    if (count > 1)
        count = drop_dominated(all, count);
    const struct record *higher = a;
    if (!a->has_register || (b->has_register && ballot_compare(&b->reg.ballot, &a->reg.ballot) > 0))
        higher = b;
    bool has = higher->has_register;
    struct reg reg = higher->reg;
    *out =
        (struct record){.has_register = has, .sloppy = count ? all : NULL, .sloppy_count = count};
    if (has)
        out->reg = reg;
}

/* ---- what a reader sees ---- */

bool sloppy_visible(const struct record *record, size_t index)
{
    const struct sloppy *sloppy = &record->sloppy[index];
    if (record->has_register && register_has(&record->reg, &sloppy->version.op))
        return false;
    for (size_t i = 0; i < record->sloppy_count; i++)
        if (i != index && sloppy_loses(sloppy, &record->sloppy[i]))
            return false;
    return true;
}

/* A sloppy put whose writer saw this register, or a later one, or has read its op. It is visible,
 * or a visible one covers it: what the register does not hold only others can cover. */
bool sloppy_hides(const struct sloppy *sloppy, const struct reg *reg)
{
    if (register_has(reg, &sloppy->version.op) && !VERSION_HIDDEN)
        return false;
    return ballot_compare(&sloppy->sees, &reg->ballot) >= 0 ||
           version_covers(&sloppy->version, &reg->version.op);
}

static bool shown_before(const struct version *a, const struct version *b)
{
    if (a->time_us != b->time_us)
        return a->time_us > b->time_us;
    return op_id_compare(&a->op, &b->op) > 0;
}

/* Keeps the sloppy ones, from `first` on, in order; the oldest falls off a full list. */
static void show_sloppy(struct visible *visible, size_t first, const struct version *version)
{
    size_t at = visible->count;
    while (at > first && shown_before(version, visible->versions[at - 1]))
        at--;
    if (at == VISIBLE_MAX)
        return;
    if (visible->count < VISIBLE_MAX)
        visible->count++;
    for (size_t i = visible->count - 1; i > at; i--)
        visible->versions[i] = visible->versions[i - 1];
    visible->versions[at] = version;
    visible->sloppy[visible->count - 1] = true;
}

void record_visible(const struct record *record, struct visible *ret)
{
    *ret = (struct visible){.register_visible = record->has_register};
    if (record->sloppy_count == 0) {
        if (record->has_register && record->reg.version.kind != TOYSTORE_TOMBSTONE)
            ret->versions[ret->count++] = &record->reg.version;
        return;
    }
    bool *seen = base_alloc(record->sloppy_count * sizeof *seen + 1);
    for (size_t i = 0; i < record->sloppy_count; i++) {
        seen[i] = sloppy_visible(record, i);
        ret->sloppy_count += seen[i];
        if (record->has_register && sloppy_hides(&record->sloppy[i], &record->reg))
            ret->register_visible = false;
    }
    if (ret->register_visible && record->reg.version.kind != TOYSTORE_TOMBSTONE)
        ret->versions[ret->count++] = &record->reg.version;
    size_t first = ret->count;
    for (size_t i = 0; i < record->sloppy_count; i++)
        if (seen[i] && record->sloppy[i].version.kind != TOYSTORE_TOMBSTONE)
            show_sloppy(ret, first, &record->sloppy[i].version);
    free(seen);
}

bool record_absent(const struct record *record)
{
    struct visible visible;
    record_visible(record, &visible);
    return visible.count == 0;
}

bool record_matches(const struct record *record, const struct op_id *match, size_t match_count)
{
    struct visible visible;
    record_visible(record, &visible);
    if (match_count == 0)
        return visible.count == 0;
    bool register_named = false;
    for (size_t m = 0; m < match_count; m++) {
        size_t at = 0;
        while (at < visible.count && !op_id_equal(&visible.versions[at]->op, &match[m]))
            at++;
        if (at == visible.count)
            return false;
        register_named |= !visible.sloppy[at];
    }
    bool register_shown = visible.count > 0 && !visible.sloppy[0];
    return register_named || !register_shown;
}

/* ---- chains of puts ---- */

void register_take_over(struct arena *arena, struct reg *reg, const struct record *base,
                        struct era era)
{
    if (!base->has_register || VERSION_SHALLOW)
        return;
    for (size_t i = 0; i < base->sloppy_count; i++) {
        const struct version *version = &base->sloppy[i].version;
        if (!register_has(&base->reg, &version->op))
            continue;
        /* In this era: they are needed as long as that one is on any disk. */
        for (size_t at = 0; at < version->cover_count; at++) {
            struct op_id op = {version->covers[at].session, version->covers[at].sequence};
            covers_add_one(arena, &reg->version, &op, era);
        }
    }
}

static bool register_has_covers(const struct reg *reg, const struct version *version)
{
    for (size_t i = 0; !VERSION_SHALLOW && i < version->cover_count; i++) {
        struct op_id op = {version->covers[i].session, version->covers[i].sequence};
        if (!register_has(reg, &op))
            return false;
    }
    return true;
}

bool record_prune(struct arena *arena, struct record *record)
{
    if (!record->has_register || record->sloppy_count == 0)
        return false;
    struct sloppy *kept = arena_alloc(arena, record->sloppy_count * sizeof *kept);
    size_t count = 0;
    for (size_t i = 0; i < record->sloppy_count; i++) {
        const struct version *version = &record->sloppy[i].version;
        if (!register_has(&record->reg, &version->op) ||
            !register_has_covers(&record->reg, version))
            kept[count++] = record->sloppy[i];
    }
    bool changed = count != record->sloppy_count;
    record->sloppy = count ? kept : NULL;
    record->sloppy_count = count;
    return changed;
}

/* By a cover: its era is that of the put that made it. That of a recent op is the op's own, which
 * may have been put after the collection. */
static bool held_before(const struct reg *reg, const struct op_id *op, struct era era)
{
    for (size_t i = 0; i < reg->version.cover_count; i++) {
        const struct cover *cover = &reg->version.covers[i];
        if (cover->sequence >= op->sequence && era_compare(cover->era, era) < 0 &&
            session_compare(&cover->session, &op->session) == 0)
            return true;
    }
    return false;
}

bool record_forget(struct arena *arena, struct record *record, struct era collected)
{
    if (!record->has_register || record->sloppy_count == 0)
        return false;
    struct sloppy *kept = arena_alloc(arena, record->sloppy_count * sizeof *kept);
    size_t count = 0;
    for (size_t i = 0; i < record->sloppy_count; i++)
        if (!held_before(&record->reg, &record->sloppy[i].version.op, collected))
            kept[count++] = record->sloppy[i];
    bool changed = count != record->sloppy_count;
    record->sloppy = count ? kept : NULL;
    record->sloppy_count = count;
    return changed;
}

int record_take(struct arena *arena, struct slice bytes, struct era collected, struct record *ret)
{
    int error = record_decode(arena, bytes, ret);
    if (error == 0)
        record_forget(arena, ret, collected);
    return error;
}

const struct recent *register_recent(const struct reg *reg, const struct op_id *op)
{
    for (size_t i = 0; i < reg->recent_count; i++)
        if (session_compare(&reg->recent[i].session, &op->session) == 0)
            return reg->recent[i].sequence >= op->sequence ? &reg->recent[i] : NULL;
    return NULL;
}

/* What was refused has replaced nothing, and is not covered. The cover is of this put's era, not of
 * the op's: a twin of the op may have stood beside the register, and been kept, when the partition
 * was collected since. */
static void cover_recent(struct arena *arena, struct reg *reg, const struct recent *recent,
                         struct era era)
{
    struct op_id op = {recent->session, recent->sequence};
    if (recent->answer == TOYSTORE_OK)
        covers_add_one(arena, &reg->version, &op, era);
}

static void remove_recent(struct reg *reg, size_t at)
{
    reg->recent_count--;
    memmove(&reg->recent[at], &reg->recent[at + 1],
            (reg->recent_count - at) * sizeof reg->recent[0]);
}

void register_remember(struct arena *arena, struct reg *reg, const struct op *op, uint8_t answer,
                       struct era era)
{
    for (size_t i = 0; i < reg->recent_count; i++) {
        if (session_compare(&reg->recent[i].session, &op->id.session) != 0)
            continue;
        if (reg->recent[i].sequence >= op->id.sequence)
            return;
        if (answer != TOYSTORE_OK)
            cover_recent(arena, reg, &reg->recent[i], era);
        remove_recent(reg, i);
        break;
    }
    if (reg->recent_count == RECENT_MAX) {
        cover_recent(arena, reg, &reg->recent[0], era);
        reg->floor = max_u64(reg->floor, reg->recent[0].time_us);
        remove_recent(reg, 0);
    }
    reg->recent[reg->recent_count++] = (struct recent){.session = op->id.session,
                                                       .sequence = op->id.sequence,
                                                       .time_us = op->time_us,
                                                       .era = op->era,
                                                       .answer = answer};
}

bool record_equal(const struct record *a, const struct record *b)
{
    struct buf x = {0}, y = {0};
    record_encode(&x, a);
    record_encode(&y, b);
    bool equal = slice_equal(buf_slice(&x), buf_slice(&y));
    buf_free(&x);
    buf_free(&y);
    return equal;
}
