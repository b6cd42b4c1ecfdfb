# SPDX-License-Identifier: MIT
#
# pinring - the only entrance: `make help`.

VERSION := 0.1.0
# Of the ABI: raised when programs built before no longer run.
SOVERSION := 1
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
DESTDIR ?=
V ?= 0
SANITIZE ?=

# Each set of sanitizers, and each compiler but the default one, builds in a
# folder of its own: nothing is rebuilt by going back and forth.
comma := ,
variant := $(subst $(comma),-,$(SANITIZE))$(if $(filter-out cc gcc,$(CC)),$(if $(SANITIZE),-)$(notdir $(CC)))
BUILD ?= build$(if $(variant),/$(variant))

ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-7s %s\n'
endif

# ------------------------------------------------------------------ features
PKG_CONFIG ?= pkg-config
have = $(shell $(PKG_CONFIG) --exists $(1) 2>/dev/null && echo 1)
HAVE_NUMA := $(call have,numa)
HAVE_SNDFILE := $(call have,sndfile)
HAVE_SAMPLERATE := $(call have,samplerate)
HAVE_PNG := $(call have,libpng)
HAVE_CURSES := $(call have,ncurses)
HAVE_CXX := $(shell command -v $(CXX) >/dev/null 2>&1 && echo 1)
# Peers of the benchmarks. Most are headers only, which the sources look for
# themselves; the two to link are told to them.
HAVE_CK := $(wildcard /usr/include/ck_ring.h)
HAVE_DPDK := $(call have,libdpdk)
HAVE_BOOST := $(if $(HAVE_CXX),$(wildcard /usr/include/boost/lockfree/queue.hpp))
HAVE_TBB := $(if $(HAVE_CXX),$(call have,tbb))
HAVE_CAMEL := $(if $(HAVE_CXX),$(wildcard /usr/include/concurrentqueue/concurrentqueue.h))
HAVE_CAMEL_SPSC := $(if $(HAVE_CXX),$(wildcard /usr/include/readerwriterqueue/readerwriterqueue.h))
HAVE_ATOMIC_QUEUE := $(if $(HAVE_CXX),$(wildcard /usr/include/atomic_queue/atomic_queue.h))
NVCC ?= $(firstword $(wildcard /usr/local/cuda/bin/nvcc) $(shell command -v nvcc 2>/dev/null))

# Of these, what nvcc knows.
cuda_sms := $(filter sm_80 sm_90 sm_100,$(if $(NVCC),$(shell $(NVCC) --list-gpu-code 2>/dev/null)))

