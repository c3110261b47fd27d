/* results: requests and results of the embedding API as the Call method carries them. */
#ifndef TOYSTORE_FS_RESULTS_H
#define TOYSTORE_FS_RESULTS_H

#include "wire/frame.h"

struct remote_result {
    struct toystore_result result; /* borrows from the frame and the arena */
    struct arena arena;
};

void remote_request_encode(struct buf *out, const struct toystore_request *request);
/* Whatever the frame holds becomes a result: an error or a malformed answer has its status. */
void remote_result_decode(const struct frame *frame, struct remote_result *ret);
void remote_result_free(struct remote_result *result);
/* The `outcome` of a CoordinatePut or CoordinateDelete, and whether it is `sloppy`: no majority has
 * it yet. */
enum toystore_status remote_outcome(struct slice result, bool *ret_sloppy);

#endif
