/* SPDX-License-Identifier: MIT */
/*
 * picture.c - one plane of a pressure field as a PNG, by libpng.
 */
#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "picture.h"
#include "tool.h"

#if HAVE_PNG
#include <png.h>

#define TARGET_WIDTH 800u /* pixels, about */
#define TARGET_HEIGHT 1600u
#define STRIP_GAP 4u
#define STRIP_HEIGHT 16u /* of the colours along the bottom */

/* The palette: 253 steps from minus to plus full scale, then the marks. */
#define STEPS 126
#define INDEX_SOURCE 253
#define INDEX_MIC 254
#define INDEX_PAPER 255

static void make_palette(png_color palette[256])
{
	/* White in the middle; both ends are dark, so sign shows in grey too. */
	static const double ends[2][3] = { { 5, 48, 135 }, { 150, 12, 30 } };
	int i, c;

	for (i = -STEPS; i <= STEPS; i++) {
		double part = pow(fabs((double)i) / STEPS, 0.8);
		png_byte rgb[3];

		for (c = 0; c < 3; c++)
			rgb[c] = (png_byte)lround(255.0 +
						  part * (ends[i > 0][c] -
							  255.0));
		palette[i + STEPS] = (png_color){ rgb[0], rgb[1], rgb[2] };
	}
	palette[INDEX_SOURCE] = (png_color){ 0, 0, 0 };
	palette[INDEX_MIC] = (png_color){ 0, 140, 60 };
	palette[INDEX_PAPER] = (png_color){ 255, 255, 255 };
}

static void measure(struct picture *p)
{
	size_t cells = (size_t)p->width * p->height;
	double sum = 0.0, squares = 0.0;
	size_t i;

	for (i = 0; i < cells; i++)
		sum += (double)p->plane[i];
	p->mean = sum / (double)cells;
	for (i = 0; i < cells; i++) {
		double from_mean = (double)p->plane[i] - p->mean;

		squares += from_mean * from_mean;
	}
	p->full_scale = 3.0 * sqrt(squares / (double)cells);
	/* Silence, or what is left of it after rounding. */
	if (!isfinite(p->full_scale) ||
	    p->full_scale < fabs(p->mean) * 1e-6 + 1e-30)
		p->full_scale = 0.0;
}

static png_byte colour_of(double value, double full_scale)
{
	double step = full_scale > 0.0 ? value / full_scale * STEPS : 0.0;

	step = fmax(-STEPS, fmin(STEPS, step));
	return (png_byte)(lround(step) + STEPS);
}

/*
 * The mark that covers pixel (px, py) of the field, or -1. `zoom` pixels are a
 * cell.
 */
static int mark_at(const struct picture *p, uint32_t zoom, double px, double py)
{
	double radius = fmax(5.0, zoom * 0.6);
	double line = fmax(1.5, radius / 4.0);
	double from_source, from_mic;

	from_source = hypot(px - (p->source[0] + 0.5) * zoom,
			    py - (p->source[1] + 0.5) * zoom);
	from_mic = fmax(fabs(px - (p->mic[0] + 0.5) * zoom),
			fabs(py - (p->mic[1] + 0.5) * zoom));
	if (from_source <= radius &&
	    (p->source[2] == p->z || from_source > radius - line))
		return INDEX_SOURCE;
	if (from_mic <= radius &&
	    (p->mic[2] == p->z || from_mic > radius - line))
		return INDEX_MIC;
	return -1;
}

static void draw_field_row(const struct picture *p, uint32_t zoom,
			   uint32_t line, png_byte *row)
{
	/* Row 0 is at the top, where y is largest. */
	uint32_t up = p->height * zoom - 1 - line;
	const float *cells = p->plane + (size_t)(up / zoom) * p->width;
	double py = up + 0.5;
	uint32_t x;

	for (x = 0; x < p->width * zoom; x++) {
		int mark = mark_at(p, zoom, x + 0.5, py);

		row[x] = mark >= 0 ? (png_byte)mark :
				     colour_of((double)cells[x / zoom] -
						       p->mean,
					       p->full_scale);
	}
}

static void draw_strip_row(uint32_t width, uint32_t line, png_byte *row)
{
	uint32_t x;

	memset(row, INDEX_PAPER, width);
	for (x = 0; line >= STRIP_GAP && x < width; x++)
		row[x] = colour_of((x + 0.5) / width * 2.0 - 1.0, 1.0);
}

struct image {
	char *data;
	size_t size, room;
};

