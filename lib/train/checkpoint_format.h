/* checkpoint_format.h - the fixed pieces of a checkpoint file. */
#ifndef PL_CHECKPOINT_FORMAT_H
#define PL_CHECKPOINT_FORMAT_H

#include <stdint.h>

#define PL_CHECKPOINT_MAGIC    "PRILCKPT"
#define PL_CHECKPOINT_VERSION  2
#define PL_CHECKPOINT_OLDEST   1 /* that is still read: it names no start, for there was none */
#define PL_FINGERPRINT_SIZE    64
#define PL_CHECKPOINT_MAX_SPEC ((uint64_t)1 << 20)

struct pl_checkpoint_head {
    char magic[8];
    uint32_t version, number_size;
};

#endif
