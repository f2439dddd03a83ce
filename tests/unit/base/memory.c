/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>

Test(memory, new_memory_is_zeroed_also_when_it_is_empty)
{
    unsigned char *bytes = memory_new(64), *none = memory_new(0);
    unsigned *numbers = memory_new_array(16, sizeof *numbers);
    for (int i = 0; i < 64; i++)
        cr_assert_eq(bytes[i], 0);
    for (int i = 0; i < 16; i++)
        cr_assert_eq(numbers[i], 0);
    free(bytes);
    free(none);
    free(numbers);
}

Test(memory, resizing_keeps_what_was_there)
{
    char *text = memory_copy_string("abc");
    text = memory_resize(text, 100000);
    cr_assert_str_eq(text, "abc");
    free(text);
}

Test(memory, the_process_is_aborted_when_there_is_none, .signal = SIGABRT)
{
    volatile size_t size = SIZE_MAX / 2;
    free(memory_new_raw(size));
}
