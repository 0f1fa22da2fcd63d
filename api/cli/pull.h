/* pull.h - base models fetched to where the client is. */
#ifndef CLI_PULL_H
#define CLI_PULL_H

#include "api/cli/cli.h"

/* The exit status for what a pull failed of. */
int pull_status(const char *code);

/* Into the folder `dir`, as prilorad looks for models in it, on the caller's thread. */
int pull_here(const struct call *call, const char *dir, const char *model);

#endif
