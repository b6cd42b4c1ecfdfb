// SPDX-License-Identifier: MIT
/*
 * Rooms: the wave operations against the equation in float64, what must hold to
 * the last bit, and the rooms that are refused.
 */
#include <kselftest_harness.h>

#include <float.h>
#include <math.h>

#include <pinring/pinring.h>

#include "executor_kind.h"

#define SECOND 1000000000ll
#define MIB (1ull << 20)
#define STABLE 0.57735026918962576 /* 1/sqrt(3) */
#define AUDIO_MAX 4096

/* Every executor there can be here; the first is what others must match. */
static const struct {
	const char *isa;
	uint32_t threads;
} configs[] = {
	{ "baseline", 1 },  { "baseline", 4 },	{ "x86-64-v3", 1 },
	{ "x86-64-v3", 4 }, { "x86-64-v4", 1 }, { "x86-64-v4", 4 },
	CUDA_CONFIGS,
};

FIXTURE(wave)
{
	struct pinring_device *device;
	struct pinring_region *r; /* the object "audio", then rooms */
	struct pinring_executor *ex[ARRAY_SIZE(configs)];
	unsigned int config[ARRAY_SIZE(configs)]; /* of each executor */
	unsigned int n;
	struct pinring_operand in, out; /* AUDIO_MAX floats each */
	float *samples_in, *samples_out;
	unsigned int rooms; /* made so far, for their names */
};

FIXTURE_SETUP(wave)
{
	struct pinring_region_config rc = pinring_region_defaults(16 * MIB);
	struct pinring_executor_config ec = pinring_executor_defaults();
	struct pinring_object_info o;

	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &rc, &self->r));
	ASSERT_EQ(0, pinring_object_create(self->r, "audio", PINRING_OBJECT_BYTES,
					   2 * AUDIO_MAX * sizeof(float), 0, &o));
	self->in.offset = o.offset;
	self->out.offset = o.offset + AUDIO_MAX * sizeof(float);
	self->in.region = self->out.region = 0;
	self->samples_in = (void *)((char *)pinring_region_base(self->r) + o.offset);
	self->samples_out = self->samples_in + AUDIO_MAX;
	self->n = 0;
	self->rooms = 0;
	for (unsigned int i = 0; i < ARRAY_SIZE(configs); i++) {
		struct pinring_executor **ex = &self->ex[self->n];
		int err;

		if (!choose_executor(&ec, configs[i].isa, configs[i].threads))
			continue;
		err = pinring_executor_start(self->device, &ec, ex);
		if (err == -EINVAL && i > 1 && ec.kind == PINRING_EXECUTOR_HOST)
			continue; /* this CPU lacks it */
		ASSERT_EQ(0, err);
		ASSERT_EQ(0, pinring_executor_attach(*ex, self->r));
		self->config[self->n++] = i;
	}
	unsetenv("PINRING_ISA");
}

