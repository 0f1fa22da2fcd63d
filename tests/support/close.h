/* close.h - doubles compared as doubles; cmocka's own comparison rounds both to float. */
#ifndef TEST_CLOSE_H
#define TEST_CLOSE_H

#include <math.h>

/* After cmocka.h. Tolerance 0: equal. */
#define test_close(a, b, tolerance)                                                                \
    do {                                                                                           \
        double a_ = (a), b_ = (b);                                                                 \
        if (!(fabs(a_ - b_) <= (tolerance)))                                                       \
            fail_msg("%s is %.17g, not %.17g", #a, a_, b_);                                        \
    } while (0)

#endif
