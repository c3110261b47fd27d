/* tally: what the owners of a key showed of it, and what may be concluded (PROTOCOL 4 and 5). */
#ifndef TOYSTORE_RULES_TALLY_H
#define TOYSTORE_RULES_TALLY_H

#include "rules/electorate.h"
#include "wire/record.h"

struct tally {
    struct electorate electorate;
    struct era collected;  /* what is shown is read so: see record_take */
    uint32_t asked, shown; /* masks over the electorate's members */
    uint32_t failed;       /* answered that they could not, or did not answer in time */
    struct {
        const struct record *record; /* NULL: not shown; a record that is none: has nothing */
        bool settled;
        struct blob *frame; /* what the record lies in */
        struct slice bytes; /* the record as it came */
    } votes[ELECTORATE_MAX];
    struct record base; /* tally_merge */
    struct arena arena;
};

/* Empties the tally and keeps the electorate. */
void tally_clear(struct tally *tally);
/* A member showed its record (encoded; empty: none). False: malformed or damaged, counts as
 * failed. */
bool tally_show(struct tally *tally, unsigned index, struct slice record, bool settled,
                struct blob *frame);
static inline uint32_t tally_open(const struct tally *tally)
{
    return tally->asked & ~tally->shown & ~tally->failed;
}
/* base := the merge of all that was shown. */
void tally_merge(struct tally *tally);
/* No register, or a record with the base's ballot is settled, or q owners of every live layout
 * show that ballot. */
bool tally_chosen(const struct tally *tally);
/* Those that show exactly the base. */
uint32_t tally_same(const struct tally *tally);
/* Those that hold all sloppy puts that are visible in the base. */
uint32_t tally_sloppy_held(const struct tally *tally);

#endif
