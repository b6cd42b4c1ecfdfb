// SPDX-License-Identifier: MIT
/*
 * rdma.c - a region as memory that a NIC reads and writes: soft-RoCE on the
 * loopback interface, two queue pairs that are connected to each other.
 */
#include "dmabuf.h"

#define RDMA_STATIC_PROVIDERS rxe

#include <infiniband/verbs.h>
#include <kselftest_harness.h>
#include <linux/netlink.h>
#include <rdma/rdma_netlink.h>

#define SIZE (2 * HUGE)
#define DEVICE "pinring0"
#define ACCESS (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | \
		IBV_ACCESS_REMOTE_READ)

/* --------------------------------------------------------------- the device */

static void put_text(struct nlmsghdr *n, unsigned short type, const char *text)
{
	struct nlattr *a = (struct nlattr *)((char *)n + NLMSG_ALIGN(n->nlmsg_len));

	a->nla_type = type;
	a->nla_len = (unsigned short)(NLA_HDRLEN + strlen(text) + 1);
	memcpy((char *)a + NLA_HDRLEN, text, strlen(text) + 1);
	n->nlmsg_len = NLMSG_ALIGN(n->nlmsg_len) + NLA_ALIGN(a->nla_len);
}

/* As `rdma link add DEVICE type rxe netdev lo` does. 0 or -errno. */
static int add_device(void)
{
	_Alignas(struct nlmsghdr) char buffer[512] = "";
	struct nlmsghdr *n = (struct nlmsghdr *)buffer;
	int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_RDMA), rc = -EIO;

	if (s < 0)
		return -errno;
	n->nlmsg_len = NLMSG_LENGTH(0);
	n->nlmsg_type = RDMA_NL_GET_TYPE(RDMA_NL_NLDEV, RDMA_NLDEV_CMD_NEWLINK);
	n->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	put_text(n, RDMA_NLDEV_ATTR_DEV_NAME, DEVICE);
	put_text(n, RDMA_NLDEV_ATTR_LINK_TYPE, "rxe");
	put_text(n, RDMA_NLDEV_ATTR_NDEV_NAME, "lo");
	if (send(s, buffer, n->nlmsg_len, 0) < 0 || recv(s, buffer, sizeof(buffer), 0) < 0)
		rc = -errno;
	else if (n->nlmsg_type == NLMSG_ERROR)
		rc = ((struct nlmsgerr *)NLMSG_DATA(n))->error;
	close(s);
	return rc;
}

static struct ibv_context *open_device(void)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct ibv_context *context = NULL;

	for (size_t i = 0; list && list[i]; i++)
		if (!strcmp(ibv_get_device_name(list[i]), DEVICE))
			context = ibv_open_device(list[i]);
	if (list)
		ibv_free_device_list(list);
	return context;
}

/* Of 127.0.0.1, or -1. */
static int find_gid(struct ibv_context *context, union ibv_gid *gid)
{
	static const unsigned char local[16] = {
		[10] = 0xff, 0xff, 127, 0, 0, 1
	};

	for (int i = 0; i < 16; i++)
		if (!ibv_query_gid(context, 1, i, gid) && !memcmp(gid, local, 16))
			return i;
	return -1;
}

FIXTURE(rdma) {
	struct ibv_context *context;
	struct ibv_pd *pd;
	struct ibv_cq *cq;
	struct ibv_qp *qp[2]; /* connected to each other */
	int users;
};

static struct ibv_qp *qp_new(FIXTURE_DATA(rdma) *self)
{
	struct ibv_qp_init_attr init = {
		.send_cq = self->cq,
		.recv_cq = self->cq,
		.cap = { 4, 4, 1, 1, 0 },
		.qp_type = IBV_QPT_RC,
	};

	return ibv_create_qp(self->pd, &init);
}

static int qp_connect(struct ibv_qp *qp, uint32_t to, union ibv_gid gid, int index)
{
	struct ibv_qp_attr a = {
		.qp_state = IBV_QPS_INIT,
		.port_num = 1,
		.qp_access_flags = ACCESS,
	};
	int rc;

	rc = ibv_modify_qp(qp, &a, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
			   IBV_QP_ACCESS_FLAGS);
	if (rc)
		return rc;
	a = (struct ibv_qp_attr){
		.qp_state = IBV_QPS_RTR,
		.path_mtu = IBV_MTU_1024,
		.dest_qp_num = to,
		.max_dest_rd_atomic = 1,
		.min_rnr_timer = 1,
		.ah_attr = {
			.is_global = 1,
			.port_num = 1,
			.grh = { .dgid = gid, .sgid_index = (uint8_t)index, .hop_limit = 1 },
		},
	};
	rc = ibv_modify_qp(qp, &a, IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU |
			   IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
			   IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER);
	if (rc)
		return rc;
	a = (struct ibv_qp_attr){
		.qp_state = IBV_QPS_RTS,
		.timeout = 20,
		.retry_cnt = 7,
		.rnr_retry = 7,
		.max_rd_atomic = 1,
	};
	return ibv_modify_qp(qp, &a, IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT |
			     IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
			     IBV_QP_MAX_QP_RD_ATOMIC);
}

