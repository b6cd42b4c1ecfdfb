/* SPDX-License-Identifier: MIT */
/*
 * party.h - who has a ring open, and who of them is dead.
 *
 * A party is a line in shared memory that names one side of a ring and the
 * process it lives in; struct pinring_party in pinring_layout.h. An owner word
 * is that of one tenancy: it carries a generation.
 */
#ifndef PINRING_PARTY_H
#define PINRING_PARTY_H

#include "internal.h"

/* A free line, now this process's; NULL: all are taken. */
struct pinring_party *pinring_party_claim(struct pinring_party *parties,
					  uint64_t n,
					  enum pinring_party_role role);

/*
 * The line of a dead tenant, with all that is noted there, for this process:
 * false if another was faster.
 */
bool pinring_party_inherit(struct pinring_party *party, uint64_t owner,
			   enum pinring_party_role role);

/* By its owner. */
void pinring_party_leave(struct pinring_party *party, uint64_t owner);

/*
 * Whether the tenant of that owner word is gone for certain. Reads /proc: some
 * 20 us.
 */
bool pinring_party_is_dead(const struct pinring_party *party, uint64_t owner);

/* Of a dead tenant whose affairs are settled; nothing if it changed since. */
void pinring_party_bury(struct pinring_party *party, __u64 owner);

enum pinring_party_role pinring_party_role_of(uint64_t owner);

#endif /* PINRING_PARTY_H */
