/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The class of an event follows from its type.
 *
 *   critical    money moves: a key is required, dedupe keeps it longest, shed last
 *   important   the default
 *   optional    informational, shed first
 *
 * Guarded types (payouts by default) are critical as well, and Penstock never sends them twice on
 * its own. The operator configures the types. An event keeps the class that it had when it was
 * accepted.
 */
#ifndef PENSTOCK_MODEL_CLASS_H
#define PENSTOCK_MODEL_CLASS_H

#include "model/type_list.h"

/* Written to disk: numbers never change. */
enum event_class { CLASS_CRITICAL = 0, CLASS_IMPORTANT = 1, CLASS_OPTIONAL = 2 };
#define EVENT_CLASSES (CLASS_OPTIONAL + 1)

struct class_rules {
    struct type_list critical, optional, guarded;
    struct type_list allowed; /* empty: every type */
};

/* lead, purchase, payout; notification, status_update; payout. */
extern const struct class_rules class_rules_default;

/* A type in several lists gets the class that protects it most. */
enum event_class class_of_type(const struct class_rules *rules, struct slice type);
bool class_type_is_guarded(const struct class_rules *rules, struct slice type);

/*
 * Types are case-sensitive, so a mistyped `PAYOUT` would be neither critical nor guarded. Returns
 * the pattern that such a type probably means: one that would match if case did not matter. NULL:
 * there is none, or a list names the type exactly.
 */
const char *class_type_meant(const struct class_rules *rules, struct slice type);
bool class_type_is_allowed(const struct class_rules *rules, struct slice type);
const char *class_name(enum event_class class);

#endif
