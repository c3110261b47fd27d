/* A set of hashes: linear probing, entries move back when one leaves. */
#include "core/replica/hint_priv.h"

#include <stdlib.h>

enum { HINT_SET_MIN = 64 };

uint64_t hint_hash(struct slice key)
{
    uint64_t hash = hash64(key);
    return hash ? hash : 1;
}

static size_t slot_of(const struct hint_set *set, uint64_t hash)
{
    size_t slot = hash & (set->capacity - 1);
    while (set->slots[slot] != 0 && set->slots[slot] != hash)
        slot = (slot + 1) & (set->capacity - 1);
    return slot;
}

bool hint_set_has(const struct hint_set *set, uint64_t hash)
{
    return set->count > 0 && set->slots[slot_of(set, hash)] == hash;
}

static void set_resize(struct hint_set *set, size_t capacity)
{
    struct hint_set old = *set;
    set->slots = base_alloc(capacity * sizeof *set->slots);
    set->capacity = capacity;
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.slots[i] != 0)
            set->slots[slot_of(set, old.slots[i])] = old.slots[i];
    }
    free(old.slots);
}

void hint_set_add(struct hint_set *set, uint64_t hash)
{
    if (hint_set_has(set, hash))
        return;
    if (set->count >= set->capacity / 4 * 3)
        set_resize(set, set->capacity ? set->capacity * 2 : HINT_SET_MIN);
    set->slots[slot_of(set, hash)] = hash;
    set->count++;
}

void hint_set_remove(struct hint_set *set, uint64_t hash)
{
    if (!hint_set_has(set, hash))
        return;
    size_t mask = set->capacity - 1, hole = slot_of(set, hash);
    for (size_t at = (hole + 1) & mask; set->slots[at] != 0; at = (at + 1) & mask) {
        size_t home = set->slots[at] & mask;
        if (((at - home) & mask) < ((at - hole) & mask))
            continue; /* it would come to stand before its home */
        set->slots[hole] = set->slots[at];
        hole = at;
    }
    set->slots[hole] = 0;
    if (--set->count == 0)
        hint_set_free(set);
}

void hint_set_free(struct hint_set *set)
{
    free(set->slots);
    *set = (struct hint_set){0};
}
