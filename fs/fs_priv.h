/* fs_priv: what the files of the file layer share with each other. */
#ifndef TOYSTORE_FS_PRIV_H
#define TOYSTORE_FS_PRIV_H

#include "changes.h"
#include "file_record.h"
#include "fs.h"
#include "names.h"
#include "siblings.h"

#include "base/list.h"
#include "base/map.h"
#include "base/pool.h"

enum {
    NODES_MAX = 1 << 24,
    HANDLES_MAX = 1 << 20,
    FRESH_MS = 50,                   /* what a lookup saw feeds the open that follows it */
    LISTED_MS = 200,                 /* what was listed, for who reads the directory */
    CREATE_DELAY_MS = 100,           /* a plain create waits so long for its first write */
    EMPTY_DELAY_MS = 500,            /* a redirection's first words may take so long */
    PUBLISH_DELAY_MS = 5000,         /* a handle's writes wait so long for a flush */
    TOUCH_DELAY_MS = 500,            /* a directory's times are put once in this time */
    CONFLICTS_MAX = 1000,            /* replays of one publication */
    SENDING_MAX = 16,                /* chunks on their way at once */
    READ_AHEAD_CHUNKS = 8,           /* fetched before a sequential reader asks */
    DIRTY_MAX = 64 << 20,            /* unsent bytes of a mount; then writers wait */
    REDIRECTION_DIRTY_MAX = 4 << 20, /* of one redirection */
    CACHE_MAX = 48 << 20,            /* bytes of stored chunks kept in memory */
    VALUES_MAX = 16 << 20,           /* bytes of values that nodes keep between requests */
    MOVES_MAX = 16                   /* a name's memory of where its files went */
};

/* The file system's bits in toystore_attributes.flags. */
enum { FLAG_CLOSING = TOYSTORE_FLAG_CLOSING };

/* What the store showed under a name at one time; a reference and its file record as one. */
struct seen {
    uint64_t at_ns; /* when it was asked for; 0: never */
    bool listed;    /* by a directory: without value and extra, and never fresh */
    enum toystore_kind kind;
    struct toystore_op op;        /* of the name */
    struct toystore_op record_op; /* of the file record; none: not a reference */
    struct toystore_op file;      /* FILEID */
    struct toystore_attributes attributes;
    struct blob *value; /* content, target, or the encoded file record; may be dropped: NULL */
    struct blob *extra; /* the name's moves */
    struct blob *equal; /* ops of siblings that say the same (siblings.h) */
    bool conflict;      /* there are siblings that say something else */
    bool sibling;       /* asked for by a sibling's name: to be read, removed, moved, not changed */
};

void seen_free(struct seen *seen);
void seen_hold(const struct seen *seen); /* a copy of it is one more holder of its blobs */
/* A reference's attributes are those of its file record. */
void seen_take_record(struct seen *seen, const struct toystore_version *version);

enum control { CONTROL_NONE, CONTROL_ROOT, CONTROL_REPORT, CONTROL_LOCATE, CONTROL_CONFLICTS };

struct content;
struct dir;

/* What the kernel knows under one id: a name of the store at one time. */
struct node {
    struct fs *fs;
    uint64_t id;
    uint64_t lookups; /* the kernel's count */
    unsigned busy;    /* requests and handles that hold it */
    struct slice key; /* owned */
    bool current;     /* stands in fs->by_key */
    bool gone;        /* unlinked, or another file took its name */
    struct seen seen;
    struct list valued;      /* in fs->valued, when seen.value is kept */
    struct content *content; /* what opens share: open or with unpublished changes; else NULL */
    uint64_t told_until_ns;  /* a listing's attributes hold in the kernel until then */
    uint64_t cached_version; /* hash of the version that the kernel's pages are of; 0: unknown */
    enum control control;
    unsigned contents;       /* how many versions of it are open here */
    unsigned cached_opens;   /* handles that read and write through the kernel's pages */
    unsigned direct_writers; /* handles that may write around them */
};

/* A waiter for a publication, a segment, room. */
struct waiter {
    struct list link;
    uint64_t upto;
    void (*done)(void *arg, int error);
    void *arg;
};

/* The content of a regular file that is open or has unpublished changes. */
struct content {
    struct fs *fs;
    struct list link;  /* in fs->contents */
    unsigned refs;     /* handles, requests, the node */
    struct node *node; /* busy */
    unsigned handles;  /* opens that share it */
    bool loaded;
    bool loading;
    struct list load_waiters;
    bool born;      /* there is a published version */
    bool reference; /* of which the content is in a file record */
    bool unlinked;  /* nothing is published any more */
    bool fresh;     /* made by this very content, never synced */
    bool given_up;  /* its creation failed and that was said; nothing new since */
    struct toystore_op file, name_op, record_op, made_from;
    struct blob *extra;  /* moves of the name */
    struct blob *equal;  /* as in seen */
    struct blob **names; /* of the file record */
    size_t name_count;
    struct page_name *pages;
    size_t page_count;
    struct image base, view; /* published; with the log on top */
    struct changes log;
    uint64_t logged, published; /* changes so far, and how many of them have been published */
    struct segment *tail;       /* with room at its end, in memory */
    size_t unsent;              /* bytes of the log in memory only */
    bool replacing;             /* the log begins with an O_TRUNC of what is not empty */
    bool publishing;
    bool detached; /* not the node's content: a replacement under way */
    size_t frozen; /* first entries of the log: in the publication under way */
    uint64_t timer;
    int failed;        /* a chunk could not be stored: the next to ask is told */
    uint64_t failures; /* publications that failed, and what was not published with them is lost */
    int failure;       /* the last one's error: each handle is told once */
    uint64_t version_ns; /* when the version that it is based on was the newest; see reclaim.c */
    struct list waiters; /* of publications */
};

