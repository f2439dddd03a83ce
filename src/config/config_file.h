/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the YAML file by the option table. Only config/ includes this. */
#ifndef PENSTOCK_CONFIG_CONFIG_FILE_H
#define PENSTOCK_CONFIG_CONFIG_FILE_H

#include "config/complaint.h"
#include "config/config.h"

#define CONFIG_FILE_BYTES_MAX 1048576 /* a larger file is not a configuration */

/* Sets the options of the file in *config, and complains about all other content. An empty file
 * sets nothing. */
void config_file_load(const char *file, struct config *config, struct complaints *complaints);

#endif
