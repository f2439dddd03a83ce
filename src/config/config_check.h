/* SPDX-License-Identifier: Apache-2.0 */
/* What no row of the option table can see by itself: options that need or exclude one another. Only
 * config/ includes this. */
#ifndef PENSTOCK_CONFIG_CONFIG_CHECK_H
#define PENSTOCK_CONFIG_CONFIG_CHECK_H

#include "config/complaint.h"
#include "config/config.h"

/* Complains where one of them stands; which of the options is the wrong one, nobody can know. */
void config_check(const struct config *config, struct complaints *complaints);

#endif
