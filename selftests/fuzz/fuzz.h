/* SPDX-License-Identifier: MIT */
/*
 * fuzz.h - a fuzzer of /dev/pinring that knows its ABI.
 *
 * A program is a sequence of calls, a call a row of the table (table.c) and its
 * arguments. What calls make (fds, mappings) is kept in slots, by which later
 * calls name it. Each worker, a thread, runs programs of its own; the lower half
 * of the slots is its own and, but for the first device, empty when a program
 * begins, so that a program that uses no others does the same each time; the
 * upper half is everybody's, and there they meet.
 *
 * Programs that reach code of the module that none before did are kept (corpus.c)
 * and varied (program.c). After each round of programs all must be as before
 * (oracle.c).
 */
#ifndef PINRING_FUZZ_H
#define PINRING_FUZZ_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include <uapi/pinring.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define SMALL 4096ull
#define HUGE (2ull << 20)
#define REGION_MAX (4ull << 20) /* no valid size is larger */
#define ALL 0xa11ull
#define WHOLE 0xa12ull
#define BYTES_MAX (160ull << 20) /* of all regions, from here on small ones only */

/* --------------------------------------------------------------- arguments */

enum kind {
	NONE,

	/* A slot. Of fds: its number, or another kind << 8 | its number. */
	DEVICE,
	REGION,
	BELL,
	EVENT,
	DMABUF,
	IMPORT, /* by a driver: selftests/kmod/importer */
	MAP,
	MEMORY, /* that a region may be made of: a window like MAP's, or an address */
	SLOT_KINDS,

	/* What the call makes goes to this slot, of the kind that the row says. */
	TO,

	/* A value; values.c says which are worth a try. */
	FLAGS,
	RESERVED, /* what must be zero */
	SIZE,
	LENGTH, /* of a mapping, or of part of one; ALL: all there is from there on;
		 * WHOLE: as long as the file, wherever it begins */
	PAGES, /* of a dma-buf; 0: all */
	OFFSET,
	PAGE_OFFSET, /* of mmap */
	NODE,
	NAME, /* an index of names */
	MODE,
	OWNER,
	SEEN,
	HOW, /* how long an ioctl's struct is: enum how */
	WHERE, /* where it lies: enum where */
	PROT,
	SHARING, /* flags of mmap */
	AT, /* enum at */
	ADVICE,
	MOVE, /* flags of mremap */
	SMALL_NUMBER, /* 0 to 31: what the row makes of it */
	KINDS,
};

enum how {
	HOW_OWN,
	HOW_FIRST_VERSION,
	HOW_ZERO_TAIL,
	HOW_PAGE,
	HOW_TOO_SMALL,
	HOW_NONE,
	HOW_TAIL,
	HOW_PAGE_TAIL, /* in its last byte */
	HOW_BEYOND_PAGE,
	HOW_HUGE,
	HOWS
};

enum where {
	WHERE_OWN, /* with nothing behind it */
	WHERE_READ_ONLY,
	WHERE_CUT, /* its last byte is not there */
	WHERE_NULL,
	WHERE_KERNEL,
	WHERE_MAP, /* in the worker's first mapping */
	WHERE_COMMON_MAP, /* in one that others change */
	WHERES
};

enum at {
	AT_WINDOW,
	AT_SMALL_PAGE, /* so that no huge page fits */
	AT_ANYWHERE, /* the kernel's choice; unmapped again at once */
	ATS
};

/* -------------------------------------------------------------- programs */

#define ARGS 12
#define CALLS 40 /* many: what a program makes and closes takes most of its time */
#define TEXT 16384 /* room for one */

struct row;

struct call {
	const struct row *row;
	uint64_t arg[ARGS];
};

struct program {
	unsigned int n;
	struct call call[CALLS];
};

/* ------------------------------------------------------------------- slots */