building := $(filter-out clean help demo check check-kills check-mutants check-vm bench bench-vm bench-gpu check-gpu modules% deps-% deb dkms-% check-deb lint check-debug-kernel fuzz,$(or $(MAKECMDGOALS),all))
ifneq ($(building),)
ifeq ($(MAKELEVEL),0)
missing = $(if $($(1)),,$(info pinring: without $(2): install $(3)))
$(call missing,HAVE_NUMA,NUMA placement,libnuma-dev)
$(call missing,HAVE_SNDFILE,sound files in `pinring run room`,libsndfile1-dev)
$(call missing,HAVE_SAMPLERATE,resampling in `pinring run room`,libsamplerate0-dev)
$(call missing,HAVE_PNG,pictures in `pinring run room`,libpng-dev)
$(call missing,HAVE_CURSES,the screen of `pinring top`,libncurses-dev)
$(call missing,cuda_sms,the device code of the CUDA executor,nvcc of a CUDA toolkit 12.8 or later (not a Debian package: developer.nvidia.com))
$(if $(BENCHING),$(call missing,HAVE_CK,ck_ring to compare with,libck-dev))
$(if $(BENCHING),$(call missing,HAVE_DPDK,DPDK's rte_ring to compare with,libdpdk-dev))
$(if $(BENCHING),$(call missing,HAVE_BOOST,boost lockfree to compare with,g++ libboost-dev))
$(if $(BENCHING),$(call missing,HAVE_TBB,TBB's queue to compare with,g++ libtbb-dev))
$(if $(BENCHING),$(call missing,HAVE_CAMEL,moodycamel's ConcurrentQueue to compare with,g++ libconcurrentqueue-dev))
$(if $(BENCHING),$(call missing,HAVE_CAMEL_SPSC,moodycamel's ReaderWriterQueue to compare with,g++ libreaderwriterqueue-dev))
$(if $(BENCHING),$(call missing,HAVE_ATOMIC_QUEUE,atomic_queue to compare with,g++ libatomic-queue-dev))
endif
endif

# --------------------------------------------------------------------- flags
CFLAGS ?= $(if $(SANITIZE),-O1,-O2) -g
c_only := -std=gnu11 -Wstrict-prototypes -Wmissing-prototypes
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wvla -Wformat=2 -Wno-format-nonliteral -Werror
# At -O1 gcc takes for uninitialized what is not; clang knows no such warning.
WARN += $(if $(SANITIZE),-Wno-unknown-warning-option -Wno-maybe-uninitialized)
san := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer \
	$(if $(findstring undefined,$(SANITIZE)),-fno-sanitize-recover=undefined))
# Not expanded here: targets have CPPFLAGS of their own.
CPPFLAGS_ALL = $(filter-out $(if $(SANITIZE),-D_FORTIFY_SOURCE=2),-I$(BUILD)/include \
	-Ilib/include -D_FORTIFY_SOURCE=2 $(CPPFLAGS))
CFLAGS_ALL = -std=gnu11 $(CFLAGS) $(WARN) $(san) -pthread -MMD -MP
LDFLAGS_ALL = $(LDFLAGS) $(san) -pthread
LIB_CPPFLAGS := -DPINRING_VERSION='"$(VERSION)"' $(if $(HAVE_NUMA),-DHAVE_NUMA)
# With -g the unwind tables are in .debug_frame instead.
no_tables := $(if $(SANITIZE),,-fno-asynchronous-unwind-tables)
SMALL := $(if $(SANITIZE),,-Os $(no_tables))
LIB_LIBS := $(if $(HAVE_NUMA),-lnuma) -lm

# The same bits from every instruction set, and vector code from gcc and clang:
# gpu/kernels/math.h says why each of these.
LOOP_CFLAGS := -O3 -ffp-contract=off -fno-math-errno -fno-trapping-math
# clang complains of loops that it leaves scalar for the sanitizers' sake.
LOOP_CFLAGS += $(if $(SANITIZE),-Wno-pass-failed)
# Only the newest get what -O3 adds in size: 12 KiB for the other two.
less := -O2 $(shell $(CC) -fvect-cost-model=dynamic -E -x c /dev/null >/dev/null 2>&1 && \
	echo -fvect-cost-model=dynamic)
isa_base := $(less)
isa_v3 := $(less) -march=x86-64-v3
# 64-byte vectors: faster on Zen 5 even where a row of cells is no multiple.
isa_v4 := -march=x86-64-v4 -mprefer-vector-width=512
isas := base $(if $(filter x86_64,$(shell uname -m)),v3 v4)

# Anything that changes these rebuilds everything.
stamp_text := $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(LDFLAGS_ALL) $(LIB_CPPFLAGS) \
	$(LOOP_CFLAGS) $(SMALL) $(no_tables) $(isa_v3) $(isa_v4) \
	$(HAVE_SNDFILE) $(HAVE_SAMPLERATE) $(HAVE_PNG) $(HAVE_CURSES) $(HAVE_CXX) $(HAVE_CK) $(HAVE_DPDK) $(cuda_sms) \
	$(wildcard /usr/include/liburing.h) $(HAVE_BOOST) $(HAVE_TBB) $(HAVE_CAMEL) $(HAVE_CAMEL_SPSC) $(HAVE_ATOMIC_QUEUE)
STAMP := $(BUILD)/.flags
ifneq ($(building),)
$(shell mkdir -p $(BUILD) && echo '$(subst ','\'',$(stamp_text))' | cmp -s - $(STAMP) || \
	echo '$(subst ','\'',$(stamp_text))' >$(STAMP))
endif

# ------------------------------------------------------------------- sources
lib_src := $(sort $(wildcard lib/*.c)) $(filter-out gpu/loop_host.c,$(sort $(wildcard gpu/*.c)))
lib_obj := $(lib_src:%.c=$(BUILD)/%.o) $(isas:%=$(BUILD)/gpu/loop_host_%.o)
public_headers := $(sort $(wildcard lib/include/pinring/*.h)) uapi/pinring_layout.h
staged := $(BUILD)/include/pinring/pinring_layout.h
SO := $(BUILD)/libpinring.so.$(SOVERSION)
LIB_A := $(BUILD)/libpinring.a
tool_obj := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard tools/*.c)))
TOOL := $(BUILD)/tools/pinring
# Without a C++ compiler there is no grid to run cuda_* on.
tests := $(patsubst %.c,$(BUILD)/%,$(sort $(filter-out $(if $(HAVE_CXX),,selftests/cuda_%),$(wildcard selftests/*.c selftests/gpu/*.c)))) $(BUILD)/selftests/harness/victim
examples := $(patsubst %.c,$(BUILD)/%,$(sort $(filter-out \
	$(if $(wildcard /usr/include/liburing.h),,examples/read_blocks.c),$(wildcard examples/*.c))))
bench_obj := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard bench/*.c)))
# C++ only wraps C++ peers; without a compiler for it they stay away.
bench_obj += $(if $(HAVE_CXX),$(patsubst %.cc,$(BUILD)/%.o,$(sort $(wildcard bench/*.cc))))
BENCH := $(if $(bench_obj),$(BUILD)/bench/pinring-bench)
bench_gpu_obj := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard bench/gpu/*.c)) bench/measure.c bench/report.c)
BENCH_GPU := $(if $(cuda_sms),$(BUILD)/bench/pinring-bench-gpu)
# A libcuda.so.1 to try it on.
BENCH_CUDA := $(if $(HAVE_CXX),$(BUILD)/selftests/cuda/bench/libcuda.so.1)

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.PHONY: all lib tools tests examples clean help install demo check check-kills check-mutants bench
.PHONY: modules modules_install vm-tests check-vm bench-vm bench-gpu check-gpu dkms-source dkms-install dkms-remove deb check-deb lint check-debug-kernel fuzz

all: lib tools tests examples $(BENCH) $(BENCH_GPU) $(BENCH_CUDA)
lib: $(SO) $(BUILD)/libpinring.so $(LIB_A)
tools: $(TOOL)
tests: $(tests)
examples: $(examples)

$(staged): uapi/pinring_layout.h
	$(Q)mkdir -p $(@D)
	$(Q)ln -sf $(abspath $<) $@

# The path of a message is inline, in the programs; what is here opens, waits and
# repairs, and selftests/install.sh holds the library to 250,000 bytes.
$(BUILD)/lib/%.o: lib/%.c $(STAMP) | $(staged)
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(LIB_CPPFLAGS) $(CFLAGS_ALL) $(SMALL) -fPIC -fvisibility=hidden -c $< -o $@

# A command goes through these two; the others start and stop.
quick_tickets := $(no_tables)
quick_coordinator_host := $(LOOP_CFLAGS) $(less) $(no_tables)
$(BUILD)/gpu/%.o: gpu/%.c $(STAMP) | $(staged)
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(LIB_CPPFLAGS) $(CFLAGS_ALL) $(or $(quick_$*),$(SMALL)) -fPIC -fvisibility=hidden -c $< -o $@

$(isas:%=$(BUILD)/gpu/loop_host_%.o): $(BUILD)/gpu/loop_host_%.o: gpu/loop_host.c $(STAMP) | $(staged)
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(LOOP_CFLAGS) $(no_tables) $(isa_$*) \
		-DPINRING_RUN_NAME=pinring_run_$* -fPIC -fvisibility=hidden -c $< -o $@

$(SO): $(lib_obj) lib/libpinring.map
	$(say) LD $@
	$(Q)$(CC) -shared -Wl,-soname,$(@F) -Wl,--version-script=lib/libpinring.map \
		$(if $(SANITIZE),,-Wl,-z,defs) -Wl,-z,relro,-z,now,-z,noseparate-code \
		-Wl,-Bsymbolic-functions $(LDFLAGS_ALL) $(lib_obj) $(LIB_LIBS) -o $@

# --------------------------------------------------------------- device code
# Once for all that is built here. PTX of the least of them: the driver compiles
# it for any GPU from there on that is not listed.
DEVICE := build/device
cuda_images := $(cuda_sms:%=$(DEVICE)/%.cubin) $(if $(cuda_sms),$(DEVICE)/compute_80.ptx)
FATBIN := $(if $(cuda_sms),$(DEVICE)/loop_cuda.fatbin)
# math.h says why no fused multiply-add. ptxas says what it used: cuda_sass.sh.
NVCC_FLAGS := -std=c++20 -O3 --fmad=false -Werror all-warnings \
	-Xptxas -v,--warn-on-spills,--warn-on-local-memory-usage
cuda_stamp_text := $(NVCC) $(NVCC_FLAGS) $(cuda_images)
ifneq ($(and $(building),$(FATBIN)),)
$(shell mkdir -p $(DEVICE) && echo '$(cuda_stamp_text)' | cmp -s - $(DEVICE)/.flags || \
	echo '$(cuda_stamp_text)' >$(DEVICE)/.flags)
endif
device_src := gpu/loop_cuda.cu $(wildcard gpu/*.h gpu/kernels/*.h lib/include/pinring/*.h) uapi/pinring_layout.h
$(DEVICE)/include/pinring/pinring_layout.h: uapi/pinring_layout.h
	$(Q)mkdir -p $(@D)
	$(Q)ln -sf $(abspath $<) $@
nvcc_run = $(NVCC) $(NVCC_FLAGS) -I$(DEVICE)/include -Ilib/include $(1) -o $@ $< 2>$@.log || \
	{ cat $@.log >&2; exit 1; }
$(DEVICE)/%.cubin: gpu/loop_cuda.cu $(device_src) $(DEVICE)/.flags | $(DEVICE)/include/pinring/pinring_layout.h
	$(say) NVCC $@
	$(Q)$(call nvcc_run,-arch=$* -cubin)
$(DEVICE)/%.ptx: gpu/loop_cuda.cu $(device_src) $(DEVICE)/.flags | $(DEVICE)/include/pinring/pinring_layout.h
	$(say) NVCC $@
	$(Q)$(call nvcc_run,-arch=$* -ptx)
# $(1): the folder of the images
fatbinary = $(or $(wildcard $(dir $(realpath $(NVCC)))fatbinary),fatbinary) --64 --compress-all --compress-mode=size --create=$@ \
	$(foreach sm,$(cuda_sms),--image3=kind=elf$(comma)sm=$(sm:sm_%=%)$(comma)file=$(1)/$(sm).cubin) \
	--image3=kind=ptx$(comma)sm=80$(comma)file=$(1)/compute_80.ptx
$(DEVICE)/loop_cuda.fatbin: $(cuda_images)
	$(say) FATBIN $@
	$(Q)$(call fatbinary,$(DEVICE))
# The header that users' kernels are compiled with, but for comments and indentation.
$(BUILD)/gpu/kernel.txt: lib/include/pinring/kernel.h
	$(Q)mkdir -p $(@D)
	$(Q)sed '/^\/\*.*\*\/$$/d; /^\/\*/,/\*\//d; s/[[:space:]]*\/\*.*\*\/$$//; s/[[:space:]][[:space:]]*/ /g; /^$$/d' $< >$@
$(BUILD)/gpu/kernel.o: $(BUILD)/gpu/kernel.txt
$(BUILD)/gpu/kernel.o: CPPFLAGS += -DPINRING_KERNEL_TEXT='"$(BUILD)/gpu/kernel.txt"'

# The same for nvJitLink, which puts users' kernels in. A function that it calls and
# does not know makes it save registers, which is no mistake here.
link_images := $(cuda_sms:%=$(DEVICE)/link/%.cubin)
LINK_FATBIN := $(if $(cuda_sms),$(DEVICE)/link.fatbin)
$(DEVICE)/link/%.cubin: NVCC_FLAGS := -std=c++20 -O3 --fmad=false -Werror all-warnings \
	-rdc=true -DPINRING_DYNAMIC_LINKED
$(DEVICE)/link/%.cubin: gpu/loop_cuda.cu $(device_src) $(DEVICE)/.flags | $(DEVICE)/include/pinring/pinring_layout.h
	$(say) NVCC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(call nvcc_run,-arch=$* -cubin)
$(LINK_FATBIN): $(link_images)
	$(say) FATBIN $@
	$(Q)$(firstword $(fatbinary)) --64 --compress-all --compress-mode=size --create=$@ \
		$(foreach sm,$(cuda_sms),--image3=kind=elf$(comma)sm=$(sm:sm_%=%)$(comma)file=$(DEVICE)/link/$(sm).cubin)
$(BUILD)/gpu/device_code.o: $(FATBIN) $(LINK_FATBIN)
$(BUILD)/gpu/device_code.o: CPPFLAGS += $(if $(FATBIN),-DPINRING_DEVICE_FATBIN='"$(FATBIN)"' \
	-DPINRING_DEVICE_LINK='"$(LINK_FATBIN)"')
$(BUILD)/gpu/jit.o: CPPFLAGS += -DPINRING_DEVICE_LINK_SMS='$(patsubst sm_%,%$(comma),$(cuda_sms))'

$(BUILD)/libpinring.so: $(SO)
	$(Q)ln -sf $(notdir $<) $@

$(LIB_A): $(lib_obj)
	$(say) AR $@
	$(Q)rm -f $@ && $(AR) rcs $@ $(lib_obj)

# Everything below uses public headers only. In the tree it links the static
# library, so that a program runs from anywhere and sanitizers see all of it.
TOOL_CPPFLAGS := -DPINRING_TOOL_VERSION='"$(VERSION)"' $(if $(HAVE_SNDFILE),-DHAVE_SNDFILE=1) \
	$(if $(HAVE_SAMPLERATE),-DHAVE_SAMPLERATE=1) $(if $(HAVE_PNG),-DHAVE_PNG=1) \
	$(if $(HAVE_CURSES),-DHAVE_CURSES=1)
TOOL_LIBS := $(if $(HAVE_SNDFILE),-lsndfile) $(if $(HAVE_SAMPLERATE),-lsamplerate) $(if $(HAVE_PNG),-lpng) $(if $(HAVE_CURSES),-lncurses -ltinfo)

$(BUILD)/tools/%.o: tools/%.c $(STAMP) | $(staged)
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(TOOL_CPPFLAGS) $(CFLAGS_ALL) -c $< -o $@

$(TOOL): $(tool_obj) $(LIB_A)
	$(say) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) $(tool_obj) $(LIB_A) $(TOOL_LIBS) $(LIB_LIBS) -o $@

# kernel_math tests the kernels' own sums, so it is compiled as they are.
$(BUILD)/selftests/kernel_math: EXTRA_CFLAGS = $(LOOP_CFLAGS)
$(BUILD)/selftests/poll $(BUILD)/vm/tests/lib_poll: EXTRA_LIBS = $(if $(wildcard /usr/include/liburing.h),-luring)
$(BUILD)/selftests/makewav: EXTRA_LIBS = $(if $(HAVE_SNDFILE),-lsndfile)
$(BUILD)/selftests/room_reference: EXTRA_LIBS = $(if $(HAVE_SNDFILE),-lsndfile)
$(BUILD)/selftests/%: selftests/%.c $(LIB_A) $(STAMP) | $(staged)
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) -Iselftests/harness -I. $(TOOL_CPPFLAGS) $(CFLAGS_ALL) $(EXTRA_CFLAGS) $< \
		$(LDFLAGS_ALL) $(LIB_A) $(EXTRA_LIBS) $(LIB_LIBS) -o $@

# The loop's CUDA source as C++, on the grid that simt.c makes of the host. There a
# function may be named like a struct, and only a lane that leads fills its turn in.
SIMT := $(BUILD)/selftests/cuda/simt.o $(BUILD)/selftests/cuda/loop_cuda.o
simt_cxx = $(CXX) -x c++ -std=gnu++20 -fno-exceptions -DPINRING_SIMT -include selftests/cuda/simt_store.h -Iselftests/cuda $(SIMT_CPPFLAGS) \
	$(CPPFLAGS_ALL) $(filter-out $(c_only),$(CFLAGS_ALL)) -Wno-shadow -Wno-maybe-uninitialized \
	$(LOOP_CFLAGS) $(less) -fPIC -c $< -o $@
$(BUILD)/selftests/cuda/simt.o: selftests/cuda/simt.c $(STAMP)
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -fPIC -c $< -o $@
$(BUILD)/selftests/cuda/loop_cuda.o: gpu/loop_cuda.cu $(STAMP) | $(staged)
	$(say) CXX $@
	$(Q)mkdir -p $(@D)
	$(Q)$(simt_cxx)
$(BUILD)/selftests/cuda_loop $(BUILD)/selftests/cuda_link: EXTRA_LIBS = $(SIMT)
$(BUILD)/selftests/cuda_loop $(BUILD)/selftests/cuda_link: $(SIMT)
# And with kernels of users, as jit.c links them with it.
SIMT_LINKED := $(BUILD)/selftests/cuda/simt.o $(BUILD)/selftests/cuda/loop_linked.o \
	$(BUILD)/selftests/cuda/kernels.o
$(BUILD)/selftests/cuda/loop_linked.o: SIMT_CPPFLAGS += -DPINRING_DYNAMIC_LINKED
$(BUILD)/selftests/cuda/loop_linked.o: gpu/loop_cuda.cu $(STAMP) | $(staged)
	$(say) CXX $@
	$(Q)mkdir -p $(@D)
	$(Q)$(simt_cxx)
$(BUILD)/selftests/cuda/kernels.o: selftests/cuda/kernels.cu $(STAMP) | $(staged)
	$(say) CXX $@
	$(Q)mkdir -p $(@D)
	$(Q)$(simt_cxx)
$(BUILD)/selftests/cuda_dynamic: EXTRA_LIBS = $(SIMT_LINKED)
$(BUILD)/selftests/cuda_dynamic: $(SIMT_LINKED)
# A driver whose GPU is that grid, and whoever finds it where libcuda.so.1 should be.
FAKE_CUDA := $(BUILD)/selftests/cuda/libcuda.so.1
$(BUILD)/selftests/cuda/fake_libcuda.o: selftests/cuda/fake_libcuda.c $(STAMP) | $(staged)
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -fPIC -c $< -o $@
$(FAKE_CUDA): $(BUILD)/selftests/cuda/fake_libcuda.o $(SIMT)
	$(say) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) -shared -Wl,-soname,$(@F) -Wl,-Bsymbolic $^ -lpthread -o $@
# gdrcopy's library for that GPU's memory; not where the linker looks, tests load it.
FAKE_GDR := $(BUILD)/selftests/cuda/gdr/libgdrapi.so.2
$(FAKE_GDR): selftests/cuda/fake_libgdrapi.c $(STAMP) | $(staged)
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(LDFLAGS_ALL) -fPIC -shared \
		-Wl,-soname,$(@F) $< -o $@
# And what compiles and links users' kernels for it, of both names.
FAKE_JIT := $(BUILD)/selftests/cuda/libnvrtc.so.13
fake_jit_flags := -std=gnu++20 -fno-exceptions -O1 -ffp-contract=off -fPIC $(san) -DPINRING_SIMT \
	-I$(CURDIR)/selftests/cuda -I$(abspath $(BUILD))/include -I$(CURDIR)/lib/include
$(BUILD)/selftests/cuda/fake_jit.o: selftests/cuda/fake_jit.c $(STAMP)
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -Wno-missing-prototypes -DFAKE_CXX='"$(CXX)"' \
		-DFAKE_CXXFLAGS='"$(fake_jit_flags)"' -DFAKE_LDFLAGS='"$(san) $(if $(SANITIZE),,-Wl,-z,defs)"' \
		-DFAKE_LOOP='"$(abspath $(BUILD)/selftests/cuda/loop_linked.o)"' \
		-DFAKE_GRID='"$(abspath $(FAKE_CUDA))"' -fPIC -c $< -o $@
$(FAKE_JIT): $(BUILD)/selftests/cuda/fake_jit.o | $(FAKE_CUDA) $(BUILD)/selftests/cuda/loop_linked.o
	$(say) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) -shared -Wl,-Bsymbolic $^ -lpthread -o $@
	$(Q)ln -sf $(@F) $(@D)/libnvJitLink.so.13
# Those that run on nothing else.
on_fake_gpu := executor_cuda executor_cuda_memory executor_relink executor_hot
$(on_fake_gpu:%=$(BUILD)/selftests/%) $(BUILD)/selftests/executor_kernels: $(if $(HAVE_CXX),$(FAKE_CUDA) $(FAKE_JIT))
$(BUILD)/selftests/executor_cuda: $(if $(HAVE_CXX),$(FAKE_GDR))
-include $(SIMT:.o=.d) $(SIMT_LINKED:.o=.d) $(BUILD)/selftests/cuda/fake_libcuda.d $(BUILD)/selftests/cuda/fake_jit.d

# Another one, for all that bench/gpu wants of a driver.
bench_cuda_obj := $(BUILD)/selftests/cuda/bench_libcuda.o $(BUILD)/selftests/cuda/bench_kernels.o
$(BUILD)/selftests/cuda/bench_libcuda.o: selftests/cuda/bench_libcuda.c $(STAMP) | $(staged)
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -Wno-missing-prototypes -fPIC -c $< -o $@
$(BUILD)/selftests/cuda/bench_kernels.o: selftests/cuda/bench_kernels.cc $(STAMP) | $(staged)
	$(say) CXX $@
	$(Q)mkdir -p $(@D)
	$(Q)$(simt_cxx)
$(BUILD)/selftests/cuda/bench/libcuda.so.1: $(bench_cuda_obj) $(SIMT)
	$(say) LD $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_ALL) -shared -Wl,-soname,$(@F) -Wl,-Bsymbolic $^ -lpthread -o $@
$(BUILD)/selftests/cuda_bench: EXTRA_LIBS = $(SIMT) $(BUILD)/selftests/cuda/bench_kernels.o
$(BUILD)/selftests/cuda_bench: $(SIMT) $(BUILD)/selftests/cuda/bench_kernels.o
-include $(bench_cuda_obj:.o=.d)

# It runs the victim that lies beside it.
$(BUILD)/selftests/harness_test: | $(BUILD)/selftests/harness/victim

$(BUILD)/examples/read_blocks: EXTRA_LIBS = -luring
$(BUILD)/examples/%: examples/%.c $(LIB_A) $(STAMP) | $(staged)
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $< $(LDFLAGS_ALL) $(LIB_A) $(LIB_LIBS) $(EXTRA_LIBS) -o $@

# The wave kernel's limit is a plain loop for this very machine: native, and
# free to fuse multiply and add, which the executors may not. And no peer runs
# with its assertions.
BENCH_CFLAGS := -O3 -march=native -DNDEBUG
ifneq ($(HAVE_DPDK),)
# Only where its headers are: the rest of its flags is about another machine.
$(BUILD)/bench/peer_dpdk.o: EXTRA_CFLAGS = -DHAVE_DPDK \
	$(patsubst -I%,-isystem %,$(filter -I%,$(shell $(PKG_CONFIG) --cflags libdpdk)))
BENCH_LIBS += -lrte_ring
endif
ifneq ($(HAVE_TBB),)
$(BUILD)/bench/peer_tbb.o: EXTRA_CFLAGS = -DHAVE_TBB
BENCH_LIBS += -ltbb
endif
$(BUILD)/bench/%.o: bench/%.c $(STAMP) | $(staged)
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(BENCH_CFLAGS) $(EXTRA_CFLAGS) -c $< -o $@

$(BUILD)/bench/%.o: bench/%.cc $(STAMP) | $(staged)
	$(say) CXX $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) -std=gnu++17 $(CPPFLAGS_ALL) $(filter-out $(c_only),$(CFLAGS_ALL)) $(BENCH_CFLAGS) $(EXTRA_CFLAGS) -c $< -o $@

# The kernels of the benchmarks of the CUDA executor.
bench_gpu_images := $(cuda_images:$(DEVICE)/%=$(DEVICE)/bench/%)
bench_gpu_src := bench/gpu/kernels.cu $(wildcard bench/gpu/*.cuh) bench/gpu/shared.h $(filter %.h,$(device_src))
$(DEVICE)/bench/%.cubin: bench/gpu/kernels.cu $(bench_gpu_src) $(DEVICE)/.flags | $(DEVICE)/include/pinring/pinring_layout.h
	$(say) NVCC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(call nvcc_run,-arch=$* -cubin)
$(DEVICE)/bench/%.ptx: bench/gpu/kernels.cu $(bench_gpu_src) $(DEVICE)/.flags | $(DEVICE)/include/pinring/pinring_layout.h
	$(say) NVCC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(call nvcc_run,-arch=$* -ptx)
$(DEVICE)/bench.fatbin: $(bench_gpu_images)
	$(say) FATBIN $@
	$(Q)$(call fatbinary,$(DEVICE)/bench)
$(BUILD)/bench/gpu/code.o: $(DEVICE)/bench.fatbin
$(BUILD)/bench/gpu/code.o: EXTRA_CFLAGS = -DBENCH_GPU_FATBIN='"$(DEVICE)/bench.fatbin"'

$(BENCH_GPU): $(bench_gpu_obj) $(LIB_A)
	$(say) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) $(bench_gpu_obj) $(LIB_A) $(LIB_LIBS) -o $@

$(BENCH): $(bench_obj) $(LIB_A)
	$(say) LD $@
	$(Q)$(if $(HAVE_CXX),$(CXX),$(CC)) $(LDFLAGS_ALL) $(bench_obj) $(LIB_A) $(BENCH_LIBS) $(LIB_LIBS) -o $@

%.d: ;
-include $(lib_obj:.o=.d) $(tool_obj:.o=.d) $(tests:=.d) $(bench_obj:.o=.d) $(bench_gpu_obj:.o=.d)

# ------------------------------------------------- demo, check and bench
VOICE ?= /usr/share/sounds/alsa/Front_Center.wav
deps-%:
	$(Q).ci/deps $*

# The features above were looked for before deps could install anything, so
# what follows deps runs in a make of its own; on all CPUs, unless told otherwise.
jobs = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))
anew = $(MAKE) --no-print-directory $(jobs)
demo: deps-demo
	$(Q)$(anew) MAKELEVEL=0 tools
	$(Q)mkdir -p build/demo
	build/tools/pinring run room --in $(VOICE) --out build/demo/room.wav \
		--size 128x96x64 --rate 16000 --beta 0.02 --source 32,48,32 --mic 96,72,32 \
		--tail 0.5 --gain 40 --mode interactive --picture build/demo/slice.png \
		--frames build/demo/frames --every 20
	@echo
	@echo 'the voice              $(VOICE)'
	@echo 'what the mic heard     build/demo/room.wav'
	@echo 'the sound in flight    build/demo/frames/frame-000004.png'

c_tests := $(filter-out $(if $(HAVE_CXX),,cuda_%),$(patsubst selftests/%.c,%,$(shell grep -l '^TEST_HARNESS_MAIN' selftests/*.c 2>/dev/null)))
sh_tests := $(filter-out lib.sh tool_lib.sh,$(notdir $(wildcard selftests/*.sh)))
# Where several threads or processes meet; ThreadSanitizer looks at these. Not at those
# on the fake GPU: what that finds at an address of its own it takes for two words.
concurrent := $(filter-out $(on_fake_gpu),$(filter ring_% duplex% party wait% poll outlet% doorbell region region_share object wave executor_% cuda_%,$(c_tests)))

# The machines boot two at a time; the debug kernel's takes as long as all the others.
vm_rows := linux_debug.sh $(filter-out linux_debug.sh,$(filter linux_%,$(sh_tests)))

check: deps-check
	$(Q)$(anew) MAKELEVEL=0 all
	$(Q)$(anew) SANITIZE=address,undefined tests tools
	$(Q)$(anew) SANITIZE=thread tests
	$(Q)$(anew) CC=clang lib tools tests
	$(Q)$(anew) MAKELEVEL=0 vm-tests
	$(Q)PINRING=$(CURDIR)/build/tools/pinring BUILD=$(CURDIR)/build selftests/run -o build/check -b ahead -l vm \
		ahead:selftests/kernels.sh \
		$(patsubst %,sh:selftests/%,$(filter-out kernels.sh linux_%,$(sh_tests))) \
		$(c_tests:%=gcc:build/selftests/%) \
		$(c_tests:%=asan:build/address-undefined/selftests/%) \
		$(concurrent:%=tsan:build/thread/selftests/%) \
		$(patsubst %,vm:selftests/%,$(vm_rows))

# KILLS processes of each kind; KINDS="ring_mpmc_death duplex_death" picks.
KILLS ?= 10000
check-kills: deps-check
	$(Q)$(anew) MAKELEVEL=0 tests
	$(Q)selftests/kills -n $(KILLS) -b $(BUILD)/selftests $(KINDS)

# KINDS="mpmc spsc" picks; see selftests/mutants.list.
check-mutants: deps-check
	$(Q)selftests/mutants $(KINDS)

bench: deps-bench
	$(Q)$(anew) MAKELEVEL=0 BENCHING=1 all
	$(Q)build/bench/pinring-bench $(if $(JSON),--json $(JSON))

# ----------------------------------------------------------------- on a GPU
# On a machine that has gcc, nvcc and NVIDIA's driver, and no more than that; its
# compilers may warn of what ours do not. Without a GPU it is skipped, in words.
on_gpu = $(anew) MAKELEVEL=0 BUILD=build/gpu WARN='$(filter-out -Werror,$(WARN))'
with_nvrtc = LD_LIBRARY_PATH="$$(selftests/gpu/libraries '$(NVCC)')"
COMMIT ?= $(or $(shell git describe --always --dirty 2>/dev/null),an unknown commit)
bench-gpu:
	$(Q)$(if $(cuda_sms),,echo 'make bench-gpu: skipped: there is no nvcc of CUDA 12.8 or later'; exit 0;) \
		$(on_gpu) build/gpu/bench/pinring-bench-gpu && \
		{ $(with_nvrtc) build/gpu/bench/pinring-bench-gpu --commit '$(COMMIT)' \
		--json $(or $(JSON),bench/results) || [ $$? -eq 4 ]; }

# Within 8 minutes; TESTS="wave gpu" picks, see selftests/gpu/check.
gpu_programs := executor_config executor_lifecycle executor_many executor_operations \
	executor_hostile executor_bounds executor_services executor_shared executor_link executor_memory \
	executor_kernels wave gpu/soak gpu/bounded gpu/kernel_fault gpu/memory
check-gpu:
	$(Q)$(if $(cuda_sms),,echo 'make check-gpu: skipped: there is no nvcc of CUDA 12.8 or later'; exit 0;) \
		$(on_gpu) tools build/gpu/bench/pinring-bench-gpu $(gpu_programs:%=build/gpu/selftests/%) && \
		{ $(with_nvrtc) selftests/gpu/check build/gpu || [ $$? -eq 4 ]; }

# ------------------------------------------------------------ kernel module
# Of the running kernel, unless RELEASE names another one, or KDIR its headers. A copy is built:
# older kernels' make leaves its files beside the sources.
RELEASE ?= $(shell uname -r)
KDIR ?= /lib/modules/$(RELEASE)/build
kbuild = $(MAKE) -C $(KDIR) M=$(CURDIR)/$(BUILD)/modules
modules:
	$(Q)[ -e $(KDIR)/Makefile ] || { echo 'make modules: no headers of a kernel in $(KDIR):' \
		"install Debian's package linux-headers-$(RELEASE), or name another kernel, RELEASE=..." >&2; exit 1; }
	$(Q)mkdir -p $(BUILD)/modules
	$(Q)cp -pru Kbuild kmod uapi $(BUILD)/modules
	$(Q)$(kbuild) modules

# Where headers come without System.map, as Debian's do, the kernel's make leaves
# depmod out, and modprobe would not find it.
modules_install: modules
	$(Q)$(kbuild) modules_install
	$(Q)PATH=$$PATH:/usr/sbin:/sbin; depmod $(INSTALL_MOD_PATH:%=-b %) \
		"$$(modinfo -F vermagic $(BUILD)/modules/kmod/pinring.ko | cut -d ' ' -f 1)"

dkms-source:
	$(Q)DESTDIR=$(DESTDIR) tools/packaging/dkms source

dkms-install:
	$(Q)tools/packaging/dkms install $(RELEASE)

dkms-remove:
	$(Q)tools/packaging/dkms remove

deb: deps-deb
	$(Q)tools/packaging/deb build/deb

# Installs the packages in a Debian of their own, and purges them.
check-deb: deps-deb
	$(Q)selftests/run -o build/check-deb selftests/deb.sh

# What the kernel's own tools say of the module.
lint: deps-lint
	$(Q)selftests/run -o build/lint selftests/lint.sh

# Its tests run in a virtual machine that has no libraries. What libibverbs is
# linked with depends on its release; the linker has a word to say of functions in
# there that nobody calls.
$(BUILD)/vm/tests/rdma: vm_libs = $(shell pkg-config --static --libs libibverbs) -Wl,--no-warnings
$(BUILD)/vm/tests/io_uring: vm_libs = -luring
vm_tests := $(patsubst selftests/kmod/%.c,$(BUILD)/vm/tests/%,$(sort $(wildcard selftests/kmod/*.c)))
$(BUILD)/vm/tests/%: selftests/kmod/%.c $(STAMP)
	$(say) CC $@
	$(Q)mkdir -p $(@D) $(BUILD)/vm/dep
	$(Q)$(CC) -Iselftests/harness -I. -D_FORTIFY_SOURCE=2 $(CPPFLAGS) $(CFLAGS_ALL) \
		-MF $(BUILD)/vm/dep/$*.d $< $(LDFLAGS_ALL) -static $(vm_libs) -o $@

# The library's own tests, unchanged, on the module's regions. The linker has a
# word to say of libnuma and getaddrinfo(), which nobody calls.
# ON_MODULE picks; all of them take a quarter of an hour in there.
ON_MODULE ?= device region region_share region_named object doorbell doorbell_module wait ring_spsc ring_lanes ring_broadcast ring_chain ring_verbs
on_module := $(if $(filter all,$(ON_MODULE)),$(filter-out harness_test linear% steps kernel_math bench_report cuda_% $(on_fake_gpu) executor_kernels executor_dynamic executor_fault,$(c_tests)),$(ON_MODULE))
# An emulated machine with a debug kernel takes a hundred times as long.
$(BUILD)/vm/tests/lib_doorbell: private CPPFLAGS += -DTURNS=50000u -DASLEEP_TURNS=5000u
on_module_tests := $(on_module:%=$(BUILD)/vm/tests/lib_%)
$(on_module_tests): $(BUILD)/vm/tests/lib_%: selftests/%.c $(LIB_A) $(STAMP) | $(staged)
	$(say) CC $@
	$(Q)mkdir -p $(@D) $(BUILD)/vm/dep
	$(Q)$(CC) $(CPPFLAGS_ALL) -Iselftests/harness -I. $(TOOL_CPPFLAGS) $(CFLAGS_ALL) \
		-MF $(BUILD)/vm/dep/lib_$*.d $< $(LDFLAGS_ALL) -static -s $(LIB_A) $(EXTRA_LIBS) $(LIB_LIBS) -o $@ 2>$(BUILD)/vm/dep/lib_$*.log || \
		{ cat $(BUILD)/vm/dep/lib_$*.log; exit 1; }

# The fuzzer; it has its corpus in it.
FUZZ_CORPUS ?= $(sort $(wildcard selftests/fuzz/corpus/*.txt))
fuzz_obj := $(patsubst selftests/fuzz/%.c,$(BUILD)/vm/fuzz/%.o,$(sort $(wildcard selftests/fuzz/*.c)))
$(fuzz_obj): $(BUILD)/vm/fuzz/%.o: selftests/fuzz/%.c $(STAMP)
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -I. -D_FORTIFY_SOURCE=2 -DCORPUS='"$(BUILD)/vm/fuzz/corpus"' $(CPPFLAGS) \
		$(CFLAGS_ALL) -c $< -o $@
$(BUILD)/vm/fuzz/corpus.o: $(BUILD)/vm/fuzz/corpus
$(BUILD)/vm/fuzz/corpus: $(FUZZ_CORPUS)
	$(Q)mkdir -p $(@D)
	$(Q)cat $^ >$@
$(BUILD)/vm/tests/fuzz: $(fuzz_obj)
	$(say) LD $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $^ $(LDFLAGS_ALL) -static -o $@
-include $(fuzz_obj:.o=.d)

# Scripts, and the tool that they try: with nothing that is optional.
vm_scripts := $(patsubst selftests/kmod/%,$(BUILD)/vm/tests/%,$(sort $(wildcard selftests/kmod/*.sh)))
$(vm_scripts): $(BUILD)/vm/tests/%: selftests/kmod/%
	$(Q)mkdir -p $(@D)
	$(Q)install -m 755 $< $@

vm_tool_obj := $(tool_obj:$(BUILD)/%=$(BUILD)/vm/%)
$(vm_tool_obj): $(BUILD)/vm/tools/%.o: tools/%.c $(STAMP) | $(staged)
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -c $< -o $@

VM_TOOL := $(BUILD)/vm/bin/pinring
$(VM_TOOL): $(vm_tool_obj) $(LIB_A)
	$(say) LD $@
	$(Q)mkdir -p $(@D) $(BUILD)/vm/dep
	$(Q)$(CC) $(LDFLAGS_ALL) $(vm_tool_obj) -static $(LIB_A) $(LIB_LIBS) -o $@ 2>$(BUILD)/vm/dep/pinring.log || \
		{ cat $(BUILD)/vm/dep/pinring.log; exit 1; }

VM_TRAFFIC := $(BUILD)/vm/bin/traffic
$(VM_TRAFFIC): selftests/traffic.c $(LIB_A) $(STAMP) | $(staged)
	$(say) CC $@
	$(Q)mkdir -p $(@D) $(BUILD)/vm/dep
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MF $(BUILD)/vm/dep/traffic.d $< $(LDFLAGS_ALL) \
		-static $(LIB_A) $(LIB_LIBS) -o $@ 2>$(BUILD)/vm/dep/traffic.log || \
		{ cat $(BUILD)/vm/dep/traffic.log; exit 1; }

vm_all := $(vm_tests) $(on_module_tests) $(vm_scripts) $(BUILD)/vm/tests/fuzz
vm-tests: $(vm_all) $(VM_TOOL) $(VM_TRAFFIC)
	$(Q)rm -f $(filter-out $(vm_all),$(wildcard $(BUILD)/vm/tests/*))
-include $(patsubst $(BUILD)/vm/tests/%,$(BUILD)/vm/dep/%.d,$(vm_tests) $(on_module_tests)) $(vm_tool_obj:.o=.d)

# KERNELS="6.1 6.12" picks; see selftests/vm/check.
KERNELS ?= 6.1 6.12 7.2
check-vm: deps-vm
	$(Q)$(anew) MAKELEVEL=0 vm-tests
	$(Q)selftests/vm/check -o build/vm $(KERNELS)
	$(Q)VM_MEMORY=5120 APPEND='hugepagesz=1G hugepages=1 TEST_TIMEOUT=200' TESTS=gigantic \
		selftests/vm/check -o build/vm/gigantic -t build/vm/tests $(KERNELS)

# The figures of the module, in a kernel that has it; its ratios only.
vm_bench := build/vm/plain/bench/pinring-bench
bench-vm: deps-vm
	$(Q)$(anew) MAKELEVEL=0 BUILD=build/vm/plain LDFLAGS=-static BENCH_CFLAGS='-O2 -DNDEBUG' \
		HAVE_CXX= HAVE_DPDK= HAVE_TBB= HAVE_CK= $(vm_bench)
	$(Q)bench/vm $(if $(JSON),-j $(JSON)) $(vm_bench) $(firstword $(filter 6.12,$(KERNELS)) $(KERNELS))

# The same with all that finds bugs; then, whether it finds those planted.
check-debug-kernel: deps-vm
	$(Q)$(anew) MAKELEVEL=0 vm-tests
	$(Q)selftests/vm/check -o build/vm debug
	$(Q)selftests/vm/faults -o build/vm
	$(Q)selftests/fuzz/planted -o build/vm/planted

# Goes on where it was stopped; see selftests/fuzz/campaign.
CALLS ?= 10000000
fuzz: deps-vm
	$(Q)selftests/fuzz/campaign -c $(CALLS)

# ------------------------------------------------------------------- install
install: lib tools
	$(Q)install -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(PREFIX)/include/pinring \
		$(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1
	$(Q)install -m 755 $(SO) $(DESTDIR)$(LIBDIR)
	$(Q)ln -sf $(notdir $(SO)) $(DESTDIR)$(LIBDIR)/libpinring.so
	$(Q)install -m 644 $(LIB_A) $(DESTDIR)$(LIBDIR)
	$(Q)install -m 644 $(public_headers) $(DESTDIR)$(PREFIX)/include/pinring
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(LIBDIR))|' \
		-e 's|@VERSION@|$(VERSION)|' \
		-e 's|@LIBS_PRIVATE@|-pthread $(LIB_LIBS)|' lib/libpinring.pc.in \
		>$(DESTDIR)$(LIBDIR)/pkgconfig/pinring.pc
	$(Q)install -m 755 $(TOOL) $(DESTDIR)$(PREFIX)/bin
	$(Q)install -m 644 $(wildcard docs/man/*.1) $(DESTDIR)$(PREFIX)/share/man/man1
	$(say) INSTALL $(DESTDIR)$(PREFIX)

clean:
	$(Q)rm -rf build

help:
	@echo 'make              build all that this machine can, in build/'
	@echo 'make demo         a recorded voice through a persistent kernel that is a room'
	@echo 'make check        every test, also under ASan, UBSan and TSan, and in virtual machines'
	@echo 'make check-kills  SIGKILL at random points, KILLS=10000 of each kind of ring'
	@echo 'make check-mutants plant one bug after another: every test must be able to fail'
	@echo 'make check-vm     the kernel module in virtual machines; KERNELS="$(KERNELS)"'
	@echo 'make check-debug-kernel  the same on one with KASAN, lockdep and kmemleak, built once'
	@echo 'make fuzz         CALLS=10000000 of a fuzzer of the module, on a debug kernel'
	@echo 'make check-deb    install and purge Debian packages, in a Debian of their own'
	@echo 'make lint         sparse, checkpatch, coccinelle on the kernel module'
	@echo 'make modules      the kernel module; RELEASE=6.12.x or KDIR=/lib/modules/RELEASE/build'
	@echo 'make dkms-install the same, built anew by DKMS for each kernel; make dkms-remove'
	@echo 'make deb          Debian packages, in build/deb'
	@echo 'make bench        figures beside their limits and peers; JSON=FILE keeps them'
	@echo 'make bench-vm     those of the kernel module, in a virtual machine; JSON=FILE'
	@echo 'make check-gpu    the CUDA executor on a GPU: its tests, sanitizers, a soak, a dying host'
	@echo 'make bench-gpu    those of the CUDA executor, on a GPU; JSON=FILE or a folder'
	@echo 'make install      PREFIX=$(PREFIX) DESTDIR=$(DESTDIR)'
	@echo 'make clean        remove build/'
	@echo
	@echo 'V=1               print the commands'
	@echo 'SANITIZE=LIST     address,undefined or thread; builds in build/LIST'
	@echo 'CC=clang          builds in build/clang'
