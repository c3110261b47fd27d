/* session: the session under which this process names its operations. A client that was taken for
 * dead finds its session retired when it wakes up, and goes on under a new one: what is begun from
 * then on has a name that nobody refuses. So does whoever has left a sibling somewhere, and goes on
 * from another version of that key: a later op of the same session would stand for it. What was
 * begun before keeps the old name, and is refused, never renamed in silence: who has named chunks
 * under it must store them anew (DESIGN 4, 8). Enters from ask_put.c (an operation was refused) and
 * retire_tell.c (somebody says so). */
#include "core/core_priv.h"

void session_renew(struct core *core, const struct session *old)
{
    if (session_compare(&core->session, old) != 0)
        return;
    core_log(core, LOG_WARNING,
             "goes on under a new session: the old one was retired, or has a sibling that stays");
    prng_bytes(&core->prng, core->session.bytes, SESSION_SIZE);
    core->self.session = core->session;
    swim_update_self(core);
}
