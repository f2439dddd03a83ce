/* SPDX-License-Identifier: Apache-2.0 */
/* Ids, times, secrets and base64 as text: a value that is read is written again as the same
 * text. */
#include "base/clock.h"
#include "model/event_id.h"
#include "model/signature.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    struct event_id id;
    if (event_id_parse(text, &id)) {
        char again[EVENT_ID_TEXT_BYTES];
        event_id_format(&id, again);
        if (!slice_equals_string(text, again))
            abort();
    }
    int64_t wall_us;
    if (clock_parse_rfc3339(text, &wall_us)) {
        char formatted[CLOCK_TEXT_BYTES];
        int64_t again;
        clock_format_rfc3339(wall_us, formatted);
        if (wall_us > -62135596800 * US_PER_SECOND && wall_us < 253402300799 * US_PER_SECOND &&
            (!clock_parse_rfc3339(slice_from_string(formatted), &again) || again != wall_us))
            abort();
    }
    struct secret secret;
    if (secret_parse(text, &secret) && secret.len > sizeof secret.bytes)
        abort();
    return 0;
}
