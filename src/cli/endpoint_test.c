/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/endpoint_test.h"

#include "cli/print_answer.h"

#include <stdio.h>
#include <sysexits.h>

static void print_request(const json_t *request)
{
    size_t i;
    json_t *header;
    printf("  %s %s\n", show_text(request, "method"), show_text(request, "url"));
    json_array_foreach(json_object_get(request, "headers"), i, header)
        printf("    %s\n", json_string_value(header));
    printf("\n    %s\n\n", show_text(request, "body"));
}

void show_endpoint_test(const json_t *test)
{
    const json_t *endpoint = json_object_get(test, "endpoint");
    printf("%s  a test, to %s (%s) of %s\n", show_text(test, "event"), show_endpoint(test),
        show_text(endpoint, "id"), show_text(test, "account"));
    print_request(json_object_get(test, "request"));
    show_attempt(json_object_get(test, "attempt"));
    if (json_is_true(json_object_get(test, "success")))
        printf("success\n");
    else
        printf("no success: %s\n", show_text(test, "why"));
    if (json_is_false(json_object_get(test, "enabled")))
        printf("The endpoint is disabled: real events are parked until it is enabled.\n");
    if (json_is_true(json_object_get(test, "breaker_open")))
        printf("The breaker of the endpoint is open: real events wait until a probe succeeds.\n");
}

int endpoint_test_exit_code(const json_t *test)
{
    return json_is_true(json_object_get(test, "success")) ? EX_OK : EX_PROTOCOL;
}
