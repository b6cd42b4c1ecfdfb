/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note OR MIT */
/*
 * pinring_layout.h - everything that lives in memory pinring shares.
 *
 * One header for the kernel, gcc, clang, g++ and nvcc; the static asserts after
 * each struct hold on all of them. Rules:
 *
 *  - little-endian, fixed width, no pointers: offsets are bytes from the
 *    region's base;
 *  - every 64-byte line has one writer, named in the comment; a word with
 *    several writers names the atomic protocol that governs it;
 *  - lines written by different sides are 128 bytes apart, because x86
 *    prefetches lines in adjacent pairs;
 *  - a struct marked "sealed" is written once by its creator and never again.
 *    Its last word is the FNV-1a hash (64 bit) of the bytes before it, so that
 *    an accident is noticed at attach. A seal is no defence against malice:
 *    attach checks every sealed field for sense as well, and reads it once.
 *
 * `pinring layout` prints these structs with offsets and cache lines.
 */
#ifndef _UAPI_PINRING_LAYOUT_H
#define _UAPI_PINRING_LAYOUT_H

#include <linux/types.h>

#ifdef __cplusplus
#define PINRING_STATIC_ASSERT(cond, text) static_assert(cond, text)
#else
#define PINRING_STATIC_ASSERT(cond, text) _Static_assert(cond, text)
#endif

