/* SPDX-License-Identifier: MIT */
/*
 * survey.c - all regions that can be found, and what they did since last time.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "survey.h"
#include "tool.h"

/* Of memory that a survey walks over, whatever its owner made of it. */
#define WALK_BYTES (64ull << 20)

#define BROKEN "a page of it cannot be read"

static struct pinring_device *device;

void survey_text(char *to, size_t size, const char *from)
{
	size_t i;

	for (i = 0; from[i] && i + 1 < size; i++)
		to[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
	to[i] = '\0';
}

static struct survey_region *find(const struct survey *survey, dev_t of,
				  uint64_t id)
{
	int i;

	for (i = 0; survey && i < survey->count; i++)
		if (survey->regions[i].device == of &&
		    survey->regions[i].id == id)
			return &survey->regions[i];
	return NULL;
}

struct survey_region *survey_region(struct survey *survey, dev_t of,
				    uint64_t id)
{
	struct survey_region *region = find(survey, of, id);
	const struct survey_region *earlier;

	if (region)
		return region;
	if (survey->count == SURVEY_REGIONS_MAX) {
		survey->cut = true;
		return NULL;
	}
	region = &survey->regions[survey->count++];
	region->device = of;
	region->id = id;
	region->huge_percent = -1;
	region->node = -1;
	earlier = find(survey->before, of, id);
	region->broken = earlier && earlier->broken;
	if (region->broken)
		snprintf(region->reason, sizeof(region->reason), BROKEN);
	return region;
}

/* ------------------------------------------------------------- inside of one */

/*
 * A memfd of huge pages with a hole in it, and no huge page left to fill that:
 * then a load is answered with SIGBUS, and no check before it can tell.
 */
static sigjmp_buf back;

static void bail_out(int number)
{
	(void)number;
	siglongjmp(back, 1);
}

static void read_objects(struct survey *survey, struct survey_region *region,
			 struct pinring_region *inside)
{
	struct pinring_object_info info;
	uint32_t i;

	region->objects = calloc(PINRING_OBJECTS_MAX,
				 sizeof(*region->objects));
	for (i = 0; region->objects && i < PINRING_OBJECTS_MAX &&
		    !pinring_object_list(inside, i, &info);
	     i++) {
		struct survey_object *o =
			&region->objects[region->object_count];

		/* Of its own the module tells those that it watches. */
		if (region->device && info.type == PINRING_OBJECT_DOORBELL)
			region->doorbells++;
		if (survey_object(inside, &info, o, &survey->budget))
			region->object_count++;
	}
	region->executor = survey_executor(inside);
	for (i = 0; region->executor && region->executor->commands_apart &&
		    (int)i < region->object_count;
	     i++)
		/* What lies here is only what was read of it. */
		if (!strcmp(region->objects[i].name, "commands"))
			region->objects[i].fill = -1.0;
	region->open = region->objects;
}

/* What the kernel did for a memfd; the module tells of its own. */
static void read_pages(struct survey_region *region,
		       const struct pinring_region *inside)
{
	struct pinring_region_info info =
		PINRING_INIT(struct pinring_region_info);

	if (pinring_region_info(inside, &info))
		return;
	region->node = info.node;
	/* Only what the look touched is mapped here: all of it, or none. */
	region->huge_percent = info.page_size > 4096 ? 100 : 0;
}

static void look(struct survey *survey, struct survey_region *region, int fd)
{
	struct pinring_region *inside;

	region->reason[0] = '\0'; /* of a way that was tried before */
	if (pinring_region_attach(device, fd, &inside)) {
		survey_text(region->reason, sizeof(region->reason),
			    pinring_error());
		return;
	}
	/* From here on not even a mistake of ours can write to it. */
	mprotect(pinring_region_base(inside), pinring_region_size(inside),
		 PROT_READ);
	if (region->device)
		read_pages(region, inside);
	read_objects(survey, region, inside);
	pinring_region_close(inside);
}

void survey_look(struct survey *survey, struct survey_region *region, int fd)
{
	struct sigaction action, before;

	if (region->open || region->broken)
		return;
	memset(&action, 0, sizeof(action));
	sigemptyset(&action.sa_mask);
	action.sa_handler = bail_out;
	sigaction(SIGBUS, &action, &before);
	if (sigsetjmp(back, 1)) {
		/* What the library had in hand is lost: once for a region. */
		region->broken = true;
		region->open = false;
		snprintf(region->reason, sizeof(region->reason), BROKEN);
	} else {
		look(survey, region, fd);
	}
	sigaction(SIGBUS, &before, NULL);
}

/* --------------------------------------------------------------------- rates */

double survey_rate(uint64_t now, uint64_t then, double seconds)
{
	/* Somebody may have made another one of that name. */
	return now > then && seconds > 0.0 ? (double)(now - then) / seconds :
					     0.0;
}

static void compare_objects(struct survey_region *now,
			    const struct survey_region *then, double seconds)
{
	int i, k;

	for (i = 0; i < now->object_count; i++) {
		struct survey_object *o = &now->objects[i];

		/* Objects stay where they are in the directory. */
		for (k = 0; k < then->object_count; k++) {
			const struct survey_object *p = &then->objects[k];

			if (p->type != o->type || strcmp(p->name, o->name))
				continue;
			o->sent_rate = survey_rate(o->sent, p->sent, seconds);
			o->received_rate = survey_rate(o->received, p->received,
						       seconds);
			break;
		}
		/* The others tell of messages that are in a ring, too. */
		if (o->capacity || o->type == PINRING_OBJECT_DUPLEX)
			now->rate += o->sent_rate;
	}
}

static void compare(struct survey *now, const struct survey *then)
{
	double seconds = (double)(now->time_ns - then->time_ns) * 1e-9;
	int i;

	now->rings_rate = survey_rate(now->module.rings, then->module.rings,
				      seconds);
	now->signals_rate = survey_rate(now->module.signals,
					then->module.signals, seconds);
	now->sleeps_rate = survey_rate(now->module.sleeps, then->module.sleeps,
				       seconds);
	for (i = 0; i < now->count; i++) {
		struct survey_region *r = &now->regions[i];
		const struct survey_region *p = find(then, r->device, r->id);

		if (!p)
			continue;
		compare_objects(r, p, seconds);
		if (r->executor && p->executor)
			survey_executor_compare(r->executor, p->executor,
						seconds);
	}
}

static bool is_wanted(const struct survey_region *region, char *const *names)
{
	if (!*names)
		return true;
	for (; *names; names++)
		if (strstr(region->name, *names))
			return true;
	return false;
}

static void drop(struct survey_region *region)
{
	free(region->objects);
	free(region->executor);
}

static void keep(struct survey *survey, char *const *names)
{
	int i, kept = 0;

	for (i = 0; i < survey->count; i++) {
		if (is_wanted(&survey->regions[i], names))
			survey->regions[kept++] = survey->regions[i];
		else
			drop(&survey->regions[i]);
	}
	survey->count = kept;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

int survey_take(struct survey *survey, const struct survey *before,
		char *const *names)
{
	memset(survey, 0, sizeof(*survey));
	if (!device && pinring_device_open(NULL, &device))
		return tool_fail(TOOL_FAILED, NULL, "no backend opens: %s",
				 pinring_error());
	survey->regions = calloc(SURVEY_REGIONS_MAX, sizeof(*survey->regions));
	if (!survey->regions)
		return tool_fail(TOOL_FAILED, NULL, "not enough memory");
	survey->time_ns = now_ns();
	survey->before = before;
	survey->budget = WALK_BYTES;
	module_read(&survey->module);
	survey_module(survey);
	survey_processes(survey);
	keep(survey, names);
	if (before)
		compare(survey, before);
	survey->before = NULL;
	return TOOL_OK;
}

void survey_free(struct survey *survey)
{
	int i;

	for (i = 0; i < survey->count; i++)
		drop(&survey->regions[i]);
	free(survey->regions);
	memset(survey, 0, sizeof(*survey));
}
