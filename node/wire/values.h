/* values: what the decoders of this room share about arrays of known fields. */
#ifndef TOYSTORE_WIRE_VALUES_H
#define TOYSTORE_WIRE_VALUES_H

#include "wire/cursor.h"

bool wire_fail(struct cursor *cursor); /* the cursor is bad; false */
/* An array of `known` fields; *ret_tail more stand behind them (never with a canonical cursor). */
bool wire_array_begin(struct cursor *cursor, uint32_t known, uint32_t *ret_tail);
bool wire_array_end(struct cursor *cursor, uint32_t tail); /* passes them */

#endif
