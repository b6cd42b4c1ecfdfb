// SPDX-License-Identifier: MIT
/*
 * cuda_hot.c - users' kernels in a loop that goes on running: PINRING_REGISTER_HOT.
 *
 * The kernel is a module of its own, and the loop calls what is at its address. What
 * such a call takes of an SM the loop must have had when it was launched, so that is
 * looked at before (jit.c): its own registers, and a stack that is left for this.
 *
 *	compile, link, check --> load, ask for the address --> the table of operations
 *
 * The driver may not load anything until nothing of the context runs, with a lock
 * that every other call to it needs (shared/gpu.md, "Forward progress"). So another
 * thread asks for it; and when it does not come back, all loops end, as they do to be
 * linked anew, and go on after it. They are told so by plain stores, and by nobody
 * who waits for the driver: who has an executor's wish_lock asks that for nothing
 * without the GPU's lock, which is held here.
 *
 * What went is unloaded when nothing runs: while a loop does, which may have cached
 * code, no address gets other code than it had.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "cubin.h"
#include "executor_cuda.h"

#define STALL_NS 1000000000 /* a load that takes longer waits for the loops */
#define LOOK_NS 10000000 /* between two looks at those, at most */

enum state { LOADING, LOADED, LEFT };

struct load {
	struct pinring_gpu *gpu;
	struct pinring_jit_object image;
	struct pinring_code *code; /* until it is somebody else's */
	uint64_t *address; /* where the kernel's goes */
	const char *what; /* was last done, ... */
	cuda_result error; /* ... and how it ended */
	uint32_t state; /* atomic; the second who changes it frees this */
};

static void free_load(struct load *l)
{
	pinring_jit_free(&l->image);
	free(l->code);
	free(l);
}

/* ------------------------------------------------------- on its own thread */
static cuda_result find_out(struct load *l)
{
	const struct pinring_cuda *cuda = l->gpu->cuda;
	struct pinring_code *code = l->code;
	cuda_address at = 0;
	size_t bytes;
	cuda_result rc;

	l->what = "ask what the kernel needs";
	rc = cuda->function_attribute(&code->registers, CUDA_FUNCTION_REGISTERS,
				      code->loop);
	if (!rc)
		rc = cuda->function_attribute(&code->local, CUDA_FUNCTION_LOCAL,
					      code->loop);
	if (rc)
		return rc;
	l->what = "ask where the kernel is";
	rc = cuda->module_global(&at, &bytes, code->module, PINRING_HOT_AT);
	if (!rc)
		rc = cuda->memory_copy_out(l->address, at, sizeof(*l->address),
					   l->gpu->aside);
	if (rc)
		return rc;
	/* It comes after the load: when the address is here, the code is there. */
	while ((rc = cuda->stream_query(l->gpu->aside)) == CUDA_NOT_READY &&
	       __atomic_load_n(&l->state, __ATOMIC_RELAXED) == LOADING)
		pinring_cuda_nap();
	return rc;
}

static cuda_result load_kernel(struct load *l)
{
	const struct pinring_cuda *cuda = l->gpu->cuda;
	struct pinring_code *code = l->code;
	cuda_result rc;

	l->what = "load the kernel into the GPU";
	rc = cuda->module_load(&code->module, l->image.data);
	if (rc) {
		code->module = NULL;
		return rc;
	}
	rc = cuda->module_function(&code->loop, code->module, PINRING_HOT_PROBE);
	/* What comes with its first launch would never come. */
	if (!rc && cuda->function_load)
		rc = cuda->function_load(code->loop);
	return rc ? rc : find_out(l);
}

static void *load_main(void *arg)
{
	struct load *l = arg;

	l->what = "use the GPU's context";
	l->error = l->gpu->cuda->context_push(l->gpu->context);
	if (!l->error) {
		l->error = load_kernel(l);
		pinring_gpu_leave(l->gpu);
	}
	/* release: pairs with await_load() */
	if (__atomic_exchange_n(&l->state, LOADED, __ATOMIC_ACQ_REL) == LEFT)
		free_load(l);
	return NULL;
}

/* ---------------------------------------------------- on that which registers */
struct still {
	uint64_t progress; /* at the last look */
	int64_t ns; /* for so long there was none */
};

