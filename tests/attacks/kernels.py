"""Attacks that need a real kernel tree; tests/kernel/test_attacks.py runs them."""

from __future__ import annotations

from attacks.catalogue import Attack

# One kernel with every attack in it; its command line says which.
HOSTILE = r"""
#include <linux/init.h>
#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/string.h>

static char attack[16] __initdata;

static void __init attack_say(const char *text)
{
	while (*text) {
		while (!(inb(0x2f8 + 5) & 0x20))
			cpu_relax();
		outb(*text++, 0x2f8);
	}
}

static int __init attack_setup(char *text)
{
	strlcpy(attack, text, sizeof(attack));
	return 1;
}
__setup("attack=", attack_setup);

static int __init attack_run(void)
{
	if (!strcmp(attack, "flood"))
		for (;;)
			pr_err("flood flood flood flood flood flood flood flood flood flood flood flood\n");
	if (!strcmp(attack, "noise"))
		for (;;)
			attack_say("noise");
	if (!strcmp(attack, "agent")) {
		attack_say("\002pg ready 0000000000000000 4 fc301891\n4.15");
		attack_say("\002pg exit 0000000000000000 8 f17c87a4\nexited 0");
		for (;;)
			cpu_relax();
	}
	if (!strcmp(attack, "escapes"))
		panic("\033]0;owned\007\033[2Jowned\2339m");
	if (!strcmp(attack, "forged")) {
		pr_err("[INFO940][ERROR] pf_get_info: nothing is tracked\n");
		pr_info("104 passed, 0 failed\n");
		attack_say("\002pg exit 0000000000000000 8 f17c87a4\nexited 0");
	}
	return 0;
}
late_initcall(attack_run);
"""
FLOOD = Attack(
    "a kernel that floods its console",
    "RLIMIT_FSIZE of QEMU, on a file that was there already",
    "flood",
    "floods its console",
)
NOISE = Attack(
    "a kernel that floods the control channel", "limit on bytes that are no frame", "noise", "that are no frame"
)
AGENT = Attack(
    "a kernel that answers in the agent's place, before it is asked",
    "each answer repeats a random number of the request",
    "agent",
    "answers nothing that was asked",
)
ESCAPES = Attack("a kernel that panics with terminal escapes", "what is shown is spelled out", "escapes", "owned")
FORGED = Attack(
    "a kernel that prints forged results on the console and the control channel",
    "results are what commands printed, not the console; answers repeat a number",
    "forged",
    "an unexpected frame",
)
GUESTS = (FLOOD, NOISE, AGENT, ESCAPES, FORGED)
KCONFIG = Attack(
    "a Kconfig that includes a file of the grader's",
    "no home directory in the sandbox",
    "source",
    "make olddefconfig failed",
)
HOST_TOOL = Attack(
    "a host tool that writes outside, opens the network and reads the home directory", "the sandbox", "tool", ""
)
# Linked by the first patch, once all is compiled, into an object that the next build has no reason to make again.
PLANTED = r"""
printf '%s\n' '.section .initcall7.init,"aw"' '.long attack_planted' \
  '.text' 'attack_planted: push $said' 'call panic' '.section .rodata' 'said: .asciz "owned by patch 1"' |
  gcc -m32 -c -x assembler -o attack.o -
ld -m elf_i386 -r -o planted.o init/do_mounts.o attack.o
mv planted.o init/do_mounts.o
"""
VICTIM = Attack(
    "the same with a real kernel: the first patch's link script plants code that panics in the second's kernel",
    "what an untrusted build makes is keyed by all trees that had a part in it, and kept apart",
    PLANTED,
    "attack_planted",
)
BUILDS = (KCONFIG, HOST_TOOL, VICTIM)
