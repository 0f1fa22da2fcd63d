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
struct listen_given; /* api/listen.h */

/*
 * Serves on the sockets that systemd gave, which it takes, and for want of such of a kind (TCP,
 * Unix) on server.listen and server.socket.
 */
enum prilora_status api_start(struct api **out, const struct config *config, struct store *store,
                              struct models *models, struct predictor *predictor,
                              const struct listen_given *given, struct prilora_error *err);
int api_port(const struct api *api);            /* of the first by TCP; 0: there is none */
const char *api_address(const struct api *api); /* all that it serves on, for the log */
/*
 * The parts of other settings that may fail, read before any of them holds (*out; NULL: nothing
 * of that kind), and taken when all have been read, or dropped. api_take tells whether the
 * certificate is another one now; it frees.
 */
struct tls_pair;
enum prilora_status api_prepare(struct api *api, struct tls_pair **out, const struct config *config,
                                struct prilora_error *err);
bool api_take(struct api *api, struct tls_pair *pair);
void api_drop(struct tls_pair *pair);
/* Stops accepting, lets running requests end (at most timeout_s seconds), closes all connections.
 * What a request has begun on a thread of its own may still run. */
void api_stop(struct api *api, long timeout_s);
/* Waits for that, which takes as long as the client's data take; frees. Both accept NULL. */
void api_free(struct api *api);

#endif
