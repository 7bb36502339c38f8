"""Rules in the form of Sigma, over the fields of the records: as much of it as the rules beside this file use.

Values match without regard to case, with * and ? as wildcards. A field `env.NAME` looks into the map `env`. A condition
is names of searches with `and` and `not` between. Of correlations there is value_count.
"""

import re
from collections import defaultdict
from datetime import timedelta
from pathlib import Path

import yaml


def load(directory):
    """The rules of all files, and the correlations."""
    documents = [one for file in sorted(Path(directory).glob("*.yml")) for one in yaml.safe_load_all(file.read_text())]
    correlations = [ValueCount(one) for one in documents if "correlation" in one]
    return [Rule(one) for one in documents if "detection" in one], correlations


class Rule:
    def __init__(self, document):
        self.name, self.title = document["name"], document["title"]
        # Without a level a rule is there for correlations alone.
        self.level, self.tags = document.get("level"), document.get("tags", [])
        self.topic = document["logsource"]["service"]
        detection = dict(document["detection"])
        terms = [term.split() for term in detection.pop("condition").split(" and ")]
        self._terms = [(search(detection[words[-1]]), words[:-1] != ["not"]) for words in terms]

    def matches(self, record):
        return all(holds(record) == wanted for holds, wanted in self._terms)


class ValueCount:
    """So many different values of a field within a time, for each group. The times are those of the records."""

    def __init__(self, document):
        self.name, self.title = document["name"], document["title"]
        self.level, self.tags = document["level"], document.get("tags", [])
        correlation = document["correlation"]
        if correlation["type"] != "value_count":
            raise ValueError(f"{self.name}: no correlation but value_count is known")
        self.rules, self.group_by = correlation["rules"], correlation["group-by"]
        self._timespan = timedelta(seconds=int(correlation["timespan"].removesuffix("s")))
        self._field, self._gte = correlation["condition"]["field"], correlation["condition"]["gte"]
        self._groups = defaultdict(dict)

    def add(self, record, time):
        """What the group has come to with this record: the number of values when they are enough, and it begins anew."""
        group = tuple(record[field] for field in self.group_by)
        last = self._groups[group]
        last[record[self._field]] = time
        if len(last) < self._gte:
            return None
        for value in [value for value, seen in last.items() if seen < time - self._timespan]:
            del last[value]
        if len(last) < self._gte:
            return None
        del self._groups[group]
        return {**dict(zip(self.group_by, group)), f"{self._field}s": len(last), "timespan": str(self._timespan)}

    def forget(self, time):
        """Drops groups in which nothing has happened for a timespan."""
        for group, last in list(self._groups.items()):
            if max(last.values()) < time - self._timespan:
                del self._groups[group]


def search(given):
    """A map holds when all of its fields do, a list of maps when one of them does."""
    maps = [[field_test(key, value) for key, value in one.items()] for one in (given if isinstance(given, list) else [given])]
    return lambda record: any(all(holds(record) for holds in tests) for tests in maps)


def field_test(key, given):
    field, _, modifier = key.partition("|")
    values = given if isinstance(given, list) else [given]
    test = TESTS[modifier]
    return lambda record: any(test(look_up(record, field), value) for value in values)


def look_up(record, field):
    name, _, key = field.partition(".")
    value = record.get(name)
    return (value or {}).get(key) if key else value


def text(before, after):
    def test(actual, value):
        if not isinstance(actual, str):
            return actual == value
        pattern = "".join({"*": ".*", "?": "."}.get(part) or re.escape(part) for part in f"{before}{value}{after}")
        return re.fullmatch(pattern, actual, re.IGNORECASE | re.DOTALL) is not None

    return test


TESTS = {
    "": text("", ""),
    "contains": text("*", "*"),
    "startswith": text("", "*"),
    "endswith": text("*", ""),
    "exists": lambda actual, value: (actual is not None) == value,
    "lt": lambda actual, value: actual is not None and actual < value,
    "gte": lambda actual, value: actual is not None and actual >= value,
}
