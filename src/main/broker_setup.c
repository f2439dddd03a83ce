/* SPDX-License-Identifier: Apache-2.0 */
#include "main/broker_setup.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define PORT_AMQP 5672
#define PORT_AMQPS 5671

_Static_assert(CONFIG_ADDRESSES_MAX <= BROKER_ADDRESSES_MAX, "every address has a place");

/* host, host:port, [IPv6], [IPv6]:port. The host goes without its brackets, as getaddrinfo takes
 * it. */
static struct broker_address parse_address(const char *text, uint16_t port)
{
    struct broker_address address = {.port = port};
    bool bracketed = *text == '[';
    const char *host = text + bracketed;
    size_t host_len = strcspn(host, bracketed ? "]" : ":");
    const char *colon = strchr(host + host_len, ':');
    snprintf(address.host, sizeof address.host, "%.*s", (int)host_len, host);
    if (colon)
        address.port = (uint16_t)strtoul(colon + 1, NULL, 10);
    return address;
}

static void copy_text(char *ret_text, size_t size, const char *text)
{
    snprintf(ret_text, size, "%s", text);
}

void broker_setup_options(
    const struct config *config, unsigned partitions, struct broker_options *ret_options)
{
    struct broker_options *options = ret_options;
    *options = (struct broker_options){
        .addresses_count = config->broker_addresses.count,
        .tls = config->broker_tls,
        .heartbeat_s =
            (unsigned)((config->broker_heartbeat_us + US_PER_SECOND - 1) / US_PER_SECOND),
        .partitions = partitions,
        .taps = config->broker_taps,
        .intake = *config->intake_partner != '\0',
    };
    for (unsigned i = 0; i < options->addresses_count; i++)
        options->addresses[i] = parse_address(
            config->broker_addresses.texts[i], config->broker_tls ? PORT_AMQPS : PORT_AMQP);
    copy_text(options->vhost, sizeof options->vhost, config->broker_vhost);
    copy_text(options->credentials_file, sizeof options->credentials_file,
        config->broker_credentials_file);
    copy_text(options->ca_file, sizeof options->ca_file, config->broker_ca_file);
    copy_text(options->certificate_file, sizeof options->certificate_file,
        config->broker_certificate_file);
    copy_text(options->key_file, sizeof options->key_file, config->broker_key_file);
}
