# What both Snakefiles share: the configuration, which becomes the environment of workflow.bash, and
# what must hold before any rule runs.
import os, subprocess
from snakemake.exceptions import WorkflowError

RECIPES = os.path.join(workflow.basedir, "workflow.bash")
shell.executable(RECIPES)
os.environ.update(ME="Snakefile")


def ask(question):
    """What a function of workflow.bash prints; its message where it fails."""
    done = subprocess.run([RECIPES, "-c", question], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise WorkflowError(done.stderr.strip())
    return done.stdout.splitlines()


# The keys are the variables of workflow.mk in small letters; one that is given wins over the environment.
names = ask('cut -d "|" -f 1 <<<"$variables"')
for key, value in config.items():
    if key.upper() not in names or key != key.lower():
        raise WorkflowError(f"config: unknown key '{key}'; keys: {', '.join(names).lower()}")
    if value is not None:
        os.environ[key.upper()] = str(value)
for name in ("GEX", "ATAC"):
    if not os.environ.get(name):
        raise WorkflowError(f"config: give {name.lower()}=FILE (--config {name.lower()}=FILE, or --configfile)")
# Snakemake removes outputs before it makes them: none may be the user's own.
ask("ready")
OUT = os.path.normpath(os.environ.get("OUT") or "cellmatch-out")


def source(name):
    """The file that must be there; of FILE.h5mu/MODALITY it is FILE.h5mu."""
    path = os.environ[name]
    if ".h5mu/" in path and not os.path.exists(path):
        path = path[: path.rindex(".h5mu/") + 5]
    if not os.path.exists(path):
        raise WorkflowError(f"cannot open '{path}': there is no such file")
    if "{" in path or "}" in path:
        raise WorkflowError(f"Snakemake cannot take a file with braces in its name: '{path}'")
    return os.path.normpath(path)


GEX, ATAC = source("GEX"), source("ATAC")


def words(*variables):
    """Settings for params, so that a change of one has an effect."""
    return [f"{v}={os.environ.get(v, '')}" for v in variables]


onsuccess:
    if os.path.exists(f"{OUT}/score.tsv"):
        print(open(f"{OUT}/score.tsv").read(), end="")
