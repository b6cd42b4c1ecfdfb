// SPDX-License-Identifier: MIT
/* executor_cuda.c - the executor as one cooperative grid of a GPU. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <pinring/ring.h>

#include "executor_cuda.h"

/* A GPU that others use may take a while until it has room for the grid. */
#define LAUNCH_NS 10000000000
/* A loop that was told to end looks once a step of an operation. */
#define JOIN_NS 10000000000
#define GIVE_UP_NS 1000000000 /* the same, of one that never ran, or hangs */
#define IMAGE_AT PINRING_TABLE_BYTES /* in executor->attachments */
#define WORD_AT (PINRING_SHARED_BYTES - sizeof(uint64_t)) /* likewise */

_Static_assert(IMAGE_AT + sizeof(struct pinring_loop_cuda) <= WORD_AT,
	       "the image fits the shared pages");

/*
 * What the loop's state begins as. In registered memory: copying from any other
 * the driver may wait for what else the GPU does.
 */
static struct pinring_loop_cuda *image_of(struct pinring_executor *ex)
{
	return (void *)((char *)ex->attachments + IMAGE_AT);
}

uint64_t *pinring_cuda_word(const struct pinring_executor *ex)
{
	return (void *)((char *)ex->attachments + WORD_AT);
}

static cuda_address loop_address(const struct cuda *c)
{
	return c->gpu->loops + c->number * sizeof(struct pinring_loop_cuda);
}

static int cuda_prepare(struct pinring_executor *ex,
			struct pinring_device *device,
			struct pinring_region_config *config)
{
	const char *blocking = getenv("CUDA_LAUNCH_BLOCKING");
	struct cuda *c;
	int rc;

	if (blocking && strcmp(blocking, "0") && blocking[0])
		return pinring_fail(device, -EINVAL,
				    "CUDA_LAUNCH_BLOCKING=%s: a launch would wait for a kernel that never ends; unset it",
				    blocking);
	c = calloc(1, sizeof(*c));
	if (!c)
		return pinring_fail(device, -ENOMEM,
				    "no memory for an executor");
	rc = pinring_gpu_get(device, ex->config.gpu, &c->gpu);
	if (!rc && ex->config.threads > c->gpu->blocks)
		rc = pinring_fail(device, -EINVAL,
				  "threads: %u blocks do not fit GPU %d at once, %u do",
				  ex->config.threads, c->gpu->number,
				  c->gpu->blocks);
	if (rc) {
		if (c->gpu)
			pinring_gpu_put(c->gpu);
		free(c);
		return rc;
	}
	if (!ex->config.threads)
		ex->config.threads = c->gpu->blocks;
	if (c->gpu->node >= 0)
		config->node = c->gpu->node;
	c->code = &c->gpu->code;
	ex->loop = c;
	ex->isa = c->gpu->arch;
	return 0;
}

/* Where the GPU finds what lies at `at` in the executor's own region. */
static void *there(const struct pinring_executor *ex, const void *at)
{
	const struct cuda *c = ex->loop;
	uint64_t offset = (uint64_t)((const unsigned char *)at -
				     ex->region->base);

	return (void *)(uintptr_t)(c->region + offset);
}

static int make_image(struct pinring_executor *ex, cuda_address table)
{
	struct cuda *c = ex->loop;
	struct pinring_loop_cuda *image = image_of(ex);
	struct pinring_loop *loop = &image->loop;
	struct pinring_object_info bell;
	uint64_t at = c->number * PINRING_BAR_RING_BYTES;
	int rc;

	rc = pinring_executor_open_loop(ex, loop);
	if (!rc)
		rc = pinring_object_find(ex->region, "done", &bell);
	if (rc)
		return rc;
	if (c->in_gpu) {
		ex->commands.slots = (void *)(c->gpu->bar.base + at);
		loop->commands.slots =
			(void *)(uintptr_t)(c->gpu->bar.address + at);
		ex->flush = pinring_bar_flush;
		/* Whatever laps an earlier executor has left there. */
		memset(ex->commands.slots, 0, PINRING_BAR_RING_BYTES);
		pinring_bar_flush();
		loop->wish_mask = PINRING_FAR_WISH;
	} else {
		loop->commands.slots = there(ex, loop->commands.slots);
	}
	loop->commands.head = there(ex, loop->commands.head);
	loop->completions.slots = there(ex, loop->completions.slots);
	loop->completions.head = there(ex, loop->completions.head);
	loop->requests.slots = there(ex, loop->requests.slots);
	loop->requests.head = there(ex, loop->requests.head);
	loop->replies.slots = there(ex, loop->replies.slots);
	loop->replies.head = there(ex, loop->replies.head);
	loop->control = there(ex, loop->control);
	loop->telemetry = there(ex, loop->telemetry);
	loop->profile = there(ex, loop->profile);
	loop->attachments = (const struct pinring_attachments *)(uintptr_t)table;
	image->team.workers = ex->config.threads;
	image->team.spin_ns = (uint64_t)ex->config.spin_us * 1000;
	loop->bell = there(ex, ex->region->base + bell.offset);
	return 0;
}

