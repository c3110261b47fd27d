/* swim_self: what others say of this node. A suspicion is refuted; news of another process under
 * this node's id is old (our last process), or shows that the data directory has a twin
 * (PROTOCOL 7, Copies of a directory). */
#include "core/members/identity.h"
#include "core/swim/swim_priv.h"

void swim_refute(struct core *core, uint64_t accused_incarnation)
{
    core->self.incarnation = max_u64(core->self.incarnation, accused_incarnation) + 1;
    core->swim->refutes++;
    identity_save(core);
    gossip_queue(core, core->members->list[0]);
}

static bool is_own_start(const struct core *core, uint64_t nonce)
{
    for (size_t i = 0; i < core->nonce_count; i++)
        if (core->nonces[i] == nonce)
            return true;
    return core->nonce_count == NONCES_MAX; /* it may be one that was forgotten */
}

static bool is_new(const struct core *core)
{
    return core->now_us - core->swim->started_us < NEW_PROBES * swim_interval_us(core);
}

/* A process that outbids us again and again lives. The later of the two stops itself. */
static void on_rival(struct core *core, const struct member *rival)
{
    struct swim *swim = core->swim;
    if (rival->incarnation <= swim->rival_incarnation)
        return;
    swim->rival_incarnation = rival->incarnation;
    if (++swim->rival_claims < RIVAL_CLAIMS_MAX)
        return;
    if (is_own_start(core, rival->nonces[0]) ||
        (!is_own_start(core, rival->nonces[1]) &&
         session_compare(&core->session, &rival->session) > 0))
        core_stop(core, -EEXIST, "this member runs already, at %s:%u", rival->rpc.host,
                  rival->rpc.port);
}

void swim_hear_of_self(struct core *core, const struct news *news)
{
    const struct member *member = &news->member;
    bool ours = session_compare(&member->session, &core->session) == 0;
    bool alive = member->state == TOYSTORE_ALIVE;
    if (core->swim->left)
        return;
    if (!ours && core->config.storing && is_new(core) && !is_own_start(core, member->nonces[0])) {
        if (!core->clean_marked)
            identity_reset(core, "the other members know a later start of this data directory");
        return;
    }
    if (member->incarnation < core->self.incarnation || (ours && alive))
        return;
    if (!ours && alive)
        on_rival(core, member);
    if (ours)
        swim_awareness(core, 1);
    if (!core->stopped)
        swim_refute(core, member->incarnation);
}