/*
 * One whose command will not end: by its own watchdog, which does not look at a loop
 * that is to leave. Time in which nobody looked does not count. Or NULL.
 */
static struct pinring_executor *find_hung(const struct pinring_gpu *gpu,
					  struct still *still, int64_t passed)
{
	struct pinring_executor *ex;
	unsigned int i;

	if (passed > LOOK_NS)
		passed = LOOK_NS;
	PINRING_EACH_RESIDENT(gpu, i, ex) {
		const struct pinring_control_block *control = ex->control;
		const uint64_t completed = pinring_load_word(&control->completed);
		const uint64_t progress =
			completed + pinring_load_word(&control->heartbeat);
		/* The last wish, which is that it leaves, or ends: it is about to. */
		const bool obeys = pinring_load_word(&control->reached) >> 32 ==
				   pinring_load_word(&control->wanted) >> 32;

		still[i].ns += passed;
		if (progress != still[i].progress || obeys ||
		    ex->config.watchdog_ms == PINRING_WATCHDOG_NEVER ||
		    (pinring_load_word(&control->taken) == completed &&
		     !pinring_load_word(&control->fed)))
			still[i].ns = 0;
		still[i].progress = progress;
		/* One that died holds up nobody: the driver says so itself. */
		if ((__atomic_load_n(&ex->hung, __ATOMIC_ACQUIRE) && !obeys &&
		     __atomic_load_n(&control->error_reason, __ATOMIC_RELAXED) ==
			     PINRING_REASON_HUNG) ||
		    still[i].ns > ex->config.watchdog_ms * 1000000ll)
			return ex;
	}
	return NULL;
}

/*
 * A loop hangs, the driver waits for it, and whoever calls the driver waits for
 * that: nothing can be launched again.
 */
static void give_up(struct pinring_gpu *gpu, struct pinring_executor *hung)
{
	struct pinring_executor *ex;
	unsigned int i;

	__atomic_store_n(&gpu->stuck, true, __ATOMIC_RELAXED);
	pinring_cuda_lose(hung, -ETIMEDOUT, PINRING_REASON_HUNG);
	PINRING_EACH_RESIDENT(gpu, i, ex)
		pinring_cuda_lose(ex, -EIO, PINRING_REASON_RELAUNCH);
}

/* False: it was not loaded, and perhaps never will be; l is its thread's. */
static bool await_load(struct load *l)
{
	struct still still[PINRING_GPU_LOOPS] = { { .ns = 0 } };
	struct pinring_executor *hung = NULL;
	const int64_t began = pinring_now();
	int64_t now = began, last;
	bool told = false;

	while (__atomic_load_n(&l->state, __ATOMIC_ACQUIRE) == LOADING) {
		last = now;
		now = pinring_now();
		if (!told && now - began >= STALL_NS) {
			pinring_cuda_tell_to_leave(l->gpu);
			told = true;
		}
		if (told)
			hung = find_hung(l->gpu, still, now - last);
		/* Unless it comes in the last moment. */
		if (hung && __atomic_exchange_n(&l->state, LEFT,
						__ATOMIC_ACQ_REL) == LOADING) {
			give_up(l->gpu, hung);
			return false;
		}
		pinring_cuda_nap();
	}
	return true;
}

/* As the driver sees it, now that it is loaded. */
static int check_loaded(struct pinring_executor *ex, const struct load *l,
			const struct pinring_kernel *k)
{
	const struct cuda *c = ex->loop;
	const struct pinring_cubin_needs needs = {
		.registers = (uint32_t)l->code->registers,
		.stack = (uint32_t)l->code->local,
	};

	if (l->error)
		return pinring_cuda_fail(ex->device, l->gpu->cuda, l->error,
					 l->what);
	if (!*l->address)
		return pinring_fail(ex->device, -EIO,
				    "%s: the driver gives it no address",
				    k->name);
	return pinring_jit_check_hot(ex->device, k->name, &needs,
				     (uint32_t)c->code->registers);
}

