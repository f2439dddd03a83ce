/* SPDX-License-Identifier: Apache-2.0 */
/* The files that options name, and the data directory: whether a gateway that starts now could use
 * them. Only config/ includes this. */
#ifndef PENSTOCK_CONFIG_CONFIG_FILES_H
#define PENSTOCK_CONFIG_CONFIG_FILES_H

#include "config/complaint.h"
#include "config/config.h"

/* Makes and changes nothing. */
void config_check_data_directory(const struct config *config, struct complaints *complaints);
void config_check_files(const struct config *config, struct complaints *complaints);

#endif
