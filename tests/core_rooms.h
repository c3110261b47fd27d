/* core_rooms: all rooms of the core, for tests that look inside a node. */
#ifndef TOYSTORE_TEST_CORE_ROOMS_H
#define TOYSTORE_TEST_CORE_ROOMS_H

#include "core/core.h"
#include "core/ask/ask.h"
#include "core/collect/collect.h"
#include "core/coord/coord.h"
#include "core/coord/lead.h"
#include "core/members/identity.h"
#include "core/members/members.h"
#include "core/move/move.h"
#include "core/repair/entropy.h"
#include "core/replica/grave.h"
#include "core/replica/hint.h"
#include "core/replica/replica.h"
#include "core/replica/sync.h"
#include "core/replica/tree.h"
#include "core/report/report.h"
#include "core/retire/retire.h"
#include "core/rpc/rpc.h"
#include "core/state/state.h"
#include "core/swim/swim.h"
#include "core/view/holders.h"
#include "core/view/view.h"
#include "rules/version.h"

#endif