/* Under the GPU's lock. */
static int finish_load(struct pinring_executor *ex, struct load *l,
		       pthread_t thread, struct pinring_kernel *k)
{
	struct pinring_code *code = l->code;
	struct pinring_gpu *gpu = l->gpu;
	int rc;

	if (!await_load(l)) {
		pthread_detach(thread);
		return pinring_gpu_enter(gpu, ex->device);
	}
	pthread_join(thread, NULL);
	__atomic_store_n(&gpu->loading, false, __ATOMIC_RELAXED);
	rc = check_loaded(ex, l, k);
	if (!rc) {
		k->code = code;
		k->entry = (void (*)(const struct pinring_kernel_args *))(
			uintptr_t)*l->address;
	} else if (code->module) {
		pinring_cuda_discard(gpu, code);
	}
	if (!rc || code->module)
		l->code = NULL;
	free_load(l);
	/* Those that were told to leave, if any. */
	pinring_cuda_go_on(gpu, NULL);
	return rc;
}

static int start_load(struct load *l, pthread_t *thread)
{
	sigset_t all, before;
	int rc;

	/* Who only wants to know whether his loop lives need not wait as well. */
	__atomic_store_n(&l->gpu->loading, true, __ATOMIC_RELAXED);
	/* Signals are the application's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(thread, NULL, load_main, l);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc)
		__atomic_store_n(&l->gpu->loading, false, __ATOMIC_RELAXED);
	return -rc;
}

/* Takes the image. */
static int load(struct pinring_executor *ex, struct pinring_jit_object *image,
		struct pinring_kernel *k)
{
	const struct cuda *c = ex->loop;
	struct pinring_gpu *gpu = c->gpu;
	struct still still[PINRING_GPU_LOOPS] = { { .ns = 0 } };
	struct load *l = calloc(1, sizeof(*l));
	pthread_t thread;
	int rc = -ENOMEM;

	if (!l) {
		pinring_jit_free(image);
		return pinring_fail(ex->device, rc, "%s: no memory", k->name);
	}
	l->gpu = gpu;
	l->image = *image;
	l->code = calloc(1, sizeof(*l->code));
	l->address = pinring_cuda_word(ex);
	pthread_mutex_lock(&gpu->lock);
	*l->address = 0;
	if (find_hung(gpu, still, 0))
		rc = -EBUSY;
	else if (l->code)
		rc = start_load(l, &thread);
	if (!rc) {
		rc = finish_load(ex, l, thread, k);
	} else {
		pinring_fail(ex->device, rc,
			     "%s: cannot begin to load it: %s", k->name,
			     rc == -EBUSY ? "an executor hangs, and the driver may wait for it" :
					    strerror(-rc));
		free_load(l);
	}
	pthread_mutex_unlock(&gpu->lock);
	return rc;
}

int pinring_cuda_inject(struct pinring_executor *ex,
			const struct pinring_kernel_config *config, uint32_t arch,
			struct pinring_kernel *k, uint32_t operation)
{
	const struct cuda *c = ex->loop;
	/* Changed only with kernels_lock, too. */
	const uint32_t registers = (uint32_t)c->code->registers;
	struct pinring_jit_object object = { .data = NULL }, image;
	struct pinring_jit_kernel one = { .name = k->name,
					  .operation = operation,
					  .object = &object };
	int rc;

	if (c->code == &c->gpu->code)
		return pinring_fail(ex->device, -E2BIG,
				    "%s: not while the loop runs: that was linked with no kernel so far, and can call none. Register one without PINRING_REGISTER_HOT first, best before the launch",
				    k->name);
	rc = pinring_jit_compile(ex->device, config, arch, registers, &object);
	if (!rc)
		rc = pinring_jit_link_hot(ex->device, arch, &one, registers,
					  &image);
	pinring_jit_free(&object);
	if (rc)
		return rc;
	k->abi = one.abi;
	return load(ex, &image, k);
}

void pinring_cuda_eject(struct pinring_executor *ex, struct pinring_kernel *k)
{
	struct cuda *c = ex->loop;

	/* In a child of fork it is nothing of ours. */
	if (ex->pid != getpid())
		return;
	pthread_mutex_lock(&c->gpu->lock);
	pinring_cuda_discard(c->gpu, k->code);
	pthread_mutex_unlock(&c->gpu->lock);
}
