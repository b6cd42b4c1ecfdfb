// SPDX-License-Identifier: MIT
/*
 * cuda_relink.c - users' kernels in a loop that runs already.
 *
 * The loop is linked anew, with all of them. The one that runs ends between two
 * commands, or where one waits at a link, and leaves its state in the GPU's memory, where
 * the next one finds it: neither the rings nor the host's side of them know.
 *
 *	compile, link --> all end --> load --> all go on, this one with the new code
 *
 * All: loading a module, and freeing one, the driver may wait for whatever kernel of
 * the context runs, with a lock that every other call to it needs (shared/gpu.md,
 * "Forward progress"). So it is done while no executor of this process is on the
 * GPU, and what was replaced is freed the next time that is so.
 */
#include <stddef.h>
#include <stdlib.h>

#include "executor_cuda.h"
#include "jit.h"

#define LEAVE_NS 10000000000 /* so long may a command take */
#define STAY_NS 1000000000 /* until the loop has seen that it need not leave */

/* ------------------------------------------------------------ end, and go on */
/* Of a loop with a bound nobody wishes anything: it is active by itself. */
static enum pinring_state wish_of(const struct pinring_executor *ex)
{
	return ex->wish == PINRING_STATE_LAUNCHED ? pinring_executor_state(ex) :
						    ex->wish;
}

static void tell_to_leave(struct pinring_executor *ex)
{
	pthread_mutex_lock(&ex->wish_lock);
	if (pinring_cuda_resident(ex) && ex->wish < PINRING_STATE_TERMINATED) {
		ex->leaving = true;
		pinring_executor_tell(ex, wish_of(ex));
	}
	pthread_mutex_unlock(&ex->wish_lock);
}

void pinring_cuda_lose(struct pinring_executor *ex, int error, uint32_t reason)
{
	pthread_mutex_lock(&ex->wish_lock);
	if (ex->leaving && !pinring_executor_ended(ex))
		pinring_executor_fail(ex, error, reason);
	ex->leaving = false;
	pthread_mutex_unlock(&ex->wish_lock);
}

void pinring_cuda_tell_to_leave(struct pinring_gpu *gpu)
{
	struct pinring_executor *ex;
	unsigned int i;

	PINRING_EACH_RESIDENT(gpu, i, ex)
		tell_to_leave(ex);
}

static int wait_end(struct pinring_executor *ex, struct pinring_device *device,
		    int64_t deadline)
{
	const struct cuda *c = ex->loop;
	cuda_result rc;

	while (!pinring_cuda_query(ex, &rc) || rc == CUDA_NOT_READY) {
		if (__atomic_load_n(&ex->hung, __ATOMIC_ACQUIRE) ||
		    pinring_now() >= deadline)
			return pinring_fail(device, -EBUSY,
					    "GPU %d: a command of executor %u did not end within 10 s, or hangs, and while one runs nothing is loaded, allocated or registered",
					    c->gpu->number, c->number);
		pinring_cuda_nap();
	}
	if (!rc)
		return 0;
	pinring_cuda_lose(ex, -EFAULT, PINRING_REASON_FAULT);
	return pinring_cuda_fail(device, c->gpu->cuda, rc,
				 "go on: a persistent kernel died");
}

int pinring_cuda_stop(struct pinring_gpu *gpu, struct pinring_device *device)
{
	int64_t deadline = pinring_deadline(LEAVE_NS);
	struct pinring_executor *ex;
	unsigned int i;
	int rc = pinring_gpu_enter(gpu, device);

	if (rc)
		return rc;
	pinring_gpu_leave(gpu);
	pinring_cuda_tell_to_leave(gpu);
	PINRING_EACH_RESIDENT(gpu, i, ex)
		if (!rc)
			rc = wait_end(ex, device, deadline);
	return rc;
}

/*
 * In a command, after which it will find the last wish. Not one that waits at a link:
 * that looks at wishes meanwhile, and may be about to leave.
 */
static bool is_busy(const struct pinring_executor *ex)
{
	const struct pinring_control_block *control = ex->control;
	const uint64_t fed = pinring_load_word(&control->fed);
	const uint64_t completed = pinring_load_word(&control->completed);
	const struct pinring_pending *p =
		&ex->pending[completed & (ex->config.depth - 1)];
	const uint16_t operation = fed ? (uint16_t)(fed >> 32) : p->operation;

	return (fed || pinring_load_word(&control->taken) != completed) &&
	       operation != PINRING_OP_FORWARD && operation != PINRING_OP_JOIN;
}

/*
 * It need not leave after all. Unless it has seen before that it was to: then it
 * ends at once, and false is returned.
 */
