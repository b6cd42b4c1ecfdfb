// SPDX-License-Identifier: MIT
/*
 * program.c - programs: made, varied, written down and read, run.
 */
#include "fuzz.h"

#include <signal.h>
#include <sys/wait.h>

/* ------------------------------------------------------------------- making */

static unsigned int total_weight(void)
{
	static unsigned int total;
	unsigned int sum = 0;

	if (!total) {
		for (size_t i = 0; i < nr_rows; i++)
			sum += rows[i].weight;
		total = sum;
	}
	return total;
}

static const struct row *random_row(struct random *r)
{
	uint64_t at = random_below(r, total_weight());
	const struct row *row = rows;

	while (at >= row->weight)
		at -= row++->weight;
	return row;
}

/* Slots of a kind that the first n calls fill, as bits. */
static unsigned int made(const struct program *p, unsigned int n, enum kind kind)
{
	unsigned int slots = kind == DEVICE; /* the first one is there */

	for (unsigned int i = 0; i < n; i++) {
		const struct row *row = p->call[i].row;

		if (row->makes != kind)
			continue;
		for (unsigned int j = 0; row->arg[j].name; j++)
			if (row->arg[j].kind == TO)
				slots |= 1u << p->call[i].arg[j] % SLOTS;
	}
	return slots;
}

static unsigned int pick_bit(struct random *r, unsigned int bits)
{
	unsigned int bit;

	do
		bit = (unsigned int)random_below(r, SLOTS);
	while (!(bits & 1u << bit));
	return bit;
}

/*
 * Puts a call of the row at p->n, and before it what makes things that it uses
 * and nobody has made. If odd, it may be that it fails.
 */
static void append(struct random *r, struct program *p, const struct row *row,
		   bool odd)
{
	struct call call = { .row = row };

	for (unsigned int i = 0; row->arg[i].name; i++) {
		const struct argument *a = &row->arg[i];
		const struct row *maker;
		unsigned int bits;

		call.arg[i] = value_random(r, row, a, odd && random_one_in(r, 4));
		if (a->kind >= SLOT_KINDS || !slot_is_own(call.arg[i]) ||
		    call.arg[i] >> 8 || random_one_in(r, 16))
			continue;
		maker = row_making(a->kind);
		bits = made(p, p->n, a->kind);
		if (!bits && maker && maker != row) {
			append(r, p, maker, false);
			bits = made(p, p->n, a->kind);
		}
		if (bits)
			call.arg[i] = pick_bit(r, bits);
	}
	if (p->n < CALLS)
		p->call[p->n++] = call;
}

void program_random(struct random *r, struct program *p)
{
	unsigned int n = 4 + (unsigned int)random_below(r, CALLS - 4);

	p->n = 0;
	while (p->n < n)
		append(r, p, random_row(r), random_one_in(r, 3));
}

/* ------------------------------------------------------------------ varying */

void program_remove(struct program *p, unsigned int at)
{
	p->n--;
	memmove(&p->call[at], &p->call[at + 1], (p->n - at) * sizeof(p->call[0]));
}

/* New calls, moved from the end to somewhere. */
static void insert(struct random *r, struct program *p)
{
	struct program tail = { 0 };
	unsigned int at = (unsigned int)random_below(r, p->n + 1);

	if (p->n == CALLS)
		return;
	tail.n = p->n - at;
	memcpy(tail.call, &p->call[at], tail.n * sizeof(p->call[0]));
	p->n = at;
	append(r, p, random_row(r), random_one_in(r, 3));
	for (unsigned int i = 0; i < tail.n && p->n < CALLS; i++)
		p->call[p->n++] = tail.call[i];
}

static void change(struct random *r, struct program *p)
{
	struct call *call = &p->call[random_below(r, p->n)];
	unsigned int n = 0, at;

	while (call->row->arg[n].name)
		n++;
	if (!n)
		return;
	at = (unsigned int)random_below(r, n);
	call->arg[at] = value_mutated(r, call->row, &call->row->arg[at],
				      call->arg[at]);
}

static void splice(struct random *r, struct program *p,
		   const struct program *other)
{
	unsigned int from = (unsigned int)random_below(r, other->n);

	p->n = (unsigned int)random_below(r, p->n) + 1;
	while (from < other->n && p->n < CALLS)
		p->call[p->n++] = other->call[from++];
}

/* Both, in the same slots. */
static void join(struct program *p, const struct program *other)
{
	for (unsigned int i = 0; i < other->n && p->n < CALLS; i++)
		p->call[p->n++] = other->call[i];
}

static void repeat(struct random *r, struct program *p)
{
	unsigned int from = (unsigned int)random_below(r, p->n);

	if (p->n < CALLS)
		p->call[p->n++] = p->call[from];
}

