/* retire_step: looks, every so often and when something has changed, at which sessions are to be
 * retired, whom to tell, and what can be swept. Enters from boot and retire_wake; leaves to
 * retire_propose.c, retire_tell.c and retire_sweep.c. */
#include "core/retire/retire.h"
#include "core/retire/retire_priv.h"
#include "core/view/view.h"

static void step(struct core *core, struct timer *timer)
{
    timer_set_after_ms(core, timer, RETIRE_STEP_MS, step);
    if (core->stopping || !view_newest(core))
        return;
    retire_propose(core);
    retire_tell(core);
    retire_sweep(core);
}

void retiring_init(struct retire *retire)
{
    retire->step = step;
}

void retiring_free(struct retire *retire)
{
    retire_propose_free(retire);
    retire_sweep_free(retire);
}

void retire_start(struct core *core)
{
    session_retire_past(core);
    if (core->config.storing)
        timer_set_after_ms(core, &core->retire->due_timer, RETIRE_STEP_MS, step);
}
