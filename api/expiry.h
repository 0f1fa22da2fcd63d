/* expiry.h - how long a file may be asked to live (expires_after). */
#ifndef EXPIRY_H
#define EXPIRY_H

#define EXPIRY_MIN_S 3600
#define EXPIRY_MAX_S 2592000

#endif
