# The recipes of pipelines/packaging, as far as that goes without their own programs; what builds on a
# bare system is in tests/e2e/packaging.bats.
load ../helper

setup() { scratch; }
recipes=$ROOT/pipelines/packaging

@test "packaging: the version is the Makefile's in every recipe" {
    local version f
    version=$(sed -n 's/^VERSION := //p' "$ROOT/Makefile")
    [ "$(sed -nE '1s/^cellmatch \(([^)]*)-[^-]*\) .*/\1/p' "$recipes/debian/changelog")" = "$version" ]
    # conda-build reads it from the Makefile, by this pattern.
    f=$(sed -nE 's/.*regex_pattern="([^"]*)".*/\1/p' "$recipes/conda/meta.yaml")
    [ "$(grep -oP "$f" "$ROOT/Makefile")" = "VERSION := $version" ]
    # All others name it as it is.
    grep -rnoE '[^0-9.][0-9]+\.[0-9]+\.[0-9]+($|[^0-9.-])' "$recipes/nf-core" >found
    [ "$(wc -l <found)" -ge 7 ]
    ! grep -vE "[^0-9.]${version//./\\.}[^0-9]*$" found || false
}

# script_of FILE script|stub [NAME=VALUE...]: the commands of a process as Nextflow would write them.
script_of() {
    local file=$1 part=$2 text pair
    shift 2
    text=$(awk -v part="$part:" '$1 == part { on = 1 } /^    """/ { if (on && ++n == 1) next; if (n == 2) exit } on && n == 1' "$file" | sed 's/^    //')
    text=${text//\\\$/$'\1'}
    text=${text//\\\\/\\}
    for pair in prefix=test task.cpus=2 task.process=P "$@"; do text=${text//"\${${pair%%=*}}"/"${pair#*=}"}; done
    [[ $text != *'$'* ]] || { echo "$file: what is this? $text" >&2; return 1; }
    printf '%s\n' "${text//$'\1'/\$}"
}
# declared FILE: names of its outputs, as its script would make them
declared() { awk '/^    output:/ { on = 1; next } /^    [a-z]+:/ { on = 0 } on' "$1" | grep -oE 'path\(?[ (]*"[^"]*"' | sed -E 's/.*"(.*)"/\1/; s/\$\{prefix\}/test/' | sort; }

@test "packaging: the nf-core modules do what they declare" {
    local module dir
    dir=$recipes/nf-core/cellmatch
    mkdir generate train match stub
    (cd generate && script_of "$dir/train/tests/generate.nf" script >run.sh && bash -euo pipefail run.sh)
    for f in $(declared "$dir/train/tests/generate.nf"); do [ -s "generate/$f" ]; done
    ln -s ../generate/gex.cms ../generate/atac.cms train
    (cd train && script_of "$dir/train/main.nf" script args='--preset linear' genes= gex=gex.cms second=atac.cms >run.sh && bash -euo pipefail run.sh)
    ln -s ../generate/gex.new.cms ../generate/atac.new.cms ../train/test.model.cms match
    (cd match && script_of "$dir/match/main.nf" script args= gex=gex.new.cms second=atac.new.cms model=test.model.cms >run.sh && bash -euo pipefail run.sh)
    for module in train match; do
        [ "$(declared "$dir/$module/main.nf" | wc -l)" -ge 2 ]
        for f in $(declared "$dir/$module/main.nf"); do [ -s "$module/$f" ]; done
        [ "$(cat "$module/versions.yml")" = "$(printf '"P":\n    cellmatch: %s' "$(cellmatch --version | sed 's/.* //')")" ]
        rm -rf stub && mkdir stub
        (cd stub && script_of "$dir/$module/main.nf" stub >run.sh && bash -euo pipefail run.sh)
        for f in $(declared "$dir/$module/main.nf"); do [ -e "stub/$f" ]; done
        # meta.yml names the same outputs.
        for f in $(declared "$dir/$module/main.nf"); do grep -qF "      - ${f/#test/\"*}" "$dir/$module/meta.yml"; done
    done
    score match/test.match.cms >score.tsv
    awk -F '\t' '$1 == "match_probability" { p = $2 } $1 == "chance" { c = $2 } END { exit !(c > 0 && p > 5 * c) }' score.tsv
    [ "$(wc -l <match/test.pairs.tsv)" -gt 100 ]
    # An option that --help does not know would be refused: so the modules cannot go stale.
}

@test "packaging: the conda recipe renders, and names what its build needs" {
    /usr/bin/python3 -c 'import yaml, jinja2' 2>/dev/null || skip "no python3 with yaml and jinja2"
    /usr/bin/python3 - "$ROOT" >rendered <<'EOF'
import re, sys, os, jinja2, yaml
root = sys.argv[1]
recipe = root + "/pipelines/packaging/conda"
def load_file_regex(load_file, regex_pattern, from_recipe_dir):
    return re.search(regex_pattern, open(os.path.join(recipe, load_file)).read())
text = jinja2.Template(open(recipe + "/meta.yaml").read(), undefined=jinja2.StrictUndefined).render(
    load_file_regex=load_file_regex, compiler=lambda c: "compiler-" + c, stdlib=lambda c: "libc",
    pin_subpackage=lambda name, **k: name)
y = yaml.safe_load(text)
print("version", y["package"]["version"])
print("license", open(os.path.join(root, y["about"]["license_file"])).readline().split()[0])
for c in y["test"]["commands"]:
    print("test", c)
EOF
    grep -qx "version $(sed -n 's/^VERSION := //p' "$ROOT/Makefile")" rendered
    grep -qx 'license MIT' rendered
    # Its tests pass where cellmatch is installed as the recipe installs it.
    make -s -C "$ROOT" MODE="$MODE" install prefix="$PWD/env" DESTDIR= >/dev/null
    sed -n 's/^test //p' rendered >tests.sh
    [ "$(wc -l <tests.sh)" -gt 8 ]
    mkdir run
    PREFIX=$PWD/env
    (cd run && PATH=$PREFIX/bin:/usr/bin:/bin PREFIX=$PREFIX bash -e ../tests.sh)
}