FIXTURE_TEARDOWN(wave)
{
	for (unsigned int i = 0; i < self->n; i++) {
		EXPECT_EQ(0, pinring_executor_close(self->ex[i], 5 * SECOND));
	}
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

/* xorshift64* (Vigna, 2014): the same inputs every run. */
static uint64_t random_state = 0x9e3779b97f4a7c15;

static float random_float(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (float)(random_state * 0x2545f4914f6cdd1d >> 40) * 0x1p-23f - 1.0f;
}

static struct pinring_wave make_room(struct __test_metadata *_metadata,
				     FIXTURE_DATA(wave) *self, uint32_t nx, uint32_t ny,
				     uint32_t nz, double lambda, double beta)
{
	struct pinring_wave w = { 0 };
	char name[16];

	snprintf(name, sizeof(name), "room%u", self->rooms++);
	EXPECT_EQ(0, pinring_wave_create(self->r, name, nx, ny, nz, lambda, beta, &w))
		TH_LOG("%s", pinring_error());
	return w;
}

/* The command on executor e; `done` is what it must have done. */
static struct pinring_completion run_on(struct __test_metadata *_metadata,
					FIXTURE_DATA(wave) *self, unsigned int e,
					struct pinring_command c, uint64_t done)
{
	struct pinring_completion answer = { .status = -1 };

	EXPECT_EQ(0, pinring_executor_call(self->ex[e], &c, 60 * SECOND, &answer))
		TH_LOG("%s: %s", pinring_operation_name(c.operation), pinring_error());
	EXPECT_EQ(0, answer.status)
		TH_LOG("%s: %s", pinring_operation_name(c.operation),
		       pinring_reason_text(answer.reason));
	EXPECT_EQ(done, answer.done);
	return answer;
}

static void step(struct __test_metadata *_metadata, FIXTURE_DATA(wave) *self,
		 unsigned int e, const struct pinring_wave *w, uint64_t count)
{
	const uint64_t before = w->state->steps;

	run_on(_metadata, self, e, (struct pinring_command){
		.operation = PINRING_OP_WAVE_STEP, .a = { w->offset, 0 }, .count = count,
	}, count);
	EXPECT_EQ(before + count, w->state->steps);
}

static void inject(struct __test_metadata *_metadata, FIXTURE_DATA(wave) *self,
		   unsigned int e, const struct pinring_wave *w, uint64_t cell, float p)
{
	run_on(_metadata, self, e, (struct pinring_command){
		.operation = PINRING_OP_WAVE_INJECT, .a = { w->offset, 0 }, .aux = cell,
		.s0 = p,
	}, 1);
}

static float probe(struct __test_metadata *_metadata, FIXTURE_DATA(wave) *self,
		   unsigned int e, const struct pinring_wave *w, uint64_t cell)
{
	return run_on(_metadata, self, e, (struct pinring_command){
		.operation = PINRING_OP_WAVE_PROBE, .a = { w->offset, 0 }, .aux = cell,
	}, 1).result;
}

static void block(struct __test_metadata *_metadata, FIXTURE_DATA(wave) *self,
		  unsigned int e, const struct pinring_wave *w, uint64_t source,
		  uint64_t mic, uint64_t count)
{
	run_on(_metadata, self, e, (struct pinring_command){
		.operation = PINRING_OP_WAVE_BLOCK, .a = { w->offset, 0 },
		.b = self->in, .dst = self->out, .count = count,
		.aux = mic << PINRING_WAVE_CELL_BITS | source,
	}, count);
}

static float *current(const struct pinring_wave *w)
{
	return w->field[w->state->steps & 1];
}

/* Silence, as after its creation. */
static void hush(const struct pinring_wave *w)
{
	memset(w->field[0], 0, w->cells * sizeof(float));
	memset(w->field[1], 0, w->cells * sizeof(float));
	w->state->steps = 0;
}

static float peak_of(const float *p, uint64_t cells)
{
	float peak = 0;

	for (uint64_t i = 0; i < cells; i++)
		peak = isfinite(p[i]) ? fmaxf(peak, fabsf(p[i])) : INFINITY;
	return peak;
}

/* ------------------------------------------------------------- the equation */

struct reference {
	uint32_t nx, ny, nz;
	double l2, lambda, beta;
	double *p, *before; /* and becomes the next */
};

/* The equation at the head of wave.h, as it is written there. */
static void reference_step(struct reference *r)
{
	const uint64_t plane = (uint64_t)r->nx * r->ny;
	double *swap;

	for (uint32_t z = 0; z < r->nz; z++)
		for (uint32_t y = 0; y < r->ny; y++)
			for (uint32_t x = 0; x < r->nx; x++) {
				const uint64_t i = x + r->nx * y + plane * z;
				double sum = 0, f;
				int k = 0;

				if (x > 0)
					k++, sum += r->p[i - 1];
				if (x + 1 < r->nx)
					k++, sum += r->p[i + 1];
				if (y > 0)
					k++, sum += r->p[i - r->nx];
				if (y + 1 < r->ny)
					k++, sum += r->p[i + r->nx];
				if (z > 0)
					k++, sum += r->p[i - plane];
				if (z + 1 < r->nz)
					k++, sum += r->p[i + plane];
				f = r->lambda * r->beta * (6 - k) / 2;
				r->before[i] = ((2 - k * r->l2) * r->p[i] + r->l2 * sum +
						(f - 1) * r->before[i]) / (1 + f);
			}
	swap = r->p;
	r->p = r->before;
	r->before = swap;
}

/*
 * One rounding is 2^-24 of the peak. A scheme without damping keeps each, and
 * may let it grow with the step (a constant velocity is a solution), so the
 * bound is quadratic in the steps; what is seen, the log says.
 */
static double bound_after(int steps)
{
	return 0x1p-24 * (8 + steps + 0.02 * steps * steps);
}

static const struct {
	uint32_t nx, ny, nz;
	int steps;
} shapes[] = {
	{ 1, 1, 1, 300 },  { 2, 1, 1, 300 },  { 1, 1, 9, 300 },	   { 5, 1, 7, 300 },
	{ 16, 9, 8, 200 }, { 33, 17, 5, 200 }, { 64, 48, 40, 24 },
};

/*
 * The room rings after a click and then hears noise for some steps; every cell
 * and the microphone must follow the reference.
 */
static double follow(struct __test_metadata *_metadata, FIXTURE_DATA(wave) *self,
		     const struct pinring_wave *w, double lambda, double beta, int steps)
{
	struct reference r = { w->state->nx, w->state->ny, w->state->nz,
			       lambda * lambda, lambda, beta, NULL, NULL };
	const uint64_t source = w->cells / 3, mic = w->cells - 1;
	double peak = 0, worst = 0;
	uint64_t wrong = 0;

	r.p = calloc(w->cells, sizeof(double));
	r.before = calloc(w->cells, sizeof(double));
	ASSERT_TRUE(r.p && r.before);
	for (int i = 0; i < steps; i++)
		self->samples_in[i] = i < 20 ? random_float() : 0;
	block(_metadata, self, self->n - 1, w, source, mic, (uint64_t)steps);
	for (int i = 0; i < steps; i++) {
		double error;

		reference_step(&r);
		r.p[source] += (double)self->samples_in[i];
		for (uint64_t c = 0; c < w->cells; c++)
			peak = fmax(peak, fabs(r.p[c]));
		error = fabs((double)self->samples_out[i] - r.p[mic]);
		wrong += !(error <= bound_after(i) * peak);
		worst = fmax(worst, error / bound_after(i) / peak);
	}
	for (uint64_t c = 0; c < w->cells; c++) {
		const double error = fabs((double)current(w)[c] - r.p[c]);

		wrong += !(error <= bound_after(steps) * peak);
		worst = fmax(worst, error / bound_after(steps) / peak);
	}
	EXPECT_EQ(0, wrong)
		TH_LOG("%ux%ux%u, lambda %g, beta %g", r.nx, r.ny, r.nz, lambda, beta);
	free(r.p);
	free(r.before);
	return worst;
}

TEST_F_TIMEOUT(wave, follows_the_equation, 120)
{
	static const double lambdas[] = { STABLE, 0.4 }, betas[] = { 0, 0.02, 0.5 };

	for (size_t s = 0; s < ARRAY_SIZE(shapes); s++) {
		double worst = 0;

		for (size_t l = 0; l < ARRAY_SIZE(lambdas); l++)
			for (size_t b = 0; b < ARRAY_SIZE(betas); b++) {
				struct pinring_wave w = make_room(
					_metadata, self, shapes[s].nx, shapes[s].ny,
					shapes[s].nz, lambdas[l], betas[b]);

				worst = fmax(worst, follow(_metadata, self, &w, lambdas[l],
							   betas[b], shapes[s].steps));
			}
		TH_LOG("%ux%ux%u, %d steps: %.3f of the bound", shapes[s].nx, shapes[s].ny,
		       shapes[s].nz, shapes[s].steps, worst);
	}
}

/* ---------------------------------------------------------- to the last bit */

/* Counts the cells that left the level within so many steps. */
static uint64_t leaves_level(struct __test_metadata *_metadata, FIXTURE_DATA(wave) *self,
			     unsigned int e, const struct pinring_wave *w, float level,
			     uint64_t steps)
{
	uint64_t moved = 0;

	for (uint64_t i = 0; i < w->cells; i++)
		w->field[0][i] = w->field[1][i] = level;
	step(_metadata, self, e, w, steps);
	for (uint64_t i = 0; i < w->cells; i++)
		moved += w->field[0][i] != level || w->field[1][i] != level;
	return moved;
}

TEST_F(wave, a_field_at_rest_stays_at_rest_to_the_last_bit)
{
	static const float levels[] = { 1, 0.1f, -3e-20f, 0x1p-149f, 1e30f };
	static const uint32_t rooms[][3] = {
		{ 1, 1, 1 }, { 3, 1, 1 }, { 1, 7, 2 }, { 2, 5, 3 }, { 17, 9, 8 },
	};

	for (size_t s = 0; s < ARRAY_SIZE(rooms); s++) {
		const double lambda = s % 2 ? STABLE : 0.41;
		struct pinring_wave w = make_room(_metadata, self, rooms[s][0], rooms[s][1],
						  rooms[s][2], lambda, 0);

		for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
			EXPECT_EQ(0, leaves_level(_metadata, self, (unsigned int)s % self->n,
						  &w, levels[i], 1000))
				TH_LOG("room %zu, at rest at %a", s, (double)levels[i]);
		}
		/* 3 and 5 times a float may round, the one or the other way. */
		for (int i = 0; i < 300; i++) {
			const float level = random_float();

			EXPECT_EQ(0, leaves_level(_metadata, self, self->n - 1, &w, level, 10))
				TH_LOG("room %zu, at rest at %a", s, (double)level);
		}
	}
}

