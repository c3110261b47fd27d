/* publish: what the two halves of a publication share (publish.c, publish_record.c). */
#ifndef TOYSTORE_FS_PUBLISH_H
#define TOYSTORE_FS_PUBLISH_H

#include "fs_priv.h"

/* One publication: the log as it stood when it began, over the newest version. */
struct publication {
    struct fs *fs;
    struct content *content; /* a reference */
    struct image target;     /* what is to be published */
    uint64_t upto;           /* changes of the content that it covers */
    uint64_t until_ns;
    uint64_t version_before; /* content_version when it began */
    unsigned conflicts;
    size_t pending; /* segments and pages under way */
    int error;      /* of them */
    bool rebased;   /* others' changes came between */
    bool was_born;
    enum toystore_kind kind;      /* of the name that is being put */
    bool name_pending;            /* the content is a record's, but the name does not say so yet */
    bool replaces;                /* the put of the record under way replaces the base's */
    bool firm;                    /* what it names is durable, or cannot be now */
    bool record_put;              /* a record made from `made_from` was put by this publication */
    struct toystore_op made_from; /* see file_record.h */
    struct toystore_op stale_record; /* a record that is ours to replace, if the name agrees */
    struct page_name *pages;
    struct segment **page_segments;
    size_t page_count;
    struct toystore_op *named; /* chunks of the version that is replaced; publish_anew.c */
    size_t named_count, anew_at;
};

void publication_prepare(struct publication *publication);
void publication_put_name(struct publication *publication, enum toystore_kind kind);
void publication_conflict(struct publication *publication);
void publication_end(struct publication *publication, int error);

/* The target is too large for one record: its chunks, its pages, its file record, its name. */
void publication_record(struct publication *publication);
void publication_put_record(struct publication *publication);

/* What the record is about to name becomes durable, if it replaces another. True: it was asked for,
 * and publication_put_record comes again behind it. */
bool publication_firm(struct publication *publication);
/* The put of the name, behind that of the record; the same for what an inline version had. */
void publication_put_reference(struct publication *publication);

/* What is stored under the name of a retired session is stored anew. True: it was necessary, and
 * publication_record comes behind it. */
bool publication_anew(struct publication *publication);
void publication_anew_end(struct publication *publication);

#endif
