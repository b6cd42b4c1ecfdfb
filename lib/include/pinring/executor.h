/* SPDX-License-Identifier: MIT */
/*
 * executor.h - a persistent kernel: commands in by a ring, completions out by
 * another, no launch in between.
 *
 *	created -> launched -> active <-> paused
 *	                         |          |
 *	                         +-> draining -> terminated     failed
 *
 * Commands are answered in the order they were submitted, each by exactly one
 * completion. While paused, commands queue. Draining runs what is queued, then
 * terminates; terminating answers the rest with -ECANCELED. (Of an executor that
 * was never launched nobody answers: collecting gives -EPIPE.) By itself it
 * terminates where commands_max or idle_ms say so.
 *
 * One thread at a time may attach, submit, poll, wait, call, unregister and close;
 * with PINRING_EXECUTOR_SHARED any number of them, but for close. The functions
 * that change or read the state may be called from any thread.
 *
 * After fork() an executor is the parent's. A child may close it, which ends nothing
 * and frees its copy; what would change it says -EOPNOTSUPP. Submitting and collecting
 * do not look, being fast: a child that does either ruins the parent's rings.
 *
 * An executor fails when a user's kernel faults, or when it has taken a command
 * and shows no life for watchdog_ms. Then calls say -EPIPE, and the sentence names
 * the command. Who looks is who waits, polls or closes: there is no thread for it.
 */
#ifndef PINRING_EXECUTOR_H
#define PINRING_EXECUTOR_H

#include <pinring/command.h>
#include <pinring/region.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pinring_executor;

enum pinring_executor_kind {
	PINRING_EXECUTOR_AUTO = 0, /* CUDA if there is a GPU, else host */
	PINRING_EXECUTOR_HOST = 1, /* threads of this process */
	PINRING_EXECUTOR_CUDA = 2,
};

#define PINRING_THREADS_MAX 64
#define PINRING_CPU_ANY (-1)
#define PINRING_WATCHDOG_NEVER UINT32_MAX

/* config.flags: several threads at once submit, poll, wait and call. */
#define PINRING_EXECUTOR_SHARED 1u

struct pinring_executor_config {
	uint64_t struct_size;
	uint32_t kind; /* enum pinring_executor_kind */
	uint32_t threads; /* host: 1 to PINRING_THREADS_MAX; 0: 1. CUDA: blocks,
			   * one per SM; 0: as many as the GPU has SMs */
	uint32_t depth; /* commands in flight, a power of two from 4 to 65536;
			 * 0: 256 */
	int32_t cpu; /* host: pin thread i to CPU cpu + i; PINRING_CPU_ANY */
	uint32_t spin_us; /* idle time before the loop sleeps; 0: 200 */
	uint32_t flags; /* PINRING_EXECUTOR_SHARED */
	/*
	 * Bounded, for what can only watch a kernel that ends (compute-sanitizer,
	 * ncu): the loop is active from its launch on, takes what was submitted
	 * before, and terminates after so many commands. 0: no bound.
	 */
	uint64_t commands_max;
	/*
	 * The loop terminates when neither a command nor a change of state came
	 * for so long, with -ETIMEDOUT as the executor's error: a host that died
	 * leaves no kernel running for ever. 0: never.
	 */
	uint32_t idle_ms;
	int32_t gpu; /* CUDA: which one, from 0 */
	uint32_t watchdog_ms; /* the longest that a command may show no life
			       * before the executor counts as failed; 0:
			       * 60000; PINRING_WATCHDOG_NEVER */
	uint32_t reserved;
};

/* The config to start from: what AUTO finds, one thread, on any CPU. */
static inline struct pinring_executor_config pinring_executor_defaults(void)
{
	struct pinring_executor_config config =
		PINRING_INIT(struct pinring_executor_config);

	config.cpu = PINRING_CPU_ANY;
	return config;
}

/*
 * The region of rings and control words, not the loop: state "created".
 * -EINVAL: a field of config; -EOPNOTSUPP: that kind is not built in or has no
 * device (pinring_error says which); -ENOMEM and others from region creation.
 */