TEST_F(wave, silence_stays_silence_beside_absorbing_walls)
{
	struct pinring_wave w = make_room(_metadata, self, 33, 17, 5, STABLE, 0.5);

	step(_metadata, self, 0, &w, 500);
	EXPECT_EQ(0, peak_of(w.field[0], w.cells));
	EXPECT_EQ(0, peak_of(w.field[1], w.cells));
}

static void same_everywhere(struct __test_metadata *_metadata, FIXTURE_DATA(wave) *self,
			    const struct pinring_wave *w, uint64_t source, uint64_t mic,
			    uint64_t count)
{
	const size_t bytes = w->cells * sizeof(float);
	float *first[2] = { malloc(bytes), malloc(bytes) };
	float heard[AUDIO_MAX];

	ASSERT_TRUE(first[0] && first[1]);
	for (uint64_t i = 0; i < count; i++)
		self->samples_in[i] = random_float();
	for (unsigned int e = 0; e < self->n; e++) {
		hush(w);
		memset(self->samples_out, 0xff, AUDIO_MAX * sizeof(float));
		block(_metadata, self, e, w, source, mic, count);
		if (e == 0) {
			memcpy(first[0], w->field[0], bytes);
			memcpy(first[1], w->field[1], bytes);
			memcpy(heard, self->samples_out, sizeof(heard));
		}
		EXPECT_EQ(0, memcmp(heard, self->samples_out, sizeof(heard)) ||
			     memcmp(first[0], w->field[0], bytes) ||
			     memcmp(first[1], w->field[1], bytes))
			TH_LOG("%ux%ux%u: %s with %u threads differs", w->state->nx,
			       w->state->ny, w->state->nz, configs[self->config[e]].isa,
			       configs[self->config[e]].threads);
	}
	/* As one command a sample; the last executor, and one thread less. */
	for (unsigned int e = self->n - 2; e < self->n; e++) {
		uint64_t wrong = 0;

		hush(w);
		for (uint64_t i = 0; i < count; i++) {
			float p;

			step(_metadata, self, e, w, 1);
			inject(_metadata, self, e, w, source, self->samples_in[i]);
			p = probe(_metadata, self, e, w, mic);
			wrong += memcmp(&p, &heard[i], sizeof(p)) != 0;
		}
		EXPECT_EQ(0, wrong) TH_LOG("step, inject and probe are no block");
		EXPECT_EQ(0, memcmp(first[0], w->field[0], bytes) ||
			     memcmp(first[1], w->field[1], bytes));
	}
	free(first[0]);
	free(first[1]);
}