static bool stays(struct pinring_executor *ex)
{
	const struct pinring_control_block *control = ex->control;
	int64_t deadline = pinring_deadline(STAY_NS);
	cuda_result rc;

	while (!pinring_cuda_query(ex, &rc) || rc == CUDA_NOT_READY) {
		/* In a command, or back from it and aware of the last wish. */
		if (is_busy(ex) ||
		    pinring_load_word(&control->reached) >> 32 ==
			    (uint32_t)ex->epoch ||
		    pinring_now() >= deadline)
			return true;
		pinring_cuda_nap();
	}
	return false;
}

/*
 * Launches it again if it left: with `fresh`, or with what it had if that is NULL or
 * cannot be launched. That is tried twice, for its commands wait.
 */
static int go_on(struct pinring_executor *ex, struct pinring_code *fresh)
{
	struct cuda *c = ex->loop;
	bool launched = false;
	int rc = 0, again;

	pthread_mutex_lock(&ex->wish_lock);
	if (!ex->leaving)
		goto out;
	ex->leaving = false;
	/* What was wished in the meantime, or the same once more. */
	pinring_executor_tell(ex, wish_of(ex));
	if (stays(ex) || pinring_executor_state(ex) >= PINRING_STATE_TERMINATED)
		goto out;
	again = rc = pinring_cuda_start(ex, fresh ? fresh : c->code, &launched);
	if (again && !launched)
		again = pinring_cuda_start(ex, c->code, &launched);
	if (again)
		pinring_executor_fail(ex, again, PINRING_REASON_RELAUNCH);
out:
	pthread_mutex_unlock(&ex->wish_lock);
	return rc;
}

void pinring_cuda_go_on(struct pinring_gpu *gpu,
			const struct pinring_executor *but)
{
	struct pinring_executor *ex;
	unsigned int i;

	PINRING_EACH_RESIDENT(gpu, i, ex)
		if (ex != but)
			(void)go_on(ex, NULL);
}

/* --------------------------------------------------------------------- code */
static bool nothing_runs(const struct pinring_gpu *gpu)
{
	struct pinring_executor *ex;
	unsigned int i;

	PINRING_EACH_RESIDENT(gpu, i, ex)
		return false;
	return true;
}

void pinring_cuda_discard(struct pinring_gpu *gpu, struct pinring_code *code)
{
	if (code != &gpu->code) {
		code->next = gpu->stale;
		gpu->stale = code;
	}
	if ((gpu->stale || gpu->unused) && nothing_runs(gpu) &&
	    pinring_gpu_try_enter(gpu)) {
		pinring_gpu_free_stale(gpu);
		pinring_gpu_leave(gpu);
	}
}

static bool more_than(struct pinring_gpu *gpu, int wanted, int which)
{
	int most = pinring_gpu_attribute(gpu, which);

	return most && wanted > most;
}

/* With it instead of what ex has, is there room for a block of each on an SM? */
static int check_room(struct pinring_gpu *gpu, const struct pinring_executor *ex,
		      const struct pinring_code *fresh)
{
	const int reserved = pinring_gpu_attribute(gpu, CUDA_ATTRIBUTE_BLOCK_RESERVED);
	int threads = 0, registers = 0, shared = 0;
	const struct pinring_executor *other;
	unsigned int i;

	PINRING_EACH_RESIDENT(gpu, i, other) {
		const struct cuda *c = other->loop;
		const struct pinring_code *code = other == ex ? fresh : c->code;

		threads += (int)code->threads;
		/* They are given out by eights. */
		registers += (int)code->threads * ((code->registers + 7) & ~7);
		shared += code->shared + reserved;
	}
	if (more_than(gpu, threads, CUDA_ATTRIBUTE_SM_THREADS) ||
	    more_than(gpu, registers, CUDA_ATTRIBUTE_SM_REGISTERS) ||
	    more_than(gpu, shared, CUDA_ATTRIBUTE_SM_SHARED))
		return pinring_fail(ex->device, -EBUSY,
				    "with it the loop has %d registers a thread and %d bytes of shared memory, for which the other executors on GPU %d leave no room",
				    fresh->registers, fresh->shared, gpu->number);
	return 0;
}

/* Those that came while the loop ran will be called by the next one, too. */
static int check_hot(const struct pinring_executor *ex,
		     const struct pinring_code *fresh)
{
	uint32_t i;

	for (i = 0; i < PINRING_DYNAMIC_MAX; i++) {
		const struct pinring_kernel *k = &ex->kernels[i];
		const struct pinring_code *code = k->code;

		if (k->operation && k->entry &&
		    code->registers > fresh->registers)
			return pinring_fail(ex->device, -EBUSY,
					    "%s, of operation %llu, needs %d registers a thread, and the loop would have %d: unregister that first",
					    k->name,
					    (unsigned long long)k->operation,
					    code->registers, fresh->registers);
	}
	return 0;
}

