/* SPDX-License-Identifier: MIT */
/*
 * executor.h - an executor as its host side sees it (private).
 */
#ifndef PINRING_GPU_EXECUTOR_H
#define PINRING_GPU_EXECUTOR_H

#include <pthread.h>
#include <sys/types.h>

#include <pinring/executor.h>

#include "../lib/internal.h"
#include "loop.h"

struct pinring_attached;
struct pinring_executor;
struct pinring_kernel;

/* What runs the loop. Every function may leave a sentence by pinring_fail(). */
struct pinring_executor_ops {
	/* The loop does nothing but load and store: it never sleeps, and whoever
	 * sleeps must be woken by the module, or look by himself now and then. */
	bool stores_only;
	/*
	 * Is there what the loop runs on? Completes executor->config, sets isa,
	 * and may say on which node the executor's region should be. After it,
	 * and only then, free() is called in the end. NULL for device: keep quiet.
	 */
	int (*prepare)(struct pinring_executor *executor,
		       struct pinring_device *device,
		       struct pinring_region_config *config);
	/* The objects of executor->region are there. */
	int (*init)(struct pinring_executor *executor);
	/* Fills in where the loop finds the region. */
	int (*attach)(struct pinring_executor *executor,
		      struct pinring_region *region,
		      struct pinring_memory *memory);
	/* The loop has ended, or has not heard of it. NULL: nothing to do. */
	void (*detach)(struct pinring_executor *executor,
		       struct pinring_region *region);
	/* May the loop address all of this, which is the caller's? */
	int (*reach)(struct pinring_executor *executor, void *address,
		     uint64_t bytes);
	/* Zeroed memory. Sets memory->base, attached->own and attached->here. */
	int (*allocate)(struct pinring_executor *executor, uint64_t bytes,
			struct pinring_memory *memory,
			struct pinring_attached *attached);
	/* Its own: as of detach. */
	void (*release)(struct pinring_executor *executor, void *own);
	int (*launch)(struct pinring_executor *executor);
	/*
	 * 0: it runs, or nobody knows; 1: it has ended, as it may have been told
	 * to; -errno: it died. NULL: it cannot. It may wait, so without a lock.
	 */
	int (*alive)(struct pinring_executor *executor);
	/* The loop was launched, and told to end; sets lost if it does not. */
	void (*join)(struct pinring_executor *executor);
	/* Instead of it, when the loop hangs, or died; sets lost likewise. */
	void (*abandon)(struct pinring_executor *executor);
	/* After join, or instead of it; also of what init left half made. */
	void (*free)(struct pinring_executor *executor);
	/*
	 * Sets abi, entry and code of kernel, whose name is there, and which is
	 * to be this operation. NULL: it takes none. kernels_lock is held.
	 */
	int (*load)(struct pinring_executor *executor,
		    const struct pinring_kernel_config *config,
		    struct pinring_kernel *kernel, uint32_t operation);
	/* No command of it is in flight, and none will be. */
	void (*unload)(struct pinring_executor *executor,
		       struct pinring_kernel *kernel);
};

/* A user's kernel. kernel.c */
struct pinring_kernel {
	uint64_t operation; /* 0: none; atomic store */
	uint64_t last; /* commands up to the last one of it; atomic */
	char name[64];
	struct pinring_kernel_abi abi;
	void (*entry)(const struct pinring_kernel_args *args); /* as the loop's */
	void *code; /* the ops' own */
};

/* The host's side of an entry of the table of attachments. attach.c */
struct pinring_attached {
	struct pinring_region *region; /* a reference; NULL: no region */
	void *own; /* what allocate() of the ops made; NULL: the caller's */
	unsigned char *here; /* as this process finds it; NULL: it does not */
};

/* What was seen of a command that is being carried out. watch.c */
struct pinring_watch {
	uint64_t completed, heartbeat;
	int64_t looked; /* at this time */
	int64_t still; /* for so long there was no change */
	bool asking; /* a thread asks whether the loop is alive */
};

/* What host and loop share besides the executor's region: attachments first. */
#define PINRING_SHARED_BYTES 65536
#define PINRING_TABLE_BYTES 8192 /* for them */