/* The big ones are shared out among the team, the small ones are not. */
TEST_F_TIMEOUT(wave, any_executor_gives_the_same_bits_as_do_single_commands, 120)
{
	static const struct {
		uint32_t nx, ny, nz;
		uint64_t count;
	} rooms[] = {
		{ 1, 1, 1, 50 },   { 1, 70, 130, 40 }, { 9000, 1, 1, 40 },
		{ 16, 9, 8, 100 }, { 33, 17, 19, 40 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rooms); i++) {
		struct pinring_wave w = make_room(_metadata, self, rooms[i].nx, rooms[i].ny,
						  rooms[i].nz, i % 2 ? 0.5 : STABLE, 0.03);

		same_everywhere(_metadata, self, &w, w.cells / 2, w.cells / 5,
				rooms[i].count);
		/* In one cell the microphone hears what was injected just then. */
		same_everywhere(_metadata, self, &w, w.cells - 1, w.cells - 1,
				rooms[i].count);
	}
}

TEST_F(wave, a_block_probes_after_it_injected)
{
	struct pinring_wave w = make_room(_metadata, self, 5, 5, 5, STABLE, 0);

	self->samples_in[0] = 0.25f;
	block(_metadata, self, 0, &w, 62, 62, 1);
	EXPECT_EQ(0.25f, self->samples_out[0]);
	EXPECT_EQ(0.25f, probe(_metadata, self, 0, &w, 62));
	EXPECT_EQ(62, pinring_wave_cell(w.state, 2, 2, 2));
	EXPECT_EQ(1, w.state->steps);
}

