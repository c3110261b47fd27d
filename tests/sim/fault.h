/* fault: what can go wrong. */
#ifndef TOYSTORE_SIM_FAULT_H
#define TOYSTORE_SIM_FAULT_H

/* FAULT(constant, function, name) */
#define FAULTS(F)                                                                                  \
    F(KILL, fault_kill, "kill")                                                                    \
    F(LEAVE, fault_leave, "leave")                                                                 \
    F(KILL_MIDWAY, fault_kill_midway, "kill-midway")                                               \
    F(KILL_ALL, fault_kill_all, "kill-all")                                                        \
    F(POWER, fault_power, "power")                                                                 \
    F(POWER_ALL, fault_power_all, "power-all")                                                     \
    F(PAUSE, fault_pause, "pause")                                                                 \
    F(SPLIT, fault_split, "split")                                                                 \
    F(ONE_WAY, fault_one_way, "one-way")                                                           \
    F(BREAK, fault_break, "break")                                                                 \
    F(CLOCK, fault_clock, "clock")                                                                 \
    F(FULL, fault_full, "full")                                                                    \
    F(DAMAGE, fault_damage, "damage")                                                              \
    F(RUIN, fault_ruin, "ruin")                                                                    \
    F(JOIN, fault_join, "join")                                                                    \
    F(AWAY, fault_away, "away")                                                                    \
    F(REMOVE, fault_remove, "remove")                                                              \
    F(WEIGHT, fault_weight, "weight")                                                              \
    F(DAYS, fault_days, "days")                                                                    \
    F(DRIFT, fault_drift, "drift")                                                                 \
    F(SHATTER, fault_shatter, "shatter")

enum fault {
#define F(constant, function, name) FAULT_##constant,
    FAULTS(F)
#undef F
        FAULT_COUNT
};

extern const char *const fault_names[FAULT_COUNT];

#endif
