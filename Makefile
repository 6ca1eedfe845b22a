# `make` builds build/sentineld and build/nodectl and installs nothing; `make help` lists the rest.
#
# Sources are found by folder: a new .c file needs no line here. BUILD= chooses the output folder, CC= the compiler,
# SAN=1 the address and undefined behaviour sanitizers (in an output folder of their own).

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-builtin-variables

NPROC := $(shell nproc 2>/dev/null || echo 2)
ifeq ($(filter -j%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(NPROC)
endif

ifneq ($(filter default undefined,$(origin CC)),)
CC := gcc
endif
ifneq ($(filter default undefined,$(origin AR)),)
AR := ar
endif
PYTHON := /usr/bin/python3
PREFIX ?= /usr/local
DESTDIR ?=

ifeq ($(SAN),1)
BUILD ?= build/san
else
BUILD ?= build
endif

include mk/build.mk
include mk/test.mk
include mk/bench.mk
include mk/lint.mk
include mk/tasks.mk