/* A stream that is no loop's, while making one disturbs nobody. */
static int open_aside(struct pinring_gpu *gpu, struct pinring_device *device)
{
	cuda_result error = 0;

	if (!gpu->aside)
		error = gpu->cuda->stream_create(&gpu->aside,
						 CUDA_STREAM_NON_BLOCKING, 0);
	return error ? pinring_cuda_fail(device, gpu->cuda, error,
					 "make a stream") :
		       0;
}

/* Nothing runs. *fresh: the image as code for ex; NULL if there is an error. */
static int load_image(struct pinring_executor *ex, const void *image,
		      struct pinring_code **fresh)
{
	struct cuda *c = ex->loop;
	struct pinring_gpu *gpu = c->gpu;
	struct pinring_code *code;
	int rc;

	*fresh = NULL;
	rc = pinring_gpu_enter(gpu, ex->device);
	if (rc)
		return rc;
	pinring_gpu_free_stale(gpu);
	code = calloc(1, sizeof(*code));
	rc = code ? open_aside(gpu, ex->device) :
		    pinring_fail(ex->device, -ENOMEM, "no memory for code");
	if (!rc)
		rc = pinring_gpu_load(gpu, ex->device, image, code);
	if (!rc) {
		rc = check_room(gpu, ex, code);
		if (!rc)
			rc = check_hot(ex, code);
		if (rc)
			gpu->cuda->module_unload(code->module);
	}
	if (rc)
		free(code);
	else
		*fresh = code;
	pinring_gpu_leave(gpu);
	return rc;
}

static int change_code(struct pinring_executor *ex, const void *image)
{
	struct cuda *c = ex->loop;
	struct pinring_gpu *gpu = c->gpu;
	struct pinring_code *fresh = NULL;
	int rc;

	pthread_mutex_lock(&gpu->lock);
	rc = pinring_cuda_stop(gpu, ex->device);
	if (!rc)
		rc = load_image(ex, image, &fresh);
	/*
	 * The first of all: if the driver needs more memory for the stacks of its
	 * threads, it gets it now.
	 */
	if (fresh) {
		rc = go_on(ex, fresh);
		pinring_cuda_discard(gpu, rc ? fresh : c->code);
		if (!rc)
			c->code = fresh;
	}
	pinring_cuda_go_on(gpu, NULL);
	pthread_mutex_unlock(&gpu->lock);
	return rc;
}

/* ------------------------------------------------------------------ kernels */
static int link_and_change(struct pinring_executor *ex, uint32_t arch,
			   struct pinring_kernel *k, uint32_t operation)
{
	struct pinring_jit_kernel list[PINRING_DYNAMIC_MAX];
	struct pinring_jit_object image;
	uint32_t i, n = 0;
	int rc;

	for (i = 0; i < PINRING_DYNAMIC_MAX; i++) {
		const struct pinring_kernel *other = &ex->kernels[i];

		if (other->operation && !other->entry)
			list[n++] = (struct pinring_jit_kernel){
				.name = other->name,
				.operation = (uint32_t)other->operation,
				.object = other->code,
			};
	}
	list[n] = (struct pinring_jit_kernel){
		.name = k->name,
		.operation = operation,
		.object = k->code,
	};
	rc = pinring_jit_link(ex->device, arch, list, n + 1, &image);
	if (rc)
		return rc;
	k->abi = list[n].abi;
	rc = change_code(ex, image.data);
	pinring_jit_free(&image);
	return rc;
}

int pinring_cuda_load(struct pinring_executor *ex,
		      const struct pinring_kernel_config *config,
		      struct pinring_kernel *k, uint32_t operation)
{
	const struct cuda *c = ex->loop;
	uint32_t arch = pinring_jit_arch(c->gpu->capability);
	struct pinring_jit_object *object;
	int rc;

	if (!arch)
		return pinring_fail(ex->device, -EOPNOTSUPP,
				    "%s: libpinring %s has no code of the loop to link it with for GPU %d (%s)",
				    k->name, pinring_version(), c->gpu->number,
				    c->gpu->arch);
	if (config->flags & PINRING_REGISTER_HOT)
		return pinring_cuda_inject(ex, config, arch, k, operation);
	object = calloc(1, sizeof(*object));
	if (!object)
		return pinring_fail(ex->device, -ENOMEM, "%s: no memory",
				    k->name);
	k->code = object;
	rc = pinring_jit_compile(ex->device, config, arch, 0, object);
	if (!rc)
		rc = link_and_change(ex, arch, k, operation);
	if (rc)
		pinring_cuda_unload(ex, k);
	return rc;
}

/* The function stays in the loop until that is linked again; nobody calls it. */
void pinring_cuda_unload(struct pinring_executor *ex, struct pinring_kernel *k)
{
	if (k->entry) {
		pinring_cuda_eject(ex, k);
	} else {
		pinring_jit_free(k->code);
		free(k->code);
	}
}
