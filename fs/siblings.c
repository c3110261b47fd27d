/* siblings: which versions of a name differ, and what they are called. */
#include "siblings.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

void sibling_tag(char ret[SIBLING_TAG_SIZE], const struct toystore_version *version)
{
    time_t seconds = (time_t)(version->time_us / 1000000);
    struct tm utc = {0};
    char time[24] = "";
    gmtime_r(&seconds, &utc);
    strftime(time, sizeof time, "%Y%m%dT%H%M%S", &utc);
    snprintf(ret, SIBLING_TAG_SIZE, "%.15s.%06uZ-%016" PRIx64, time,
             (unsigned)(version->time_us % 1000000), version->node);
}

bool sibling_key(struct slice key, struct slice *ret_base, struct slice *ret_tag)
{
    const size_t head = sizeof CONFLICTS_DIR, mark = sizeof SIBLING_MARK - 1;
    if (conflicts_key(key)) {
        struct slice path = slice_of(key.data + head, key.size - head);
        *ret_base = key_parent_of(path);
        *ret_tag = key_last_of(path);
        return ret_base->size > 0;
    }
    struct slice name = key_last_of(key);
    const uint8_t *at = NULL;
    for (size_t i = 1; i + mark < name.size; i++) /* the last one: NAME may be such a name itself */
        if (memcmp(name.data + i, SIBLING_MARK, mark) == 0)
            at = name.data + i;
    if (at == NULL)
        return false;
    *ret_base = slice_of(key.data, (size_t)(at - key.data));
    *ret_tag = slice_of(at + mark, (size_t)(key.data + key.size - at) - mark);
    return true;
}

size_t sibling_find(const struct toystore_result *result, struct slice tag)
{
    for (size_t i = 0; i < result->version_count; i++) {
        char text[SIBLING_TAG_SIZE];
        sibling_tag(text, &result->versions[i]);
        if (slice_equal(slice_str(text), tag))
            return i;
    }
    return result->version_count;
}

/* Files by what is read in them. Two references are to one file record, which has no siblings. */
bool sibling_same(const struct toystore_version *a, const struct toystore_version *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case TOYSTORE_DIRECTORY:
        return true;
    case TOYSTORE_REFERENCE:
        return op_equal(&a->attributes.file, &b->attributes.file);
    case TOYSTORE_SPECIAL:
        return a->attributes.mode == b->attributes.mode && a->attributes.rdev == b->attributes.rdev;
    default:
        return slice_equal(slice_from(a->value), slice_from(b->value));
    }
}

bool sibling_differs(const struct toystore_result *result, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (sibling_same(&result->versions[i], &result->versions[index]))
            return false;
    return index > 0;
}

struct blob *siblings_equal(const struct toystore_result *result)
{
    struct toystore_op ops[SIBLINGS_MAX];
    size_t count = 0;
    for (size_t i = 1; i < result->version_count && count < SIBLINGS_MAX - 1; i++)
        if (sibling_same(&result->versions[0], &result->versions[i]))
            ops[count++] = result->versions[i].op;
    return count ? blob_copy(slice_of(ops, count * sizeof *ops)) : NULL;
}

void match_of(struct match *ret, const struct toystore_op *op, const struct blob *equal)
{
    size_t count = equal ? equal->size / sizeof *op : 0;
    assert(count < SIBLINGS_MAX);
    ret->ops[0] = *op;
    if (count)
        memcpy(&ret->ops[1], equal->data, equal->size);
    ret->count = 1 + count;
}
