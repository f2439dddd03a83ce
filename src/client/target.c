/* SPDX-License-Identifier: Apache-2.0 */
#include "client/target.h"

#include "base/limits.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static enum err refuse(const char *problem, const char **ret_problem)
{
    *ret_problem = problem;
    return ERR_URL;
}

/* libcurl itself accepts one to three slashes. */
static bool begins_with(const char *text, const char *prefix)
{
    size_t len = strlen(prefix);
    return strncasecmp(text, prefix, len) == 0 && text[len] != '/';
}

static enum err parse_text(CURLU *url, const char *text, bool allow_http, const char **ret_problem)
{
    if (!text || strlen(text) > URL_BYTES_MAX)
        return refuse("must be at most 2048 bytes long", ret_problem);
    bool http = begins_with(text, "http://");
    if (http && !allow_http)
        return refuse("must begin with https:// (plain http:// is not allowed here)", ret_problem);
    if (!http && !begins_with(text, "https://"))
        return refuse("must begin with https:// and a host", ret_problem);
    CURLUcode code = curl_url_set(url, CURLUPART_URL, text, CURLU_DISALLOW_USER);
    if (code == CURLUE_OUT_OF_MEMORY)
        return ERR_NO_MEMORY;
    if (code == CURLUE_USER_NOT_ALLOWED)
        return refuse("must not contain a user name or a password", ret_problem);
    return code == CURLUE_OK ? OK : refuse("must be a valid URL", ret_problem);
}

/* Sets NULL if the URL has no such part. */
static enum err get_part(CURLU *url, CURLUPart part, unsigned flags, char **ret_text)
{
    char *text = NULL;
    CURLUcode code = curl_url_get(url, part, &text, flags);
    if (code == CURLUE_OUT_OF_MEMORY)
        return ERR_NO_MEMORY;
    *ret_text = code == CURLUE_OK ? text : NULL;
    return OK;
}

static enum err read_port(CURLU *url, struct target *target, const char **ret_problem)
{
    char *port;
    enum err e = get_part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT, &port);
    if (e != OK)
        return e;
    unsigned long value = port ? strtoul(port, NULL, 10) : 0;
    curl_free(port);
    if (value < 1 || value > 65535)
        return refuse("must have a port between 1 and 65535", ret_problem);
    target->port = (unsigned)value;
    return OK;
}

/* Copies the host to the target in lower case. Returns false if it is not a plain host name. */
static bool read_name(const char *host, size_t len, struct target *target)
{
    if (len == 0 || len > HOST_BYTES_MAX || host[0] == '.' || host[0] == '-' ||
        host[len - 1] == '.')
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = host[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'))
            return false;
        target->host[i] = c;
    }
    target->host[len] = '\0';
    return true;
}

static bool read_address(const char *host, size_t len, struct target *target)
{
    union address *address = &target->address;
    if (inet_pton(AF_INET, host, &address->ipv4.sin_addr) == 1) {
        address->ipv4.sin_family = AF_INET;
        return true;
    }
    char inside[INET6_ADDRSTRLEN];
    if (len < 2 || host[0] != '[' || host[len - 1] != ']' || len - 2 >= sizeof inside)
        return false;
    memcpy(inside, host + 1, len - 2);
    inside[len - 2] = '\0';
    if (inet_pton(AF_INET6, inside, &address->ipv6.sin6_addr) != 1)
        return false;
    address->ipv6.sin6_family = AF_INET6;
    return true;
}

static enum err read_host(CURLU *url, struct target *target, const char **ret_problem)
{
    char *host, *zone;
    enum err e = get_part(url, CURLUPART_ZONEID, 0, &zone);
    if (e != OK)
        return e;
    bool has_zone = zone != NULL;
    curl_free(zone);
    if (has_zone)
        return refuse("must not have a zone in its address", ret_problem);
    e = get_part(url, CURLUPART_HOST, 0, &host);
    if (e != OK)
        return e;
    size_t len = host ? strlen(host) : 0;
    bool readable = host && (read_address(host, len, target) || read_name(host, len, target));
    curl_free(host);
    if (readable)
        return OK;
    return refuse("must have a host of letters, digits, '-', '_' and '.' (others in their xn-- "
                  "form), or an address",
        ret_problem);
}

enum err target_parse(CURLU *url, const char *text, bool allow_http, struct target *ret_target,
    const char **ret_problem)
{
    struct target target = {.host = ""};
    enum err e = parse_text(url, text, allow_http, ret_problem);
    if (e == OK)
        e = read_port(url, &target, ret_problem);
    if (e == OK)
        e = read_host(url, &target, ret_problem);
    if (e == OK)
        *ret_target = target;
    return e;
}
