/* changes: a log of operations on a file, and what they make of an image. */
#include "changes.h"

#include <stdlib.h>
#include <sys/stat.h>

static bool joins(const struct change *last, const struct change *next)
{
    if (last->type != next->type || last->segment == NULL || last->segment != next->segment ||
        last->start + last->size != next->start)
        return false;
    return next->type == CHANGE_APPEND ||
           (next->type == CHANGE_WRITE && last->offset + last->size == next->offset);
}

void changes_add(struct changes *changes, struct change change, size_t frozen)
{
    if (changes->count > frozen) {
        struct change *last = &changes->items[changes->count - 1];
        if (joins(last, &change)) {
            last->size += change.size;
            last->time_ns = change.time_ns;
            segment_unref(change.segment);
            return;
        }
    }
    if (changes->count == changes->capacity) {
        changes->capacity = changes->capacity ? changes->capacity * 2 : 4;
        changes->items = base_realloc(changes->items, changes->capacity * sizeof *changes->items);
    }
    changes->items[changes->count++] = change;
}

void changes_drop(struct changes *changes, size_t count)
{
    assert(count <= changes->count);
    for (size_t i = 0; i < count; i++)
        if (changes->items[i].segment)
            segment_unref(changes->items[i].segment);
    if (count < changes->count)
        memmove(changes->items, changes->items + count,
                (changes->count - count) * sizeof *changes->items);
    changes->count -= count;
}

void changes_free(struct changes *changes)
{
    changes_drop(changes, changes->count);
    free(changes->items);
    *changes = (struct changes){0};
}

static void modified(struct image *image, const struct change *change)
{
    struct toystore_attributes *attributes = &image->attributes;
    if (change->time_ns > attributes->mtime_ns)
        attributes->mtime_ns = change->time_ns;
    if (change->time_ns > attributes->ctime_ns)
        attributes->ctime_ns = change->time_ns;
}

static uint32_t without_set_id(uint32_t mode)
{
    mode &= ~(uint32_t)S_ISUID;
    if (mode & S_IXGRP)
        mode &= ~(uint32_t)S_ISGID;
    return mode;
}

static void set_attributes(struct image *image, const struct change *change)
{
    struct toystore_attributes *to = &image->attributes;
    const struct toystore_attributes *from = &change->attributes;
    if (change->set & SET_MODE)
        to->mode = (to->mode & (uint32_t)S_IFMT) | (from->mode & ~(uint32_t)S_IFMT);
    if (change->set & SET_UID)
        to->uid = from->uid;
    if (change->set & SET_GID)
        to->gid = from->gid;
    if (change->set & SET_ATIME)
        to->atime_ns = from->atime_ns;
    if (change->set & SET_MTIME)
        to->mtime_ns = from->mtime_ns;
    if (change->set & CLEAR_SET_ID)
        to->mode = without_set_id(to->mode);
    if (change->time_ns > to->ctime_ns)
        to->ctime_ns = change->time_ns;
}

void image_apply(struct image *image, const struct change *change)
{
    uint64_t *size = &image->attributes.size;
    uint64_t at = change->type == CHANGE_APPEND ? *size : change->offset;
    switch (change->type) {
    case CHANGE_WRITE:
    case CHANGE_APPEND:
        extents_write(&image->extents, at, change->size, change->segment, change->start);
        *size = max_u64(*size, at + change->size);
        modified(image, change);
        break;
    case CHANGE_TRUNCATE:
        extents_truncate(&image->extents, at);
        *size = at;
        modified(image, change);
        break;
    case CHANGE_SET:
        set_attributes(image, change);
        break;
    }
}

void image_replay(struct image *image, const struct changes *changes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        image_apply(image, &changes->items[i]);
}

void image_copy(struct image *to, const struct image *from)
{
    image_free(to);
    to->attributes = from->attributes;
    extents_copy(&to->extents, &from->extents);
}

void image_free(struct image *image)
{
    extents_free(&image->extents);
}

static bool same_piece(const struct extent *a, const struct extent *b, uint64_t size)
{
    if (a->segment->chunk.sequence != 0 && b->segment->chunk.sequence != 0)
        return a->start == b->start && a->segment->chunk.sequence == b->segment->chunk.sequence &&
               memcmp(a->segment->chunk.session, b->segment->chunk.session,
                      sizeof a->segment->chunk.session) == 0;
    if (a->segment->data == NULL || b->segment->data == NULL)
        return false;
    return memcmp(a->segment->data + a->start, b->segment->data + b->start, size) == 0;
}

bool image_extends(const struct image *longer, const struct image *shorter)
{
    if (longer->attributes.size < shorter->attributes.size)
        return false;
    const struct extents *a = &longer->extents, *b = &shorter->extents;
    if (a->count < b->count)
        return false;
    for (size_t i = 0; i < b->count; i++) {
        const struct extent *x = &a->items[i], *y = &b->items[i];
        if (x->offset != y->offset || x->size < y->size || !same_piece(x, y, y->size))
            return false;
        if (x->size > y->size && i + 1 < b->count)
            return false;
    }
    /* What was a hole at the end of the shorter one must not have been filled. */
    uint64_t end = b->count ? b->items[b->count - 1].offset + b->items[b->count - 1].size : 0;
    return end == shorter->attributes.size;
}
