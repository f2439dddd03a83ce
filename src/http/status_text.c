/* SPDX-License-Identifier: Apache-2.0 */
/* The standard phrases of HTTP statuses: they are reasons in HTTP/1 and titles of problems. Which
 * error has which status is in base/err.h. */
#include "http/http_internal.h"

const char *http_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {{200, "OK"}, {201, "Created"}, {202, "Accepted"}, {204, "No Content"},
        {304, "Not Modified"}, {400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"},
        {404, "Not Found"}, {405, "Method Not Allowed"}, {409, "Conflict"},
        {413, "Content Too Large"}, {415, "Unsupported Media Type"}, {422, "Unprocessable Content"},
        {429, "Too Many Requests"}, {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"}, {502, "Bad Gateway"}, {503, "Service Unavailable"},
        {504, "Gateway Timeout"}};
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "Other";
}
