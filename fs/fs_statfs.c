/* fs_statfs: how large the file system is: what the cluster's disks can hold.
 *
 * Enters from ops.c; leaves to the store_face. */
#include "fs_priv.h"

#include <stdlib.h>

struct asking {
    fs_done_fn *done;
    void *arg;
};

static void told(void *arg, const struct toystore_result *result)
{
    struct asking asking = *(struct asking *)arg;
    struct fs_answer answer = {
        .error = error_of(result), .room_size = result->room_size, .room_free = result->room_free};
    free(arg);
    asking.done(asking.arg, &answer);
}

void fs_statfs(struct fs *fs, fs_done_fn *done, void *arg)
{
    struct toystore_request request = {.type = TOYSTORE_ROOM};
    struct asking *asking = base_alloc(sizeof *asking);
    *asking = (struct asking){.done = done, .arg = arg};
    fs_submit(fs, &request, told, asking);
}
