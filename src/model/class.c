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

const char *class_type_meant(const struct class_rules *rules, struct slice type)
{
    const struct type_list *const lists[] = {&rules->guarded, &rules->critical, &rules->optional};
    bool is_named = type_list_names(&rules->allowed, type);
    for (size_t i = 0; i < ARRAY_LENGTH(lists); i++)
        is_named |= type_list_names(lists[i], type);
    for (size_t i = 0; i < ARRAY_LENGTH(lists) && !is_named; i++) {
        const char *meant =
            type_list_matches(lists[i], type) ? NULL : type_list_match_any_case(lists[i], type);
        if (meant)
            return meant;
    }
    return NULL;
}

bool class_type_is_allowed(const struct class_rules *rules, struct slice type)
{
    return rules->allowed.count == 0 || type_list_matches(&rules->allowed, type);
}

const char *class_name(enum event_class class)
{
    static const char *const names[] = {"critical", "important", "optional"};
    return (unsigned)class < ARRAY_LENGTH(names) ? names[class] : "unknown";
}
