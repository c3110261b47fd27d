/* value_files: large values as files of their own beside the database.
 *
 * A file is written before the record that names it and never changes. One that was replaced is
 * removed only after the next sync: until then a power loss may bring the old record back. */
#ifndef TOYSTORE_IO_VALUE_FILES_H
#define TOYSTORE_IO_VALUE_FILES_H

#include <pthread.h>

#include "base/blob.h"

enum { VALUE_FILE_MIN = 32 * 1024 }; /* larger values than this are files */

/* What stands in the database in place of the value. */
struct value_reference {
    uint64_t number, size, checksum;
};

enum { VALUE_REFERENCE_SIZE = 24 };

void value_reference_pack(const struct value_reference *reference,
                          uint8_t ret_bytes[VALUE_REFERENCE_SIZE]);
bool value_reference_unpack(struct slice bytes, struct value_reference *ret_reference);

struct numbers {
    uint64_t *items;
    size_t count, capacity;
};

struct value_files {
    char *directory;
    pthread_mutex_t mutex; /* guards what is below: files are written and synced on other threads */
    uint64_t next;         /* number of the next file */
    struct numbers fresh;  /* written, not yet fsynced */
    struct numbers urgent; /* of these, what replaces something: no log may name it for long */
    struct numbers dead;   /* replaced, to be removed after the next sync */
};

/* Creates the directory when it is not there. */
int value_files_open(struct value_files *files, const char *directory);
void value_files_close(struct value_files *files);

/* -ENOSPC, -EIO ...: there is no file. Any thread, several at once. */
int value_files_write(struct value_files *files, const struct slice parts[2],
                      struct value_reference *ret_reference);
/* -EUCLEAN: the file is not there, too short, or does not fit its checksum. */
int value_files_read(struct value_files *files, const struct value_reference *reference,
                     struct blob **ret_value);
/* What is going to be written names this file over a key that is there already: were it torn by a
 * power loss, what it replaced would be lost with it. */
void value_files_hurry(struct value_files *files, uint64_t number);
void value_files_bury(struct value_files *files, uint64_t number);   /* at the next sync */
void value_files_remove(struct value_files *files, uint64_t number); /* now: nothing names it */

/* One sync, around that of the database: begin fsyncs the fresh files; end, once the database is
 * durable too, removes the dead ones, or on `error` keeps all for the next time. Any thread, one
 * at a time. */
struct value_sync {
    struct numbers fresh, dead;
};
int value_files_sync_begin(struct value_files *files, struct value_sync *ret_sync);
/* The same for the database alone: only urgent files are fsynced, the dead ones go once it is
 * durable. */
int value_files_sync_log_begin(struct value_files *files, struct value_sync *ret_sync);
/* Those that have become urgent meanwhile: after the database, which may have taken their names. */
int value_files_sync_urgent(struct value_files *files);
void value_files_sync_end(struct value_files *files, struct value_sync *sync, int error);

/* At open, before any write: removes the files that `live` (sorted) does not name. */
int value_files_sweep(struct value_files *files, const struct numbers *live);

void numbers_add(struct numbers *numbers, uint64_t number);
void numbers_free(struct numbers *numbers);

#endif