PINRING_API int
pinring_executor_create(struct pinring_device *device,
			const struct pinring_executor_config *config,
			struct pinring_executor **executor);

/*
 * Let commands address a region. Returns its number for struct pinring_operand,
 * or -ENOSPC after PINRING_REGIONS_MAX, of all that is attached. The executor holds
 * the mapping until it is closed. Submitting thread only, as the next three.
 * For one on a GPU the driver registers memory that it has not yet; while loops of this
 * process run there, all of them pause for it between two commands, as for a kernel.
 * So they do when an executor comes, or is closed, and when two are connected: the time
 * for all that is before the launch. -EBUSY: the executors on the GPU do not pause.
 */
PINRING_API int pinring_executor_attach(struct pinring_executor *executor,
					struct pinring_region *region);

/*
 * The same for memory of the caller's where the executor runs: for one on a GPU what
 * cudaMalloc() or cuMemAlloc() gave there, for one on host threads any that can be
 * written to. Nothing is copied. Offsets count from address on, and begin at 0;
 * operands are aligned as addresses. It has to stay until it is detached or the
 * executor is closed. What other kernels wrote there is seen by commands that are
 * submitted after they have ended.
 * -EINVAL: address or bytes; on a GPU: it is memory of the host's, of another GPU or
 * context, managed, freed, or goes beyond its allocation; -EFAULT: host threads
 * cannot write to all of it; -ENOSPC.
 */
PINRING_API int
pinring_executor_attach_memory(struct pinring_executor *executor, void *address,
			       uint64_t bytes);

/*
 * New memory where the executor runs, zeroed, for commands to address: of the GPU, or
 * of this process. Returns its number; offsets begin at 0. Where it lies goes to
 * *address (may be NULL): for kernels of the caller's, and for
 * pinring_executor_attach_memory() of another executor there. PINRING_OP_COPY is the
 * way in and out. It stays until it is detached or the executor is closed.
 * While loops of this process run on the GPU, all of them pause for this, too.
 * -EINVAL: bytes; -ENOMEM: there is not as much; -ENOSPC; -EBUSY: the executors on the
 * GPU do not pause.
 */
PINRING_API int pinring_executor_allocate(struct pinring_executor *executor,
					  uint64_t bytes, void **address);

/*
 * Waits until what was submitted before is answered. Then nothing addresses the memory
 * of this number any more, and the number may be given again. What pinring allocated
 * on a GPU is free when no loop of this process runs there, or those that do pause for
 * the next allocation or kernel. Commands that links bring are refused from now on,
 * and those of the old number must not come when it is given again.
 * -EBUSY: not within timeout_ns, or the executor is bounded and has not ended:
 * nothing has changed; -ENOENT: there is none; -EINVAL: it is a region.
 */
PINRING_API int pinring_executor_detach(struct pinring_executor *executor,
					uint32_t number, int64_t timeout_ns);

/*
 * Let commands of `from` send commands to `to`, from loop to loop: on one GPU, on
 * two, on host threads, or mixed. Returns the number of the link, for aux of
 *
 *	PINRING_OP_FORWARD	count commands, which lie at a: pinring_pack_command()
 *	PINRING_OP_JOIN		waits until all of them are answered
 *
 * (docs/executor.md, "Links"). The link's rings lie in host memory, wherever the two
 * run: a GPU finds a command, or an answer, by a read across PCIe, which up to four
 * share, as it does the host's commands when these lie there. No CPU takes part, but
 * the words' way is no shorter than by the host's memory.
 *
 * Up to `depth` commands are under way over it, a power
 * of two from 4 to 65536; 0: 64. It lasts until either is closed, which may come in any
 * order. Its place is free then as soon as the other one has answered what was sent, and
 * is done with what it was at (for which this waits a second at most); its number means
 * it yet, and is refused, until 31 others were in that place. Any thread, while neither
 * is being closed. To one that is bounded by commands_max only before its launch.
 * -ENOSPC: 8 lead from `from` already, or to `to`, and no place is free; -EINVAL: depth,
 * or the two are one; -EPIPE: one has ended; else as of creating and attaching a region.
 */