/* other: NULL, or one to take calls of. */
void program_mutate(struct random *r, struct program *p,
		    const struct program *other)
{
	unsigned int times = 1 + (unsigned int)random_below(r, 6);

	if (other && random_one_in(r, 3))
		join(p, other);
	while (times--) {
		switch (random_below(r, 10)) {
		case 0:
		case 1:
		case 2:
			insert(r, p);
			break;
		case 3:
			if (p->n > 1)
				program_remove(p, (unsigned int)random_below(r, p->n));
			break;
		case 4:
			if (other && other->n)
				splice(r, p, other);
			break;
		case 5:
			repeat(r, p);
			break;
		default:
			change(r, p);
		}
	}
}

/* --------------------------------------------------------------------- text */

/* A call a line: its name and its arguments, all of them. */
size_t program_print(const struct program *p, char *text, size_t size)
{
	size_t at = 0;

	if (size)
		text[0] = '\0';
	for (unsigned int i = 0; i < p->n && at < size; i++) {
		const struct call *call = &p->call[i];

		at += (size_t)snprintf(text + at, size - at, "%s", call->row->name);
		for (unsigned int j = 0; call->row->arg[j].name && at < size; j++) {
			const char *format = call->arg[j] < 10 ? " %s=%llu" : " %s=%#llx";

			at += (size_t)snprintf(text + at, size - at, format,
					       call->row->arg[j].name,
					       (unsigned long long)call->arg[j]);
		}
		if (at < size)
			at += (size_t)snprintf(text + at, size - at, "\n");
	}
	return at < size ? at : size;
}

static bool parse_call(char *line, struct call *call)
{
	char *save, *word = strtok_r(line, " ", &save);

	call->row = word ? row_named(word) : NULL;
	if (!call->row)
		return false;
	while ((word = strtok_r(NULL, " ", &save))) {
		char *value = strchr(word, '=');
		unsigned int i = 0;

		if (!value)
			return false;
		*value++ = '\0';
		while (call->row->arg[i].name && strcmp(call->row->arg[i].name, word))
			i++;
		if (!call->row->arg[i].name)
			return false;
		call->arg[i] = strtoull(value, NULL, 0);
	}
	return true;
}

/*
 * Reads one program, which an empty line ends. Returns what follows; NULL if
 * there is none. A line that is no call any more is left out.
 */
const char *program_parse(const char *text, struct program *p)
{
	p->n = 0;
	while (*text == '\n' || *text == '#') {
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
	if (!*text)
		return NULL;
	while (*text && *text != '\n') {
		size_t length = strcspn(text, "\n");
		struct call call = { 0 };
		char line[512];

		if (length < sizeof(line) && p->n < CALLS && *text != '#') {
			memcpy(line, text, length);
			line[length] = '\0';
			if (parse_call(line, &call))
				p->call[p->n++] = call;
		}
		text += length;
		text += *text == '\n';
	}
	return text;
}

/* ------------------------------------------------------------------ running */

static bool may_be(const struct worker *w, const struct row *row, int error)
{
	for (const int *e = row->errors; *e; e++)
		if (*e == error)
			return true;
	if (w->failing && (error == ENOMEM || error == EFAULT || error == EAGAIN ||
			   error == ENFILE || error == ENOBUFS))
		return true;
	/* A child may have been left no fd. */
	if (error == EMFILE && w->is_child)
		return true;
	/* run_ioctl() has looked at these. */
	return row->cmd && (error == EFAULT || error == EINVAL || error == E2BIG ||
			    error == ENOTTY || error == EBADF);
}

void call_run(struct worker *w)
{
	const struct call *call = &w->program.call[w->at];
	bool fail = w->fail > 0;
	int rc;

	/*
	 * What faults on purpose would die of it, and before an ioctl we may; a
	 * fork says more of it than one likes to read.
	 */
	if (!call->row->cmd && !call->row->spared)
		fail_begin(w);
	rc = call->row->run(w, call->arg);
	if (fail && !call->row->cmd)
		fail_end(w);
	w->calls++;
	if (rc < 0 && !may_be(w, call->row, -rc))
		violate(w, "%s returned %d, %s, which is not among its errors",
			call->row->name, rc, strerror(-rc));
	w->failing = false;
}

void reap(struct worker *w)
{
	int status = 0;

	if (!w->child)
		return;
	while (waitpid(w->child, &status, 0) < 0 && errno == EINTR)
		continue;
	w->child = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 99)
		violate(w, "a child has found something wrong: see above");
	else if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
		violate(w, "a child died of signal %d", WTERMSIG(status));
}

/* In slots of its own that are empty but for a device, and leaves them so. */
void program_run(struct worker *w)
{
	for (w->at = 0; w->at < w->program.n && !violated(); w->at++)
		call_run(w);
	w->at = 0;
	w->fail = 0;
	reap(w);
	if (w->knobs)
		restore_knobs(w->knobs);
	w->knobs = 0;
	if (w->weak)
		run_weaken(w, &(uint64_t){ 0 });
	run_drain(w, &(uint64_t){ UINT64_MAX });
	slots_empty(&w->slots);
}