struct handle {
    uint64_t id;
    struct node *node; /* busy */
    struct content *content;
    int flags;
    bool redirection; /* a FLUSH before the first WRITE: a shell's > */
    bool written, flushed, made, truncates, direct;
    bool truncate_again;    /* the truncation was dropped with a write that failed */
    uint64_t failures_told; /* of its content's, up to here */
    uint64_t read_next;     /* where a sequential reader goes on */
    uint64_t ahead;         /* fetched ahead up to here */
    char *text;             /* control files: what they say */
    struct dir *dir;
};

struct fs {
    struct fs_config config;
    struct store_face face;
    struct pool nodes, handles;
    struct node *root;
    struct map by_key;
    struct map parents;       /* directories with news of their entries, by key (parent.c) */
    struct list dirs;         /* that are open */
    struct list second_looks; /* at directories that were removed (second_look.c) */
    struct list contents;
    struct list valued;
    size_t valued_bytes;
    size_t under_way;       /* requests at the store */
    uint64_t firm_again_ns; /* until then owners are away: see firm_try */
    unsigned sending;
    struct list send_queue; /* of sends */
    size_t unsent;          /* bytes in memory that no chunk holds yet */
    struct list room_waiters;
    struct list cache; /* stored segments with data, oldest first */
    size_t cached_bytes;
    struct list garbage;          /* of reclaim.c: what replaced versions leave, oldest first */
    struct list unnamed;          /* segments that were stored for nothing (extents.h) */
    unsigned reclaiming, burials; /* its requests under way; files whose names are looked at */
    bool reclaim_now;             /* nobody else reads: no delay */
    uint64_t reclaim_timer;
    void (*reclaim_done)(void *arg);
    void *reclaim_arg;
};

