/* SPDX-License-Identifier: Apache-2.0 */
#include "model/class.h"

#include "base/cleanup.h"

static const struct {
    const char *type;
    enum event_class class;
    bool guarded;
} known_types[] = {
    {"lead", CLASS_CRITICAL, false},
    {"purchase", CLASS_CRITICAL, false},
    {"payout", CLASS_CRITICAL, true},
    {"notification", CLASS_OPTIONAL, false},
    {"status_update", CLASS_OPTIONAL, false},
};

enum event_class class_of_type(struct slice type)
{
    for (size_t i = 0; i < ARRAY_LENGTH(known_types); i++)
        if (slice_equals_string(type, known_types[i].type))
            return known_types[i].class;
    return CLASS_IMPORTANT;
}

bool class_type_is_guarded(struct slice type)
{
    for (size_t i = 0; i < ARRAY_LENGTH(known_types); i++)
        if (slice_equals_string(type, known_types[i].type))
            return known_types[i].guarded;
    return false;
}

const char *class_name(enum event_class class)
{
    static const char *const names[] = {"critical", "important", "optional"};
    return (unsigned)class < ARRAY_LENGTH(names) ? names[class] : "unknown";
}
