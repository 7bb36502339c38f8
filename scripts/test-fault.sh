#!/bin/sh
# What goes wrong under load, against real brokers, and a table of it at the end: outages of 10 minutes, so two hours in all.
# `--short`: outages of 15 s. Other arguments go on to vitest.
set -eu
cd "$(dirname "$0")/.."
export BPF2KAFKA_LONG_TESTS=1
for argument in "$@"; do
  shift
  case $argument in
    --short) unset BPF2KAFKA_LONG_TESTS ;;
    *) set -- "$@" "$argument" ;;
  esac
done
sh scripts/setup.sh
export BPF2KAFKA_TEST_FAULT=1
exec node_modules/.bin/node node_modules/vitest/vitest.mjs run --project fault "$@"