/* ---- submit.c: requests that are answered exactly once, also when they could not be sent ---- */
void fs_submit(struct fs *fs, struct toystore_request *request, toystore_done_fn *done, void *arg);
int error_of(const struct toystore_result *result); /* OK: 0, else a negative errno */
int64_t fs_wall_ns(struct fs *fs);
void fs_log(struct fs *fs, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- look.c: what stands under a name ---- */
typedef void look_done_fn(void *arg, int error, const struct seen *seen);
/* -ENOENT: a quorum said so. `seen` is borrowed until the callback returns. */
void look(struct fs *fs, struct slice key, look_done_fn *done, void *arg);
/* For who can do without: no longer than that. */
void look_within(struct fs *fs, struct slice key, unsigned deadline_ms, look_done_fn *done,
                 void *arg);

/* ---- node.c ---- */
struct node *node_get(struct fs *fs, uint64_t id); /* NULL: stale */
struct node *node_at(struct fs *fs, struct slice key);
struct node *node_new(struct fs *fs, struct slice key); /* copies the key; busy once */
void node_rename(struct node *node, struct slice key);
void node_free_key(struct node *node);
void slice_free(struct slice owned); /* what name_join made */
void node_hold(struct node *node);
void node_release(struct node *node);
void node_make_current(struct node *node);
void node_detach(struct node *node);                       /* its name is another's, or gone */
void node_saw(struct node *node, const struct seen *seen); /* copies */
bool node_fresh(const struct node *node);
void node_expire(struct node *node); /* what was seen does not hold any more */
/* The node for what was seen under `key`, held once: the one that stands there, or a new one. */
struct node *node_for(struct fs *fs, struct slice key, const struct seen *seen);
void node_stat(const struct node *node, struct stat *attr);
/* Of a version of the node that is open; NULL or not loaded: of what was seen. */
void content_stat(const struct node *node, const struct content *content, struct stat *attr);
void answer_entry(struct node *node, fs_done_fn *done, void *arg); /* counts a lookup */
void answer_error(int error, fs_done_fn *done, void *arg);
void answer_ok(fs_done_fn *done, void *arg);

/* ---- content.c ---- */
struct content *content_new(struct node *node);
/* A new content of nothing that is published yet. */
struct content *content_unborn(struct node *node, const struct toystore_attributes *attributes);
struct content *content_ref(struct content *content);
void content_unref(struct content *content);
/* Reads what the version consists of, once; `done` may come from inside. */
void content_load(struct content *content, const struct seen *seen,
                  void (*done)(void *arg, int error), void *arg);
/* For the end of the load under way. */
void content_wait_loaded(struct content *content, void (*done)(void *arg, int error), void *arg);
/* Another version of its file record. */
void content_load_record(struct content *content, const struct toystore_version *version,
                         void (*done)(void *arg, int error), void *arg);
bool content_dirty(const struct content *content);
bool content_matches(const struct content *content, const struct seen *seen);
/* Adds to the log and to the view. */
void content_change(struct content *content, struct change change);
void content_write(struct content *content, uint64_t offset, struct slice data, bool append);
void content_clear_set_id(struct content *content);
/* An O_TRUNC; set_id: set-id bits go. */
void content_truncate_to_nothing(struct content *content, unsigned set_id);
/* Takes the base anew from what was loaded, and the log over it. */
void content_rebase(struct content *content);
void content_set_names(struct content *content, const struct file_record *record);
/* Unpublished writes are in no need of memory any more. */
void content_sent(struct content *content, size_t bytes);
uint64_t content_version(const struct content *content); /* a hash of what is published */

/* ---- segments.c: chunks out and in ---- */
void segment_send(struct fs *fs, struct content *content, struct segment *segment);
/* One that is stored, and has its bytes here: once more, under a new name. */
void segment_send_again(struct fs *fs, struct content *content, struct segment *segment);
/* `done` may come from inside. */
void segment_fetch(struct fs *fs, struct segment *segment, void (*done)(void *arg, int error),
                   void *arg);
void segment_used(struct fs *fs, struct segment *segment);
void segment_wait(struct segment *segment, void (*done)(void *arg, int error), void *arg);
void fs_made_room(struct fs *fs, size_t bytes);

/* ---- record_load.c ---- */
/* Adds all that a record shows, its pages among it, to `extents`; both are borrowed until `done`,
 * which may come from inside. -EIO: a page cannot be had. */
void record_load(struct fs *fs, const struct toystore_op *file, const struct file_record *record,
                 struct extents *extents, void (*done)(void *arg, int error), void *arg);

/* ---- publish.c ---- */
/* Publishes the log as it stands now; `done` (may be NULL) when it is at its quorum, may come from
 * inside. */
void content_publish(struct content *content, void (*done)(void *arg, int error), void *arg);
bool handle_writable(const struct handle *handle);
/* A chunk that could not be stored takes what was not published with it; and a publication behind
 * the handle's back may have failed. Told once to each handle, by who calls this; 0: nothing
 * failed. */
int handle_take_failure(struct handle *handle);
/* What was asked of the handle ends so: the same for what failed meanwhile. Who has written nothing
 * hears only at an fsync, which speaks of the whole file. `handle` may be NULL. */
int handle_ends(struct handle *handle, int error, bool whole);
void content_publish_later(struct content *content, unsigned ms);

/* ---- parent.c: what a directory must know of its entries ---- */
void parent_touch(struct fs *fs, struct slice key); /* an entry of `key`'s parent has changed */
void parent_check(struct fs *fs, struct slice key); /* a name was made: is its parent there? */
int64_t parent_touched(struct fs *fs, struct slice directory); /* when, here; 0: not lately */
void parents_flush(struct fs *fs);                             /* puts the times that wait now */
void parents_free(struct fs *fs);
struct toystore_attributes fresh_attributes(struct node *parent, mode_t mode,
                                            struct fs_caller caller, int64_t now_ns);

/* ---- moves.c: where the file of a name went ---- */
struct blob *moves_add(const struct blob *moves, const struct toystore_op *file, struct slice to);
bool moves_find(struct slice moves, const struct toystore_op *file, struct slice *ret_to);

/* ---- fs_names.c ---- */
/* The file is not at this name any more; handles that are open on it keep it to themselves. */
void fs_gone(struct fs *fs, struct slice key, const struct toystore_op *file);

/* ---- second_look.c ---- */
void second_look(struct fs *fs, struct slice directory); /* later, at one that was removed */
void second_looks_free(struct fs *fs);

/* ---- fs_open.c ---- */
void handle_free(struct fs *fs, struct handle *handle);

/* ---- fs_dir.c ---- */
/* What a handle of a directory has been listed: to be freed before the handle. */
void handle_free_dir(struct handle *handle);

/* ---- dir_plus.c ---- */
/* A put of a key begins or ends: what its directory's readers were listed does not hold. */
uint64_t dirs_hash(struct slice key);
void dirs_changed(struct fs *fs, uint64_t hash);
/* The node of a name that `pid` was listed just now, held; NULL: it must be looked up. `done` may
 * come from inside. */
void dirs_lookup(struct node *directory, struct slice key, uint32_t pid,
                 void (*done)(void *arg, struct node *node), void *arg);

/* ---- control.c ---- */
struct node *control_lookup(struct fs *fs, struct node *parent, const char *name);
/* A directory below .toystore/conflicts, held; NULL: its name is too long. */
struct node *control_conflicts(struct fs *fs, struct node *parent, const char *name);
bool control_name(const struct node *parent, const char *name); /* reserved there */
int control_open(struct node *node, struct handle *handle);
void control_list(struct node *node, uint64_t offset, fs_entry_fn *entry, void *arg);

#endif