/* The next one in this place has it, too: a driver may destroy none while one runs. */
static int open_stream(struct cuda *c, struct pinring_device *device)
{
	cuda_stream *stream = &c->gpu->streams[c->number];
	cuda_result error = CUDA_OK;
	int rc = pinring_gpu_enter(c->gpu, device);

	if (rc)
		return rc;
	if (!*stream)
		error = c->gpu->cuda->stream_create(stream,
						    CUDA_STREAM_NON_BLOCKING, 0);
	pinring_gpu_leave(c->gpu);
	if (error) {
		*stream = NULL;
		return pinring_cuda_fail(device, c->gpu->cuda, error,
					 "make a stream");
	}
	c->stream = *stream;
	return 0;
}

static int cuda_init(struct pinring_executor *ex)
{
	struct cuda *c = ex->loop;
	struct pinring_device *device = ex->device;
	cuda_address table = 0;
	int rc;

	rc = pinring_gpu_take_loop(c->gpu, ex, &c->number);
	c->placed = !rc;
	c->in_gpu = c->gpu->bar.base &&
		    ex->commands.capacity <= PINRING_BAR_SLOTS;
	snprintf(ex->placement, sizeof(ex->placement), "%s",
		 c->gpu->bar.base && !c->in_gpu ?
			 "in host memory: depth is more than 1024" :
			 c->gpu->bar.text);
	if (!rc) {
		rc = pinring_cuda_map(c->gpu, device, ex->region,
				      ex->region->base, ex->region->size,
				      &c->region);
		c->mapped_region = !rc;
	}
	if (!rc) {
		rc = pinring_cuda_map(c->gpu, device, NULL, ex->attachments,
				      PINRING_SHARED_BYTES, &table);
		c->mapped_table = !rc;
	}
	if (!rc)
		rc = open_stream(c, device);
	return rc ? rc : make_image(ex, table);
}

static int cuda_attach(struct pinring_executor *ex,
		       struct pinring_region *region,
		       struct pinring_memory *memory)
{
	struct cuda *c = ex->loop;
	cuda_address at;
	int rc;

	rc = pinring_cuda_map(c->gpu, ex->device, region, region->base,
			      region->size, &at);
	if (rc)
		return rc;
	memory->base = (char *)(uintptr_t)at;
	return 0;
}

static void cuda_detach(struct pinring_executor *ex,
			struct pinring_region *region)
{
	/* A child of fork has nothing there. */
	if (ex->pid == getpid())
		(void)pinring_cuda_unmap(ex->device, region->base);
}

bool pinring_cuda_query(const struct pinring_executor *ex, cuda_result *rc)
{
	const struct cuda *c = ex->loop;

	if (!pinring_gpu_try_enter(c->gpu))
		return false;
	*rc = c->gpu->cuda->stream_query(c->stream);
	pinring_gpu_leave(c->gpu);
	return true;
}

static int cuda_alive(struct pinring_executor *ex)
{
	struct cuda *c = ex->loop;
	cuda_result rc;

	/* If it would not look, or not come back, the heartbeat tells. */
	if (__atomic_load_n(&c->gpu->loading, __ATOMIC_RELAXED) ||
	    !pinring_cuda_query(ex, &rc) || rc == CUDA_NOT_READY)
		return 0;
	return rc ? pinring_cuda_fail(ex->device, c->gpu->cuda, rc,
				      "go on: the persistent kernel died") :
		    1;
}

void pinring_cuda_nap(void)
{
	const struct timespec t = { .tv_nsec = 50000 };
	int saved = errno;

	nanosleep(&t, NULL);
	errno = saved;
}

/*
 * Spinning alone may never start a kernel: some drivers submit what they have
 * batched only when they are called.
 */
static int wait_alive(struct pinring_executor *ex, uint64_t before)
{
	int64_t ns = ex->config.watchdog_ms * 1000000ll;
	int64_t deadline;
	int rc;

	if (ns > LAUNCH_NS)
		ns = LAUNCH_NS;
	deadline = pinring_deadline(ns);
	while (pinring_load_word(&ex->control->reached) == before) {
		rc = pinring_executor_judge(ex, cuda_alive(ex));
		if (rc)
			return rc;
		if (pinring_now() >= deadline)
			/* The first block shows life before the others came. */
			return pinring_fail(ex->device, -ETIMEDOUT,
					    "the GPU did not start %s of the kernel's %u blocks within %lld ms: another kernel may fill it (fewer threads), or stand before this one in its queue (CUDA_DEVICE_MAX_CONNECTIONS=32)",
					    pinring_load_word(&ex->control->heartbeat) ?
						    "all" : "any",
					    ex->config.threads,
					    (long long)ns / 1000000);
		pinring_cuda_nap();
	}
	return 0;
}

/* Until the driver says that no kernel runs, well or not. */
static void join_for(struct pinring_executor *ex, int64_t ns)
{
	struct cuda *c = ex->loop;
	int64_t deadline = pinring_deadline(ns);
	cuda_result rc;

	while (!pinring_cuda_query(ex, &rc) || rc == CUDA_NOT_READY) {
		if (pinring_now() >= deadline) {
			ex->lost = true;
			return;
		}
		pinring_cuda_nap();
	}
	__atomic_store_n(&c->resident, false, __ATOMIC_RELAXED);
}

