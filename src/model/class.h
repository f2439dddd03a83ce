/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event's class, by its type: critical (money moves: a key is required, the ledger remembers it longest, it is shed
 * last), important (the default) and optional (informational: shed first). Payouts are guarded as well: never sent
 * twice by our doing.
 */
#ifndef PENSTOCK_MODEL_CLASS_H
#define PENSTOCK_MODEL_CLASS_H

#include "base/slice.h"

/* Written to disk: numbers never change. */
enum event_class { CLASS_CRITICAL = 0, CLASS_IMPORTANT = 1, CLASS_OPTIONAL = 2 };

enum event_class class_of_type(struct slice type);
bool class_type_is_guarded(struct slice type);
const char *class_name(enum event_class class);

#endif