/* Between steps of many: the executor must not lose its team over it. */
TEST_F(wave, no_steps_change_nothing)
{
	struct pinring_wave small = make_room(_metadata, self, 4, 4, 4, STABLE, 0);
	struct pinring_wave big = make_room(_metadata, self, 32, 32, 16, STABLE, 0);
	const size_t bytes = big.cells * sizeof(float);
	float *copy = malloc(bytes);

	ASSERT_NE(NULL, copy);
	for (unsigned int e = 0; e < self->n; e++) {
		for (int i = 0; i < 300; i++) {
			const struct pinring_wave *w = i % 3 ? &big : &small;

			inject(_metadata, self, e, w, 20, 1);
			memcpy(copy, current(w), w->cells * sizeof(float));
			step(_metadata, self, e, w, 0);
			memset(self->samples_out, 0xff, sizeof(float));
			block(_metadata, self, e, w, 0, 0, 0);
			EXPECT_EQ(0, memcmp(copy, current(w), w->cells * sizeof(float)));
			step(_metadata, self, e, w, (uint64_t)(i % 4));
		}
	}
	free(copy);
}

/* Cubes mirrored in each axis, and turned; every sum is of symmetric pairs. */
TEST_F(wave, a_symmetric_impulse_gives_a_symmetric_field)
{
	const uint32_t n = 15;
	struct pinring_wave w = make_room(_metadata, self, n, n, n, STABLE, 0.1);
	double worst = 0;
	uint64_t wrong = 0;
	float peak;

	inject(_metadata, self, 0, &w, pinring_wave_cell(w.state, 7, 7, 7), 1);
	step(_metadata, self, 0, &w, 101);
	peak = peak_of(current(&w), w.cells);
	EXPECT_GT(peak, 0);
	for (uint32_t z = 0; z < n; z++)
		for (uint32_t y = 0; y < n; y++)
			for (uint32_t x = 0; x < n; x++) {
				const float *p = current(&w);
				const float here = p[pinring_wave_cell(w.state, x, y, z)];
				const float turned = p[pinring_wave_cell(w.state, y, z, x)];

				/* a + b is b + a, so a mirror image is exact. */
				wrong += here != p[pinring_wave_cell(w.state, n - 1 - x, y, z)];
				wrong += here != p[pinring_wave_cell(w.state, x, n - 1 - y, z)];
				wrong += here != p[pinring_wave_cell(w.state, x, y, n - 1 - z)];
				/* (a + b) + c is not, so a turned one is close. */
				worst = fmax(worst, fabs((double)(here - turned)));
			}
	EXPECT_EQ(0, wrong);
	EXPECT_LE(worst, bound_after(101) * (double)peak);
}

