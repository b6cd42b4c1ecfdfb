/* SPDX-License-Identifier: MIT */
/*
 * room_options.c - the command line of `pinring run room`.
 */
#include <math.h>
#include <string.h>

#include "picture.h"
#include "room.h"
#include "tool.h"

static const char help_text[] =
	"pinring run room: play a sound in a room and write what a microphone hears\n"
	"\n"
	"  --in FILE          the sound: any format libsndfile reads, mixed to one channel\n"
	"  --out FILE         32-bit float WAV\n"
	"  --size XxYxZ       cells of the room (64x48x40)\n"
	"  --rate HZ          rate of the simulation and of the output (8000)\n"
	"  --beta B           admittance of the walls: 0 reflects all (0.02)\n"
	"  --lambda L         Courant number, at most 1/sqrt(3), the default\n"
	"  --source X,Y,Z     cell of the loudspeaker (a quarter along each side)\n"
	"  --mic X,Y,Z        cell of the microphone (three quarters along)\n"
	"  --tail SECONDS     go on after the sound has ended (0)\n"
	"  --picture FILE     PNG of the pressure at the end, in the microphone's plane z\n"
	"  --frames DIR       PNGs along the way, with --every\n"
	"  --every MS         milliseconds of sound from one frame to the next\n"
	"  --gain G           factor on what the microphone hears (1)\n"
	"  --mode MODE        interactive: three commands a sample, each timed;\n"
	"                     batch: blocks of samples (interactive)\n"
	"  --executor KIND    auto, host or cuda (auto)\n"
	"  --threads N        of the host executor (1), or blocks of the GPU (one per SM)\n"
	"  --json             the report as one JSON object\n"
	"  --quiet            no report and no progress bar\n"
	"  --help             this text\n"
	"\n"
	"example:\n"
	"  pinring run room --in voice.wav --out room.wav --size 64x48x40 --rate 8000 \\\n"
	"      --beta 0.02 --source 8,8,8 --mic 50,30,20 --picture slice.png\n";

enum {
	OPTION_IN = 1000,
	OPTION_OUT,
	OPTION_SIZE,
	OPTION_RATE,
	OPTION_BETA,
	OPTION_LAMBDA,
	OPTION_SOURCE,
	OPTION_MIC,
	OPTION_TAIL,
	OPTION_GAIN,
	OPTION_PICTURE,
	OPTION_FRAMES,
	OPTION_EVERY,
	OPTION_MODE,
	OPTION_EXECUTOR,
	OPTION_THREADS,
	OPTION_JSON,
	OPTION_QUIET,
	OPTION_HELP,
};

static const struct option long_options[] = {
	{ "in", required_argument, NULL, OPTION_IN },
	{ "out", required_argument, NULL, OPTION_OUT },
	{ "size", required_argument, NULL, OPTION_SIZE },
	{ "rate", required_argument, NULL, OPTION_RATE },
	{ "beta", required_argument, NULL, OPTION_BETA },
	{ "lambda", required_argument, NULL, OPTION_LAMBDA },
	{ "source", required_argument, NULL, OPTION_SOURCE },
	{ "mic", required_argument, NULL, OPTION_MIC },
	{ "tail", required_argument, NULL, OPTION_TAIL },
	{ "gain", required_argument, NULL, OPTION_GAIN },
	{ "picture", required_argument, NULL, OPTION_PICTURE },
	{ "frames", required_argument, NULL, OPTION_FRAMES },
	{ "every", required_argument, NULL, OPTION_EVERY },
	{ "mode", required_argument, NULL, OPTION_MODE },
	{ "executor", required_argument, NULL, OPTION_EXECUTOR },
	{ "threads", required_argument, NULL, OPTION_THREADS },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "quiet", no_argument, NULL, OPTION_QUIET },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ NULL, 0, NULL, 0 },
};

static int take_name(const char *about, const char *text, const char **name)
{
	if (!*text)
		return tool_fail(TOOL_USAGE, about,
				 "the name is empty: give one");
	*name = text;
	return TOOL_OK;
}

static int take_count(const char *about, const char *text, uint64_t least,
		      uint64_t most, uint32_t *to)
{
	uint64_t value;

	if (!parse_count(text, &value) || value < least || value > most)
		return tool_fail(TOOL_USAGE, about,
				 "\"%s\" is not a whole number from %u to %u: "
				 "give one",
				 text, (uint32_t)least, (uint32_t)most);
	*to = (uint32_t)value;
	return TOOL_OK;
}