/* A ticket's place in the window of `depth` tickets. */
enum pending_state {
	PENDING_FREE, /* collected, or never used */
	PENDING_FLIGHT,
	PENDING_DETACHED, /* in flight, and nobody will ask */
	PENDING_DONE,
};

struct pinring_pending {
	uint64_t ticket;
	uint32_t id;
	uint16_t operation;
	uint16_t state; /* enum pending_state */
	struct pinring_completion completion;
};

/* Of a link, at one of its ends. link.c, under its lock of tables. */
struct pinring_place {
	bool taken;
	bool over; /* the executor at the other end is closed; atomic store */
	uint32_t times; /* it was taken */
	struct pinring_doorbell *bell; /* of the link, for us to close; or NULL */
};

#define PINRING_HOLDS (3 * PINRING_LINKS_MAX) /* NULL: none */

struct pinring_executor {
	struct pinring_device *device;
	struct pinring_region *region; /* rings and control words */
	struct pinring_executor_config config;
	char reason[128];
	char placement[160]; /* of the command ring */
	pid_t pid; /* whose threads run the loop */

	pthread_mutex_t kernels_lock; /* of register and unregister */
	uint32_t next_operation;
	struct pinring_kernel *kernels; /* PINRING_DYNAMIC_MAX of them */

	/* Submitting thread only; if there are several, under the lock. */
	pthread_mutex_t ticket_lock;
	bool shared; /* there are */
	bool watched; /* one of them sleeps on the doorbell ... */
	uint32_t rounds; /* ... and this futex counts how often it woke up */
	uint32_t followers; /* that sleep on it */
	struct pinring_device_producer commands;
	void (*flush)(void); /* after stores to commands; NULL: none needed */
	struct pinring_device_consumer completions;
	struct pinring_pending *pending;
	uint64_t submitted; /* atomic store, for those who look on */
	uint64_t collected;
	uint64_t undone;
	uint32_t misses; /* looks that found nothing */
	bool broken; /* the executor answered what nobody asked; atomic */
	pthread_mutex_t attach_lock; /* of the next one, and the table's memory */
	pthread_mutex_t offer_lock; /* of services, as they begin, and which there are */
	struct pinring_attached attached[PINRING_REGIONS_MAX];
	/*
	 * PINRING_SHARED_BYTES, of a shared mapping: of a private one a fork
	 * would leave the device with pages that we no longer write to.
	 */
	struct pinring_attachments *attachments;

	struct pinring_doorbell *submit_bell; /* executor waits */
	struct pinring_doorbell *done_bell; /* host waits */
	struct pinring_doorbell *ask_bell; /* the thread of services waits */
	struct pinring_services *services; /* once any was offered */
	bool wakes; /* ringing done_bell wakes who sleeps on it */
	struct pinring_control_block *control;
	struct pinring_telemetry *telemetry;
	struct pinring_profile *profile;

	/* Mapped for links, beside what is attached: link.c */
	struct pinring_region *held[PINRING_HOLDS];
	struct pinring_place out[PINRING_LINKS_MAX], in[PINRING_LINKS_MAX];
	uint64_t round; /* of looks, at the last one; link.c, under its lock */
	uint32_t watchers; /* that look now, and without which it is freed */

	pthread_mutex_t wish_lock; /* guards those below */
	uint64_t epoch;
	enum pinring_state wish; /* atomic store, for pinring_executor_submit */
	bool launched; /* there is a loop to join */
	bool leaving; /* the loop is to end, and will be launched again */
	bool lost; /* it did not end: what it may touch must stay for ever */
	struct pinring_executor *next; /* of those that are lost */
	bool hung; /* the watchdog says that it will not end; atomic store */
	struct pinring_watch watch;

	const struct pinring_executor_ops *ops;
	void *loop; /* the ops' own */
	const char *isa; /* what the loop was compiled for */
};

/* After a store that the loop should see: unless it spins anyway. */
static inline void pinring_executor_wake(struct pinring_executor *executor)
{
	if (!executor->ops->stores_only)
		pinring_doorbell_ring(executor->submit_bell);
}

