// SPDX-License-Identifier: MIT
/* Opening a device: its config, its backend and its log. */
#include <kselftest_harness.h>

#include "backend.h"

#include <pinring/pinring.h>

TEST(a_device_config_follows_the_same_rules_as_any_struct)
{
	struct {
		struct pinring_device_config config;
		uint64_t more;
	} newer = { .config = PINRING_INIT(struct pinring_device_config) };
	struct pinring_device *d;

	newer.config.struct_size = 0;
	EXPECT_EQ(-EINVAL, pinring_device_open(&newer.config, &d));
	EXPECT_EQ(NULL, d);
	newer.config.struct_size = sizeof(newer);
	newer.more = 1;
	EXPECT_EQ(-E2BIG, pinring_device_open(&newer.config, &d));
	newer.more = 0;
	ASSERT_EQ(0, pinring_device_open(&newer.config, &d));
	EXPECT_EQ(on_module(d), !*pinring_device_reason(d));
	EXPECT_STRNE("", pinring_version());
	pinring_device_close(d);
}

TEST(a_device_is_of_the_backend_that_was_asked_for)
{
	struct pinring_device_config config = PINRING_INIT(struct pinring_device_config);
	struct pinring_device *d;
	bool module;

	ASSERT_EQ(0, pinring_device_open(NULL, &d));
	module = on_module(d);
	pinring_device_close(d);
	config.backend = PINRING_BACKEND_EMBEDDED;
	ASSERT_EQ(0, pinring_device_open(&config, &d));
	EXPECT_EQ(PINRING_BACKEND_EMBEDDED, pinring_device_backend(d));
	EXPECT_STRNE("", pinring_device_reason(d));
	pinring_device_close(d);
	config.backend = PINRING_BACKEND_MODULE;
	EXPECT_EQ(module ? 0 : -ENODEV, pinring_device_open(&config, &d));
	pinring_device_close(d);
	config.backend = PINRING_BACKEND_MODULE + 1;
	EXPECT_EQ(-EINVAL, pinring_device_open(&config, &d));
	EXPECT_EQ(NULL, d);
}

struct log {
	int lines;
	enum pinring_log_level level;
	char text[256];
};

static void keep_log(void *arg, enum pinring_log_level level, const char *text)
{
	struct log *log = arg;

	log->lines++;
	log->level = level;
	snprintf(log->text, sizeof(log->text), "%s", text);
}

TEST(the_log_gets_the_sentence_of_every_failure_but_not_yet)
{
	struct pinring_device_config config = PINRING_INIT(struct pinring_device_config);
	struct pinring_region_config bad = pinring_region_defaults(0);
	struct pinring_region_config good = pinring_region_defaults(1);
	struct pinring_object_info o;
	struct pinring_region *r;
	struct pinring_device *d;
	struct log log = { 0 };
	int lines;

	config.log = keep_log;
	config.log_arg = &log;
	ASSERT_EQ(0, pinring_device_open(&config, &d));
	EXPECT_EQ(PINRING_LOG_INFO, log.level);
	lines = log.lines;
	EXPECT_EQ(-EINVAL, pinring_region_create(d, &bad, &r));
	EXPECT_EQ(lines + 1, log.lines);
	EXPECT_EQ(PINRING_LOG_ERROR, log.level);
	EXPECT_STREQ(pinring_error(), log.text);
	EXPECT_EQ(NULL, strchr(log.text, '\n'));
	ASSERT_EQ(0, pinring_region_create(d, &good, &r));
	EXPECT_EQ(lines + 1, log.lines);
	EXPECT_EQ(-ENOENT, pinring_object_find(r, "nobody", &o));
	EXPECT_TRUE(strstr(log.text, "nobody") != NULL);
	pinring_region_close(r);
	pinring_device_close(d);
}

TEST_HARNESS_MAIN