PINRING_API int pinring_executor_connect(struct pinring_executor *from,
					 struct pinring_executor *to,
					 uint32_t depth);

/*
 * State changes. Each returns at once; pinring_executor_wait_state sees them
 * done. -EINVAL: not from this state (launch: created; others: launched,
 * active or paused; terminate: also created, draining). Launching a CUDA executor
 * waits until all of its blocks run: -EBUSY: others of this process fill the GPU;
 * -ETIMEDOUT: those of another process do, for 10 s or watchdog_ms, and the executor
 * has failed.
 */
PINRING_API int pinring_executor_launch(struct pinring_executor *executor);
PINRING_API int pinring_executor_activate(struct pinring_executor *executor);
PINRING_API int pinring_executor_pause(struct pinring_executor *executor);
PINRING_API int pinring_executor_drain(struct pinring_executor *executor);
PINRING_API int pinring_executor_terminate(struct pinring_executor *executor);

PINRING_API enum pinring_state
pinring_executor_state(const struct pinring_executor *executor);

/*
 * 0: in that state; -ETIMEDOUT; -ECANCELED: it terminated or failed, and will
 * never be.
 */
PINRING_API int pinring_executor_wait_state(struct pinring_executor *executor,
					    enum pinring_state state,
					    int64_t timeout_ns);

/* create, launch, activate, wait: what most programs want. */
PINRING_API int
pinring_executor_start(struct pinring_device *device,
		       const struct pinring_executor_config *config,
		       struct pinring_executor **executor);

/*
 * Queue a command. *ticket (may be NULL if detached) names it for poll and
 * wait; command->id is the caller's own and comes back in the completion.
 * -EAGAIN: the command submitted `depth` before this one is in flight or was not
 * collected; -EPIPE: it was told to drain or to end, or failed, or ended by itself
 * (idle_ms, commands_max) and the window is full: before that, who waits hears of it,
 * since looking would cost every command a cache line; -EINVAL: a field does not fit
 * its bits.
 */
PINRING_API int pinring_executor_submit(struct pinring_executor *executor,
					const struct pinring_command *command,
					uint64_t *ticket);

/*
 * Collect a completion, once. 0: there; -EAGAIN: not yet; -ENOENT: never
 * submitted, detached, or collected before; -EPIPE: the executor failed before
 * it answered. The command's own status is completion->status.
 */
PINRING_API int pinring_executor_poll(struct pinring_executor *executor,
				      uint64_t ticket,
				      struct pinring_completion *completion);

/* The same, spinning, then yielding, then sleeping; also -ETIMEDOUT. */
PINRING_API int pinring_executor_wait(struct pinring_executor *executor,
				      uint64_t ticket, int64_t timeout_ns,
				      struct pinring_completion *completion);

/*
 * submit and wait. After -ETIMEDOUT the command goes on as if detached; what
 * it writes, it may still write. -EINVAL also for a detached command.
 */
PINRING_API int pinring_executor_call(struct pinring_executor *executor,
				      const struct pinring_command *command,
				      int64_t timeout_ns,
				      struct pinring_completion *completion);

/*
 * kernel_config.flags. On a GPU the loop that runs takes the kernel in as it is, if it
 * has what the kernel needs, and nobody pauses: docs/kernels.md. Host threads never do.
 */
#define PINRING_REGISTER_HOT 1u

/*
 * A user's kernel (pinring/kernel.h) becomes an operation, while commands are in
 * flight. Its source is given as a file or as text. What else the file may be goes
 * by its name: on the host executor .so, a shared object that was compiled before;
 * with CUDA .ptx, .cubin and .fatbin, relocatable.
 *
 * The host executor compiles with ${CC:-cc}; what the compiler says goes to the
 * device's log, line by line, and the first error into the sentence. A .so is
 * mapped as it is: do not write over the file.
 */
struct pinring_kernel_config {
	uint64_t struct_size;
	const char *name; /* as in PINRING_KERNEL(name) */
	const char *path; /* one of these two, */
	const char *text; /* the other is NULL */
	uint64_t flags; /* PINRING_REGISTER_HOT */
};

