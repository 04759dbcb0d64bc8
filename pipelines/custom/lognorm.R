#!/usr/bin/env Rscript
# lognorm(1) as a stage in R, by way of text: base R alone.  An example to copy.
#
#   lognorm.R [--method seurat|sqrt] [--fit LABEL=VALUE[,VALUE...]] [--like FILE] <counts.cms >out.cms
#
# seurat: ln(1 + 1e4 x / R); sqrt: sqrt(median(R) x / R), the median over the fitted cells with counts.
# `cms-text` reads this program's standard input and `cms-text --from` writes its standard output: a row is
# name, labels, column:value ...; all other lines begin with a number sign (cms-text(1)).  All cells are
# held in memory.  If this program stops early the text lacks its last line, which is an error downstream.
die <- function(status, ...) {
    cat("lognorm.R: error: ", ..., "\n", sep = "", file = stderr())
    quit(status = status, save = "no")
}
options(error = quote(quit(status = 70, save = "no")), warn = 1)

words <- commandArgs(trailingOnly = TRUE)
given <- list()
while (length(words)) {
    if (!words[1] %in% c("--method", "--fit", "--like") || length(words) < 2) die(2, "unknown option, or one without a value: '", words[1], "'")
    given[[sub("--", "", words[1])]] <- words[2]
    words <- words[-(1:2)]
}
if (!is.null(given$like) && !is.null(given$fit)) die(2, "--like applies a fit, --fit makes one")
if (!(is.null(given$method) || given$method %in% c("seurat", "sqrt"))) die(2, "unknown method '", given$method, "'; methods: seurat, sqrt")

run <- function(command) { # its lines, or its status
    input <- pipe(command, "r")
    text <- readLines(input)
    status <- close(input)
    if (!is.null(status) && status != 0) quit(status = if (status > 255) status %/% 256 else status, save = "no")
    text
}
text <- run("cms-text")
lines <- strsplit(grep("^#head\t", text, value = TRUE), "\t", fixed = TRUE)
head <- setNames(vapply(lines, function(l) if (length(l) > 2) l[3] else "", ""), vapply(lines, `[`, "", 2))
get <- function(key, from = head) if (key %in% names(from)) from[[key]] else ""
state <- get("slot.0.state")
if (get("kind") != "matrix" || get("slots") != "1") die(3, "expected a matrix of one slot")
if (state %in% c("lognorm", "sqrt", "tfidf", "clr", "scaled")) die(3, "already normalised (state ", state, ")")
if (state != "counts") die(3, "expected counts, found state ", state)

# Rows as fields: the first `first - 1` are the name and the labels.
rows <- which(!startsWith(text, "#"))
fields <- strsplit(text[rows], "\t", fixed = TRUE)
first <- 2 + as.integer(get("labels"))
entries <- lapply(fields, function(f) if (length(f) < first) character() else f[first:length(f)])
counts <- lapply(entries, function(e) as.numeric(sub(".*:", "", e))) # the value follows the last colon
if (any(unlist(counts) < 0)) die(3, "a negative count")
total <- vapply(counts, sum, 0)

fitted <- rep(TRUE, length(rows))
if (!is.null(given$fit)) {
    label <- sub("=.*", "", given$fit)
    at <- which(vapply(seq_len(first - 2), function(k) get(paste0("label.", k - 1, ".name")) == label, NA))
    if (!length(at)) die(3, "no label \"", label, "\"")
    value <- vapply(fields, function(f) if (length(f) > at) f[at + 1] else "", "")
    fitted <- value %in% strsplit(sub("[^=]*=", "", given$fit), ",", fixed = TRUE)[[1]]
    if (!any(fitted)) die(3, "no row meets ", given$fit)
}
number <- function(x) format(x, digits = 15, scientific = FALSE, trim = TRUE)
cells <- ""
if (!is.null(given$like)) { # as it was fitted for the slot of the same name
    lines <- strsplit(run(paste("cms-text --head", shQuote(given$like))), "\t", fixed = TRUE)
    from <- setNames(vapply(lines, function(l) if (length(l) > 1) l[2] else "", ""), vapply(lines, `[`, "", 1))
    slot <- grep("^slot[.][0-9]+[.]name$", names(from)[from == get("slot.0.name")], value = TRUE)
    slot <- sub("name$", "fit.", if (length(slot)) slot else "")
    if (get(paste0(slot, "tool"), from) != "lognorm") die(3, given$like, ": no fit of lognorm for slot ", get("slot.0.name"))
    method <- get(paste0(slot, "method"), from)
    if (!(is.null(given$method) || given$method == method)) die(2, "--method ", given$method, " contradicts ", given$like, ", which was fitted with ", method)
    if (!method %in% c("seurat", "sqrt")) die(3, given$like, ": method ", method, " is neither seurat nor sqrt")
    scale <- get(paste0(slot, "scale"), from)
    cells <- get(paste0(slot, "cells"), from)
} else if (is.null(given$method) || given$method == "seurat") {
    method <- "seurat"
    scale <- "10000"
} else {
    method <- "sqrt"
    used <- total[fitted & total > 0]
    scale <- number(if (length(used)) median(used) else 0)
    cells <- number(sum(fitted))
}
if (any(total == 0)) cat("lognorm.R: warning: ", sum(total == 0), " of ", length(total), " cells have no counts; their rows stay zero\n", sep = "", file = stderr())

value <- function(x) if (method == "sqrt") sqrt(x) else log1p(x)
text[rows] <- mapply(function(f, e, x, sum) {
    if (length(e)) f[first:length(f)] <- paste0(sub("[^:]*$", "", e), sprintf("%.17g", value(ifelse(x == 0, 0, as.numeric(scale) * x / sum))))
    paste(f, collapse = "\t")
}, fields, entries, counts, total)
text <- sub("^#block\t.*", "#block\tf32", text)
fit <- c(tool = "lognorm", method = method, scale = scale, if (cells != "") c(median = scale, cells = cells))
at <- which(startsWith(text, "#head\tslot.0.state\t"))
text[at] <- paste(c(paste0("#head\tslot.0.state\t", if (method == "sqrt") "sqrt" else "lognorm"), paste0("#head\tslot.0.fit.", names(fit), "\t", fit)), collapse = "\n")

output <- pipe("cms-text --from", "w")
writeLines(text, output, useBytes = TRUE)
status <- close(output)
if (!is.null(status) && status != 0) quit(status = if (status > 255) status %/% 256 else status, save = "no")
