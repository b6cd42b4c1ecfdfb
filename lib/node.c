// SPDX-License-Identifier: MIT
/* node.c - which NUMA node memory goes to, and whether it went there. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

#ifdef HAVE_NUMA
#include <numa.h>
#include <numaif.h>
#endif

/* The node a PCI device hangs on; -1: the platform does not say. */
static int pci_node(struct pinring_device *device, const char *pci, int *node)
{
	char path[96];
	FILE *f;
	int got;

	if (!pci || strlen(pci) > 16 || strspn(pci, "0123456789abcdefABCDEF:.") !=
						 strlen(pci))
		return pinring_fail(device, -EINVAL,
				    "pci: %s is not a PCI address such as 0000:17:00.0",
				    pci ? pci : "(null)");
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/numa_node", pci);
	f = fopen(path, "re");
	if (!f)
		return pinring_fail(device, -EINVAL,
				    "pci: there is no device %s (lspci -D lists them)",
				    pci);
	got = fscanf(f, "%d", node);
	fclose(f);
	if (got != 1)
		*node = -1;
	return 0;
}

/* From config to a node number, or -1 for any, with the reason if not as asked. */
int pinring_node_resolve(struct pinring_device *device,
			 const struct pinring_region_config *config, int *node,
			 char *why, size_t why_size)
{
	unsigned int cpu, here;
	int rc;

	*node = config->node;
	if (config->node == PINRING_NODE_ANY)
		return 0;
	if (config->node < PINRING_NODE_PCI)
		return pinring_fail(device, -EINVAL,
				    "node: %d is neither a node nor PINRING_NODE_*",
				    config->node);
	if (config->node == PINRING_NODE_LOCAL) {
		/* Through syscall: glibc 2.28 has no getcpu wrapper. */
		if (syscall(SYS_getcpu, &cpu, &here, NULL))
			return pinring_fail(device, -errno, "getcpu: %m");
		*node = (int)here;
	}
	if (config->node == PINRING_NODE_PCI) {
		rc = pci_node(device, config->pci, node);
		if (rc)
			return rc;
		if (*node < 0) {
			*node = -1;
			snprintf(why, why_size,
				 "the platform does not say which node %s is on",
				 config->pci);
			return 0;
		}
	}
#ifdef HAVE_NUMA
	if (numa_available() < 0)
		return pinring_fail(device, -EOPNOTSUPP,
				    "node: this kernel has no NUMA support; ask for PINRING_NODE_ANY");
	if (*node > numa_max_node() ||
	    !numa_bitmask_isbitset(numa_all_nodes_ptr, (unsigned int)*node))
		return pinring_fail(device, -EINVAL,
				    "node: there is no memory node %d (highest: %d)",
				    *node, numa_max_node());
	return 0;
#else
	return pinring_fail(device, -EOPNOTSUPP,
			    "node: this libpinring was built without libnuma (install libnuma-dev and rebuild)");
#endif
}

/* Before first touch. */
int pinring_node_bind(struct pinring_device *device, void *base, uint64_t size,
		      int node, bool strict, char *why, size_t why_size)
{
#ifdef HAVE_NUMA
	unsigned long mask[16] = { 0 };
	const unsigned int bits = 8 * sizeof(mask[0]);

	if ((unsigned int)node >= sizeof(mask) * 8)
		return pinring_fail(device, -EINVAL, "node: %d is too large",
				    node);
	mask[(unsigned int)node / bits] |= 1ul << ((unsigned int)node % bits);
	if (mbind(base, size, strict ? MPOL_BIND : MPOL_PREFERRED, mask,
		  sizeof(mask) * 8, 0) == 0)
		return 0;
	if (strict)
		return pinring_fail(device, -errno,
				    "cannot bind %llu bytes to node %d: %m",
				    (unsigned long long)size, node);
	snprintf(why, why_size, "node %d was not to be had: mbind: %m", node);
	return 0;
#else
	(void)base;
	(void)size;
	(void)strict;
	(void)why;
	(void)why_size;
	return pinring_fail(device, -EOPNOTSUPP,
			    "node %d: built without libnuma", node);
#endif
}

/* The node the page at `address` is on, or -1. The page must be touched. */
int pinring_node_of(const void *address)
{
#ifdef HAVE_NUMA
	int node;

	if (get_mempolicy(&node, NULL, 0, (void *)(uintptr_t)address,
			  MPOL_F_NODE | MPOL_F_ADDR) == 0)
		return node;
#else
	(void)address;
#endif
	return -1;
}