/* Who stops all loops must not find one that is half gone. */
static void join_locked(struct pinring_executor *ex, int64_t ns)
{
	struct cuda *c = ex->loop;

	pthread_mutex_lock(&c->gpu->lock);
	pthread_mutex_lock(&ex->wish_lock);
	join_for(ex, ns);
	pthread_mutex_unlock(&ex->wish_lock);
	pthread_mutex_unlock(&c->gpu->lock);
}

static void cuda_join(struct pinring_executor *ex)
{
	join_locked(ex, JOIN_NS);
}

/* The driver knows of one that died; one that hangs was told to end. */
static void cuda_abandon(struct pinring_executor *ex)
{
	join_locked(ex, GIVE_UP_NS);
}

int pinring_cuda_start(struct pinring_executor *ex, const struct pinring_code *code,
		       bool *launched)
{
	struct cuda *c = ex->loop;
	const struct pinring_cuda *cuda = c->gpu->cuda;
	const bool again = pinring_executor_state(ex) != PINRING_STATE_CREATED;
	/* The loop's own state it has left there; the team begins anew. */
	const size_t from = again ? offsetof(struct pinring_loop_cuda, team) : 0;
	const size_t bytes = again ? sizeof(struct pinring_team) :
				     sizeof(struct pinring_loop_cuda);
	const uint64_t before = pinring_load_word(&ex->control->reached);
	cuda_address self = loop_address(c);
	void *parameters[] = { &self };
	const char *what = "copy the loop's state to the GPU";
	cuda_result error;
	int rc;

	*launched = false;
	rc = pinring_gpu_enter(c->gpu, ex->device);
	if (rc)
		return rc;
	error = cuda->memory_copy_in(self + from, (char *)image_of(ex) + from,
				     bytes, c->stream);
	if (!error) {
		what = "launch the persistent kernel";
		error = cuda->launch_cooperative(code->loop, ex->config.threads,
						 1, 1, code->threads, 1, 1, 0,
						 c->stream, parameters);
	}
	pinring_gpu_leave(c->gpu);
	if (error)
		return pinring_cuda_fail(ex->device, cuda, error, what);
	*launched = true;
	return wait_alive(ex, before);
}

/* The GPU's lock is held, and nothing runs there that must not. */
static int first_launch(struct pinring_executor *ex)
{
	struct cuda *c = ex->loop;
	bool launched;
	int rc;

	rc = pinring_cuda_start(ex, c->code, &launched);
	__atomic_store_n(&c->resident, launched, __ATOMIC_RELAXED);
	if (rc && launched) {
		/* It may start yet, and must then find that it is to end. */
		pinring_executor_tell(ex, PINRING_STATE_TERMINATED);
		join_for(ex, GIVE_UP_NS);
	}
	return rc;
}

static int cuda_launch(struct pinring_executor *ex)
{
	struct cuda *c = ex->loop;
	int rc = pinring_gpu_hold(c->gpu, ex->device, ex->config.threads);

	if (rc)
		return rc;
	c->held = ex->config.threads;
	pthread_mutex_lock(&c->gpu->lock);
	/*
	 * For the stacks of users' kernels the driver may need more memory than
	 * it has set aside, which it gets when nothing runs.
	 */
	if (c->code->local)
		rc = pinring_cuda_stop(c->gpu, ex->device);
	if (!rc)
		rc = first_launch(ex);
	pinring_cuda_go_on(c->gpu, ex);
	pthread_mutex_unlock(&c->gpu->lock);
	return rc;
}

static void cuda_free(struct pinring_executor *ex)
{
	struct cuda *c = ex->loop;

	if (!c)
		return;
	/* A child of fork has nothing there, and must not ask the driver. */
	if (ex->pid != getpid()) {
		free(c);
		return;
	}
	if (c->mapped_table && !pinring_cuda_unmap(ex->device, ex->attachments))
		ex->attachments = NULL; /* so that they stay */
	if (c->mapped_region)
		cuda_detach(ex, ex->region);
	pthread_mutex_lock(&c->gpu->lock);
	if (c->placed)
		c->gpu->executors[c->number] = NULL;
	pinring_cuda_discard(c->gpu, c->code);
	pthread_mutex_unlock(&c->gpu->lock);
	pinring_gpu_release(c->gpu, c->held);
	pinring_gpu_put(c->gpu);
	free(c);
}

const struct pinring_executor_ops pinring_cuda_ops = {
	.stores_only = true,
	.prepare = cuda_prepare,
	.init = cuda_init,
	.attach = cuda_attach,
	.detach = cuda_detach,
	.reach = pinring_cuda_reach,
	.allocate = pinring_cuda_allocate,
	.release = pinring_cuda_release,
	.launch = cuda_launch,
	.alive = cuda_alive,
	.join = cuda_join,
	.abandon = cuda_abandon,
	.free = cuda_free,
	.load = pinring_cuda_load,
	.unload = pinring_cuda_unload,
};