FIXTURE_SETUP(rdma)
{
	union ibv_gid gid;
	int rc = add_device(), index;

	if (rc == -EPROTONOSUPPORT) {
		SKIP(return, "the kernel has no RDMA");
	}
	ASSERT_TRUE(rc == 0 || rc == -EEXIST) {
		TH_LOG("no soft-RoCE device: %s", strerror(-rc));
	}
	self->users = module_users();
	self->context = open_device();
	ASSERT_NE(NULL, self->context);
	index = find_gid(self->context, &gid);
	ASSERT_GE(index, 0);
	self->pd = ibv_alloc_pd(self->context);
	ASSERT_NE(NULL, self->pd);
	self->cq = ibv_create_cq(self->context, 16, NULL, NULL, 0);
	ASSERT_NE(NULL, self->cq);
	for (int i = 0; i < 2; i++) {
		self->qp[i] = qp_new(self);
		ASSERT_NE(NULL, self->qp[i]);
	}
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, qp_connect(self->qp[i], self->qp[!i]->qp_num, gid, index));
	}
}

FIXTURE_TEARDOWN(rdma)
{
	EXPECT_EQ(0, ibv_destroy_qp(self->qp[0]));
	EXPECT_EQ(0, ibv_destroy_qp(self->qp[1]));
	EXPECT_EQ(0, ibv_destroy_cq(self->cq));
	EXPECT_EQ(0, ibv_dealloc_pd(self->pd));
	EXPECT_EQ(0, ibv_close_device(self->context));
	EXPECT_TRUE(released(self->users));
}

/* --------------------------------------------------------------- operations */

/* The status of the next work that is done. */
static enum ibv_wc_status done(FIXTURE_DATA(rdma) *self)
{
	struct ibv_wc wc;
	int n;

	while (!(n = ibv_poll_cq(self->cq, 1, &wc)))
		sched_yield();
	return n < 0 ? IBV_WC_GENERAL_ERR : wc.status;
}

static int post(struct ibv_qp *qp, enum ibv_wr_opcode opcode, void *p, uint64_t size,
		const struct ibv_mr *from, void *remote, const struct ibv_mr *to)
{
	struct ibv_sge sge = { (uintptr_t)p, (uint32_t)size, from->lkey };
	struct ibv_send_wr wr = {
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = opcode,
		.send_flags = IBV_SEND_SIGNALED,
	}, *bad;

	if (to) {
		wr.wr.rdma.remote_addr = (uintptr_t)remote;
		wr.wr.rdma.rkey = to->rkey;
	}
	return ibv_post_send(qp, &wr, &bad);
}

static int post_receive(struct ibv_qp *qp, void *p, uint64_t size,
			const struct ibv_mr *mr)
{
	struct ibv_sge sge = { (uintptr_t)p, (uint32_t)size, mr->lkey };
	struct ibv_recv_wr wr = { .sg_list = &sge, .num_sge = 1 }, *bad;

	return ibv_post_recv(qp, &wr, &bad);
}

/* -------------------------------------------------------------------- tests */

static void exchange(struct __test_metadata *_metadata, FIXTURE_DATA(rdma) *self,
		     unsigned char *p, unsigned char *q, uint64_t size)
{
	struct ibv_mr *a = ibv_reg_mr(self->pd, p, size, ACCESS);
	struct ibv_mr *b = ibv_reg_mr(self->pd, q, size, ACCESS);

	ASSERT_NE(NULL, a);
	ASSERT_NE(NULL, b);
	stamp(p, size);
	ASSERT_EQ(0, post(self->qp[0], IBV_WR_RDMA_WRITE, p, size, a, q, b));
	ASSERT_EQ(IBV_WC_SUCCESS, done(self));
	EXPECT_TRUE(stamped(q, size, 0));
	memset(p, 0, size);
	ASSERT_EQ(0, post(self->qp[0], IBV_WR_RDMA_READ, p, size, a, q, b));
	ASSERT_EQ(IBV_WC_SUCCESS, done(self));
	EXPECT_TRUE(stamped(p, size, 0));
	EXPECT_EQ(0, ibv_dereg_mr(a));
	EXPECT_EQ(0, ibv_dereg_mr(b));
}

TEST_F(rdma, writes_and_reads_a_region)
{
	int fd = region(2 * SIZE);
	unsigned char *p = map(fd, 2 * SIZE);

	ASSERT_NE(NULL, p);
	exchange(_metadata, self, p, p + SIZE, SIZE);
	munmap(p, 2 * SIZE);
	close(fd);
}

TEST_F(rdma, writes_and_reads_a_region_of_small_pages)
{
	const uint64_t size = 100 * SMALL;
	int fd = region_on(PINRING_IOC_NODE_LOCAL, 2 * size, PINRING_IOC_SMALL_PAGES);
	unsigned char *p = map(fd, 2 * size);

	ASSERT_NE(NULL, p);
	exchange(_metadata, self, p, p + size, size);
	munmap(p, 2 * size);
	close(fd);
}

