/*
 * api.h - the HTTP interface over libmicrohttpd. daemon/main.c starts and stops it; nothing in
 * daemon/ knows of it otherwise.
 */
#ifndef API_H
#define API_H

#include "daemon/config.h"
#include "daemon/models.h"
#include "daemon/predictor.h"
#include "daemon/store.h"

struct api;

/* *port is what was really bound (the configuration may say 0). */
enum prilora_status api_start(struct api **out, const struct config *config, struct store *store,
                              struct models *models, struct predictor *predictor, int *port,
                              struct prilora_error *err);
/* Stops accepting, lets running requests end (at most timeout_s seconds), closes all connections.
 * What a request has begun on a thread of its own may still run. */
void api_stop(struct api *api, long timeout_s);
/* Waits for that, which takes as long as the client's data take; frees. Both accept NULL. */
void api_free(struct api *api);

#endif
