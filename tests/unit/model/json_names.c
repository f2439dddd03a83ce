/* SPDX-License-Identifier: Apache-2.0 */
#include "model/json_names.h"

#include <criterion/criterion.h>
#include <stdio.h>

static const struct hash_seed seed = {{1, 2, 3}};

static enum err add(struct json_names *names, uint64_t object, const char *name)
{
    return json_names_add(names, object, slice_from_string(name));
}

Test(json_names, name_is_repeated_only_within_its_object)
{
    struct json_names names;
    json_names_init(&names, &seed);
    cr_assert_eq(add(&names, 1, "a"), OK);
    cr_assert_eq(add(&names, 1, "b"), OK);
    cr_assert_eq(add(&names, 2, "a"), OK);
    cr_assert_eq(add(&names, 1, ""), OK);
    cr_assert_eq(add(&names, 1, "a"), ERR_EXISTS);
    cr_assert_eq(add(&names, 2, "a"), ERR_EXISTS);
    cr_assert_eq(add(&names, 1, ""), ERR_EXISTS);
    cr_assert_eq(add(&names, 2, "b"), OK);
    json_names_done(&names);
}

Test(json_names, finds_every_name_of_the_largest_body)
{
    struct json_names names;
    json_names_init(&names, &seed);
    char name[16];
    const int many = 20000;
    for (int i = 0; i < many; i++) {
        snprintf(name, sizeof name, "%d", i);
        cr_assert_eq(add(&names, (uint64_t)(i % 7), name), OK);
    }
    cr_assert_leq(names.capacity, 8 * (size_t)many);
    for (int i = 0; i < many; i++) {
        snprintf(name, sizeof name, "%d", i);
        cr_assert_eq(add(&names, (uint64_t)(i % 7), name), ERR_EXISTS);
    }
    json_names_done(&names);
}

/* One object after the other with the same name: the hashed input differs only by the object's
 * number. */
Test(json_names, same_name_in_many_objects_does_not_collide)
{
    struct json_names names;
    json_names_init(&names, &seed);
    for (uint64_t object = 1; object < 20000; object++)
        cr_assert_eq(add(&names, object, "a"), OK);
    json_names_done(&names);
}