TEST_F(rdma, sends_from_a_region_and_receives_in_one)
{
	int fd = region(2 * SIZE);
	unsigned char *p = map(fd, 2 * SIZE);
	struct ibv_mr *mr = ibv_reg_mr(self->pd, p, 2 * SIZE, IBV_ACCESS_LOCAL_WRITE);

	ASSERT_NE(NULL, mr);
	stamp(p, SIZE);
	ASSERT_EQ(0, post_receive(self->qp[1], p + SIZE + 128, HUGE, mr));
	ASSERT_EQ(0, post(self->qp[0], IBV_WR_SEND, p + 64, HUGE, mr, NULL, NULL));
	ASSERT_EQ(IBV_WC_SUCCESS, done(self));
	ASSERT_EQ(IBV_WC_SUCCESS, done(self));
	EXPECT_TRUE(stamped(p + SIZE + 128, HUGE, 64));
	EXPECT_EQ(0, ibv_dereg_mr(mr));
	munmap(p, 2 * SIZE);
	close(fd);
}

/* A page that is registered stays, and goes to nobody else. */
TEST_F(rdma, what_is_registered_outlives_its_region)
{
	int fd = region(SIZE), other = region(SIZE);
	unsigned char *p = map(fd, SIZE), *q = map(other, SIZE);
	struct ibv_mr *a = ibv_reg_mr(self->pd, p, SIZE, ACCESS);
	struct ibv_mr *b = ibv_reg_mr(self->pd, q, SIZE, ACCESS);

	ASSERT_NE(NULL, a);
	ASSERT_NE(NULL, b);
	stamp(p, SIZE);
	munmap(p, SIZE);
	close(fd);
	for (int i = 0; i < 8; i++) {
		int next = region(8 * HUGE);
		unsigned char *r = map(next, 8 * HUGE);

		ASSERT_NE(NULL, r);
		memset(r, 0xee, 8 * HUGE);
		munmap(r, 8 * HUGE);
		close(next);
	}
	ASSERT_EQ(0, post(self->qp[0], IBV_WR_RDMA_READ, q, SIZE, b, p, a));
	ASSERT_EQ(IBV_WC_SUCCESS, done(self));
	EXPECT_TRUE(stamped(q, SIZE, 0));
	EXPECT_EQ(0, ibv_dereg_mr(a));
	EXPECT_EQ(0, ibv_dereg_mr(b));
	munmap(q, SIZE);
	close(other);
}

TEST_F(rdma, does_not_write_into_a_read_only_mapping)
{
	int fd = region(2 * SIZE), ro = readonly(fd);
	unsigned char *p = map(fd, 2 * SIZE), *q = map_at(ro, SIZE, PROT_READ, 0);
	struct ibv_mr *a, *b;

	ASSERT_NE(NULL, p);
	ASSERT_NE(NULL, q);
	EXPECT_EQ(NULL, ibv_reg_mr(self->pd, q, SIZE, ACCESS));
	EXPECT_EQ(EFAULT, errno);
	/* but reads from it: before 6.2 any registration wanted to write */
	a = ibv_reg_mr(self->pd, q, SIZE, 0);
	if (!kernel_is(6, 2)) {
		EXPECT_EQ(NULL, a);
		goto unmap;
	}
	b = ibv_reg_mr(self->pd, p + SIZE, SIZE, ACCESS);
	ASSERT_NE(NULL, a);
	ASSERT_NE(NULL, b);
	stamp(p, SIZE);
	ASSERT_EQ(0, post(self->qp[0], IBV_WR_RDMA_WRITE, q, SIZE, a, p + SIZE, b));
	ASSERT_EQ(IBV_WC_SUCCESS, done(self));
	EXPECT_TRUE(stamped(p + SIZE, SIZE, 0));
	EXPECT_EQ(0, ibv_dereg_mr(a));
	EXPECT_EQ(0, ibv_dereg_mr(b));
unmap:
	munmap(p, 2 * SIZE);
	munmap(q, SIZE);
	close(ro);
	close(fd);
}

TEST_F(rdma, writes_and_reads_the_mapping_of_a_dmabuf)
{
	int fd = region(2 * SIZE + HUGE), dmabuf = export(fd, SMALL, 2 * SIZE, 0);
	unsigned char *p = map(dmabuf, 2 * SIZE);

	close(fd);
	ASSERT_NE(NULL, p);
	exchange(_metadata, self, p, p + SIZE, SIZE);
	munmap(p, 2 * SIZE);
	close(dmabuf);
}

/*
 * Soft-RoCE takes no dma-buf in 6.1, 6.12 and 7.2. When one does, this test
 * fails, and is to be written like the others.
 */
TEST_F(rdma, this_device_takes_no_dmabuf)
{
	int fd = region(SIZE), dmabuf = export(fd, 0, 0, 0);

	ASSERT_GE(dmabuf, 0);
	EXPECT_EQ(NULL, ibv_reg_dmabuf_mr(self->pd, 0, SIZE, 0, dmabuf, ACCESS));
	EXPECT_EQ(EOPNOTSUPP, errno);
	close(dmabuf);
	close(fd);
}

TEST_HARNESS_MAIN
