/* record: a key's record as bytes (format 1). Encoding is canonical: equal records give equal
 * bytes, so that digests compare content. */
#ifndef TOYSTORE_WIRE_RECORD_H
#define TOYSTORE_WIRE_RECORD_H

#include "wire/types.h"

enum { RECORD_FORMAT = 1 };

/* Writes checksums as they stand in the versions: who makes a version calls version_checksum. */
void record_encode(struct buf *out, const struct record *record);
/* No record (zeroed) is no bytes, and the other way round.
 * 0; -EBADMSG malformed; -EPROTO a newer format; -EUCLEAN a value does not fit its checksum.
 * *ret_record borrows from `bytes` and `arena`. */
int record_decode(struct arena *arena, struct slice bytes, struct record *ret_record);

uint64_t version_checksum(const struct version *version);

/* What a replica keeps for a key in TOYSTORE_RECORDS: the record and its own promise.
 * Encoded with a checksum over everything. */
struct entry {
    struct ballot promised;
    bool settled;
    struct slice record; /* encoded; empty: no record */
};

void entry_encode(struct buf *out, const struct entry *entry);
/* All of it but the bytes of the record, which are the end: for a large one, without a copy. */
void entry_encode_head(struct buf *out, const struct entry *entry);
int entry_decode(struct slice bytes, struct entry *ret_entry); /* -EUCLEAN damaged, -EPROTO */

#endif
