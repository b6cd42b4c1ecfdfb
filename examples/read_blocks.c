// SPDX-License-Identifier: MIT
/*
 * read_blocks.c - a kernel asks its host for blocks of a file, and adds them up.
 *
 *	read_blocks FILE
 *
 * Commands go to the executor in pairs: ask for block n, then sum it. The service
 * reads the block through io_uring, straight into the region's memory. Prints the
 * sum of all floats of the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pinring/pinring.h>

#define READ_BLOCK 1 /* the service; its argument is the block's number */
#define BLOCK 65536u

struct file {
	int fd;
	struct io_uring ring;
};

static int read_block(void *context, struct pinring_request *request)
{
	struct file *file = context;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&file->ring);
	struct io_uring_cqe *cqe;
	int rc;

	io_uring_prep_read(sqe, file->fd, request->dst,
			   (unsigned int)(request->count * sizeof(float)),
			   request->argument * BLOCK);
	rc = io_uring_submit_and_wait(&file->ring, 1);
	if (rc >= 0)
		rc = io_uring_wait_cqe(&file->ring, &cqe);
	if (rc < 0)
		return rc;
	rc = cqe->res;
	io_uring_cqe_seen(&file->ring, cqe);
	if (rc < 0)
		return rc;
	request->done = (uint64_t)rc / sizeof(float);
	return 0;
}

/* 0, or what went wrong with the call or with the command. */
static int call(struct pinring_executor *executor,
		const struct pinring_command *command,
		struct pinring_completion *done)
{
	int rc = pinring_executor_call(executor, command, PINRING_FOREVER, done);

	if (!rc && done->status)
		fprintf(stderr, "%s: %s\n",
			pinring_operation_name(command->operation),
			pinring_reason_text(done->reason));
	return rc ? rc : done->status;
}

static int add_up(struct pinring_executor *executor, uint64_t offset,
		  uint64_t blocks, double *sum)
{
	struct pinring_command ask = {
		.operation = PINRING_OP_ASK,
		.dst = { offset, 0 },
		.count = BLOCK / sizeof(float),
	};
	struct pinring_command add = {
		.operation = PINRING_OP_SUM,
		.dst.region = PINRING_REGION_NONE,
		.a = { offset, 0 },
	};
	struct pinring_completion done;
	uint64_t block;
	int rc;

	*sum = 0;
	for (block = 0; block < blocks; block++) {
		ask.aux = block << 8 | READ_BLOCK;
		rc = call(executor, &ask, &done);
		add.count = done.done;
		if (!rc)
			rc = call(executor, &add, &done);
		if (rc)
			return rc;
		*sum += (double)done.result;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct pinring_region_config size = pinring_region_defaults(1 << 20);
	struct pinring_object_info buffer;
	struct pinring_executor *executor;
	struct pinring_device *device;
	struct pinring_region *region;
	struct file file;
	struct stat st;
	double sum;
	int rc;

	file.fd = argc == 2 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
	if (file.fd < 0 || fstat(file.fd, &st)) {
		fprintf(stderr, argc == 2 ? "%s: %m\n" : "usage: %s FILE\n",
			argv[argc - 1]);
		return 2;
	}
	rc = io_uring_queue_init(8, &file.ring, 0);
	if (rc) {
		errno = -rc;
		fprintf(stderr, "io_uring: %m\n");
		return 77;
	}
	rc = pinring_device_open(NULL, &device);
	if (!rc)
		rc = pinring_region_create(device, &size, &region);
	if (!rc)
		rc = pinring_object_create(region, "block", PINRING_OBJECT_BYTES,
					   BLOCK, 0, &buffer);
	if (!rc)
		rc = pinring_executor_start(device, NULL, &executor);
	if (!rc)
		rc = pinring_executor_attach(executor, region);
	if (!rc)
		rc = pinring_executor_offer(executor, READ_BLOCK, read_block,
					    &file);
	if (!rc)
		rc = add_up(executor, buffer.offset,
			    ((uint64_t)st.st_size + BLOCK - 1) / BLOCK, &sum);
	if (rc) {
		fprintf(stderr, "error %d: %s\n", -rc, pinring_error());
		return 1;
	}
	printf("%g\n", sum);
	pinring_executor_close(executor, PINRING_FOREVER);
	pinring_region_close(region);
	pinring_device_close(device);
	io_uring_queue_exit(&file.ring);
	close(file.fd);
	return 0;
}
