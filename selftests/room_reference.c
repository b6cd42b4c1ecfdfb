/* SPDX-License-Identifier: MIT */
/*
 * room_reference.c - is what `pinring run room` wrote right? No test itself;
 * selftests/tool.sh runs it.
 *
 *	room_reference IN OUT X Y Z LAMBDA BETA SX SY SZ MX MY MZ BOUND
 *
 * Reads IN, one channel at the rate of the simulation, and computes the room as
 * shared/gpu.md writes the equation: in double precision, cell by cell, with
 * nothing taken from pinring. Then compares with OUT, sample by sample, and
 * prints the largest difference over the largest sample. LAMBDA "max" is
 * 1/sqrt(3). Exit status 1 above BOUND, or if the lengths differ (OUT may be
 * longer: a tail).
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_SKIPPED 4

#if HAVE_SNDFILE
#include <sndfile.h>

static long nx, ny, nz;

static double *read_all(const char *name, long *count)
{
	SF_INFO info = { 0 };
	SNDFILE *file = sf_open(name, SFM_READ, &info);
	double *samples;

	if (!file || info.channels != 1) {
		fprintf(stderr, "room_reference: %s: not one channel\n", name);
		exit(2);
	}
	*count = (long)info.frames;
	samples = calloc((size_t)*count + 1, sizeof(*samples));
	if (!samples || sf_readf_double(file, samples, *count) != *count) {
		fprintf(stderr, "room_reference: %s: cannot be read\n", name);
		exit(2);
	}
	sf_close(file);
	return samples;
}

static long cell(long x, long y, long z)
{
	return (z * ny + y) * nx + x;
}

/* The pressure at a neighbour, and whether there is one. */
static double look(const double *p, long x, long y, long z, int *inside)
{
	if (x < 0 || x >= nx || y < 0 || y >= ny || z < 0 || z >= nz)
		return 0.0;
	++*inside;
	return p[cell(x, y, z)];
}

static double update(const double *p, const double *before, long x, long y,
		     long z, double lambda, double beta)
{
	int k = 0;
	double sum, f;

	sum = look(p, x - 1, y, z, &k);
	sum += look(p, x + 1, y, z, &k);
	sum += look(p, x, y - 1, z, &k);
	sum += look(p, x, y + 1, z, &k);
	sum += look(p, x, y, z - 1, &k);
	sum += look(p, x, y, z + 1, &k);
	f = 0.5 * lambda * beta * (6 - k);
	return ((2.0 - k * lambda * lambda) * p[cell(x, y, z)] +
		lambda * lambda * sum +
		(f - 1.0) * before[cell(x, y, z)]) /
	       (1.0 + f);
}

static void step(double *p[3], double lambda, double beta)
{
	double *spare = p[2];
	long x, y, z;

	for (z = 0; z < nz; z++)
		for (y = 0; y < ny; y++)
			for (x = 0; x < nx; x++)
				spare[cell(x, y, z)] = update(
					p[0], p[1], x, y, z, lambda, beta);
	p[2] = p[1];
	p[1] = p[0];
	p[0] = spare;
}

int main(int argc, char **argv)
{
	double lambda, beta, bound, worst = 0.0, peak = 0.0;
	long in_count, out_count, source, mic, i;
	double *in, *out, *p[3];

	if (argc != 15) {
		fputs("room_reference IN OUT X Y Z LAMBDA BETA SX SY SZ MX MY MZ BOUND\n",
		      stderr);
		return 2;
	}
	in = read_all(argv[1], &in_count);
	out = read_all(argv[2], &out_count);
	nx = atol(argv[3]);
	ny = atol(argv[4]);
	nz = atol(argv[5]);
	lambda = strcmp(argv[6], "max") ? atof(argv[6]) : 1.0 / sqrt(3.0);
	beta = atof(argv[7]);
	source = cell(atol(argv[8]), atol(argv[9]), atol(argv[10]));
	mic = cell(atol(argv[11]), atol(argv[12]), atol(argv[13]));
	bound = atof(argv[14]);
	for (i = 0; i < 3; i++)
		p[i] = calloc((size_t)(nx * ny * nz), sizeof(double));
	if (!p[0] || !p[1] || !p[2] || out_count < in_count) {
		fprintf(stderr, "room_reference: %ld samples in, %ld out\n",
			in_count, out_count);
		return 1;
	}
	for (i = 0; i < out_count; i++) {
		step(p, lambda, beta);
		p[0][source] += i < in_count ? in[i] : 0.0;
		peak = fmax(peak, fabs(p[0][mic]));
		worst = fmax(worst, fabs(p[0][mic] - out[i]));
	}
	printf("%ld samples, peak %g, largest deviation %g, relative %.3g, bound %g\n",
	       out_count, peak, worst, peak > 0.0 ? worst / peak : worst,
	       bound);
	for (i = 0; i < 3; i++)
		free(p[i]);
	free(in);
	free(out);
	/* Written so that NaN fails. */
	return worst <= bound * peak ? 0 : 1;
}

#else

int main(void)
{
	fputs("room_reference: built without libsndfile1-dev\n", stderr);
	return EXIT_SKIPPED;
}

#endif
