#!/usr/bin/env bash
# What action.yml runs: installs the emulator once a job, and starts it or verifies what was asked of it.
# The inputs come as INPUT_...; the other variables are those of GitHub's runner. For bash 3.2 too, which macOS has.
set -euo pipefail

home=$RUNNER_TEMP/vertex-emulator
python=$home/venv/bin/python
emulator=$home/bin/vertex-emulator
log=$home/log.txt

fail() {
  # An annotation is one line, with %0A for its line breaks.
  local text=${1//%/%25}
  echo "::error title=vertex-emulator::${text//$'\n'/%0A}"
  exit 1
}

install() {
  if [[ -x $emulator ]]; then return; fi
  local version source="$GITHUB_ACTION_PATH[exec]"
  if [[ -n $INPUT_VERSION ]]; then source="vertex-openai-emulator[exec]==$INPUT_VERSION"; fi
  if [[ -n $INPUT_SOURCE ]]; then source=$INPUT_SOURCE; fi
  version=$("$INPUT_PYTHON" -c 'import sys; print(sys.version_info >= (3, 11), "%d.%d" % sys.version_info[:2])') ||
    fail "the input python is \"$INPUT_PYTHON\", which cannot be run; name a Python, or use actions/setup-python before this step"
  [[ $version == True* ]] ||
    fail "\"$INPUT_PYTHON\" is Python ${version#* }, the emulator needs 3.11 or newer; use actions/setup-python before this step"
  "$INPUT_PYTHON" -m venv "$home/venv"
  "$python" -m pip install -q --disable-pip-version-check "$source" ||
    fail "pip could not install \"$source\"; the step's log says why"
  # The path gets the command alone: the environment's python and pip would hide the job's own.
  mkdir -p "$home/bin"
  ln -s "$home/venv/bin/vertex-emulator" "$emulator"
  echo "$home/bin" >> "$GITHUB_PATH"
}

start() {
  [[ -z ${VERTEX_EMULATOR_URL:-} ]] || fail "an emulator runs already, at $VERTEX_EMULATOR_URL; one is enough for a job"
  local words word server
  words=$("$python" -c 'import os, shlex; print(*shlex.split(os.environ["INPUT_OPTIONS"], comments=True), sep="\n")' 2>&1) ||
    fail "the input options cannot be read as words of a shell: ${words##*$'\n'}"
  set --
  while read -r word; do
    [[ $word != --proxy ]] ||
      fail "the option --proxy does not go with the action: GitHub lets no step set NODE_OPTIONS for others; use vertex-emulator exec"
    if [[ -n $word ]]; then set -- "$@" "$word"; fi
  done <<< "$words"
  set -- "$@" --
  # One scenario a line, so that names may have spaces.
  while read -r word; do
    if [[ -n $word ]]; then set -- "$@" "$word"; fi
  done <<< "$INPUT_SCENARIOS"
  # No output may go to the step's own, because GitHub would wait for its end.
  read -r server < <(exec "$emulator" serve --port 0 --print json "$@" < /dev/null 2> "$log") ||
    fail "the emulator did not start: $(< "$log")"
  "$python" "$GITHUB_ACTION_PATH/deploy/action/set_variables.py" "$server" "$log"
}

verify() {
  [[ -n ${VERTEX_EMULATOR_URL:-} ]] ||
    fail "no emulator is known to this job; start one by this action, or set VERTEX_EMULATOR_URL to where one runs"
  if [[ -n $INPUT_SESSION ]]; then export VERTEX_EMULATOR_SESSION=$INPUT_SESSION; fi
  if [[ $INPUT_STRICT == true ]]; then export VERTEX_EMULATOR_STRICT=1; fi
  echo "::group::journal"
  "$emulator" journal || fail "no emulator answers at $VERTEX_EMULATOR_URL; the log of one that the action started is $log"
  echo "::endgroup::"
  local verdicts problems has_errors=false
  verdicts=$("$emulator" verdicts) || has_errors=true
  echo "$verdicts"
  problems=$("$emulator" verify) || fail "$problems"
  if [[ $INPUT_CLEAN == true && $has_errors == true ]]; then fail "$verdicts"; fi
  echo "vertex-emulator: all requests were answered, and all rules used as they expect"
}

case $INPUT_MODE in
  start | verify)
    install
    "$INPUT_MODE"
    ;;
  *) fail "the input mode is \"$INPUT_MODE\"; expected start or verify" ;;
esac
