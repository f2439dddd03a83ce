/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>

Test(memory, new_memory_is_zeroed_and_size_zero_is_allowed)
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

Test(memory, resizing_keeps_the_content)
{
    char *text = memory_copy_string("abc");
    text = memory_resize(text, 100000);
    cr_assert_str_eq(text, "abc");
    free(text);
}

Test(memory, process_aborts_when_memory_runs_out, .signal = SIGABRT)
{
    volatile size_t size = SIZE_MAX / 2;
    free(memory_new_raw(size));
}
