# workflow.mk - the same way as train.sh and match.sh, as files that make keeps up to date:
#
#   make -f pipelines/workflow.mk GEX=gex.h5ad ATAC=atac.h5ad OUT=results -j2
#
# Each stage is redone only when what it reads has changed, a file or a variable; the stages of the two modalities run side
# by side.  Inputs as in train.sh; without the label `split` a tenth of the cells, drawn by name,
# validates.  train and valid make the model, TEST (default valid) names the cells that are matched and
# scored.  Variables, also from the environment, are those of `make -f pipelines/workflow.mk help`; what a
# recipe does, and what stands for a variable that is not set, is in workflow.bash.  See workflow.mk(7).
recipes := $(abspath $(dir $(lastword $(MAKEFILE_LIST))))/workflow.bash
SHELL := bash
.SHELLFLAGS := -c
MAKEFLAGS += -rR
.SUFFIXES:
.SECONDARY:
.PHONY: all score clean help

OUT ?= cellmatch-out
TEST ?= valid
# Files of the user's are no prerequisites: make would expand their names, and knows rules to make them.  The
# values are taken as they stand ($ and all), and workflow.bash says what other inputs or settings make again.
override GEX := $(value GEX)
override ATAC := $(value ATAC)
override OUT := $(value OUT)
override TEST := $(value TEST)
names := PRESET SECOND WITHIN LOGNORM TFIDF LOGNORM_FIT TFIDF_FIT BATCH FEATURE_SORT TRAIN EMBED KNN_MATCH XATTN_SCORE ASSIGN SCORE
export GEX ATAC OUT TEST $(foreach v,$(names),$(if $(filter undefined,$(origin $v)),,$v))

define newline


endef
quoted = $$'$(subst $(newline),\n,$(subst ',\',$(subst \,\\,$1)))'
given := $(foreach v,GEX ATAC OUT TEST $(names),$(if $(filter undefined,$(origin $v)),,$v=$(call quoted,$($v))))
is := $(shell $(given) $(call quoted,$(recipes)) -c look)
failed := $(filter-out 0,$(.SHELLSTATUS))
SHELL := $(recipes)
$(if $(filter name,$(is)),$(error OUT: make cannot take a directory with blanks, a leading dash or one of : ; | & $$ # % = * ? [ ] ~ \ ' " ` ( ) < > ! { } in its name: '$(OUT)'))
ifeq ($(filter clean help,$(MAKECMDGOALS)),)
$(foreach v,GEX ATAC,$(if $($v),,$(error give $v=FILE)))
$(if $(failed),$(error nothing was made))
$(if $(filter refused,$(firstword $(is))),$(error $(wordlist 2,999,$(is))))
.PHONY: $(addprefix $(OUT)/,$(is))
endif

all: score
score: $(OUT)/score.tsv
	cat $<

$(OUT)/gex.cms:
	read_side GEX "$$GEX" $@
$(OUT)/atac.cms:
	read_side "$$SECOND" "$$ATAC" $@
$(OUT)/gex.train.cms: $(OUT)/gex.cms
	train_side LOGNORM $< $@
$(OUT)/atac.train.cms: $(OUT)/atac.cms
	train_side TFIDF $< $@
$(OUT)/model.cms: $(OUT)/gex.train.cms $(OUT)/atac.train.cms
	train $^ $@
$(OUT)/gex.test.cms: $(OUT)/gex.cms $(OUT)/model.cms
	test_side LOGNORM "$$TEST" $^ $@
$(OUT)/atac.test.cms: $(OUT)/atac.cms $(OUT)/model.cms
	test_side TFIDF "$$TEST" $^ $@
$(OUT)/gex.e.cms: $(OUT)/gex.test.cms $(OUT)/model.cms
	embed_side GEX $^ $@
$(OUT)/atac.e.cms: $(OUT)/atac.test.cms $(OUT)/model.cms
	embed_side "$$SECOND" $^ $@
$(OUT)/match.cms: $(OUT)/model.cms $(OUT)/gex.test.cms $(OUT)/atac.test.cms $(OUT)/gex.e.cms $(OUT)/atac.e.cms
	match $^ $@
$(OUT)/score.tsv: $(OUT)/match.cms
	score_match $< $@

clean:
	clean_up
help:
	usage
