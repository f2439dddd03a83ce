/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event's class, by its type: critical (money moves: a key is required, the dedupe store
 * remembers it longest, it is shed last), important (the default) and optional (informational: shed
 * first). Guarded types, payouts by default, are critical as well, and never sent twice by our
 * doing. Which types these are is the operator's to say; what an event was when it was accepted
 * stays with it.
 */
#ifndef PENSTOCK_MODEL_CLASS_H
#define PENSTOCK_MODEL_CLASS_H

#include "model/type_list.h"

/* Written to disk: numbers never change. */
enum event_class { CLASS_CRITICAL = 0, CLASS_IMPORTANT = 1, CLASS_OPTIONAL = 2 };

struct class_rules {
    struct type_list critical, optional, guarded;
    struct type_list allowed; /* empty: every type */
};

/* lead, purchase, payout; notification, status_update; payout. */
extern const struct class_rules class_rules_default;

/* What stands in several lists is what protects it most. */
enum event_class class_of_type(const struct class_rules *rules, struct slice type);
bool class_type_is_guarded(const struct class_rules *rules, struct slice type);

/*
 * Types are case-sensitive, and `PAYOUT` is an accident: as a type of its own it would be neither
 * critical nor guarded. Returns the pattern that such a type means: one of a list of the rules that
 * would take it if upper and lower case were the same. NULL: there is none, or a list names the
 * type as it is written.
 */
const char *class_type_meant(const struct class_rules *rules, struct slice type);
bool class_type_is_allowed(const struct class_rules *rules, struct slice type);
const char *class_name(enum event_class class);

#endif
