/* member: what is known of a member of the cluster, this node included. */
#ifndef TOYSTORE_CORE_MEMBER_H
#define TOYSTORE_CORE_MEMBER_H

#include "core/state/event.h"

struct member {
    node_id id;
    struct session session; /* of the process */
    uint64_t incarnation;
    enum toystore_member_state state;
    bool storing;
    struct address rpc, gossip;
    char name[NAME_SIZE_MAX + 1], zone[ZONE_SIZE_MAX + 1];
    uint32_t weight;
    uint64_t nonces[2]; /* the data directory's last two starts, newest first (PROTOCOL 7) */
    uint8_t cluster[CLUSTER_ID_SIZE]; /* zero: not in one yet */
    uint32_t layout_newest;           /* newest layout it knows */
    bool keeps;                       /* it left, and still has data or hints on its disk */
    uint64_t state_since_us;          /* this node's clock */
};

#endif
