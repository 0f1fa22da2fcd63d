/* files.h - data on its way to the daemon. */
#ifndef CLI_FILES_H
#define CLI_FILES_H

#include "api/cli/cli.h"

/* Uploads the file of this path for fine-tuning; the reply's object is its answer. */
struct http_reply;
int files_upload(const struct call *call, const char *path, struct http_reply *out);
/* The id of DATA: one that is an id already, or of the file that is uploaded. Free it. */
int files_data(const struct call *call, const char *data, char **id);
/* 128 random bits, for requests that are to be done once however often they are sent. */
void files_random_key(char out[33]);

#endif