/* services.c: ends their thread; sets lost if that does not end. */
void pinring_services_stop(struct pinring_executor *executor);

/* One of them may write to what is attached as this number. */
bool pinring_services_use(const struct pinring_executor *executor,
			  uint32_t number);

/* attach.c: all that was attached, when nothing addresses it any more. */
void pinring_attached_drop(struct pinring_executor *executor);

/* One region, of what is attached or held for links; NULL: nothing. */
void pinring_attached_let_go(struct pinring_executor *executor,
			     struct pinring_region *region);

/*
 * executor.c: in a child of fork the loop is not ours, but what it looks at is. 0, or
 * -EOPNOTSUPP with a sentence.
 */
int pinring_executor_check_parent(const struct pinring_executor *executor);

/* The loop's rings and settings, as the host addresses them. */
int pinring_executor_open_loop(struct pinring_executor *executor,
			       struct pinring_loop *loop);

/* It answers nothing any more. */
static inline bool
pinring_executor_ended(const struct pinring_executor *executor)
{
	return pinring_executor_state(executor) >= PINRING_STATE_TERMINATED;
}

/* executor.c: the loop is to look at what the host has told it of since. */
void pinring_executor_nudge(struct pinring_executor *executor);

/* And whether it has done so: nothing of before that goes on. */
bool pinring_executor_nudged(struct pinring_executor *executor);

/* The same, for good, of what the loop looks at also before it is told to run. */
bool pinring_executor_knows(struct pinring_executor *executor);

/* link.c */
void pinring_links_drop(struct pinring_executor *executor);
void pinring_links_watch(void);

/* tickets.c: moves every completion that has come to its ticket's place. */
void pinring_executor_collect(struct pinring_executor *executor);

/*
 * watch.c: looks whether a command that was taken still shows life; if not for
 * too long, the executor has failed. Any thread; now and then, while it waits.
 */
void pinring_executor_watch(struct pinring_executor *executor);

/* wish_lock is held: of what ops->alive said, -errno, or 0 if that was to be. */
int pinring_executor_judge(const struct pinring_executor *executor, int alive);

/* Not those to which it forwards. */
void pinring_executor_watch_one(struct pinring_executor *executor);

/* watch.c, wish_lock is held: it has failed, at the first command not answered. */
void pinring_executor_fail(struct pinring_executor *executor, int error,
			   uint32_t reason);

/* wish_lock is held: what the loop is to be. */
void pinring_executor_tell(struct pinring_executor *executor,
			   enum pinring_state state);

/* How often, in ns, at least. */
int64_t pinring_executor_look_period(const struct pinring_executor *executor);

/* One step of a loop that looks again and again: spins, yields, then sleeps. */
void pinring_executor_nap(uint64_t *polls);

/* It has failed for a reason that can be said: the sentence, and rc. Or false. */
bool pinring_executor_why(const struct pinring_executor *executor, int rc);

/* kernel.c: a command of it is about to be submitted as number `ticket`. */
void pinring_kernel_used(struct pinring_executor *executor, uint32_t operation,
			 uint64_t ticket);
int pinring_kernels_init(struct pinring_executor *executor);
void pinring_kernels_free(struct pinring_executor *executor);

/* "-ENOEXEC": version and sizes are not ours. */
int pinring_kernel_check(struct pinring_device *device, const char *name,
			 const struct pinring_kernel_abi *abi);

/*
 * What a compiler said: every line to the device's log, and the one to put into
 * the sentence into *first. Writes into log.
 */
void pinring_kernel_log(struct pinring_device *device, char *log, char *first,
			size_t size);

extern const char pinring_kernel_header[]; /* pinring/kernel.h, as text */

/* kernel_host.c */
int pinring_host_load(struct pinring_executor *executor,
		      const struct pinring_kernel_config *config,
		      struct pinring_kernel *kernel, uint32_t operation);
void pinring_host_unload(struct pinring_executor *executor,
			 struct pinring_kernel *kernel);

extern const struct pinring_executor_ops pinring_host_ops; /* executor_host.c */
extern const struct pinring_executor_ops pinring_cuda_ops; /* executor_cuda.c */

#endif /* PINRING_GPU_EXECUTOR_H */
