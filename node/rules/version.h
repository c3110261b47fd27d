/* version: the algebra of records (PROTOCOL 2): what covers what, what is visible, merge.
 * Pure; results borrow from their inputs and from the arena. */
#ifndef TOYSTORE_RULES_VERSION_H
#define TOYSTORE_RULES_VERSION_H

#include "wire/record.h"

/* A deliberately broken build (tests/sim/broken.def): covers do not take over what they cover. The
 * algebra knows no core that could say so. */
#ifdef TOYSTORE_BREAKABLE
extern bool version_shallow;
#define VERSION_SHALLOW version_shallow
/* Another: a sloppy put that is not visible hides the register. */
extern bool version_hidden;
#define VERSION_HIDDEN version_hidden
#else
#define VERSION_SHALLOW false
#define VERSION_HIDDEN  false
#endif

/* Does this version cover the op: by its covers, or as an earlier op of its own session? */
bool version_covers(const struct version *version, const struct op_id *op);
/* Does the register's chain hold the op: covers, its own op, or recent? What recent remembers as
 * refused is not held: it has replaced nothing. */
bool register_has(const struct reg *reg, const struct op_id *op);
/* The same of all that the record holds, sloppy puts and what they cover. */
bool record_has(const struct record *record, const struct op_id *op);

/* The register with the higher ballot; the union of sloppy puts, less those that another one
 * covers with all that they cover. Commutative, associative, idempotent. `out` may be one of the
 * inputs. */
void record_merge(struct arena *arena, const struct record *a, const struct record *b,
                  struct record *out);

/* What a reader sees, in the order of the file system: the register first whenever it is visible,
 * then sloppy siblings by descending (time, op). A write beats a concurrent tombstone: tombstones
 * are left out when anything else is visible. */
struct visible {
    const struct version *versions[1 + 64];
    bool sloppy[1 + 64];
    size_t count;          /* without tombstones; 0: absent */
    bool register_visible; /* tombstone or not */
    size_t sloppy_count;   /* visible sloppy puts, tombstones included */
};
enum { VISIBLE_MAX = 1 + 64 };
void record_visible(const struct record *record, struct visible *ret);
bool record_absent(const struct record *record);
/* Is this sloppy put visible? (index into record->sloppy) */
bool sloppy_visible(const struct record *record, size_t index);
/* Has its writer seen this register, or a later one? */
bool sloppy_hides(const struct sloppy *sloppy, const struct reg *reg);

/* PROTOCOL 2: if-match. `match` names visible versions by op. */
bool record_matches(const struct record *record, const struct op_id *match, size_t match_count);

/* covers := union, the later sequence of a session wins. */
void covers_add(struct arena *arena, struct version *version, const struct cover *covers,
                size_t count);
void covers_add_one(struct arena *arena, struct version *version, const struct op_id *op,
                    struct era era);

/* A register made from `base` in `era` covers, besides what its caller names, what the sloppy puts
 * that base's register hides have covered: then these may leave the disk (below). */
void register_take_over(struct arena *arena, struct reg *reg, const struct record *base,
                        struct era era);

/* Drops sloppy puts that the register covers: only when it is settled. One whose own covers the
 * register does not hold stays: without it what it covered would return. True: something went. */
bool record_prune(struct arena *arena, struct record *record);

/* PROTOCOL 8: drops sloppy puts that the register covers since an older era than the
 * partition was collected in: all owners had let go of them, and the next put may leave that out.
 * True: something went. */
bool record_forget(struct arena *arena, struct record *record, struct era collected);

/* What comes from elsewhere, or was kept for a while: decodes it, less what it then forgets. To be
 * merged only so: what it is merged with may have been put after the collection, without the cover.
 * 0, or what record_decode says. */
int record_take(struct arena *arena, struct slice bytes, struct era collected, struct record *ret);

/* The answer to an op that the chain remembers (PROTOCOL 4 judge): NULL when recent has no entry
 * of that session at or above the op. */
const struct recent *register_recent(const struct reg *reg, const struct op_id *op);
/* recent gets (op, answer); the entry that leaves goes into covers, with the era of this put, and
 * raises floor. Call it after the new version stands in the register. */
void register_remember(struct arena *arena, struct reg *reg, const struct op *op, uint8_t answer,
                       struct era era);

bool record_equal(const struct record *a, const struct record *b); /* by canonical bytes */

#endif
