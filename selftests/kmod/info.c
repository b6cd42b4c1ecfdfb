// SPDX-License-Identifier: MIT
/* info.c - what pinring info tells of the module's regions. */
#include "names.h"

#include <kselftest_harness.h>

/* What a command prints, zero-ended. */
static const char *output(const char *command)
{
	static char text[65536];
	FILE *pipe = popen(command, "r");
	size_t n = 0;

	if (pipe) {
		n = fread(text, 1, sizeof(text) - 1, pipe);
		pclose(pipe);
	}
	text[n] = '\0';
	return text;
}

FIXTURE(info) {
	int device, fd;
	unsigned long long id;
};

FIXTURE_SETUP(info)
{
	struct pinring_ioc_region_create c = ARG(pinring_ioc_region_create);
	struct pinring_ioc_region_info i = ARG(pinring_ioc_region_info);

	self->device = device_open();
	ASSERT_GE(self->device, 0);
	ASSERT_TRUE(regions_left(0));
	c.size = 2 * HUGE;
	c.node = 1;
	c.mode = 0640;
	strcpy(c.name, "fr\x9b" "ames");
	self->fd = create(&c);
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, call(self->fd, PINRING_IOC_REGION_INFO, &i));
	self->id = i.id;
}

FIXTURE_TEARDOWN(info)
{
	close(self->fd);
	close(self->device);
}

TEST_F(info, lists_regions_to_people)
{
	int event = eventfd(0, 0), bell = doorbell(self->fd, 0, event, 0);
	int nameless = publish(self->device, "", 0);
	char lines[128];
	const char *text;

	ASSERT_GE(bell, 0);
	ASSERT_GE(nameless, 0);
	text = output("pinring info | tr -s ' '");
	snprintf(lines, sizeof(lines),
		 "\nregion owner mode size huge node bells name\n"
		 "%llu 0 0640 4 MiB 100%% 1 1 fr?ames\n", self->id);
	EXPECT_NE(NULL, strstr(text, lines)) {
		TH_LOG("%s\n%s", lines, text);
	}
	EXPECT_NE(NULL, strstr(text, " 0 - 4 KiB 0% "));
	close(nameless);
	close(bell);
	close(event);
}

TEST_F(info, lists_regions_to_programs)
{
	const char *text = output("pinring info --json | tr -d ' \\n'");
	char object[256];

	snprintf(object, sizeof(object),
		 "\"regions\":[{\"id\":%llu,\"name\":\"fr?ames\",\"owner\":0,\"group\":0,\"mode\":416,"
		 "\"bytes\":4194304,\"huge_bytes\":4194304,\"node\":1,\"node_bytes\":4194304,"
		 "\"doorbells\":0}]", self->id);
	EXPECT_NE(NULL, strstr(text, object)) {
		TH_LOG("%s\n%s", object, text);
	}
}

TEST_F(info, lists_none_where_there_is_none)
{
	close(self->fd);
	ASSERT_TRUE(regions_left(0));
	EXPECT_EQ(NULL, strstr(output("pinring info"), "\nregion"));
	EXPECT_NE(NULL, strstr(output("pinring info --json | tr -d ' \\n'"), "\"regions\":[]"));
	self->fd = region(1);
}

TEST_HARNESS_MAIN