/*
 * Any thread. *operation is for struct pinring_command, and its number is not
 * used again before 64,000 others were. On a GPU all executors of this process on it
 * pause between two commands: docs/kernels.md.
 * -EINVAL: a field of config; -ENOENT: no such file, or, of the host's, no such
 * kernel in it; -ENOEXEC: it does not compile, link or load, or is of another ABI
 * (the sentence has both numbers); -ENOSPC: there are 64 already; -EOPNOTSUPP: not for
 * this executor, or what compiles it is not installed; -EPIPE: it has ended; others: no
 * files or process for the compiler; CUDA: -EBUSY: the executors on the GPU do not
 * pause, or leave no room for it, or one of them hangs; -E2BIG: PINRING_REGISTER_HOT,
 * and it needs what the loop that runs has not (the sentence says what, and how much):
 * without the flag it can be registered; -EIO: the driver does not load it, or does not
 * come back.
 */
PINRING_API int
pinring_executor_register(struct pinring_executor *executor,
			  const struct pinring_kernel_config *config,
			  uint32_t *operation);

/*
 * Waits until no command of it is in flight; afterwards the operation is refused
 * like one that never was. -EBUSY: one still is, after timeout_ns, and nothing has
 * changed; -ENOENT: no kernel has this number.
 */
PINRING_API int pinring_executor_unregister(struct pinring_executor *executor,
					    uint32_t operation,
					    int64_t timeout_ns);

/* Sees the executor's completion doorbell, for epoll: doorbell.h. */
struct pinring_doorbell;
PINRING_API struct pinring_doorbell *
pinring_executor_doorbell(struct pinring_executor *executor);

struct pinring_executor_info {
	uint64_t struct_size;
	uint32_t kind; /* what AUTO became */
	uint32_t threads; /* of the host, or blocks of the GPU */
	uint32_t depth;
	int32_t error; /* -errno of the last command that failed, or 0 */
	uint32_t error_id; /* and its id */
	uint32_t error_operation; /* and its operation; PINRING_OP_NONE: it ended
				   * with no command in flight, id is 0 */
	uint64_t submitted;
	uint64_t heartbeat; /* advances while the loop lives */
	struct pinring_telemetry telemetry;
	char isa[16]; /* what the loop was built for: x86-64-v3, sm_90 */
	char reason[128]; /* why not CUDA, if AUTO became host */
	char commands[160]; /* where the command ring lies, and why there */
	uint32_t error_reason; /* enum pinring_reason, with error */
	uint32_t reserved;
	uint64_t gpu_bytes; /* of the GPU's memory, allocated or attached */
};

/* Any thread. */
PINRING_API int pinring_executor_info(const struct pinring_executor *executor,
				      struct pinring_executor_info *info);

/*
 * Where its time goes, as far as it has told: struct pinring_profile, in
 * pinring_layout.h. Its words are read one by one, while the executor may write
 * them: of one moment only when it had nothing to tell meanwhile. Any thread.
 */
PINRING_API void pinring_executor_profile(const struct pinring_executor *executor,
					  struct pinring_profile *profile);

/*
 * Drains for at most timeout_ns, then terminates, joins and frees. Returns how
 * many commands were not carried out: 0 when all were. NULL is allowed.
 * The loop stops between steps of an operation, so this ends soon after
 * timeout_ns.
 *
 * A kernel that does not return cannot be stopped. After watchdog_ms it is left
 * alone, and with it its threads, the executor's memory and the mappings of the
 * regions, which it may still write to.
 */
PINRING_API int64_t pinring_executor_close(struct pinring_executor *executor,
					   int64_t timeout_ns);

/* "axpy"; NULL if there is no such operation. */
PINRING_API const char *pinring_operation_name(uint32_t operation);

/* "active"; never NULL. */
PINRING_API const char *pinring_state_name(uint32_t state);

/* "an operand leaves its region"; never NULL. */
PINRING_API const char *pinring_reason_text(uint32_t reason);

#ifdef __cplusplus
}
#endif

#endif /* PINRING_EXECUTOR_H */
