/* judge: conditions, changes and the bookkeeping of a register's chain. */
#include "rules/judge.h"

#include <sys/stat.h>

enum { FILE_MODE_DEFAULT = S_IFREG | 0644 };

static bool no_file(const struct toystore_attributes *attributes)
{
    return attributes->file.sequence == 0;
}

/* A raw put: the bytes are new, the rest stays with a file that is there. What names chunks
 * becomes a file of its own: other names may still stand for the old one. */
static enum toystore_status set_value(const struct version *old, const struct judge_put *put,
                                      struct version *version)
{
    if (old && old->kind == TOYSTORE_DIRECTORY)
        return TOYSTORE_IS_DIRECTORY;
    version->kind = TOYSTORE_FILE;
    version->value = put->value;
    if (old && (old->kind == TOYSTORE_FILE || old->kind == TOYSTORE_REFERENCE))
        version->attributes = old->attributes;
    else
        version->attributes = (struct toystore_attributes){
            .mode = FILE_MODE_DEFAULT, .uid = put->attributes.uid, .gid = put->attributes.gid};
    if (old && old->kind == TOYSTORE_FILE)
        version->extra = old->extra;
    else
        version->attributes.file = (struct toystore_op){0};
    int64_t now_ns = (int64_t)put->op.time_us * 1000;
    version->attributes.size = put->value.size;
    version->attributes.mtime_ns = version->attributes.ctime_ns = now_ns;
    if (!old)
        version->attributes.atime_ns = now_ns;
    return TOYSTORE_OK;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static enum toystore_status touch(const struct version *old, const struct judge_put *put,
                                  struct version *version)
{
    if (!old)
        return TOYSTORE_NOT_FOUND;
    const struct toystore_attributes *times = &put->attributes;
    version->kind = old->kind;
    version->attributes = old->attributes;
    version->value = old->value;
    version->extra = old->extra;
    version->attributes.atime_ns = later(old->attributes.atime_ns, times->atime_ns);
    version->attributes.mtime_ns = later(old->attributes.mtime_ns, times->mtime_ns);
    version->attributes.ctime_ns = later(old->attributes.ctime_ns, times->ctime_ns);
    return TOYSTORE_OK;
}

enum toystore_status judge_change(const struct record *base, const struct judge_put *put,
                                  struct version *ret_version)
{
    struct visible visible;
    record_visible(base, &visible);
    const struct version *old = visible.count ? visible.versions[0] : NULL;
    struct version version = {.op = put->op.id, .time_us = put->op.time_us, .node = put->node};
    enum toystore_status status = TOYSTORE_OK;
    switch (put->change) {
    case TOYSTORE_SET:
        version.kind = (uint8_t)put->kind;
        version.attributes = put->attributes;
        version.value = put->value;
        version.extra = put->extra;
        break;
    case TOYSTORE_SET_VALUE:
        status = set_value(old, put, &version);
        break;
    case TOYSTORE_DELETE:
        version.kind = TOYSTORE_TOMBSTONE;
        version.extra = put->extra;
        break;
    case TOYSTORE_TOUCH:
        status = touch(old, put, &version);
        break;
    }
    if (status != TOYSTORE_OK)
        return status;
    if (version.kind != TOYSTORE_TOMBSTONE && no_file(&version.attributes))
        version.attributes.file = op_to_public(put->op.id);
    version.checksum = version_checksum(&version);
    *ret_version = version;
    return TOYSTORE_OK;
}

static bool condition_holds(const struct record *base, const struct judge_put *put)
{
    switch (put->condition) {
    case TOYSTORE_IF_ABSENT:
        return record_absent(base);
    case TOYSTORE_IF_MATCH:
        return record_matches(base, put->match, put->match_count);
    case TOYSTORE_ALWAYS:
        break;
    }
    return true;
}

static bool named(const struct judge_put *put, const struct op_id *op)
{
    for (size_t i = 0; i < put->match_count; i++)
        if (op_id_equal(&put->match[i], op))
            return true;
    return false;
}

bool judge_whole(const struct judge_put *put)
{
    return put->condition == TOYSTORE_ALWAYS && put->change != TOYSTORE_TOUCH;
}

bool judge_own_sibling(const struct record *base, const struct judge_put *put)
{
    struct visible visible;
    if (judge_whole(put) || base->sloppy_count == 0 || put->heedless)
        return false;
    record_visible(base, &visible);
    for (size_t i = 0; i < visible.count; i++) {
        const struct op_id *op = &visible.versions[i]->op;
        bool replaced = put->condition == TOYSTORE_ALWAYS ? i == 0 : named(put, op);
        if (visible.sloppy[i] && !replaced && op->sequence < put->op.id.sequence &&
            session_compare(&op->session, &put->op.id.session) == 0)
            return true;
    }
    return false;
}

/* PROTOCOL 8: of the base's covers those of an older era than the partition was collected in are
 * left out: what they cover is nowhere any more. */
static void cover_base(struct arena *arena, const struct version *base, const struct judge_put *put,
                       struct version *version)
{
    struct cover *kept = arena_alloc(arena, (base->cover_count + 1) * sizeof *kept);
    size_t count = 0;
    for (size_t i = 0; i < base->cover_count; i++)
        if (era_compare(base->covers[i].era, put->collected) >= 0)
            kept[count++] = base->covers[i];
    covers_add(arena, version, kept, count);
}

/* PROTOCOL 2: the base's covers, the sloppy puts that the caller named, and their covers. A put
 * with a condition also names all visible sloppy tombstones. */
static void cover_named(struct arena *arena, const struct record *base, const struct judge_put *put,
                        struct version *version)
{
    if (base->has_register)
        cover_base(arena, &base->reg.version, put, version);
    if (put->condition == TOYSTORE_ALWAYS)
        return;
    for (size_t i = 0; i < base->sloppy_count; i++) {
        const struct version *sloppy = &base->sloppy[i].version;
        bool buried = sloppy->kind == TOYSTORE_TOMBSTONE && sloppy_visible(base, i);
        if (!buried && !(put->condition == TOYSTORE_IF_MATCH && named(put, &sloppy->op)))
            continue;
        covers_add_one(arena, version, &sloppy->op, put->era);
        for (size_t at = 0; !VERSION_SHALLOW && at < sloppy->cover_count; at++) {
            struct op_id op = {sloppy->covers[at].session, sloppy->covers[at].sequence};
            /* In this era: it is needed as long as the one that it came with is on any disk. */
            covers_add_one(arena, version, &op, put->era);
        }
    }
}

/* The chain goes on from the base's register, or begins here. */
static void chain(struct arena *arena, const struct record *base, const struct judge_put *put,
                  uint8_t answer, struct record *record)
{
    record->has_register = true;
    struct reg *reg = &record->reg;
    memcpy(reg->recent, base->reg.recent, sizeof reg->recent);
    reg->recent_count = base->has_register ? base->reg.recent_count : 0;
    reg->floor = base->has_register ? base->reg.floor : 0;
    reg->born = base->has_register ? base->reg.born : put->era;
    record->sloppy = base->sloppy;
    record->sloppy_count = base->sloppy_count;
    register_take_over(arena, reg, base, put->era);
    register_remember(arena, reg, &put->op, answer, put->era);
}

static void refuse(struct arena *arena, const struct record *base, const struct judge_put *put,
                   enum toystore_status answer, struct judgement *ret)
{
    ret->answer = answer;
    ret->verdict = VERDICT_REFUSED;
    if (!put->again)
        return;
    ret->verdict = VERDICT_REMEMBER;
    ret->record = (struct record){0};
    if (base->has_register)
        ret->record.reg = base->reg;
    else /* a chain that begins with a refusal: nothing is there */
        ret->record.reg.version.checksum = version_checksum(&ret->record.reg.version);
    chain(arena, base, put, (uint8_t)answer, &ret->record);
}

/* Later than the op's own session in this chain: the op was overtaken by its own asker. */
static bool remembered(const struct record *base, const struct judge_put *put,
                       struct judgement *ret)
{
    const struct recent *recent =
        base->has_register ? register_recent(&base->reg, &put->op.id) : NULL;
    if (!recent)
        return false;
    ret->verdict = VERDICT_ANSWERED;
    if (recent->sequence == put->op.id.sequence)
        ret->answer = (enum toystore_status)recent->answer;
    else if (put->again)
        ret->answer = TOYSTORE_INDETERMINATE;
    else
        ret->verdict = VERDICT_TOO_LATE;
    return true;
}

/* What stood at the name, if that was a file in chunks and this is another file, or none. */
static void note_replaced(const struct record *base, const struct version *now, struct version *ret)
{
    struct visible visible;
    record_visible(base, &visible);
    const struct version *old = visible.count ? visible.versions[0] : NULL;
    if (old == NULL || old->kind != TOYSTORE_REFERENCE)
        return;
    struct op_id before = op_from_public(old->attributes.file);
    struct op_id after = op_from_public(now->attributes.file);
    if (now->kind == TOYSTORE_REFERENCE && op_id_equal(&before, &after))
        return;
    *ret = (struct version){.op = old->op, .kind = old->kind, .attributes = old->attributes};
    ret->checksum = version_checksum(ret);
}

/* What stood there without this op: its own sloppy twin is no rival. Once the op is in the chain,
 * recent hides the twin. */
static struct record without_twin(struct arena *arena, const struct record *base,
                                  const struct op_id *op)
{
    struct record seen = *base;
    for (size_t i = 0; i < base->sloppy_count; i++) {
        if (!op_id_equal(&base->sloppy[i].version.op, op))
            continue;
        size_t behind = base->sloppy_count - i - 1;
        seen.sloppy = arena_alloc(arena, base->sloppy_count * sizeof *seen.sloppy);
        memcpy(seen.sloppy, base->sloppy, i * sizeof *seen.sloppy);
        memcpy(seen.sloppy + i, base->sloppy + i + 1, behind * sizeof *seen.sloppy);
        seen.sloppy_count--;
        break;
    }
    return seen;
}

/* Applied as a sloppy put, and replaced since by who had read it: not a second time. */
static bool replaced(const struct record *base, const struct judge_put *put, struct judgement *ret)
{
    for (size_t i = 0; base->has_register && i < base->reg.version.cover_count; i++) {
        const struct cover *cover = &base->reg.version.covers[i];
        if (cover->sequence != put->op.id.sequence ||
            session_compare(&cover->session, &put->op.id.session) != 0)
            continue;
        ret->verdict = VERDICT_ANSWERED;
        ret->answer = TOYSTORE_OK;
        return true;
    }
    return false;
}

/* A sloppy put has read this op, or comes later in its session. */
static bool overtaken(const struct record *base, const struct judge_put *put, struct judgement *ret)
{
    const struct op_id *op = &put->op.id;
    for (size_t i = 0; i < base->sloppy_count; i++) {
        const struct version *other = &base->sloppy[i].version;
        if (op_id_equal(&other->op, op) || !version_covers(other, op))
            continue;
        bool later = session_compare(&other->op.session, &op->session) == 0;
        ret->verdict = later && !put->again ? VERDICT_TOO_LATE : VERDICT_ANSWERED;
        ret->answer = later ? TOYSTORE_INDETERMINATE : TOYSTORE_OK;
        return true;
    }
    return false;
}

/* It went on as a sloppy put, and the register without it: a coordinator that was left behind with
 * it would put it over what was acknowledged since. A sibling is what it stays. */
static bool left_behind(const struct record *base, const struct op_id *op)
{
    for (size_t i = 0; i < base->sloppy_count; i++)
        if (op_id_equal(&base->sloppy[i].version.op, op))
            return base->has_register && !sloppy_hides(&base->sloppy[i], &base->reg);
    return false;
}

void judge(struct arena *arena, const struct record *shown, const struct judge_put *put,
           struct judgement *ret)
{
    struct record known = *shown;
    const struct record *base = &known;
    record_forget(arena, &known, put->collected); /* what is made of it has no cover for that */
    struct era born = base->has_register ? base->reg.born : put->era;
    uint64_t floor_us = base->has_register ? base->reg.floor : 0;
    *ret = (struct judgement){.floor_us = floor_us, .born = born};
    if (!put->forgetful &&
        (remembered(base, put, ret) || replaced(base, put, ret) || overtaken(base, put, ret)))
        return;
    bool too_old =
        (base->has_register && put->op.time_us <= floor_us) || era_compare(put->op.era, born) < 0;
    if (too_old && !put->ageless) {
        ret->verdict = VERDICT_TOO_LATE;
        return;
    }
    if (left_behind(base, &put->op.id)) {
        struct judge_put again = *put;
        again.again = true;
        refuse(arena, base, &again, TOYSTORE_CONFLICT, ret);
        return;
    }
    struct record seen = without_twin(arena, base, &put->op.id);
    if (!condition_holds(&seen, put)) {
        refuse(arena, base, put, TOYSTORE_CONFLICT, ret);
        return;
    }
    enum toystore_status status = judge_change(&seen, put, &ret->record.reg.version);
    if (status != TOYSTORE_OK) {
        refuse(arena, base, put, status, ret);
        return;
    }
    if (judge_own_sibling(&seen, put)) {
        ret->verdict = VERDICT_SESSION;
        return;
    }
    ret->verdict = VERDICT_APPLY;
    ret->answer = TOYSTORE_OK;
    note_replaced(&seen, &ret->record.reg.version, &ret->replaced);
    ret->created = record_absent(&seen) && ret->record.reg.version.kind != TOYSTORE_TOMBSTONE;
    cover_named(arena, &seen, put, &ret->record.reg.version);
    chain(arena, base, put, TOYSTORE_OK, &ret->record);
    /* Without its cover, a sloppy put that was replaced is not known again when it is tried once
     * more: its op is of an older era, and refused as such. */
    size_t covered = base->has_register ? base->reg.version.cover_count : 0;
    for (size_t i = 0; i < covered; i++)
        if (era_compare(base->reg.version.covers[i].era, put->collected) < 0 &&
            era_compare(ret->record.reg.born, put->collected) < 0)
            ret->record.reg.born = put->collected;
}
