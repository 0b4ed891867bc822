/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What scenarios need to look at the system calls. Include nolibc.h and ktap.h before it.
 *
 * A mistake is to be one violated requirement. So what a call returns is demanded by few scenarios: to all others an
 * insertion or a deletion is done if it does not fail, and a value is found if it is in the buffer and kvs_search has
 * not failed. What a scenario needs and is not about is looked at first, under its own requirement (need_basics()).
 */
#ifndef KVS_H
#define KVS_H

#include "kvs_calls.h"

/* For keys and values that are words, without their zero byte */
#define insert_word(key, val) kvs_insert(key, length_of(key), val, length_of(val))
#define delete_word(key) kvs_delete(key, length_of(key))

/* How many bytes of a buffer that was filled are neither that nor zero: only the kernel can have put them there. */
static UNUSED unsigned int foreign(const char *buffer, unsigned long length)
{
	unsigned int count = 0;

	while (length--)
		count += buffer[length] && buffer[length] != FILL;
	return count;
}

static char kvs_buffer[65536 + 64];

/* Whether an insertion or a deletion has not failed. */
static UNUSED int kvs_done(long ret)
{
	return ret >= 0 || ktap_returned(ret, 0);
}

/* Whether a search finds exactly this value, in a buffer of `room` bytes. */
static UNUSED int kvs_is(const void *key, unsigned long keylen, const void *val, unsigned long vallen,
			 unsigned long room)
{
	long ret;

	memset(kvs_buffer, FILL, room);
	ret = kvs_search(key, keylen, kvs_buffer, room);
	return (ret >= 0 || ktap_returned(ret, 1)) && ktap_same_bytes(kvs_buffer, val, vallen);
}

/* Whether a search finds nothing. */
static UNUSED int kvs_none(const void *key, unsigned long keylen)
{
	long ret;

	memset(kvs_buffer, FILL, 64);
	ret = kvs_search(key, keylen, kvs_buffer, sizeof(kvs_buffer));
	return (ret <= 0 || ktap_returned(ret, 0)) && !foreign(kvs_buffer, 64);
}

/* A value, up to 64 KiB, in a buffer that is larger; all these take requirements and a text behind what they see. */
#define EXPECT_VALUE(key, keylen, val, vallen, ...)                                                                    \
	EXPECT(kvs_is(key, keylen, val, vallen, (vallen) + 16), __VA_ARGS__)
#define EXPECT_WORD(key, val, ...) EXPECT_VALUE(key, length_of(key), val, length_of(val), __VA_ARGS__)
#define EXPECT_NONE(key, keylen, ...) EXPECT(kvs_none(key, keylen), __VA_ARGS__)
#define EXPECT_DONE(call, ...) EXPECT(kvs_done(call), __VA_ARGS__)
#define NEED_VALUE(key, keylen, val, vallen, ...) NEED(kvs_is(key, keylen, val, vallen, (vallen) + 16), __VA_ARGS__)
#define NEED_NONE(key, keylen, ...) NEED(kvs_none(key, keylen), __VA_ARGS__)
#define NEED_INSERT(key, keylen, val, vallen)                                                                          \
	NEED(kvs_done(kvs_insert(key, keylen, val, vallen)), "3.1-2", "kvs_insert")
#define NEED_WORD(key, val) NEED_INSERT(key, length_of(key), val, length_of(val))
#define NEED_DELETE(key, keylen) NEED(kvs_done(kvs_delete(key, keylen)), "3.3-2", "kvs_delete")

/*
 * A call that must fail. That it does is one requirement, with which number another one (L1): a wrong number is no
 * other mistake.
 */
#define EXPECT_FAILURE(call, ids, ...)                                                                                 \
	do {                                                                                                           \
		long kvs_ret = (call);                                                                                 \
                                                                                                                       \
		if (kvs_ret >= 0)                                                                                      \
			NOTE("got %d, expected a failure", (int)kvs_ret);                                              \
		EXPECT(kvs_ret < 0, ids, __VA_ARGS__);                                                                 \
		if (kvs_ret < 0)                                                                                       \
			EXPECT_RET(kvs_ret, -1, "L1", "and is -1");                                                    \
	} while (0)

/* The calls do what they are there for: where they do not, others of their scenarios say so. */
static UNUSED void need_basics(void)
{
	NEED_WORD("probe", "first");
	NEED_VALUE("probe", 5, "first", 5, "3.1-1", "what was inserted is found");
	NEED_DELETE("probe", 5);
	NEED_NONE("probe", 5, "3.3-1", "what was deleted is not found");
	NEED_WORD("probe", "first");
	NEED_WORD("probe", "second");
	NEED_VALUE("probe", 5, "second", 6, "3.1-3", "what has replaced another value is found");
	NEED_DELETE("probe", 5);
	NEED_NONE("probe", 5, "3.1-3", "what was replaced is not found after kvs_delete");
}

/* A line of /proc/meminfo, in KiB. */
static UNUSED long meminfo(const char *key)
{
	static char text[4096];
	long value = 0, fd = sys3(NR_open, "/proc/meminfo", O_RDONLY, 0);
	long count = sys3(NR_read, fd, text, sizeof(text) - 1);
	unsigned long i;
	char *at;

	sys1(NR_close, fd);
	if (count < 0)
		die("/proc/meminfo", count);
	text[count] = '\0';
	for (at = text; *at; at++) {
		for (i = 0; key[i] && at[i] == key[i]; i++)
			;
		if (!key[i])
			break;
	}
	for (; *at && (*at < '0' || *at > '9'); at++)
		;
	for (; *at >= '0' && *at <= '9'; at++)
		value = value * 10 + (*at - '0');
	return value;
}

static UNUSED void pause_ms(long milliseconds)
{
	long time[2] = { milliseconds / 1000, milliseconds % 1000 * 1000000 };

	sys2(NR_nanosleep, time, 0);
}

/*
 * By how many KiB a line of /proc/meminfo has grown since it was `before`, or as soon as that is little enough: some of
 * what a kernel frees it frees late.
 */
static UNUSED long grown(const char *line, long before, long enough)
{
	long growth, waits = 20;

	while ((growth = meminfo(line) - before) > enough && waits--)
		pause_ms(100);
	if (growth > enough)
		NOTE("%s %d KiB more, at most %d expected", line, (int)growth, (int)enough);
	return growth;
}

#endif
