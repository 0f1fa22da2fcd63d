/* damage.h - copies of model and adapter folders in which one number is wrong. */
#ifndef TEST_DAMAGE_H
#define TEST_DAMAGE_H

#include <stddef.h>

/*
 * Makes `to`, a folder, with the same files as `from`; in its tensor file `file`
 * ("model.safetensors") element `at` of tensor `name` is `value`. F16 and F32 only. Fails the test
 * on any error.
 */
void test_damage(const char *to, const char *from, const char *file, const char *name, size_t at,
                 double value);

#endif