static void image_write(png_structp png, png_bytep data, size_t count)
{
	struct image *image = png_get_io_ptr(png);

	if (image->size + count > image->room) {
		size_t room = 2 * (image->size + count);
		char *more = realloc(image->data, room);

		if (!more)
			png_error(png, "not enough memory");
		image->data = more;
		image->room = room;
	}
	memcpy(image->data + image->size, data, count);
	image->size += count;
}

static void image_flush(png_structp png)
{
	(void)png;
}

static void quiet_error(png_structp png, png_const_charp text)
{
	snprintf(png_get_error_ptr(png), 128, "%s", text);
	png_longjmp(png, 1);
}

static void quiet_warning(png_structp png, png_const_charp text)
{
	(void)png;
	(void)text;
}

static void write_rows(png_structp png, const struct picture *p, uint32_t zoom,
		       png_byte *row)
{
	uint32_t line;

	for (line = 0; line < p->height * zoom; line++) {
		draw_field_row(p, zoom, line, row);
		png_write_row(png, row);
	}
	for (line = 0; line < STRIP_GAP + STRIP_HEIGHT; line++) {
		draw_strip_row(p->width * zoom, line, row);
		png_write_row(png, row);
	}
}

static void write_picture(png_structp png, png_infop info,
			  const struct picture *p, uint32_t zoom, png_byte *row)
{
	png_color palette[256];
	char values[2][32];
	char keys[2][16] = { "mean", "full scale" };
	png_text text[2];
	int i;

	make_palette(palette);
	snprintf(values[0], sizeof(values[0]), "%.6g", p->mean);
	snprintf(values[1], sizeof(values[1]), "%.6g", p->full_scale);
	memset(text, 0, sizeof(text));
	for (i = 0; i < 2; i++) {
		text[i].compression = PNG_TEXT_COMPRESSION_NONE;
		text[i].key = keys[i];
		text[i].text = values[i];
	}
	png_set_IHDR(png, info, p->width * zoom,
		     p->height * zoom + STRIP_GAP + STRIP_HEIGHT, 8,
		     PNG_COLOR_TYPE_PALETTE, PNG_INTERLACE_NONE,
		     PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
	png_set_PLTE(png, info, palette, 256);
	png_set_text(png, info, text, 2);
	png_write_info(png, info);
	write_rows(png, p, zoom, row);
	png_write_end(png, info);
}

/* libpng's errors jump back to here, past nothing that changes. */
static bool try_write(png_structp png, png_infop info, const struct picture *p,
		      uint32_t zoom, png_byte *row, struct image *image)
{
	if (setjmp(png_jmpbuf(png)))
		return false;
	png_set_write_fn(png, image, image_write, image_flush);
	write_picture(png, info, p, zoom, row);
	return true;
}

static uint32_t zoom_of(const struct picture *p)
{
	uint32_t across = (TARGET_WIDTH + p->width / 2) / p->width;
	uint32_t down = TARGET_HEIGHT / p->height;

	if (across > down)
		across = down;
	return across ? across : 1;
}

int picture_available(const char *about)
{
	(void)about;
	return TOOL_OK;
}

int picture_encode(struct picture *picture, const char *about, void **data,
		   size_t *bytes)
{
	struct image image = { 0 };
	uint32_t zoom = zoom_of(picture);
	png_byte *row = malloc((size_t)picture->width * zoom);
	char why[128] = "not enough memory";
	png_structp png;
	png_infop info = NULL;
	int code = TOOL_OK;

	measure(picture);
	png = png_create_write_struct(PNG_LIBPNG_VER_STRING, why, quiet_error,
				      quiet_warning);
	if (png)
		info = png_create_info_struct(png);
	if (!row || !info) {
		code = tool_fail(TOOL_FAILED, about,
				 "the picture cannot be made: %s", why);
	} else if (!try_write(png, info, picture, zoom, row, &image)) {
		code = tool_fail(TOOL_FAILED, about,
				 "the picture cannot be made: %s", why);
	}
	png_destroy_write_struct(&png, &info);
	free(row);
	if (code) {
		free(image.data);
		return code;
	}
	*data = image.data;
	*bytes = image.size;
	return TOOL_OK;
}

#else /* !HAVE_PNG */

int picture_available(const char *about)
{
	return tool_fail(TOOL_SKIPPED, about,
			 "this build cannot draw pictures: install libpng-dev "
			 "and build again");
}

int picture_encode(struct picture *picture, const char *about, void **image,
		   size_t *bytes)
{
	(void)picture;
	(void)image;
	(void)bytes;
	return picture_available(about);
}

#endif