/* ---------------------------------------------------------------- stability */

TEST_F_TIMEOUT(wave, a_rigid_room_does_not_blow_up, 120)
{
	static const uint32_t rooms[][3] = { { 7, 6, 5 }, { 2, 2, 2 }, { 12, 1, 1 } };

	for (size_t s = 0; s < ARRAY_SIZE(rooms); s++) {
		struct pinring_wave w = make_room(_metadata, self, rooms[s][0], rooms[s][1],
						  rooms[s][2], STABLE, 0);
		float peak = 0;

		/* No mean: what is added to a rigid room's mean it keeps adding. */
		w.field[0][0] = w.field[1][0] = 1;
		w.field[0][w.cells - 1] = w.field[1][w.cells - 1] = -1;
		for (int i = 0; i < 200; i++) {
			step(_metadata, self, 0, &w, 100);
			peak = fmaxf(peak, peak_of(current(&w), w.cells));
		}
		EXPECT_LT(peak, 10);
		EXPECT_GT(peak, 0.01f);
		TH_LOG("%ux%ux%u: peak %g in 20000 steps", rooms[s][0], rooms[s][1],
		       rooms[s][2], (double)peak);
	}
}

TEST_F(wave, an_absorbing_room_falls_silent)
{
	struct pinring_wave w = make_room(_metadata, self, 9, 8, 7, STABLE, 0.5);

	w.field[0][100] = w.field[1][100] = 1;
	w.field[0][200] = w.field[1][200] = -1;
	step(_metadata, self, 0, &w, 3000);
	EXPECT_LT(peak_of(current(&w), w.cells), 1e-3f);
}

/* ------------------------------------------------------------------ refusals */

#define REFUSED(word, ...) do { \
	struct pinring_wave seen = { .offset = 7 }; \
	EXPECT_EQ(-EINVAL, pinring_wave_create(self->r, "bad", __VA_ARGS__, &seen)) \
		TH_LOG("%s", #__VA_ARGS__); \
	EXPECT_NE(NULL, strstr(pinring_error(), word)) \
		TH_LOG("no '%s' in \"%s\"", word, pinring_error()); \
	EXPECT_EQ(7u, seen.offset); \
} while (0)