#define SLOTS 8 /* of each kind, in the order: a worker's own, common */
#define OWN_SLOTS 4
#define WINDOW (16ull << 20) /* of addresses; what is mapped in a slot is in it */

struct slots {
	atomic_int fd[SLOT_KINDS][OWN_SLOTS]; /* -1: empty */
	int device; /* in the first slot when a program begins; closed never */
	char *window[OWN_SLOTS], *memory[OWN_SLOTS];
	bool used[OWN_SLOTS]; /* something may be mapped in these */
	atomic_bool readonly[OWN_SLOTS]; /* mapped by a read-only fd */
	atomic_ulong mapped[OWN_SLOTS]; /* so many bytes, from the first on */
};

struct random {
	uint64_t state;
};

struct worker {
	unsigned int id;
	struct random random;
	struct slots slots;
	struct program program;
	unsigned int at; /* the call of it that runs */
	unsigned char *page; /* for arguments: two pages, and nothing behind */
	int pipe[2];
	int socket[2];
	pid_t child; /* 0: none */
	bool is_child;
	int fail_nth; /* /proc/thread-self/fail-nth, or -1 */
	unsigned int fail; /* the allocation of the next call that fails, from 1; or 0 */
	bool failing; /* it is this call */
	uint32_t knobs; /* those it has set, as bits */
	bool weak; /* without the capabilities that limits do not bind */
	sigjmp_buf *guard; /* where to go when memory is not there */
	struct cover *cover;
	struct signal *scratch; /* three of them */
	uint64_t calls; /* done in this round */
	uint64_t took; /* by the last program: ns of CPU */
};

/* All workers' slots, the upper half. */
extern struct slots common;

/* ------------------------------------------------------------------- table */

struct argument {
	const char *name;
	enum kind kind;
	uint16_t offset, width; /* in the struct of an ioctl; width 0: not in it */
};

/* An ioctl as it was, for a row's own check. */
struct issued {
	uint32_t size; /* of the struct, as said */
	int made; /* the fd, or -1 */
	const unsigned char *in, *out;
};

struct row {
	const char *name;
	/* Returns 0 or more, or -errno. */
	int (*run)(struct worker *w, const uint64_t *arg);
	enum kind makes;
	uint8_t weight;
	bool spared; /* no allocation is made to fail in it */
	bool points; /* the struct does, to what may not be there */
	const int *errors; /* that may come of it, 0 ends */
	/* of an ioctl: */
	uint32_t cmd;
	uint16_t size, first_size, fd; /* fd: its offset, if it makes one */
	uint32_t flags, usual; /* known ones; those that most calls have */
	void (*check)(struct worker *w, const struct issued *i); /* of success */
	struct argument arg[ARGS + 1];
};

extern const struct row rows[];
extern const size_t nr_rows;

const struct row *row_named(const char *name);
const struct row *row_making(enum kind kind);

/* what rows run: ioctls.c, memory.c, files.c, process.c */
void check_create(struct worker *w, const struct issued *i);
void check_adopt(struct worker *w, const struct issued *i);
void check_info(struct worker *w, const struct issued *i);
void check_region_info(struct worker *w, const struct issued *i);
void check_open(struct worker *w, const struct issued *i);
void check_export(struct worker *w, const struct issued *i);
void check_readonly(struct worker *w, const struct issued *i);

#define RUN(name) int run_##name(struct worker *w, const uint64_t *arg)
RUN(ioctl);
RUN(open);
RUN(eventfd);
RUN(close);
RUN(dup);
RUN(reopen);
RUN(file);
RUN(sync);
RUN(import);
RUN(import_copy);
RUN(send);
RUN(receive);
RUN(mmap);
RUN(munmap);
RUN(memory);
RUN(forget);
RUN(mremap);
RUN(mprotect);
RUN(madvise);
RUN(mlock);
RUN(place);
RUN(load);
RUN(store);
RUN(futex);
RUN(vmsplice);
RUN(drain);
RUN(copy);
RUN(proc);
RUN(knob);
RUN(weaken);
RUN(fork);
RUN(fail);
#undef RUN

