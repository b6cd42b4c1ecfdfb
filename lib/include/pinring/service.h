/* SPDX-License-Identifier: MIT */
/*
 * service.h - what a running kernel asks of its host, and waits for.
 *
 *	executor                              host, a thread of the library
 *	ask: request --> [requests] --------> serve(context, request)
 *	     waits   <-- [replies]  <-------- status, results
 *
 * A command of operation PINRING_OP_ASK names a service in the low 8 bits of aux,
 * gives it the 48 bits above, the scalars and an operand to write to, and is
 * answered when the service has. The executor does nothing else in the meantime,
 * but can be terminated: then the service's answer is thrown away when it comes.
 */
#ifndef PINRING_SERVICE_H
#define PINRING_SERVICE_H

#include <pinring/executor.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pinring_request {
	uint32_t id; /* of the command */
	uint32_t region; /* of dst, as pinring_executor_attach returned it */
	void *dst; /* count floats, checked: inside its region; NULL: none. In a
		    * GPU's memory no service can write: -EINVAL is the answer */
	uint64_t count;
	uint64_t argument; /* bits 8 to 55 of aux */
	float s0, s1;
	/* For the completion: */
	uint64_t done; /* below 2^48 */
	float result;
};

/*
 * Returns 0 or -errno, the command's status. Called by one thread of the library,
 * one request after another; what it writes to dst the kernel sees. It may submit
 * commands to other executors, and to this one if that is shared between threads,
 * but not wait for these. What the loops on a GPU pause for (executor.h: attaching a
 * region, a kernel) it cannot have meanwhile, there: -EBUSY, after 10 s.
 */
typedef int pinring_serve_fn(void *context, struct pinring_request *request);

/*
 * Answer requests for a service, 0 to PINRING_SERVICES_MAX - 1, from now on; NULL:
 * no more. What is asked of a service that nobody offers is refused with
 * -EOPNOTSUPP. Submitting thread only. -EINVAL: no such number; -EAGAIN, -ENOMEM:
 * no thread.
 */
PINRING_API int pinring_executor_offer(struct pinring_executor *executor,
				       uint32_t service, pinring_serve_fn *serve,
				       void *context);

#ifdef __cplusplus
}
#endif

#endif /* PINRING_SERVICE_H */