TEST_F(wave, rooms_that_make_no_sense_are_refused_with_a_sentence)
{
	struct pinring_object_info o;
	struct pinring_wave w;

	REFUSED("0x1x1", 0, 1, 1, 0.5, 0);
	REFUSED("1x0x1", 1, 0, 1, 0.5, 0);
	REFUSED("1x1x0", 1, 1, 0, 0.5, 0);
	REFUSED("2^28", 1u << 28, 1, 1, 0.5, 0);
	REFUSED("2^28", 1, 1u << 14, 1u << 14, 0.5, 0);
	REFUSED("2^28", 1u << 16, 1u << 16, 1u << 16, 0.5, 0);
	REFUSED("2^28", UINT32_MAX, UINT32_MAX, UINT32_MAX, 0.5, 0);
	REFUSED("2^28", 1, UINT32_MAX, 2, 0.5, 0);
	REFUSED("unstable", 4, 4, 4, 0.57736, 0);
	REFUSED("unstable", 4, 4, 4, 1, 0);
	REFUSED("lambda", 4, 4, 4, 0, 0);
	REFUSED("lambda", 4, 4, 4, -0.5, 0);
	REFUSED("lambda", 4, 4, 4, (double)NAN, 0);
	REFUSED("lambda", 4, 4, 4, (double)INFINITY, 0);
	REFUSED("lambda", 4, 4, 4, DBL_MIN, 0);
	REFUSED("beta", 4, 4, 4, 0.5, -0.01);
	REFUSED("beta", 4, 4, 4, 0.5, (double)NAN);
	REFUSED("beta", 4, 4, 4, 0.5, (double)INFINITY);
	REFUSED("beta", 4, 4, 4, 0.5, 1e300);
	/* Nothing of all that took the name. */
	EXPECT_EQ(-ENOENT, pinring_object_find(self->r, "bad", &o));
	ASSERT_EQ(0, pinring_wave_create(self->r, "bad", 4, 4, 4, 0.5, 0, &w));
	EXPECT_EQ(-EEXIST, pinring_wave_create(self->r, "bad", 4, 4, 4, 0.5, 0, &w));
	EXPECT_EQ(-ENOSPC, pinring_wave_create(self->r, "large", 200, 200, 200, 0.5, 0, &w));
	EXPECT_STRNE("", pinring_error());
	EXPECT_EQ(-ENOSPC, pinring_wave_create(self->r, "huge", (1u << 28) - 1, 1, 1, 0.5,
					       0, &w));
	EXPECT_EQ(-EINVAL, pinring_wave_create(self->r, "", 4, 4, 4, 0.5, 0, &w));
}

/* What is refused is no more than that. */
TEST_F(wave, rooms_at_the_limits_are_made_and_run)
{
	static const struct {
		double lambda, beta;
	} limits[] = {
		{ STABLE, 0 }, { 1 / 1.7320508075688772, 0 }, { 1e-12, 0 },
		{ STABLE, 1e6 }, { 1e-12, 1e6 }, { 0.5, DBL_MIN }, { 0.5, -0.0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		struct pinring_wave w = make_room(_metadata, self, 3, 3, 3, limits[i].lambda,
						  limits[i].beta);

		EXPECT_LE(w.state->lambda2, 1.0 / 3.0);
		inject(_metadata, self, 0, &w, 13, 1);
		step(_metadata, self, 0, &w, 50);
		EXPECT_LE(peak_of(current(&w), w.cells), 51);
	}
}

TEST(bytes_of_a_room)
{
	/* State, two fields in lines of 128 bytes, each with a gap, zeros. */
	EXPECT_EQ(256 + 2 * (128 + PINRING_WAVE_GAP) + 4, pinring_wave_bytes(1, 1, 1));
	EXPECT_EQ(256 + 2 * (128 + PINRING_WAVE_GAP) + 4 * 4, pinring_wave_bytes(4, 4, 2));
	EXPECT_EQ(256 + 2 * (256 + PINRING_WAVE_GAP) + 3 * 4, pinring_wave_bytes(3, 11, 1));
	EXPECT_EQ(256 + 2 * ((4ull << 28) + PINRING_WAVE_GAP) + 4 * ((1ull << 28) - 1),
		  pinring_wave_bytes((1u << 28) - 1, 1, 1));
	EXPECT_EQ(0, pinring_wave_bytes(0, 1, 1));
	EXPECT_EQ(0, pinring_wave_bytes(1, 0, 1));
	EXPECT_EQ(0, pinring_wave_bytes(1, 1, 0));
	EXPECT_EQ(0, pinring_wave_bytes(1u << 28, 1, 1));
	EXPECT_EQ(0, pinring_wave_bytes(1, 1, 1u << 28));
	EXPECT_EQ(0, pinring_wave_bytes(1u << 14, 1u << 14, 1));
	EXPECT_EQ(0, pinring_wave_bytes(UINT32_MAX, UINT32_MAX, UINT32_MAX));
	EXPECT_EQ(0, pinring_wave_bytes(1u << 22, 1u << 22, 1u << 20));
}

TEST_HARNESS_MAIN