static int take_number(const char *about, const char *text, double least,
		       double most, double *to)
{
	double value;

	if (!parse_number(text, &value) || value < least || value > most)
		return tool_fail(TOOL_USAGE, about,
				 "\"%s\" is not a number from %g to %g: give one",
				 text, least, most);
	*to = value;
	return TOOL_OK;
}

static int take_size(const char *text, uint32_t size[3])
{
	const uint64_t limit = 1ull << PINRING_WAVE_CELL_BITS;
	uint64_t side[3];
	int i;

	if (!parse_triple(text, 'x', side))
		return tool_fail(TOOL_USAGE, "--size",
				 "\"%s\" is not three whole numbers: give "
				 "cells as in 64x48x40",
				 text);
	if (!side[0] || !side[1] || !side[2])
		return tool_fail(TOOL_USAGE, "--size",
				 "%s has a side without cells: give at least "
				 "1x1x1",
				 text);
	/* Each side below 2^28 first, so that no product overflows. */
	if (side[0] >= limit || side[1] >= limit || side[2] >= limit ||
	    side[0] * side[1] >= limit || side[0] * side[1] * side[2] >= limit)
		return tool_fail(TOOL_USAGE, "--size",
				 "%s has too many cells: stay below %u in all",
				 text, 1u << PINRING_WAVE_CELL_BITS);
	for (i = 0; i < 3; i++)
		size[i] = (uint32_t)side[i];
	return TOOL_OK;
}

static int take_lambda(const char *text, double *lambda)
{
	double value;

	/* 0.0001 keeps the square well above the smallest float. */
	if (!parse_number(text, &value) || value < 1e-4)
		return tool_fail(TOOL_USAGE, "--lambda",
				 "\"%s\" is not a number from 0.0001 to 0.57735: "
				 "give one",
				 text);
	if (value > 1.0 / sqrt(3.0))
		return tool_fail(TOOL_USAGE, "--lambda",
				 "%s is above 1/sqrt(3) = 0.577350269, where "
				 "the simulation is unstable and blows up: "
				 "give 0.57735 or less",
				 text);
	*lambda = value;
	return TOOL_OK;
}

static int take_choice(const char *about, const char *text,
		       const char *const *choices, uint32_t *to)
{
	char list[64] = "";
	size_t used = 0;
	uint32_t i;

	for (i = 0; choices[i]; i++) {
		if (!strcmp(text, choices[i])) {
			*to = i;
			return TOOL_OK;
		}
		used += (size_t)snprintf(list + used, sizeof(list) - used,
					 "%s%s",
					 !i	       ? "" :
					 choices[i + 1] ? ", " :
							  " or ",
					 choices[i]);
	}
	return tool_fail(TOOL_USAGE, about, "there is no \"%s\": give %s", text,
			 list);
}

static int take_mode(const char *text, enum room_mode *mode)
{
	static const char *const choices[] = { "batch", "interactive", NULL };
	uint32_t choice = *mode;
	int code = take_choice("--mode", text, choices, &choice);

	*mode = (enum room_mode)choice;
	return code;
}

/* Positions can be checked when the size is known; until then as given. */
struct given {
	const char *source, *mic;
	bool every;
};

static int take(int option, const char *text, struct room_options *o,
		struct given *given)
{
	static const char *const executors[] = { "auto", "host", "cuda", NULL };

	switch (option) {
	case OPTION_IN:
		return take_name("--in", text, &o->in);
	case OPTION_OUT:
		return take_name("--out", text, &o->out);
	case OPTION_SIZE:
		return take_size(text, o->size);
	case OPTION_RATE:
		return take_count("--rate", text, 100, 1000000, &o->rate);
	case OPTION_BETA:
		return take_number("--beta", text, 0.0, 1000.0, &o->beta);
	case OPTION_LAMBDA:
		return take_lambda(text, &o->lambda);
	case OPTION_SOURCE:
		given->source = text;
		return TOOL_OK;
	case OPTION_MIC:
		given->mic = text;
		return TOOL_OK;
	case OPTION_TAIL:
		return take_number("--tail", text, 0.0, 3600.0, &o->tail);
	case OPTION_GAIN:
		return take_number("--gain", text, 1e-6, 1e6, &o->gain);
	case OPTION_PICTURE:
		return take_name("--picture", text, &o->picture);
	case OPTION_FRAMES:
		return take_name("--frames", text, &o->frames);
	case OPTION_EVERY:
		given->every = true;
		return take_number("--every", text, 0.001, 1e6, &o->every);
	case OPTION_MODE:
		return take_mode(text, &o->mode);
	case OPTION_EXECUTOR:
		return take_choice("--executor", text, executors, &o->executor);
	case OPTION_THREADS:
		return take_count("--threads", text, 1, PINRING_THREADS_MAX,
				  &o->threads);
	case OPTION_JSON:
		o->json = true;
		return TOOL_OK;
	default:
		o->quiet = true;
		return TOOL_OK;
	}
}

