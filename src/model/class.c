/* SPDX-License-Identifier: Apache-2.0 */
#include "model/class.h"

#include "base/cleanup.h"

const struct class_rules class_rules_default = {
    .critical = {3, {"lead", "purchase", "payout"}},
    .optional = {2, {"notification", "status_update"}},
    .guarded = {1, {"payout"}},
};

enum event_class class_of_type(const struct class_rules *rules, struct slice type)
{
    if (type_list_matches(&rules->critical, type) || type_list_matches(&rules->guarded, type))
        return CLASS_CRITICAL;
    return type_list_matches(&rules->optional, type) ? CLASS_OPTIONAL : CLASS_IMPORTANT;
}

bool class_type_is_guarded(const struct class_rules *rules, struct slice type)
{
    return type_list_matches(&rules->guarded, type);
}

const char *class_name(enum event_class class)
{
    static const char *const names[] = {"critical", "important", "optional"};
    return (unsigned)class < ARRAY_LENGTH(names) ? names[class] : "unknown";
}
