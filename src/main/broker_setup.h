/* SPDX-License-Identifier: Apache-2.0 */
/* From the configuration to what the broker's parts take. */
#ifndef PENSTOCK_MAIN_BROKER_SETUP_H
#define PENSTOCK_MAIN_BROKER_SETUP_H

#include "broker/broker.h"
#include "config/config.h"

/* `partitions` are the installation's. The addresses have been checked by config/; what has no port
 * gets AMQP's. */
void broker_setup_options(
    const struct config *config, unsigned partitions, struct broker_options *ret_options);

#endif