/* ------------------------------------------------------------------- slots */

/* slots.c */
void slots_init(struct worker *w, unsigned int id);
void slots_empty(struct slots *s);
int slots_fill_common(void);
int slot_fd(struct worker *w, enum kind kind, uint64_t slot);
void slot_put_fd(struct worker *w, enum kind kind, uint64_t slot, int fd);
char *slot_window(struct worker *w, uint64_t slot);
bool slot_use(struct worker *w, uint64_t slot);
char *slot_memory(struct worker *w, uint64_t slot);
atomic_bool *slot_readonly(struct worker *w, uint64_t slot);
atomic_ulong *slot_mapped(struct worker *w, uint64_t slot);
bool slot_is_own(uint64_t slot);
enum kind kind_of(const struct worker *w); /* of the call's first argument */
void *alone(size_t size);

/* ------------------------------------------------------------------ values */

extern const char *const names[];
extern const unsigned int nr_names;

uint64_t random_next(struct random *r);
uint64_t random_below(struct random *r, uint64_t n);
bool random_one_in(struct random *r, unsigned int n);
uint64_t value_random(struct random *r, const struct row *row,
		      const struct argument *a, bool odd);
uint64_t value_mutated(struct random *r, const struct row *row,
		       const struct argument *a, uint64_t old);

/* ---------------------------------------------------------------- programs */

void program_random(struct random *r, struct program *p);
void program_mutate(struct random *r, struct program *p,
		    const struct program *other);
void program_remove(struct program *p, unsigned int at);
size_t program_print(const struct program *p, char *text, size_t size);
const char *program_parse(const char *text, struct program *p);
void program_run(struct worker *w);
void call_run(struct worker *w);
void reap(struct worker *w);

/* ---------------------------------------------------------------- coverage */

/* Where the module has been: places in its code, and from where to where. */
struct signal {
	uint32_t n;
	uint32_t id[4096];
};

bool cover_init(void);
struct cover *cover_open(void);
void cover_start(struct cover *c);
void cover_stop(struct cover *c, struct signal *s);
/* What of it is new; only places in the code if so asked. */
bool cover_new(const struct signal *s, struct signal *new, bool places);
bool cover_has(const struct signal *s, const struct signal *all);
void cover_add(const struct signal *s);
unsigned int cover_places(void);
void cover_print(FILE *f);

/* ------------------------------------------------------------------ corpus */

void corpus_load(void);
bool corpus_take_seed(struct program *p);
void corpus_add(const struct program *p, const struct signal *s, uint64_t took);
bool corpus_pick(struct random *r, struct program *p);
unsigned int corpus_size(void);
unsigned int corpus_print(FILE *f);

/* ------------------------------------------------------------------ oracle */

void violate(struct worker *w, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
bool violated(void);
void oracle_begin(void);
void oracle_round(void);
void restore_knobs(uint32_t which);

/* The module's files in sysfs, those that can be written first. */
enum {
	KNOB_RESERVE = 7, /* of node 0, then of node 1 */
	KNOB_REGIONS = 9,
	KNOBS_WRITABLE = KNOB_REGIONS,
	KNOB_BYTES,
	KNOB_DOORBELLS,
	KNOB_FREE = 16,
};

extern const char *const knobs[];
extern const unsigned int nr_knobs;
void knobs_open(void);
int knob_text(unsigned int knob, char *text, size_t size);
long long knob_read(unsigned int knob);
int knob_write(unsigned int knob, const char *text);
void trace_off(void);
void fail_init(void);
void strays_begin(void);
void strays_end(FILE *f);
void fail_open(struct worker *w);
void scarce_begin(void);
void scarce_end(void);
void fail_begin(struct worker *w);
void fail_end(struct worker *w);

#endif /* PINRING_FUZZ_H */
