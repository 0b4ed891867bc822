// SPDX-License-Identifier: GPL-2.0-only
/*
 * play WORD...: does to the store what its arguments say, and prints what came of each.
 *
 *	insert KEY VALUE	a key is a word; a value is a character and how often: x3000
 *	delete KEY
 *	search KEY		prints the return value, and of a value that was found its first character and how often
 *				it stands there
 */
#include "nolibc.h"
#include "kvs_calls.h"

#define LONGEST 65536UL

static char buffer[LONGEST + 64];

static void say(const char *what, long ret)
{
	put(1, what);
	put(1, ret < 0 ? " -" : " ");
	put_number(1, ret < 0 ? -ret : ret, 10);
}

static void insert(const char *key, const char *value)
{
	unsigned long length = number_of(value + 1);

	if (length > LONGEST)
		leave(2);
	memset(buffer, value[0], length);
	say("insert", kvs_insert(key, length_of(key), buffer, length));
}

static void search(const char *key)
{
	char found[2] = {};
	unsigned long same_bytes = 0;
	long ret;

	memset(buffer, FILL, sizeof(buffer));
	ret = kvs_search(key, length_of(key), buffer, LONGEST);
	say("search", ret);
	if (ret != 1)
		return;
	found[0] = buffer[0];
	while (same_bytes < sizeof(buffer) && buffer[same_bytes] == buffer[0])
		same_bytes++;
	put(1, " ");
	/* What a kernel has left there may be anything. */
	put(1, found[0] >= 'a' && found[0] <= 'z' ? found : "?");
	put_number(1, same_bytes, 10);
}

int main(int argc, char **argv)
{
	int i = 1;

	while (i + 1 < argc) {
		if (same(argv[i], "insert") && i + 2 < argc) {
			insert(argv[i + 1], argv[i + 2]);
			i += 3;
		} else if (same(argv[i], "search")) {
			search(argv[i + 1]);
			i += 2;
		} else if (same(argv[i], "delete")) {
			say("delete", kvs_delete(argv[i + 1], length_of(argv[i + 1])));
			i += 2;
		} else {
			break;
		}
		put(1, "\n");
	}
	return i < argc ? 2 : 0;
}
