# workflow.mk - the same way as train.sh and match.sh, as files that make keeps up to date:
#
#   make -f pipelines/workflow.mk GEX=gex.h5ad ATAC=atac.h5ad OUT=results -j2
#
# Each stage is redone only when what it reads has changed; the stages of the two modalities run side
# by side.  Both inputs carry the label `split`: train and valid make the model, TEST (default valid)
# names the cells that are matched and scored.  Variables, also from the environment: LOGNORM, TFIDF,
# TRAIN, ASSIGN, FEATURE_SORT, WITHIN ("--within batch", or empty).
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all score clean

GEX ?= $(error give GEX=gex.h5ad)
ATAC ?= $(error give ATAC=atac.h5ad)
OUT ?= cellmatch-out
TEST ?= valid
LOGNORM ?= lognorm --method sqrt --fit split=train
TFIDF ?= tfidf --method logtfidf --scale 300 --fit split=train
# As train.sh does it for the default preset, up to a few thousand cells.
BATCH ?= batch --epochs 60 --size 0
TRAIN ?= xattn-train
ASSIGN ?= assign
FEATURE_SORT ?= feature-sort
WITHIN ?=

all: score
score: $(OUT)/score.tsv
	@cat $<

$(OUT):
	mkdir -p $@

# An input is linked where it is a stream, else read.
$(OUT)/gex.cms: $(GEX) | $(OUT)
	$(if $(filter %.cms,$<),ln -sf $(abspath $<) $@,h5-read $(if $(filter %.h5,$<),--type GEX) -o $@ $<)
$(OUT)/atac.cms: $(ATAC) | $(OUT)
	$(if $(filter %.cms,$<),ln -sf $(abspath $<) $@,h5-read $(if $(filter %.h5,$<),--type ATAC) -o $@ $<)

$(OUT)/gex.train.cms: $(OUT)/gex.cms
	cms-cat --except split=test $< | $(FEATURE_SORT) | $(LOGNORM) >$@
$(OUT)/atac.train.cms: $(OUT)/atac.cms
	cms-cat --except split=test $< | $(FEATURE_SORT) | $(TFIDF) >$@
$(OUT)/model.cms: $(OUT)/gex.train.cms $(OUT)/atac.train.cms
	$(BATCH) $^ | $(TRAIN) >$@

$(OUT)/gex.e.cms: $(OUT)/gex.cms $(OUT)/model.cms
	cms-cat --where split=$(TEST) $< | lognorm --like $(OUT)/model.cms | embed --by-name --model $(OUT)/model.cms -o $@
$(OUT)/atac.e.cms: $(OUT)/atac.cms $(OUT)/model.cms
	cms-cat --where split=$(TEST) $< | tfidf --like $(OUT)/model.cms | embed --by-name --model $(OUT)/model.cms -o $@
$(OUT)/match.cms: $(OUT)/gex.e.cms $(OUT)/atac.e.cms $(OUT)/model.cms
	knn-match $(WITHIN) $(OUT)/gex.e.cms $(OUT)/atac.e.cms | $(ASSIGN) --model $(OUT)/model.cms $(WITHIN) >$@
$(OUT)/score.tsv: $(OUT)/match.cms
	score $< >$@

clean:
	rm -f $(OUT)/{gex,atac}{,.train,.e}.cms $(OUT)/{model,match}.cms $(OUT)/score.tsv
