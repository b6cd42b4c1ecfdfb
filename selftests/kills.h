/* SPDX-License-Identifier: MIT */
/* kills.h - how many a campaign has killed, for selftests/kills to sum up. */
#ifndef SELFTESTS_KILLS_H
#define SELFTESTS_KILLS_H

#define LOG_KILLS(n) TH_LOG("killed: %llu", (unsigned long long)(n))

#endif /* SELFTESTS_KILLS_H */
