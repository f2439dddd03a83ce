/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/broker.h"

#include <stdio.h>

void broker_queue_name(
    unsigned partitions, unsigned partition, char ret_name[BROKER_QUEUE_NAME_BYTES])
{
    snprintf(ret_name, BROKER_QUEUE_NAME_BYTES, "penstock.deliver.%u.%u", partitions, partition);
}

void broker_dropped_queue_name(
    unsigned partitions, unsigned partition, char ret_name[BROKER_QUEUE_NAME_BYTES])
{
    snprintf(ret_name, BROKER_QUEUE_NAME_BYTES, "penstock.dropped.%u.%u", partitions, partition);
}
