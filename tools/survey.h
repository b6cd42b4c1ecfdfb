/* SPDX-License-Identifier: MIT */
/*
 * survey.h - all regions that can be found, and the rings inside of those that
 * this user may open.
 *
 * Regions of the kernel module: it lists them. Others, memfds, are found in the
 * processes that hold them. Whatever is read out of a region may have been
 * written by somebody hostile: it is attached to with all the library's checks,
 * mapped read-only for the look, and let go of at once, so that looking keeps
 * nobody's memory alive. Text in here is printable ASCII.
 */
#ifndef PINRING_TOOL_SURVEY_H
#define PINRING_TOOL_SURVEY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <pinring/pinring.h>

#include "module.h"

#define SURVEY_REGIONS_MAX 4096

struct survey_object {
	char name[PINRING_NAME_MAX];
	uint32_t type; /* enum pinring_object_type: what counts messages */
	bool known; /* whether the rest is */
	bool closed;
	uint64_t capacity; /* 0: it has none */
	uint64_t slot_bytes; /* 0: of any size */
	double fill; /* 0 to 1; below 0: not known */
	uint64_t sent, received;
	uint64_t refused; /* times a producer found it full */
	uint64_t lost; /* dropped, overwritten, missed, or with the dead */
	double sent_rate, received_rate; /* a second, since the look before */
};

/* Commands of one operation; times as survey_executor's bursts. */
struct survey_operation {
	uint32_t operation; /* of the last row: any above */
	const char *name; /* NULL: it has none */
	uint64_t count;
	uint64_t p50_ns, p99_ns; /* 0: none was timed */
};

#define SURVEY_ENDLESS UINT64_MAX

struct survey_executor {
	uint32_t kind; /* enum pinring_executor_kind; 0: not told */
	uint32_t gpu, workers;
	bool commands_apart; /* the command ring is in GPU memory */
	uint64_t gpu_bytes; /* that commands work in */
	uint32_t state; /* enum pinring_state, or what stands there */
	uint64_t heartbeat, taken, completed;
	uint64_t in_flight; /* taken, and not completed */
	int32_t error;
	uint32_t error_id, error_operation, error_reason;
	uint64_t processed, failed, elements, busy_ns, longest_ns;
	uint64_t alive_ns, idle_ns;
	/*
	 * Commands that came without a break, and how often: half of these and
	 * 99 of 100 are below p50 and p99, powers of two; or SURVEY_ENDLESS.
	 */
	uint64_t bursts, burst_p50, burst_p99;
	double idle; /* 0 to 1, since the look before */
	double rate; /* processed a second, likewise */
	int operation_count;
	struct survey_operation operations[PINRING_PROFILE_OPERATIONS];
};

struct survey_region {
	dev_t device; /* of the memfd's inode; 0: a region of the module */
	uint64_t id; /* the module's, or the inode */
	uid_t owner;
	char name[64];
	uint64_t size;
	int huge_percent; /* below 0: not known */
	int node; /* below 0: not known */
	uint64_t doorbells;
	pid_t pid; /* one of its processes; 0: not known */
	char process[17];
	int processes;
	pid_t last_pid; /* that was counted */
	bool open; /* the objects are there */
	bool broken; /* a look failed in a way that another would, too */
	char reason[160]; /* why it is not open */
	struct survey_object *objects;
	int object_count;
	struct survey_executor *executor; /* NULL: it is not one's */
	double rate; /* messages sent a second, of all rings */
};

struct survey {
	uint64_t time_ns;
	struct module module;
	double rings_rate, signals_rate, sleeps_rate;
	struct survey_region *regions;
	int count;
	bool cut; /* there are more */
	/* while it is taken */
	const struct survey *before;
	uint64_t budget; /* see survey_object() */
};

/*
 * before: an earlier one to tell rates by, or NULL. names: words, ended by NULL;
 * unless there are none, only regions with one of them in their name are kept.
 * Returns an exit code.
 */
int survey_take(struct survey *survey, const struct survey *before,
		char *const *names);
void survey_free(struct survey *survey);

/* --------------------------------------------- among survey's own files */

/* The region of this id, new if need be; NULL: no more room. */
struct survey_region *survey_region(struct survey *survey, dev_t device,
				    uint64_t id);

/* Copies what can be printed. */
void survey_text(char *to, size_t size, const char *from);

/* part of whole, 0 to 1, whatever they are; by how much it grew a second. */
double survey_share(double part, double whole);
double survey_rate(uint64_t now, uint64_t then, double seconds);

/* survey.c: looks inside, unless that was done or is of no use. */
void survey_look(struct survey *survey, struct survey_region *region, int fd);

/* survey_module.c: the regions that the module lists, and looks inside. */
void survey_module(struct survey *survey);

/* What the module says of a fd of its; false: it is none. */
bool survey_module_describe(struct survey_region *region, int fd);

/* survey_process.c: the regions that processes hold, and looks inside. */
void survey_processes(struct survey *survey);

/* survey_object.c: false: it counts no messages. budget: of bytes to walk over. */
bool survey_object(struct pinring_region *region,
		   const struct pinring_object_info *info,
		   struct survey_object *object, uint64_t *budget);

/* survey_executor.c: NULL: no executor's region, or no memory. free() it. */
struct survey_executor *survey_executor(struct pinring_region *region);
void survey_executor_compare(struct survey_executor *now,
			     const struct survey_executor *then,
			     double seconds);

#endif /* PINRING_TOOL_SURVEY_H */
