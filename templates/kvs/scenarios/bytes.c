// SPDX-License-Identifier: GPL-2.0-only
/* Keys and values are bytes with a length, and not strings. */
#include "nolibc.h"
#include "ktap.h"
#include "kvs.h"

SCENARIO(zero_bytes_in_keys, "L2", "Keys that differ behind a zero byte are different keys")
{
	need_basics();
	NEED_INSERT("a\0b", 3, "first", 5);
	NEED_INSERT("a\0c", 3, "second", 6);
	EXPECT_VALUE("a\0b", 3, "first", 5, "L2", "the value of the first key");
	EXPECT_VALUE("a\0c", 3, "second", 6, "L2", "the value of the second key");
	EXPECT_NONE("a\0d", 3, "L2", "a search for a third one");
	NEED_DELETE("a\0c", 3);
	EXPECT_VALUE("a\0b", 3, "first", 5, "L2", "the value of the first key after the second was deleted");
}

SCENARIO(keys_of_zero_bytes, "L2", "Keys of one, two and three zero bytes are three keys")
{
	NEED_INSERT("\0", 1, "one", 3);
	NEED_INSERT("\0\0", 2, "two", 3);
	NEED_INSERT("\0\0\0", 3, "three", 5);
	EXPECT_VALUE("\0", 1, "one", 3, "L2", "the value of the first key");
	EXPECT_VALUE("\0\0", 2, "two", 3, "L2", "the value of the second key");
	EXPECT_VALUE("\0\0\0", 3, "three", 5, "L2", "the value of the third key");
}

SCENARIO(zero_bytes_in_values, "L2", "A value with zero bytes in it is found whole")
{
	static const char val[] = "\0one\0two\0\0";

	NEED_INSERT("key", 3, val, sizeof(val));
	EXPECT_VALUE("key", 3, val, sizeof(val), "L2", "the value");
}

SCENARIO(nothing_behind_is_read, "L2", "A key and a value may end where mapped memory ends: nothing behind is read")
{
	char *key = edge() - 3, *val = edge() - 5;

	need_basics();
	memcpy(key, "key", 3);
	memcpy(val, "value", 5);
	EXPECT_DONE(kvs_insert(key, 3, val, 5), "L2", "kvs_insert");
	EXPECT_WORD("key", "value", "L2", "the value");
	EXPECT_VALUE(key, 3, "value", 5, "L2", "kvs_search with the same key");
	EXPECT_DONE(kvs_delete(key, 3), "L2", "kvs_delete");
	EXPECT_NONE("key", 3, "L2", "a search after it");
}

SCENARIO(only_the_length_counts, "L2", "Of a longer text only keylen and vallen bytes are taken")
{
	NEED_INSERT("key and more", 3, "value and more", 5);
	EXPECT_WORD("key", "value", "L2", "the value of the short key");
	EXPECT_NONE("key and more", 12, "L2", "a search for the long one");
	EXPECT_VALUE("keynote", 3, "value", 5, "L2", "a search with another text behind the key");
}

SCENARIO(keys_that_begin_alike, "L2", "A key that is the beginning of another is a key of its own")
{
	static const char text[] = "abcdefgh";
	unsigned long i;
	unsigned int wrong = 0;

	need_basics();
	/* From the middle to both ends, so that shorter and longer ones are there when one comes. */
	for (i = 4; i >= 1; i--)
		wrong += !kvs_done(kvs_insert(text, i, text + i - 1, 1));
	for (i = 5; i <= 8; i++)
		wrong += !kvs_done(kvs_insert(text, i, text + i - 1, 1));
	for (i = 1; i <= 8; i++)
		wrong += !kvs_is(text, i, text + i - 1, 1, 4);
	EXPECT_EQ(wrong, 0, "L2", "keys that do not have their own value");
	NEED_DELETE(text, 4);
	for (i = 1; i <= 8; i++)
		wrong += i == 4 ? !kvs_none(text, i) : !kvs_is(text, i, text + i - 1, 1, 4);
	EXPECT_EQ(wrong, 0, "L2", "keys that are not as they were, when one is deleted");
}

SCENARIO(keys_that_differ_in_one_byte, "L2", "Keys of 5,000 bytes are different if any of their bytes is")
{
	static const unsigned int places[] = { 0, 1, 31, 32, 255, 256, 1023, 4095, 4096, 4999 };
	static char key[5000];
	unsigned int i, failed = 0, wrong = 0;
	char val[8];

	fill(key, sizeof(key), 1);
	NEED_INSERT(key, sizeof(key), "as it is", 8);
	for (i = 0; i < 10; i++) {
		key[places[i]] ^= 2;
		fill(val, sizeof(val), i);
		wrong += !kvs_none(key, sizeof(key));
		failed += !kvs_done(kvs_insert(key, sizeof(key), val, sizeof(val)));
		key[places[i]] ^= 2;
	}
	NEED_EQ(failed, 0, "3.1-2", "insertions that fail");
	EXPECT_EQ(wrong, 0, "L2", "keys that are found before they are inserted");
	EXPECT_VALUE(key, sizeof(key), "as it is", 8, "L2", "the value of the first key");
	for (i = 0; i < 10; i++) {
		key[places[i]] ^= 2;
		fill(val, sizeof(val), i);
		wrong += !kvs_is(key, sizeof(key), val, sizeof(val), 16);
		key[places[i]] ^= 2;
	}
	EXPECT_EQ(wrong, 0, "L2", "keys that do not have their own value");
}

SCENARIO(every_byte, "L2", "Each of the 256 bytes can be a key, and a value")
{
	unsigned int i, failed = 0, wrong = 0;
	unsigned char key, val;

	NEED_WORD("key", "value");
	for (i = 0; i < 256; i++) {
		key = (unsigned char)i;
		val = (unsigned char)(255 - i);
		failed += !kvs_done(kvs_insert(&key, 1, &val, 1));
	}
	NEED_EQ(failed, 0, "L2", "insertions that fail");
	for (i = 0; i < 256; i++) {
		key = (unsigned char)i;
		val = (unsigned char)(255 - i);
		wrong += !kvs_is(&key, 1, &val, 1, 2);
	}
	EXPECT_EQ(wrong, 0, "L2", "bytes that do not have their value");
}
