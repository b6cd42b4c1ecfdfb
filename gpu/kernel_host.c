// SPDX-License-Identifier: MIT
/* kernel_host.c - a C file, or a shared object, becomes a kernel of host threads. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <ftw.h>
#include <spawn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dynamic_host.h"
#include "executor.h"

extern char **environ;

/*
 * All that compiling makes is in one folder, $0, the compiler's own files, too.
 * The options about numbers are those of the built-in operations: the same bits.
 */
static const char compile[] =
	"TMPDIR=$0; export TMPDIR\n"
	"case $1 in -*) set -- \"./$1\"; esac\n" /* it is no option */
	"exec ${CC:-cc} -shared -fPIC -std=gnu11 -O3 "
#ifdef __x86_64__
	"-march=native " /* it runs here, and nowhere else */
#endif
	"-ffp-contract=off -fno-math-errno -fno-trapping-math -I \"$0\" "
	"-x c \"$1\" -x none -lm -o \"$0/kernel.so\" "
	"</dev/null >\"$0/log\" 2>&1";

static bool put(const char *folder, const char *name, const char *head,
		const char *text)
{
	char path[512];
	FILE *f;
	bool good;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "we");
	if (!f)
		return false;
	good = fputs(head, f) >= 0 && fputs(text, f) >= 0;
	return !fclose(f) && good;
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	(void)remove(path);
	return 0;
}

/* The compiler's exit code, or -errno: not even started. */
static int run_compiler(const char *folder, const char *source)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)compile,
			 (char *)folder, (char *)source, NULL };
	posix_spawnattr_t attr;
	sigset_t set;
	int status = 0;
	pid_t pid, done;

	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETSIGDEF);
	sigemptyset(&set);
	posix_spawnattr_setsigmask(&attr, &set);
	sigaddset(&set, SIGPIPE);
	sigaddset(&set, SIGCHLD);
	posix_spawnattr_setsigdefault(&attr, &set);
	status = posix_spawn(&pid, "/bin/sh", NULL, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	if (status)
		return -status;
	do {
		done = waitpid(pid, &status, 0);
	} while (done < 0 && errno == EINTR);
	/* The application reaps all children: then the file has to tell. */
	if (done < 0)
		return 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* "" if it cannot be read; cut if it is very long. */
static void read_log(struct pinring_device *device, const char *folder,
		     char *first, size_t size)
{
	char path[512], text[16384];
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/log", folder);
	f = fopen(path, "re");
	if (f) {
		n = fread(text, 1, sizeof(text) - 1, f);
		fclose(f);
	}
	text[n] = '\0';
	pinring_kernel_log(device, text, first, size);
}

static int load_object(struct pinring_executor *ex, const char *path,
		       struct pinring_kernel *k)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	const struct pinring_kernel_abi *abi;
	char symbol[96];
	void *entry;
	int rc;

	if (!handle)
		return pinring_fail(ex->device, -ENOEXEC, "%s: %s", k->name,
				    dlerror());
	snprintf(symbol, sizeof(symbol), "pinring_kernel_abi_%s", k->name);
	abi = dlsym(handle, symbol);
	snprintf(symbol, sizeof(symbol), "pinring_kernel_%s", k->name);
	entry = dlsym(handle, symbol);
	if (!abi || !entry)
		rc = pinring_fail(ex->device, -ENOENT,
				  "%s: there is no PINRING_KERNEL(%s) in it",
				  k->name, k->name);
	else
		rc = pinring_kernel_check(ex->device, k->name, abi);
	if (rc) {
		dlclose(handle);
		return rc;
	}
	k->abi = *abi;
	memcpy(&k->entry, &entry, sizeof(entry));
	k->code = handle;
	return 0;
}

static int build(struct pinring_executor *ex, const char *folder,
		 const struct pinring_kernel_config *c,
		 struct pinring_kernel *k)
{
	char path[512], line[80], first[200];
	int code;

	snprintf(path, sizeof(path), "%s/pinring", folder);
	snprintf(line, sizeof(line), "#line 1 \"%s\"\n", k->name);
	if (mkdir(path, 0700) ||
	    !put(path, "kernel.h", "", pinring_kernel_header) ||
	    (c->text && !put(folder, "kernel.c", line, c->text)))
		return pinring_fail(ex->device, -errno, "%s: %s: %m", k->name,
				    folder);
	snprintf(path, sizeof(path), "%s/kernel.c", folder);
	code = run_compiler(folder, c->path ? c->path : path);
	if (code < 0) {
		errno = -code;
		return pinring_fail(ex->device, code, "%s: %s: %m", k->name,
				    "/bin/sh");
	}
	read_log(ex->device, folder, first, sizeof(first));
	if (code == 127)
		return pinring_fail(ex->device, -EOPNOTSUPP,
				    "%s: there is no C compiler: install gcc, or name one in CC (%s)",
				    k->name, first);
	if (code)
		return pinring_fail(ex->device, -ENOEXEC,
				    "%s: it does not compile: %s", k->name,
				    first);
	snprintf(path, sizeof(path), "%s/kernel.so", folder);
	return load_object(ex, path, k);
}

static int compile_and_load(struct pinring_executor *ex,
			    const struct pinring_kernel_config *c,
			    struct pinring_kernel *k)
{
	const char *tmp = getenv("TMPDIR");
	char folder[256];
	int rc;

	errno = ENAMETOOLONG;
	if (snprintf(folder, sizeof(folder), "%s/pinring-XXXXXX",
		     tmp && tmp[0] ? tmp : "/tmp") >= (int)sizeof(folder) ||
	    !mkdtemp(folder))
		return pinring_fail(ex->device, -errno, "%s: %s: %m", k->name,
				    folder);
	rc = build(ex, folder, c, k);
	/* What is mapped stays. */
	(void)nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	return rc;
}

static bool ends_in(const char *path, const char *end)
{
	const char *last = strrchr(path, '.');

	return last && !strcmp(last, end);
}

int pinring_host_load(struct pinring_executor *ex,
		      const struct pinring_kernel_config *c,
		      struct pinring_kernel *k, uint32_t operation)
{
	char *real;
	int rc;

	(void)operation;
	if (c->path && access(c->path, R_OK))
		return pinring_fail(ex->device, -errno, "%s: %s: %m", k->name,
				    c->path);
	if (c->path && (ends_in(c->path, ".ptx") || ends_in(c->path, ".cubin") ||
			ends_in(c->path, ".fatbin")))
		return pinring_fail(ex->device, -EOPNOTSUPP,
				    "%s: %s: host threads do not run a GPU's code; give the source",
				    k->name, c->path);
	if (!c->path || !ends_in(c->path, ".so")) {
		rc = compile_and_load(ex, c, k);
	} else {
		/* A name without a slash would be looked for elsewhere. */
		real = realpath(c->path, NULL);
		rc = real ? load_object(ex, real, k) :
			    pinring_fail(ex->device, -errno, "%s: %s: %m",
					 k->name, c->path);
		free(real);
	}
	if (!rc)
		pinring_catch_faults();
	return rc;
}

void pinring_host_unload(struct pinring_executor *ex, struct pinring_kernel *k)
{
	(void)ex;
	pinring_let_faults();
	dlclose(k->code);
}