#define PINRING_ASSERT_SIZE(type, size) \
	PINRING_STATIC_ASSERT(sizeof(type) == (size), #type " size")
#define PINRING_ASSERT_OFFSET(type, field, offset)               \
	PINRING_STATIC_ASSERT(__builtin_offsetof(type, field) == \
				      (offset),                  \
			      #type "." #field " offset")

#define PINRING_ALIGNED(n) __attribute__((aligned(n)))

#define PINRING_ABI_VERSION 1
#define PINRING_LINE 64 /* what one writer owns */
#define PINRING_SEPARATION 128 /* between lines of different writers */

/* ------------------------------------------------------------------ region
 *
 *  0      struct pinring_region_header
 *  256    struct pinring_object[PINRING_OBJECTS_MAX], the directory
 *  8192   objects, in the order they were created
 *
 * Creating an object takes two lock-free steps that any attached process may
 * do: claim the first free directory entry by cmpxchg of its tag from 0, then
 * claim space by cmpxchg of alloc. The entry is filled in and published by
 * storing its tag once more, with PINRING_OBJECT_READY. A creator that dies in
 * between costs its entry and space until the region goes, and nothing else.
 */
#define PINRING_REGION_MAGIC 0x676e69726e6970ull /* "pinring" in memory */
#define PINRING_REGION_HEADER_BYTES 8192
#define PINRING_OBJECTS_MAX 62
#define PINRING_NAME_MAX 64 /* with the final zero */

enum pinring_backend {
	PINRING_BACKEND_EMBEDDED = 1,
	PINRING_BACKEND_MODULE = 2,
};

enum pinring_object_type {
	PINRING_OBJECT_BYTES = 1, /* memory with no structure pinring knows */
	PINRING_OBJECT_SPSC = 2, /* struct pinring_spsc_header and slots */
	PINRING_OBJECT_DEVICE_RING = 3, /* struct pinring_device_ring_header */
	PINRING_OBJECT_DOORBELL = 4, /* struct pinring_doorbell_lines */
	PINRING_OBJECT_CONTROL = 5, /* struct pinring_control_block */
	PINRING_OBJECT_TELEMETRY = 6, /* struct pinring_telemetry */
	PINRING_OBJECT_WAVE = 7, /* struct pinring_wave_state and fields */
	PINRING_OBJECT_BYTE_RING = 8, /* struct pinring_bytes_header, records */
	PINRING_OBJECT_MPMC = 9, /* struct pinring_mpmc_header, parties, slots */
	PINRING_OBJECT_LANES = 10, /* struct pinring_lanes_header and lanes */
	PINRING_OBJECT_BROADCAST = 11, /* struct pinring_broadcast_header */
	PINRING_OBJECT_LINE_RING = 12, /* struct pinring_line_header, lines */
	PINRING_OBJECT_DUPLEX = 13, /* struct pinring_duplex */
	PINRING_OBJECT_ONESHOT = 14, /* struct pinring_oneshot_header, slots */
	PINRING_OBJECT_PRIORITY = 15, /* struct pinring_priority_header, lanes */
	PINRING_OBJECT_CHAIN = 16, /* struct pinring_chain_header, segments */
	PINRING_OBJECT_POLICY = 17, /* struct pinring_policy_header, tallies */
	PINRING_OBJECT_PROFILE = 18, /* struct pinring_profile */
};

struct pinring_region_header {
	/* sealed by the creator */
	__u64 magic;
	__u32 abi_version;
	__u32 header_bytes; /* PINRING_REGION_HEADER_BYTES */
	__u64 size; /* bytes of the whole region */
	__u64 features; /* bits an older reader must refuse: none yet */
	__u64 page_size; /* asked of the kernel: 4096 or 2 MiB */
	__u32 backend; /* enum pinring_backend */
	__s32 node; /* NUMA node asked for, -1: any */
	__u32 objects_max; /* PINRING_OBJECTS_MAX */
	__u32 creator_pid; /* for people; in the creator's pid namespace */
	__u64 reserved[8];
	__u64 seal;
	/*
	 * Bits 0-55: the offset of the first free byte, in units of 64 bytes.
	 * Bits 56-63: the 8-bit xor-fold of the rest, so that a stray write
	 * here does not pass for a valid offset. Any attached process moves it
	 * forward by cmpxchg.
	 */
	__u64 alloc;
	__u64 alloc_reserved[15];
} PINRING_ALIGNED(128);

PINRING_ASSERT_SIZE(struct pinring_region_header, 256);
PINRING_ASSERT_OFFSET(struct pinring_region_header, seal, 120);
PINRING_ASSERT_OFFSET(struct pinring_region_header, alloc, 128);

/* The low byte of a tag; the other 56 bits are the name's hash. */
#define PINRING_OBJECT_CLAIMED 0x35ull
#define PINRING_OBJECT_READY 0xcaull

struct pinring_object {
	/* 0: free. Claimed by cmpxchg, then stored once by the creator. */
	__u64 tag;
	/* sealed by the creator; valid once the tag says ready */
	__u64 offset;
	__u64 length;
	__u32 type; /* enum pinring_object_type */
	__u32 reserved0;
	char name[PINRING_NAME_MAX]; /* zero-padded */
	__u64 reserved[3];
	__u64 seal; /* over offset .. reserved */
} PINRING_ALIGNED(128);

PINRING_ASSERT_SIZE(struct pinring_object, 128);
PINRING_ASSERT_OFFSET(struct pinring_object, name, 32);
PINRING_ASSERT_OFFSET(struct pinring_object, seal, 120);
PINRING_STATIC_ASSERT(sizeof(struct pinring_region_header) +
				      PINRING_OBJECTS_MAX *
					      sizeof(struct pinring_object) ==
			      PINRING_REGION_HEADER_BYTES,
		      "header and directory fill two pages");

/* ---------------------------------------------------------------- doorbell
 *
 * The ringer advances sequence; the waiter stores to armed and sleeps; whoever
 * rings and sees it armed signals, and takes armed back to 0. See lib/include/pinring/doorbell.h.
 */
struct pinring_doorbell_lines {
	/*
	 * Ringers: atomic add on the CPU, or a monotonic store by the one
	 * device that owns the doorbell. 0 at first.
	 */
	__u64 sequence;
	__u64 ringer_reserved[15];
	/*
	 * Waiter: sequence << 1 | 1, the last sequence it has seen, when about
	 * to sleep. Ringer or poller: cmpxchg of that value back to 0, after
	 * it signalled, so that one who dies in between loses no wake-up; and
	 * only of a value older than the sequence it rang or read, because a
	 * current one may be armed again behind its back.
	 */
	__u64 armed;
	__u64 waiter_reserved[15];
} PINRING_ALIGNED(128);

PINRING_ASSERT_SIZE(struct pinring_doorbell_lines, 256);
PINRING_ASSERT_OFFSET(struct pinring_doorbell_lines, armed, 128);

/* ----------------------------------------------------------------- waiting
 *
 * Who sleeps on a ring. Both words are written around a sleep only, so that the
 * line rests in the caches of all who look at it after every operation.
 */
struct pinring_sleepers {
	/*
	 * Futex words: times woken << 1 | somebody may sleep. Whoever is about
	 * to sleep sets bit 0 by atomic or, before it looks for the last time;
	 * whoever changed the ring and finds it set counts on by cmpxchg, which
	 * clears it, and wakes all.
	 */
	__u32 ready; /* for messages */
	__u32 room; /* for free slots */
	__u64 reserved[15];
} PINRING_ALIGNED(128);

PINRING_ASSERT_SIZE(struct pinring_sleepers, 128);
PINRING_ASSERT_OFFSET(struct pinring_sleepers, room, 4);

/* ------------------------------------------------------------------ counts
 *
 * What one side has done, on a line that it alone writes; anybody reads. Who comes
 * after it counts on. PINRING_NO_STATS leaves inline code without them: then they
 * stay what they are.
 */
struct pinring_counts {
	__u64 messages; /* and their bytes: where no index tells */
	__u64 bytes;
	__u64 refused; /* times it found the ring full, or empty */
	__u64 waited; /* times it had to wait */
};

PINRING_ASSERT_SIZE(struct pinring_counts, 32);

/* --------------------------------------------------------------- SPSC ring
 *
 * Indices run freely over 64 bits; slot = index & (capacity - 1).
 */
struct pinring_spsc_header {
	/* sealed by the creator */
	__u64 magic;
	__u64 capacity; /* slots, a power of two */
	__u64 slot_bytes; /* a multiple of 8 */
	__u64 slots_offset; /* from this header */
	__u64 reserved[11];
	__u64 seal;
	/* producer writes */
	__u64 tail; /* slots published */
	__u64 producer_closed; /* 1: no more will come */
	struct pinring_counts sent;
	__u64 producer_reserved[10];
	/* consumer writes */
	__u64 head; /* slots given back */
	__u64 consumer_closed; /* 1: nobody reads on */
	struct pinring_counts received;
	__u64 consumer_reserved[10];
	struct pinring_sleepers sleepers;
} PINRING_ALIGNED(128);

#define PINRING_SPSC_MAGIC 0x637370732e7270ull /* "pr.spsc" */

PINRING_ASSERT_SIZE(struct pinring_spsc_header, 512);
PINRING_ASSERT_OFFSET(struct pinring_spsc_header, seal, 120);
PINRING_ASSERT_OFFSET(struct pinring_spsc_header, tail, 128);
PINRING_ASSERT_OFFSET(struct pinring_spsc_header, head, 256);
PINRING_ASSERT_OFFSET(struct pinring_spsc_header, sleepers, 384);

/* --------------------------------------------------------------- line ring
 *
 * A slot is one cache line, and its last word says whether there is a message
 * in it. Indices run freely over 64 bits; slot = index & (capacity - 1), and with
 * lap = index & ~(capacity - 1) the word is
 *
 *  lap               the message of this index is still to come
 *  lap + capacity    it is in the line
 *
 * so that the second is also the first of the next lap: the consumer moves head,
 * never writes a line, and a ring of zeros is an empty one. There is no tail.
 */
#define PINRING_LINE_WORDS 7 /* of payload */

struct pinring_line {
	/* producer writes, the word last; in a duplex slot: see there */
	__u64 payload[PINRING_LINE_WORDS];
	__u64 word;
} PINRING_ALIGNED(64);

PINRING_ASSERT_SIZE(struct pinring_line, 64);
PINRING_ASSERT_OFFSET(struct pinring_line, word, 56);

struct pinring_line_header {
	/* sealed by the creator */
	__u64 magic;
	__u64 capacity; /* lines, a power of two */
	__u64 lines_offset; /* from this header */
	__u64 reserved[12];
	__u64 seal;
	struct pinring_sleepers sleepers;
	/* producer writes */
	__u64 producer_closed; /* 1: no more will come */
	struct pinring_counts sent;
	__u64 producer_reserved[11];
	/* consumer writes */
	__u64 head; /* lines given back */
	__u64 consumer_closed; /* 1: nobody reads on */
	struct pinring_counts received;
	__u64 consumer_reserved[10];
} PINRING_ALIGNED(128);

#define PINRING_LINE_MAGIC 0x656e696c2e7270ull /* "pr.line" */

PINRING_ASSERT_SIZE(struct pinring_line_header, 512);
PINRING_ASSERT_OFFSET(struct pinring_line_header, seal, 120);
PINRING_ASSERT_OFFSET(struct pinring_line_header, sleepers, 128);
PINRING_ASSERT_OFFSET(struct pinring_line_header, producer_closed, 256);
PINRING_ASSERT_OFFSET(struct pinring_line_header, head, 384);

/* ------------------------------------------------------------- duplex slot
 *
 * Request and reply in one cache line that caller and server write in turns.
 * Its word says whose turn it is: calls that ended << 2 | state. Whoever's turn
 * it is writes the payload, then the word; the other one only looks.
 */
enum pinring_duplex_state {
	PINRING_DUPLEX_IDLE = 0, /* caller's turn: the last reply is in it */
	PINRING_DUPLEX_POSTED = 1, /* server's: a request */
	PINRING_DUPLEX_ANSWERING = 2, /* server's: neither whole nor gone */
	PINRING_DUPLEX_VOID = 3, /* caller's: a server died answering */
};

#define PINRING_DUPLEX_STATE 3 /* of the word; the calls are above */
#define PINRING_DUPLEX_CALL 4

struct pinring_duplex {
	/* sealed by the creator */
	__u64 magic;
	__u64 reserved[14];
	__u64 seal;
	struct pinring_sleepers sleepers; /* ready: server, room: caller */
	/* caller and server in turns, as the word says */
	struct pinring_line line;
	__u64 line_reserved[8];
	/* caller writes */
	__u64 caller_closed; /* 1: no more calls */
	__u64 caller_reserved[15];
	/* server writes */
	__u64 server_closed; /* 1: no more answers */
	__u64 server_reserved[15];
} PINRING_ALIGNED(128);

#define PINRING_DUPLEX_MAGIC 0x6c7075642e7270ull /* "pr.dupl" */

PINRING_ASSERT_SIZE(struct pinring_duplex, 640);
PINRING_ASSERT_OFFSET(struct pinring_duplex, seal, 120);
PINRING_ASSERT_OFFSET(struct pinring_duplex, sleepers, 128);
PINRING_ASSERT_OFFSET(struct pinring_duplex, line, 256);
PINRING_ASSERT_OFFSET(struct pinring_duplex, caller_closed, 384);
PINRING_ASSERT_OFFSET(struct pinring_duplex, server_closed, 512);

/* --------------------------------------------------------------- byte ring
 *
 * Positions are bytes and run freely over 64 bits; place = position & (capacity
 * - 1). A record is a word and its payload, filled up to a multiple of 8: the
 * word is the payload's length, or the skip mark where the rest of the array was
 * too short for the record, which then begins at place 0.
 */
#define PINRING_RECORD_WORD_BYTES 8
#define PINRING_RECORD_SKIP (1ull << 63)

struct pinring_bytes_header {
	/* sealed by the creator */
	__u64 magic;
	__u64 capacity; /* bytes, a power of two */
	__u64 records_offset; /* from this header */
	__u64 reserved[12];
	__u64 seal;
	/* producer writes */
	__u64 tail; /* end of what is published */
	__u64 producer_closed; /* 1: no more will come */
	struct pinring_counts sent;
	__u64 producer_reserved[10];
	/* consumer writes */
	__u64 head; /* end of what is given back */
	__u64 consumer_closed; /* 1: nobody reads on */
	struct pinring_counts received;
	__u64 consumer_reserved[10];
	struct pinring_sleepers sleepers;
} PINRING_ALIGNED(128);

#define PINRING_BYTES_MAGIC 0x73657479622e7270ull /* "pr.bytes" */

PINRING_ASSERT_SIZE(struct pinring_bytes_header, 512);
PINRING_ASSERT_OFFSET(struct pinring_bytes_header, seal, 120);
PINRING_ASSERT_OFFSET(struct pinring_bytes_header, tail, 128);
PINRING_ASSERT_OFFSET(struct pinring_bytes_header, head, 256);
PINRING_ASSERT_OFFSET(struct pinring_bytes_header, sleepers, 384);

/* --------------------------------------------------------------- MPMC ring
 *
 *  0                 struct pinring_mpmc_header
 *  parties_offset    struct pinring_party[parties], one for each side that has
 *                    the ring open
 *  slots_offset      capacity slots of stride bytes: a word, then the payload
 *
 * Tickets run freely over 64 bits; slot = ticket & (capacity - 1), lap = ticket
 * / capacity. The slot's word alone says whose turn it is:
 *
 *  bits 0-2    enum pinring_mpmc_state
 *  bits 3-10   of BUSY and TAKEN: index of the party that holds the slot
 *  bits 11-26  of BUSY and TAKEN: slots in the run that begins here
 *  bits 27-63  lap
 *
 * and who may change it:
 *
 *  FREE    any producer, by cmpxchg, to BUSY; a consumer of a closed ring, to END
 *  BUSY    that party, by a store, to FULL or VOID
 *  FULL    any consumer, by cmpxchg, to TAKEN
 *  TAKEN   that party, by a store, to FREE of the next lap
 *  VOID    any consumer, by cmpxchg, to FREE of the next lap
 *  END     nobody
 *
 * Within a run the words behind the first one stay FREE, or FULL, until its party
 * stores them, the first one last: nobody walks into a run. Where the party is
 * dead, whoever repairs the ring does that for it, by cmpxchg.
 */
enum pinring_mpmc_state {
	PINRING_MPMC_FREE = 0, /* all zero: lap 0, free */
	PINRING_MPMC_BUSY = 1, /* reserved by a producer */
	PINRING_MPMC_FULL = 2,
	PINRING_MPMC_TAKEN = 3, /* by a consumer */
	PINRING_MPMC_VOID = 4, /* aborted, or its producer died: nothing in it */
	PINRING_MPMC_END = 5, /* closed: no ticket from here on */
};

#define PINRING_MPMC_STATE 7ull
#define PINRING_MPMC_PARTY_SHIFT 3
#define PINRING_MPMC_PARTY (0xffull << PINRING_MPMC_PARTY_SHIFT)
#define PINRING_MPMC_RUN_SHIFT 11
#define PINRING_MPMC_RUN_MAX 65535ull /* slots of one run */
#define PINRING_MPMC_LAP_SHIFT 27
#define PINRING_MPMC_BELOW_LAP ((1ull << PINRING_MPMC_LAP_SHIFT) - 1)

/*
 * Who works on the ring, and on what: written by that side alone, but for owner.
 */
struct pinring_party {
	/*
	 * space << 54 | pid << 32 | generation << 8 | enum pinring_party_role;
	 * of space, below, the last 10 bits, and a pid has no more than 22.
	 * Taken by cmpxchg from NOBODY, with the next generation; given back
	 * with a store by its owner, or by cmpxchg once the owner is dead and
	 * what it held is settled.
	 */
	__u64 owner;
	__u64 born; /* start time of the process, /proc/PID/stat field 22 */
	__u64 space; /* inode of its pid namespace */
	/*
	 * A broadcast ring's consumer: all tickets before are read, and it is
	 * done with their slots.
	 */
	__u64 cursor;
	/* As a producer, and as a consumer: all its tenants. */
	struct pinring_counts sent;
	struct pinring_counts received;
	__u64 missed; /* a broadcast ring's consumer: where it was lapped */
	__u64 reserved[3];
} PINRING_ALIGNED(128);

#define PINRING_PARTIES_MAX 256

enum pinring_party_role {
	PINRING_PARTY_NOBODY = 0,
	PINRING_PARTY_PRODUCER = 1,
	PINRING_PARTY_CONSUMER = 2,
	PINRING_PARTY_COMING = 3, /* filling in the words below owner */
	PINRING_PARTY_MEMBER = 4, /* of a pool: either side */
};

PINRING_ASSERT_SIZE(struct pinring_party, 128);
PINRING_ASSERT_OFFSET(struct pinring_party, cursor, 24);
PINRING_ASSERT_OFFSET(struct pinring_party, sent, 32);
PINRING_ASSERT_OFFSET(struct pinring_party, received, 64);

struct pinring_mpmc_header {
	/* sealed by the creator */
	__u64 magic;
	__u64 capacity; /* slots, a power of two */
	__u64 slot_bytes; /* of payload, a multiple of 8 */
	__u64 stride; /* from slot to slot */
	__u64 parties; /* how many may have it open at a time */
	__u64 parties_offset; /* from this header */
	__u64 slots_offset;
	__u64 reserved[8];
	__u64 seal;
	/*
	 * Hints, stored by any producer and any consumer: a ticket such that all
	 * before it are taken. Where to begin a walk, and nothing else.
	 */
	__u64 tail;
	__u64 tail_reserved[15];
	__u64 head;
	__u64 head_reserved[15];
	/* rarely written, by any side */
	__u64 closed; /* 1: no more will be reserved */
	__u64 voided; /* tickets whose producer died with them; atomic add */
	__u64 lost; /* messages whose consumer died with them; atomic add */
	__u64 rare_reserved[13];
	struct pinring_sleepers sleepers;
} PINRING_ALIGNED(128);

#define PINRING_MPMC_MAGIC 0x636d706d2e7270ull /* "pr.mpmc" */

PINRING_ASSERT_SIZE(struct pinring_mpmc_header, 640);
PINRING_ASSERT_OFFSET(struct pinring_mpmc_header, seal, 120);
PINRING_ASSERT_OFFSET(struct pinring_mpmc_header, tail, 128);
PINRING_ASSERT_OFFSET(struct pinring_mpmc_header, head, 256);
PINRING_ASSERT_OFFSET(struct pinring_mpmc_header, closed, 384);
PINRING_ASSERT_OFFSET(struct pinring_mpmc_header, sleepers, 512);

/* ------------------------------------------------------------------ policy
 *
 *  0                 struct pinring_policy_header
 *  parties_offset    struct pinring_party[parties], one for each open outlet
 *  tallies_offset    struct pinring_tally[parties], the counts of those
 */
enum pinring_full {
	PINRING_FULL_FAIL = 0, /* the sender keeps the message */
	PINRING_FULL_WAIT = 1, /* for room */
	PINRING_FULL_DROP = 2, /* the new message */
	PINRING_FULL_OVERWRITE = 3, /* the oldest one */
	PINRING_FULL_DIVERT = 4, /* the new one, to the dead-letter ring */
};

/*
 * Written by the outlet whose party has the same index. An outlet that comes
 * later counts on, so that the sum over all tallies is that of all there ever
 * were.
 */
struct pinring_tally {
	__u64 passed; /* messages put into the ring */
	__u64 dropped;
	__u64 overwritten; /* of those in the ring, by anybody */
	__u64 diverted;
	__u64 refused; /* calls that failed: the sender kept the message */
	__u64 waited; /* calls that had to wait */
	__u64 crossings; /* of the high mark, upwards */
	__u64 reserved[9];
} PINRING_ALIGNED(128);

PINRING_ASSERT_SIZE(struct pinring_tally, 128);
PINRING_ASSERT_OFFSET(struct pinring_tally, crossings, 48);

struct pinring_policy_header {
	/* sealed by the creator */
	__u64 magic;
	__u32 full; /* enum pinring_full */
	__u32 parties; /* outlets that may be open at a time */
	__u64 timeout_ns; /* of PINRING_FULL_WAIT */
	__u64 high; /* marks of the ring's fill; 0: none */
	__u64 low;
	__u64 parties_offset; /* from this header */
	__u64 tallies_offset;
	__u64 reserved[8];
	__u64 seal;
} PINRING_ALIGNED(128);

#define PINRING_POLICY_MAGIC 0x79636c6f702e7270ull /* "pr.polcy" */

PINRING_ASSERT_SIZE(struct pinring_policy_header, 128);
PINRING_ASSERT_OFFSET(struct pinring_policy_header, tallies_offset, 48);
PINRING_ASSERT_OFFSET(struct pinring_policy_header, seal, 120);

/* --------------------------------------------------------- broadcast ring
 *
 *  0                 struct pinring_broadcast_header
 *  parties_offset    struct pinring_party[parties], one for each side that has
 *                    the ring open; of one producer, the first is it
 *  slots_offset      capacity slots of stride bytes: the payload, and of many
 *                    producers a word before it
 *
 * Tickets run freely over 64 bits; slot = ticket & (capacity - 1), lap = ticket
 * / capacity. Where there are many producers the slot's word says whose turn it
 * is:
 *
 *  bits 0-2    enum pinring_broadcast_state
 *  bits 3-10   of BUSY and JAMMED: index of the party that writes to the slot
 *  bits 11-63  lap + 1, of which the lower bits: how many laps have begun here
 *
 * and who may change it:
 *
 *  FREE    any producer, by cmpxchg, to BUSY of the next lap, once all cursors
 *  FULL    are past it, or the ring is lapping; one that closes the ring, to
 *  VOID    END of the next lap
 *  BUSY    that party, to FULL or VOID: gated, by a store. Lapping, by cmpxchg,
 *          because any producer that is a lap ahead makes it JAMMED of its own
 *          lap, with the same party
 *  JAMMED  that party, by cmpxchg, to VOID. Any producer that is a lap ahead of
 *          it, by cmpxchg, to JAMMED of its own lap
 *  END     nobody
 *
 * Where the party is dead, whoever repairs the ring does its part, by cmpxchg.
 */
enum pinring_broadcast_state {
	PINRING_BROADCAST_FREE = 0, /* all zero: no lap has begun */
	PINRING_BROADCAST_BUSY = 1, /* reserved by a producer */
	PINRING_BROADCAST_FULL = 2,
	PINRING_BROADCAST_VOID = 3, /* nothing in it */
	PINRING_BROADCAST_JAMMED = 4, /* void, and a late one may still write */
	PINRING_BROADCAST_END = 5, /* closed: no ticket from here on */
};

#define PINRING_BROADCAST_STATE 7ull
#define PINRING_BROADCAST_PARTY_SHIFT 3
#define PINRING_BROADCAST_PARTY (0xffull << PINRING_BROADCAST_PARTY_SHIFT)
#define PINRING_BROADCAST_LAP_SHIFT 11
#define PINRING_BROADCAST_BELOW_LAP ((1ull << PINRING_BROADCAST_LAP_SHIFT) - 1)

/* What its creator chose: flags of the header. */
#define PINRING_BROADCAST_LAPPING 1u /* producers do not wait for consumers */
#define PINRING_BROADCAST_MANY 2u /* producers, at a time */

struct pinring_broadcast_header {
	/* sealed by the creator */
	__u64 magic;
	__u64 capacity; /* slots, a power of two */
	__u64 slot_bytes; /* of payload, a multiple of 8 */
	__u64 stride; /* from slot to slot */
	__u32 flags; /* PINRING_BROADCAST_* */
	__u32 parties; /* how many may have it open at a time */
	__u64 parties_offset; /* from this header */
	__u64 slots_offset;
	__u64 reserved[8];
	__u64 seal;
	/*
	 * Tickets published, by the one producer. Of many a hint, stored by any
	 * side: a ticket such that all before it are taken.
	 */
	__u64 tail;
	__u64 closed; /* 1: no more will come; of many, the word END says so */
	__u64 tail_reserved[14];
	/*
	 * No producer writes to the slot of this ticket or a later one; raised
	 * before one does, by a store of the one producer or cmpxchg of many.
	 * Not used by many that are lapping.
	 */
	__u64 limit;
	__u64 joins; /* consumers that ever came to a gated ring: atomic add */
	__u64 voided; /* tickets with no message, of many: atomic add */
	__u64 limit_reserved[13];
	struct pinring_sleepers sleepers;
} PINRING_ALIGNED(128);

#define PINRING_BROADCAST_MAGIC 0x74736163622e7270ull /* "pr.bcast" */

PINRING_ASSERT_SIZE(struct pinring_broadcast_header, 512);
PINRING_ASSERT_OFFSET(struct pinring_broadcast_header, flags, 32);
PINRING_ASSERT_OFFSET(struct pinring_broadcast_header, seal, 120);
PINRING_ASSERT_OFFSET(struct pinring_broadcast_header, tail, 128);
PINRING_ASSERT_OFFSET(struct pinring_broadcast_header, limit, 256);
PINRING_ASSERT_OFFSET(struct pinring_broadcast_header, sleepers, 384);

/* ------------------------------------------------------------------- lanes
 *
 *  0                  struct pinring_lanes_header
 *  parties_offset     struct pinring_party[producers + partitions]: who sends,
 *                     then who receives
 *  partitions_offset  struct pinring_lanes_partition[partitions]
 *  lanes_offset       struct pinring_lane[producers * partitions]: producer p's
 *                     to partition k is number p * partitions + k
 *  slots_offset       as many arrays of slots, lane_bytes apart
 *
 * A lane is an SPSC ring of its own: indices run freely over 64 bits, slot =
 * index & (capacity - 1). Its producer is whoever has the party of its row, its
 * consumer whoever has that of its partition.
 */
struct pinring_lane {
	/* producer writes */
	__u64 tail; /* slots published */
	/* End of what it has reserved; as tail: nothing. For who waits to end. */
	__u64 held;
	struct pinring_counts sent;
	__u64 producer_reserved[10];
	/* consumer writes */
	__u64 head; /* slots given back */
	/* A futex word as in struct pinring_sleepers: the producer sleeps on it. */
	__u32 room;
	__u32 room_reserved;
	__u64 consumer_reserved[14];
} PINRING_ALIGNED(128);

PINRING_ASSERT_SIZE(struct pinring_lane, 256);
PINRING_ASSERT_OFFSET(struct pinring_lane, held, 8);
PINRING_ASSERT_OFFSET(struct pinring_lane, sent, 16);
PINRING_ASSERT_OFFSET(struct pinring_lane, head, 128);
PINRING_ASSERT_OFFSET(struct pinring_lane, room, 136);

struct pinring_lanes_partition {
	/* A futex word as in struct pinring_sleepers: for messages. */
	__u32 ready;
	/*
	 * Its consumer stores when it opens: the partition, one of its own, on
	 * whose `ready` it sleeps.
	 */
	__u32 bell;
	__u64 reserved[15];
} PINRING_ALIGNED(128);

PINRING_ASSERT_SIZE(struct pinring_lanes_partition, 128);
PINRING_ASSERT_OFFSET(struct pinring_lanes_partition, bell, 4);

#define PINRING_LANES_MAX 1024 /* producers * partitions */
#define PINRING_LANES_SIDES_MAX 256 /* of either */

struct pinring_lanes_header {
	/* sealed by the creator */
	__u64 magic;
	__u64 capacity; /* slots of each lane, a power of two */
	__u64 slot_bytes; /* a multiple of 8 */
	__u64 producers;
	__u64 partitions;
	__u64 parties_offset; /* from this header, as all of these */
	__u64 partitions_offset;
	__u64 lanes_offset;
	__u64 slots_offset;
	__u64 lane_bytes; /* capacity * slot_bytes, up to a multiple of 128 */
	__u64 reserved[5];
	__u64 seal;
	/* rarely written, by any side */
	__u64 closed; /* stored as 1, once */
	/* Rows that ever had a producer are below this; raised by cmpxchg. */
	__u64 used;
	__u64 rare_reserved[14];
} PINRING_ALIGNED(128);

#define PINRING_LANES_MAGIC 0x73656e616c2e7270ull /* "pr.lanes" */

PINRING_ASSERT_SIZE(struct pinring_lanes_header, 256);
PINRING_ASSERT_OFFSET(struct pinring_lanes_header, seal, 120);
PINRING_ASSERT_OFFSET(struct pinring_lanes_header, closed, 128);
PINRING_ASSERT_OFFSET(struct pinring_lanes_header, used, 136);

/* ----------------------------------------------------------------- oneshot
 *
 *  0                 struct pinring_oneshot_header
 *  parties_offset    struct pinring_party[parties]
 *  tallies_offset    struct pinring_oneshot_tally[parties]
 *  slots_offset      slots of stride bytes: struct pinring_oneshot_slot, whose
 *                    payload goes on behind it
 *
 * A ticket is generation << 24 | slot. The state word of the slot is changed by
 * cmpxchg, by whom its state names:
 *
 *   FREE ---> TAKING -> TAKEN <--> BEGUN ---> DONE
 *    ^                    |         |  |       |
 *    |                    |         |  '-> BROKEN: the replier died
 *    |                    |         v          |
 *    |                    |     CANCELLED      |
 *    |                    v         v          |
 *    '------------------ ENDED <---------------'
 *
 * TAKING and ENDED are there to be counted in: see struct pinring_oneshot_tally.
 */
enum pinring_oneshot_state {
	PINRING_ONESHOT_FREE = 0, /* all zero: free, never used */
	PINRING_ONESHOT_TAKING = 1, /* requester: counts it */
	PINRING_ONESHOT_TAKEN = 2, /* anybody may answer */
	PINRING_ONESHOT_BEGUN = 3, /* replier: fills it */
	PINRING_ONESHOT_DONE = 4, /* requester: reads it */
	PINRING_ONESHOT_CANCELLED = 5, /* replier: has not yet noticed */
	PINRING_ONESHOT_BROKEN = 6, /* requester: has not yet noticed */
	PINRING_ONESHOT_ENDED = 7, /* who ended it: counts it */
};

/* The fields of a state word, from bit 0: */
#define PINRING_ONESHOT_OUTCOME_SHIFT 4 /* of ENDED: what to count */
#define PINRING_ONESHOT_REQUESTER_SHIFT 8 /* number of its party */
#define PINRING_ONESHOT_OTHER_SHIFT 16 /* party of the replier, of who ended it */
#define PINRING_ONESHOT_GENERATION_SHIFT 24
#define PINRING_ONESHOT_SLOTS_MAX (1u << 24)

struct pinring_oneshot_slot {
	__u64 state;
	__u32 ready; /* futex word, as in struct pinring_sleepers */
	__u32 length; /* of the answer; replier, before DONE */
	__u64 payload[6]; /* replier; the first of slot_bytes */
} PINRING_ALIGNED(64);

PINRING_ASSERT_SIZE(struct pinring_oneshot_slot, 64);
PINRING_ASSERT_OFFSET(struct pinring_oneshot_slot, payload, 16);

enum pinring_oneshot_count {
	PINRING_ONESHOT_COUNT_TAKEN = 0,
	PINRING_ONESHOT_COUNT_ANSWERED = 1,
	PINRING_ONESHOT_COUNT_DROPPED = 2,
	PINRING_ONESHOT_COUNT_CANCELLED = 3,
	PINRING_ONESHOT_COUNT_BROKEN = 4,
	PINRING_ONESHOT_COUNTS = 5,
};

/*
 * What a party has counted, over all its tenants. Written by the tenant, who
 * stores to before, moves a slot to TAKING or ENDED, counts, and moves it on. Of
 * a dead tenant a slot in such a state shows that it was at this: whoever repairs
 * changes the count from before to before + 1 by cmpxchg, which can be done twice.
 */
struct pinring_oneshot_tally {
	__u64 before; /* the count to be changed, as it was */
	__u64 counted[PINRING_ONESHOT_COUNTS];
	__u64 late; /* answers to requests that were over */
	__u64 reserved[9];
} PINRING_ALIGNED(128);

PINRING_ASSERT_SIZE(struct pinring_oneshot_tally, 128);
PINRING_ASSERT_OFFSET(struct pinring_oneshot_tally, late, 48);

struct pinring_oneshot_header {
	/* sealed by the creator */
	__u64 magic;
	__u64 slots; /* a power of two */
	__u64 slot_bytes; /* of payload, a multiple of 8 */
	__u64 stride; /* from slot to slot, a multiple of 64 */
	__u64 parties; /* how many may have it open at a time */
	__u64 parties_offset; /* from this header */
	__u64 tallies_offset;
	__u64 slots_offset;
	__u64 reserved[7];
	__u64 seal;
	struct pinring_sleepers sleepers; /* room: for a free slot */
	__u64 closed; /* 1: no more requests; any */
	__u64 closed_reserved[15];
} PINRING_ALIGNED(128);

#define PINRING_ONESHOT_MAGIC 0x7473656e6f2e7270ull /* "pr.onest" */

PINRING_ASSERT_SIZE(struct pinring_oneshot_header, 384);
PINRING_ASSERT_OFFSET(struct pinring_oneshot_header, seal, 120);
PINRING_ASSERT_OFFSET(struct pinring_oneshot_header, sleepers, 128);
PINRING_ASSERT_OFFSET(struct pinring_oneshot_header, closed, 256);

/* ---------------------------------------------------------- priority ring
 *
 *  0              struct pinring_priority_header
 *  lanes_offset   PINRING_PRIORITY_LANES MPMC rings of the same shape, each of
 *                 lane_bytes; lane 0 is the most urgent
 */
#define PINRING_PRIORITY_LANES 4

enum pinring_priority_policy {
	PINRING_PRIORITY_STRICT = 1, /* the most urgent there is, but: limit */
	PINRING_PRIORITY_WEIGHTED = 2, /* by turns, of so many */
};

struct pinring_priority_header {
	/* sealed by the creator */
	__u64 magic;
	__u64 capacity; /* slots of a lane, a power of two */
	__u64 slot_bytes; /* of payload, a multiple of 8 */
	__u64 parties; /* of a lane */
	__u32 policy; /* enum pinring_priority_policy */
	__u32 limit; /* strict: pops that a lane lets pass; else 0 */
	__u32 weights[PINRING_PRIORITY_LANES]; /* weighted; else 0 */
	__u64 lane_bytes; /* from lane to lane */
	__u64 lanes_offset; /* from this header */
	__u64 reserved[6];
	__u64 seal;
	struct pinring_sleepers sleepers; /* ready: in any lane */
	__u64 closed; /* 1: all lanes are, or are to be; any */
	__u64 closed_reserved[15];
} PINRING_ALIGNED(128);

#define PINRING_PRIORITY_MAGIC 0x6f6972702e7270ull /* "pr.prio" */

PINRING_ASSERT_SIZE(struct pinring_priority_header, 384);
PINRING_ASSERT_OFFSET(struct pinring_priority_header, seal, 120);
PINRING_ASSERT_OFFSET(struct pinring_priority_header, sleepers, 128);
PINRING_ASSERT_OFFSET(struct pinring_priority_header, closed, 256);

/* ---------------------------------------------------------- resizable ring
 *
 *  0          struct pinring_chain_header
 *  aligned    segment 0, min_capacity slots
 *  aligned    segment 1, factor times as many
 *  ...        up to max_capacity. aligned: to 4096 if the segment has as many
 *             bytes, so that its pages can be given back; else to 128
 *
 * A ring that moves to another of its segments when it is to grow or to shrink,
 * and leaves behind what is there to be drained. Indices run freely over 59
 * bits and go on from segment to segment; slot = index & (capacity of the
 * segment - 1). Of the segment in use, however many moves lie in between,
 * tail - head <= capacity: so no two messages ever meet in one slot.
 *
 * A place is index << 5 | what: in tail and head, moves made or followed so far,
 * modulo 8; in moves[n % 8], the n-th move's segment, and where it begins.
 */
#define PINRING_PLACE_SHIFT 5
#define PINRING_CHAIN_MOVES 8 /* made and not yet followed: one less */
#define PINRING_CHAIN_SEGMENTS_MAX 32

struct pinring_chain_header {
	/* sealed by the creator */
	__u64 magic;
	__u64 min_capacity; /* slots, a power of two */
	__u64 max_capacity; /* min_capacity times a power of factor */
	__u64 slot_bytes; /* a multiple of 8 */
	__u32 factor; /* a power of two: from segment to segment */
	__u32 check_interval; /* messages from one look at the fill to the next */
	__u32 window; /* looks that must agree */
	__u16 high; /* percent: grow at or above */
	__u16 low; /* shrink at or below */
	__u64 reserved[9];
	__u64 seal;
	struct pinring_sleepers sleepers;
	/* producer writes */
	__u64 tail; /* place: messages published */
	__u64 producer_closed; /* 1: no more will come */
	__u32 grown; /* moves to larger segments */
	__u32 shrunk; /* moves to smaller ones */
	__u64 peak; /* most messages it found in the ring */
	__u64 moved_ns; /* CLOCK_MONOTONIC of the last move; 0: none */
	__u64 fill; /* average over about a window, of capacity = 2^24 */
	__u64 refused; /* as in struct pinring_counts */
	__u64 waited;
	__u64 moves[PINRING_CHAIN_MOVES]; /* places; stored before tail is */
	/* consumer writes */
	__u64 head; /* place: slots given back */
	__u64 consumer_closed; /* 1: nobody reads on */
	struct pinring_counts received;
	__u64 consumer_reserved[10];
} PINRING_ALIGNED(128);

#define PINRING_CHAIN_MAGIC 0x6e696168632e7270ull /* "pr.chain" */

PINRING_ASSERT_SIZE(struct pinring_chain_header, 512);
PINRING_ASSERT_OFFSET(struct pinring_chain_header, factor, 32);
PINRING_ASSERT_OFFSET(struct pinring_chain_header, high, 44);
PINRING_ASSERT_OFFSET(struct pinring_chain_header, seal, 120);
PINRING_ASSERT_OFFSET(struct pinring_chain_header, sleepers, 128);
PINRING_ASSERT_OFFSET(struct pinring_chain_header, tail, 256);
PINRING_ASSERT_OFFSET(struct pinring_chain_header, moves, 320);
PINRING_ASSERT_OFFSET(struct pinring_chain_header, head, 384);

/* ------------------------------------------------------------- device ring
 *
 * Each word of a slot carries 56 bits of payload and, in its top byte, the lap
 * it belongs to: (index / capacity + 1) mod 256. A reader owns the slot when
 * all eight words carry the lap it expects, so no index is shared on the way,
 * nothing wider than 8 bytes need be atomic, and words may arrive in any order.
 */
#define PINRING_SLOT_WORDS 8
#define PINRING_WORD_BITS 56
#define PINRING_WORD_MASK ((1ull << PINRING_WORD_BITS) - 1)

struct pinring_device_slot {
	__u64 word[PINRING_SLOT_WORDS]; /* producer writes */
} PINRING_ALIGNED(64);

PINRING_ASSERT_SIZE(struct pinring_device_slot, 64);

struct pinring_device_ring_header {
	/* sealed by the creator */
	__u64 magic;
	__u64 capacity; /* slots, a power of two */
	__u64 slots_offset; /* from this header */
	__u64 reserved[12];
	__u64 seal;
	/* consumer writes: how far it has read, the producer's credit */
	__u64 head;
	__u64 consumer_reserved[15];
} PINRING_ALIGNED(128);

#define PINRING_DEVICE_RING_MAGIC 0x676e6972642e7270ull /* "pr.dring" */

PINRING_ASSERT_SIZE(struct pinring_device_ring_header, 256);
PINRING_ASSERT_OFFSET(struct pinring_device_ring_header, seal, 120);
PINRING_ASSERT_OFFSET(struct pinring_device_ring_header, head, 128);

/* ----------------------------------------------------------------- message
 *
 * In front of a payload built in place. The sender writes all of it before it
 * commits the slot.
 */
struct pinring_message_header {
	__u64 id; /* the sender's, unique per sender */
	__u64 correlation; /* id of the request this answers, else 0 */
	__u64 source; /* opaque address of the sender */
	__u64 destination;
	__u64 sent_ns; /* CLOCK_MONOTONIC */
	__u32 type; /* the application's */
	__u32 length; /* payload bytes that follow */
	__u64 payload_offset; /* from the region's base; 0: follows here */
	__u8 priority; /* 0 is the most urgent */
	__u8 hops;
	__u16 flags;
	__u32 reserved;
} PINRING_ALIGNED(64);

PINRING_ASSERT_SIZE(struct pinring_message_header, 64);
PINRING_ASSERT_OFFSET(struct pinring_message_header, type, 40);
PINRING_ASSERT_OFFSET(struct pinring_message_header, payload_offset, 48);

/* ---------------------------------------------------------------- executor */
enum pinring_state {
	PINRING_STATE_CREATED = 0,
	PINRING_STATE_LAUNCHED = 1, /* the loop runs; commands are not taken */
	PINRING_STATE_ACTIVE = 2,
	PINRING_STATE_PAUSED = 3,
	PINRING_STATE_DRAINING = 4, /* takes what is queued, then terminates */
	PINRING_STATE_TERMINATED = 5,
	PINRING_STATE_FAILED = 6,
};

struct pinring_control_block {
	/* host writes */
	__u64 wanted; /* epoch << 32 | enum pinring_state: active, paused,
		       * draining or terminated */
	__u64 host_heartbeat;
	/* what it is, for those who look on; written once, when it is made */
	__u32 kind; /* enum pinring_executor_kind; 0: not told */
	__s32 gpu; /* of kind CUDA */
	__u32 workers; /* threads, or blocks of the GPU */
	__u32 commands_apart; /* 1: the slots of the command ring lie in GPU
			       * memory, those in the region are not used */
	__u64 gpu_bytes; /* of the GPU's memory, that commands address */
	__u64 host_reserved[3];
	/* executor writes */
	__u64 reached; /* epoch answered << 32 | enum pinring_state */
	__u64 heartbeat; /* advances while the loop runs */
	__u64 taken; /* commands read from the ring */
	__u64 completed; /* completions published; in flight = taken - this */
	__s32 error; /* -errno of the last command that failed */
	__u32 error_id; /* its id */
	__u32 error_operation; /* its operation; PINRING_OP_NONE: no command's */
	__u32 error_reason; /* enum pinring_reason */
	__u64 fed; /* a command of another executor's that is carried out:
		    * 1 << 63 | operation << 32 | id; else 0 */
	__u64 executor_reserved;
} PINRING_ALIGNED(128);

PINRING_ASSERT_SIZE(struct pinring_control_block, 128);
PINRING_ASSERT_OFFSET(struct pinring_control_block, reached, 64);
PINRING_ASSERT_OFFSET(struct pinring_control_block, error, 96);

struct pinring_telemetry {
	/* executor writes */
	__u64 processed; /* commands answered, whatever the status */
	__u64 failed; /* of these, with a status below 0 */
	__u64 elements; /* floats and cells computed */
	__u64 busy_ns; /* inside operations */
	__u64 last_ns; /* the last operation */
	__u64 longest_ns; /* the longest operation */
	__u64 sleeps; /* times the idle loop went to sleep */
	__u64 reserved;
} PINRING_ALIGNED(64);

PINRING_ASSERT_SIZE(struct pinring_telemetry, 64);

/*
 * Where the executor's time goes. It counts for itself and publishes here when
 * the command ring is empty, or every PINRING_PROFILE_EVERY commands: each word
 * is right, their sum may lag behind the telemetry.
 */
#define PINRING_PROFILE_OPERATIONS 64
#define PINRING_PROFILE_BUCKETS 32
#define PINRING_PROFILE_BURSTS 24
#define PINRING_PROFILE_EVERY 1024

struct pinring_profile {
	/* executor writes */
	__u64 alive_ns; /* since the launch */
	__u64 idle_ns; /* of these, without a command for at least 64 looks */
	__u64 reserved[6];
	/*
	 * Ring occupancy: bucket b counts how often 2^b to 2^(b+1) - 1 commands
	 * were taken one after another before the ring was found empty.
	 */
	__u64 burst[PINRING_PROFILE_BURSTS];
	/*
	 * Row n: commands of operation n; the last row is of all above. Bucket
	 * b: those that took 2^b to 2^(b+1) - 1 ns; the last is of all above,
	 * and the first has those that are not timed (nop, inject, probe, and
	 * what was refused).
	 */
	__u64 duration[PINRING_PROFILE_OPERATIONS][PINRING_PROFILE_BUCKETS];
} PINRING_ALIGNED(128);

PINRING_ASSERT_SIZE(struct pinring_profile, 16640);
PINRING_ASSERT_OFFSET(struct pinring_profile, burst, 64);
PINRING_ASSERT_OFFSET(struct pinring_profile, duration, 256);

/*
 * A command in the eight 56-bit words of a device slot, and its completion.
 * lib/include/pinring/command.h packs and unpacks both.
 *
 *  command, high bits first
 *  word 0   | flags (8), operation (16), id (32)                 |
 *  word 1   | 0 (8), count (48)                                  |
 *  word 2-4 | region (8), offset (48): dst, a, b                 |
 *  word 5-6 | 0 (24), float bits (32): s0, s1                    |
 *  word 7   | aux (56)                                           |
 *
 *  completion
 *  word 0   | reason (8), -status (16), id (32)                  |
 *  word 1   | 0 (24), float bits of the result (32)              |
 *  word 2   | start, ns on the executor's clock, modulo 2^56     |
 *  word 3   | duration, ns                                       |
 *  word 4   | 0 (8), count done (48)                             |
 *  word 5-7 | 0                                                  |
 */
#define PINRING_COUNT_BITS 48
#define PINRING_OFFSET_BITS 48
#define PINRING_SERVICES_MAX 64 /* that a host can offer one executor */
#define PINRING_REGIONS_MAX 32 /* that one executor can address */
#define PINRING_REGION_NONE 255 /* operand not given */

enum pinring_operation {
	PINRING_OP_NOP = 0,
	/* dst[i] = ..., count elements of float32 */
	PINRING_OP_FILL = 1, /* s0 */
	PINRING_OP_COPY = 2, /* a[i] */
	PINRING_OP_ADD = 3, /* a[i] + b[i] */
	PINRING_OP_SUB = 4,
	PINRING_OP_MUL = 5,
	PINRING_OP_DIV = 6,
	PINRING_OP_MIN = 7, /* NaN if either is */
	PINRING_OP_MAX = 8,
	PINRING_OP_AXPY = 9, /* s0 * a[i] + b[i] */
	PINRING_OP_SCALE = 10, /* s0 * a[i] */
	PINRING_OP_RELU = 11,
	PINRING_OP_SIGMOID = 12,
	PINRING_OP_TANH = 13,
	PINRING_OP_GELU = 14, /* a[i] * Phi(a[i]) */
	PINRING_OP_GELU_TANH = 15, /* its tanh approximation */
	PINRING_OP_SOFTMAX = 16,
	/* the result, and dst[0] unless dst is PINRING_REGION_NONE */
	PINRING_OP_SUM = 17,
	PINRING_OP_REDUCE_MIN = 18,
	PINRING_OP_REDUCE_MAX = 19,
	PINRING_OP_DOT = 20,
	/* a service of the host's, aux & 255, may write to dst: service.h */
	PINRING_OP_ASK = 24,
	/* over link aux & 255 to another executor, for aux >> 8 us at most (0: as
	 * long as it takes): pinring_executor_connect() */
	PINRING_OP_FORWARD = 25, /* count commands, at a, in a slot's words each */
	PINRING_OP_JOIN = 26, /* until all that were forwarded are answered */
	/* a is a struct pinring_wave_state */
	PINRING_OP_WAVE_STEP = 32, /* count steps */
	PINRING_OP_WAVE_INJECT = 33, /* p[aux] += s0 */
	PINRING_OP_WAVE_PROBE = 34, /* result = p[aux] */
	PINRING_OP_WAVE_BLOCK = 35, /* count times: step, inject b[i] at cell
				     * aux & (2^28 - 1), dst[i] = probe of cell
				     * aux >> 28 */
	PINRING_OP_DYNAMIC = 1000, /* and up: users' kernels, as
				    * pinring_executor_register() returns them */
	PINRING_OP_NONE = 65536, /* of no command: as error_operation of an
				  * executor that ended with none in flight */
};

/* Which part of a refused command was wrong (a completion's reason). */
enum pinring_reason {
	PINRING_REASON_NONE = 0,
	PINRING_REASON_OPERATION = 1, /* unknown */
	PINRING_REASON_REGION = 2, /* not attached to this executor */
	PINRING_REASON_OFFSET = 3, /* not inside the region's objects */
	PINRING_REASON_ALIGNMENT = 4, /* not that of the operand's type */
	PINRING_REASON_COUNT = 5, /* the range leaves the region */
	PINRING_REASON_OVERLAP = 6, /* dst overlaps an operand in part */
	PINRING_REASON_WAVE = 7, /* the wave state makes no sense */
	PINRING_REASON_CELL = 8, /* outside the room */
	PINRING_REASON_STOPPED = 9, /* terminated before it was done */
	PINRING_REASON_SERVICE = 10, /* nobody offers it */
	PINRING_REASON_SERVED = 11, /* the service failed; status says how */
	/* what makes the executor fail, and is never in a completion */
	PINRING_REASON_FAULT = 12, /* the kernel touched what is not there */
	PINRING_REASON_TRAP = 13, /* the kernel divided by 0, or the like */
	PINRING_REASON_HUNG = 14, /* the kernel did not return */
	PINRING_REASON_RELAUNCH = 15, /* not launched again after a pause */
	/* of forward and join */
	PINRING_REASON_LINK = 16, /* the executor has no such link */
	PINRING_REASON_PEER = 17, /* the executor at its other end has ended */
	PINRING_REASON_LATE = 18, /* the time it was given was over first */
};

/* -------------------------------------------------------------- wave field
 *
 * Sound pressure in a box of nx * ny * nz cells, x fastest, two fields that
 * swap roles at every step, and a row of zeros that stands for what is beyond
 * a wall:
 *
 *  fields_offset             field 0, current after an even number of steps
 *  + field_bytes             field 1
 *  + 2 * field_bytes         nx zeros
 *
 * with field_bytes = nx * ny * nz * 4 rounded up to 128, and a gap: the kernel
 * reads a cell beyond either end of a field, where nobody writes. And where
 * fields are a multiple of 4 KiB long, a cell's loads would look to the CPU like
 * the stores just made to the other field, which it tells apart by their lowest
 * 12 bits at first: that cost a tenth of the speed on Zen 5.
 */
#define PINRING_WAVE_GAP 1024
#define PINRING_WAVE_MAGIC 0x657661772e7270ull /* "pr.wave" */
#define PINRING_WAVE_CELL_BITS 28 /* cells of a room < 2^28 */

struct pinring_wave_state {
	/* host writes, while no command on it is in flight */
	__u64 magic;
	__u32 nx;
	__u32 ny;
	__u32 nz;
	float wall; /* lambda * beta / 2, the loss a missing neighbour adds */
	double lambda2; /* (c dt / h)^2, at most 1/3 */
	__u64 fields_offset; /* from the region's base, 128-aligned */
	__u64 reserved[11];
	/* executor writes */
	__u64 steps; /* taken; its lowest bit names the current field */
	__u64 executor_reserved[15];
} PINRING_ALIGNED(128);

PINRING_ASSERT_SIZE(struct pinring_wave_state, 256);
PINRING_ASSERT_OFFSET(struct pinring_wave_state, fields_offset, 32);
PINRING_ASSERT_OFFSET(struct pinring_wave_state, steps, 128);

#endif /* _UAPI_PINRING_LAYOUT_H */
