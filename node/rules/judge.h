/* judge: what a put does to a key's record (PROTOCOL 4, judge): a pure function of the op and what
 * the owners showed. */
#ifndef TOYSTORE_RULES_JUDGE_H
#define TOYSTORE_RULES_JUDGE_H

#include "rules/version.h"

/* One put, as a coordinator got it. Slices are borrowed. */
struct judge_put {
    struct op op;
    bool again; /* given to another coordinator before: a refusal must be remembered */
    enum toystore_condition condition;
    const struct op_id *match;
    size_t match_count;
    enum toystore_change change;
    enum toystore_kind kind;
    struct toystore_attributes attributes;
    struct slice value, extra;
    node_id node;         /* the coordinator, for display */
    struct era era;       /* of the coordinator's view */
    struct era collected; /* what covers of an older era cover has left all disks (PROTOCOL 8) */
    bool forgetful;       /* a deliberately broken build: recent is not looked at */
    bool ageless;         /* another: neither floor nor born is */
    bool heedless;        /* another: nor are siblings of its own session */
};

enum verdict {
    VERDICT_APPLY,    /* accept *ret_record; the answer is OK */
    VERDICT_REMEMBER, /* the same, whose recent holds the op as refused; then the answer */
    VERDICT_ANSWERED, /* recent knows the answer; give it once the base is chosen */
    VERDICT_REFUSED,  /* CONFLICT, IS_DIRECTORY, NOT_FOUND; give it once the base is chosen */
    VERDICT_TOO_LATE, /* never applied */
    VERDICT_SESSION,  /* never applied in this session: it would stand for a sibling that stays */
    VERDICT_TOO_LARGE
};

struct judgement {
    enum verdict verdict;
    enum toystore_status answer;
    struct record record;    /* to accept; its ballot is the caller's to set */
    bool created;            /* a name that was not there before */
    struct version replaced; /* its kind and file, if that is in chunks; else a TOMBSTONE */
    uint64_t floor_us;       /* TOO_LATE: what a new op must be above */
    struct era born;
};

/* Results borrow from `base`, `put` and the arena. */
void judge(struct arena *arena, const struct record *shown, const struct judge_put *put,
           struct judgement *ret);

/* What is put unconditionally replaces whatever its session has put before, read or not. */
bool judge_whole(const struct judge_put *put);

/* Stands a visible sibling of the op's own session beside what the put replaces? A later op of a
 * session stands for all its earlier ones (PROTOCOL 1): this one needs another session. */
bool judge_own_sibling(const struct record *base, const struct judge_put *put);

/* The version that a change makes of what is visible; covers are the caller's. OK, or a refusal. */
enum toystore_status judge_change(const struct record *base, const struct judge_put *put,
                                  struct version *ret_version);

#endif