static int place(const char *about, const char *text,
		 const struct room_options *o, uint32_t cell[3])
{
	uint64_t at[3];
	int i;

	if (!text)
		return TOOL_OK;
	if (!parse_triple(text, ',', at))
		return tool_fail(TOOL_USAGE, about,
				 "\"%s\" is not a cell: give three whole "
				 "numbers as in 8,8,8",
				 text);
	if (at[0] >= o->size[0] || at[1] >= o->size[1] || at[2] >= o->size[2])
		return tool_fail(TOOL_USAGE, about,
				 "%s lies outside the %ux%ux%u room: give cells "
				 "from 0,0,0 to %u,%u,%u",
				 text, o->size[0], o->size[1], o->size[2],
				 o->size[0] - 1, o->size[1] - 1,
				 o->size[2] - 1);
	for (i = 0; i < 3; i++)
		cell[i] = (uint32_t)at[i];
	return TOOL_OK;
}

/* What one option says of another. */
static int check_together(const struct room_options *o, bool every)
{
	if (!o->in)
		return tool_fail(TOOL_USAGE, "--in",
				 "no sound was named: give a file, as in --in "
				 "voice.wav");
	if (!o->out)
		return tool_fail(TOOL_USAGE, "--out",
				 "no place for the result was named: give a "
				 "file, as in --out room.wav");
	if (o->picture && !strcmp(o->picture, o->out))
		return tool_fail(TOOL_USAGE, "--picture",
				 "%s is the name of --out as well: give "
				 "another",
				 o->picture);
	if (o->frames && !every)
		return tool_fail(TOOL_USAGE, "--frames",
				 "needs --every: say how many milliseconds "
				 "apart, as in --every 10");
	if (every && !o->frames)
		return tool_fail(TOOL_USAGE, "--every",
				 "needs --frames: say where to put the "
				 "pictures, as in --frames DIR");
	if (o->frames && o->every * o->rate < 1000.0)
		return tool_fail(TOOL_USAGE, "--every",
				 "%g ms is less than one sample at %u Hz: give "
				 "%g or more",
				 o->every, o->rate, 1000.0 / o->rate);
	if ((o->picture || o->frames) && (o->size[0] > PICTURE_SIDE_MAX ||
					  o->size[1] > PICTURE_SIDE_MAX))
		return tool_fail(TOOL_USAGE,
				 o->picture ? "--picture" : "--frames",
				 "a plane of %ux%u cells is too large to draw: "
				 "leave the picture out above %u cells a side",
				 o->size[0], o->size[1], PICTURE_SIDE_MAX);
	return TOOL_OK;
}

int room_options(struct room_options *o, int argc, char **argv, bool *done)
{
	struct given given = { NULL, NULL, false };
	int option, i;
	int code = TOOL_OK;

	*o = (struct room_options){
		.size = { 64, 48, 40 },
		.rate = 8000,
		.lambda = 1.0 / sqrt(3.0),
		.beta = 0.02,
		.gain = 1.0,
		.mode = ROOM_INTERACTIVE,
	};
	*done = false;
	opterr = 0;
	while (!code) {
		option = getopt_long(argc, argv, ":h", long_options, NULL);
		if (option < 0)
			break;
		if (option == OPTION_HELP || option == 'h') {
			fputs(help_text, stdout);
			*done = true;
			return TOOL_OK;
		}
		if (option == '?' || option == ':')
			return parse_complain(option, argv, "pinring run room");
		code = take(option, optarg, o, &given);
	}
	if (code)
		return code;
	if (optind < argc)
		return tool_fail(TOOL_USAGE, argv[optind],
				 "is no option: name files with --in and --out");
	for (i = 0; i < 3; i++) {
		o->source[i] = o->size[i] / 4;
		o->mic[i] = o->size[i] * 3 / 4;
	}
	code = place("--source", given.source, o, o->source);
	if (!code)
		code = place("--mic", given.mic, o, o->mic);
	return code ? code : check_together(o, given.every);
}
