/* scene: a scripted story on a simulated cluster, told as a trace that reads as documentation of
 * the protocol: who sends what to whom about one key, and what each commits. Nodes are called by
 * their rank for that key: A is its first owner, B the second ... The trace is compared with
 * golden/NAME.txt; `tell --write` makes these anew. */
#ifndef TOYSTORE_TEST_SCENE_H
#define TOYSTORE_TEST_SCENE_H

#include "base/buf.h"
#include "sim/sim.h"

enum { SCENE_PENDING_MAX = 512 };

/* A request on its way, so that its answer can be told. */
struct scene_pending {
    unsigned asker, asked;
    uint32_t id;
    bool live, told;
    unsigned method;
};

struct scene {
    struct sim sim; /* first: the callbacks of the simulator are given it */
    struct slice key;
    unsigned ranked[NODES_MAX]; /* nodes by rank */
    node_id ids[NODES_MAX];     /* of them */
    unsigned count;
    uint32_t partition;       /* of the key */
    uint32_t layout;          /* the only live one when the story begins */
    uint32_t held[NODES_MAX]; /* by node: the layout in which it last took that */
    bool recording;
    struct buf trace;
    unsigned open; /* calls */
    enum toystore_status last;
    struct toystore_op ops[8]; /* of the versions last shown */
    unsigned shown;
    struct scene_pending pending[SCENE_PENDING_MAX];
    size_t pending_next;
};

enum { A, B, C, D, E }; /* by rank */

/* N storing members with `replicas` copies stand and have chosen their leaders; then the recording
 * begins, about `key`. */
void scene_begin(struct scene *scene, unsigned nodes, unsigned replicas, const char *key);
__attribute__((format(printf, 2, 3))) void scene_say(struct scene *scene, const char *format, ...);

/* What a put asks for, or'ed. */
enum { SCENE_ALWAYS = 0, SCENE_IF_ABSENT = 1, SCENE_IF_MATCH = 2, SCENE_STRICT = 4 };
/* Asked of the node of that rank; the story goes on at once. */
void scene_ask_put(struct scene *scene, unsigned rank, const char *value, unsigned how);
void scene_ask_get(struct scene *scene, unsigned rank, unsigned how);
void scene_ask_delete(struct scene *scene, unsigned rank);
/* The same, until everything has been answered and what follows behind the answers is done. */
void scene_put(struct scene *scene, unsigned rank, const char *value, unsigned how);
void scene_get(struct scene *scene, unsigned rank, unsigned how);
void scene_delete(struct scene *scene, unsigned rank);
void scene_rest(struct scene *scene, unsigned ms);

void scene_kill(struct scene *scene, unsigned rank);
void scene_power(struct scene *scene, unsigned rank);
void scene_start(struct scene *scene, unsigned rank);
/* One more storing member, named behind the others. */
void scene_join(struct scene *scene);
/* Until that node knows so many live layouts: 2 while something moves, else 1. */
void scene_until_layouts(struct scene *scene, unsigned rank, unsigned live);
/* Nothing goes between the first `count` by rank and the others. */
void scene_split(struct scene *scene, unsigned count);
void scene_heal(struct scene *scene);
void scene_damage(struct scene *scene, unsigned rank);
/* Its disk takes nothing for so long. */
void scene_full(struct scene *scene, unsigned rank, unsigned us);
/* From now on tombstones are collected as soon as it can be. */
void scene_collect(struct scene *scene);

/* scene_trace.c */
char scene_name(const struct scene *scene, unsigned node);
void scene_line(struct scene *scene, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* scene_era.c; false: it is not about the partition of the key */
struct frame;
bool era_request_words(const struct scene *scene, const struct frame *frame, char *text,
                       size_t size);
bool era_answer_words(const struct scene *scene, unsigned method, const struct frame *frame,
                      char *text, size_t size);
/* What a commit says of layouts, and of the partition. */
struct batch_write;
void era_told_commit(struct scene *scene, unsigned node, const struct batch_write *write);

#endif
