/* SPDX-License-Identifier: MIT */
/*
 * sanitized.h - SANITIZED: 1 under a sanitizer that is slow, and has threads and memory
 * of its own.
 */
#ifndef PINRING_TEST_SANITIZED_H
#define PINRING_TEST_SANITIZED_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#endif /* PINRING_TEST_SANITIZED_H */
