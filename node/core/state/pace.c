#include "core/state/pace.h"

enum {
    PAUSE_US_MAX = 50000,
    LEAST = 4,           /* a piece, then three times as long a pause */
    PART = 16,           /* a piece of the window */
    BEGIN = 2 * PART,    /* carefully */
    SLACK_US = 1000,     /* a disk's and a scheduler's usual whims are nobody's waiting */
    SPELL_US = 60000000, /* so long the fastest piece counts, and as long again */
    STRETCH = 2          /* so many times the fastest: somebody waits */
};

static void note_least(struct pace *pace, uint64_t now_us, uint64_t took_us)
{
    if (pace->window == 0 || now_us >= pace->spell_until_us) {
        pace->before_us = pace->window == 0 ? took_us : pace->least_us;
        pace->least_us = took_us;
        pace->spell_until_us = now_us + SPELL_US;
    }
    pace->least_us = min_u64(pace->least_us, took_us);
}

void pace_took(struct pace *pace, uint64_t now_us, uint64_t took_us, unsigned most)
{
    note_least(pace, now_us, took_us);
    if (pace->window == 0)
        pace->window = BEGIN;
    uint64_t usual_us = min_u64(pace->least_us, pace->before_us);
    unsigned step = pace->window < PART
                        ? 1
                        : PART * PART / pace->window + 1; /* about one piece more a round of them */
    if (took_us > STRETCH * usual_us + SLACK_US)
        pace->window -= (pace->window + 7) / 8;
    else
        pace->window += step;
    if (pace->window < LEAST)
        pace->window = LEAST;
    if (pace->window > most * PART)
        pace->window = most * PART;
    if (pace->window < PART)
        pace->not_before_us =
            now_us + min_u64(took_us * (PART - pace->window) / pace->window, PAUSE_US_MAX);
}

unsigned pace_window(const struct pace *pace, unsigned most)
{
    unsigned window = pace->window == 0 ? BEGIN : pace->window;
    window = window < PART ? 1 : window / PART;
    return window < most ? window : most;
}
