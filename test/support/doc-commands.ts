/**
 * What shows that each command of the documents does what is written there: one table, by the text of the command as
 * documents.ts reads it. A command that is not in it fails test/unit/docs/commands.test.ts: give it a line here.
 */
export type DocCommand = Ran | Elsewhere | NotRun;

/** It is run: by test/unit/docs/commands.test.ts when it asks nobody, otherwise by test/integration/doc-commands.test.ts. */
export interface Ran {
  readonly ran: 'alone' | 'with a broker';
  /** The exit code with which it ends by itself; undefined when it goes on until SIGTERM, which ends it with 0. */
  readonly exit: number | undefined;
  /** A line that it prints, on standard output or standard error; undefined when that is not known beforehand. */
  readonly prints: RegExp | undefined;
  /** What is there when it begins, besides a sidecar that publishes. */
  readonly after?: 'a capture that was kept';
}

/** Another test runs it, or what it consists of. */
export interface Elsewhere {
  readonly file: string;
  /** What stands in that file and shows it. */
  readonly says: string;
}

/** Nothing runs it: a test run names it, with the reason, among what was skipped. */
export interface NotRun {
  readonly why: string;
}

/** Documents whose blocks of code do not say their language yet: what is in those blocks is not looked at. */
export const untagged: readonly string[] = [];

const alone = (prints?: RegExp): Ran => ({ ran: 'alone', exit: 0, prints });
const ends = (prints?: RegExp, exit = 0): Ran => ({ ran: 'with a broker', exit, prints });
const goesOn = (prints: RegExp): Ran => ({ ran: 'with a broker', exit: undefined, prints });
const afterKeep = (prints: RegExp, exit = 0): Ran => ({ ...ends(prints, exit), after: 'a capture that was kept' });
const elsewhere = (file: string, says: string): Elsewhere => ({ file, says });
const notRun = (why: string): NotRun => ({ why });

const captures = goesOn(/^ready exec exit$/);
const execLine = /^\d\d:\d\d:\d\d\.\d{3} pid: \d+ comm: /;
const nothingLost = ends(/^nothing lost: /);
const compose = (says: string) => elsewhere('test/integration/containers.test.ts', says);
const consumers = (says: string) => elsewhere('test/integration/consumers.test.ts', says);
const attached = (says: string) => elsewhere('test/integration/attached.test.ts', says);
const installed = elsewhere('test/support/package.ts', "npm(['install', '--ignore-scripts', '--prefer-offline'");
const otherHost = notRun('it would change the host that the tests run on');
// Given over the protocol.
const rights = elsewhere(
  'test/integration/wire-security.test.ts',
  'const { READ, WRITE, DESCRIBE, DELETE } = AclOperationTypes',
);
const cluster = notRun('there is no cluster; test/unit/deploy/kubernetes.test.ts checks the manifests');
const minutes = notRun('it takes minutes to hours; its parts have tests of their own');

export const docCommands: Readonly<Record<string, DocCommand>> = {
  'npm start': elsewhere('test/integration/start.test.ts', "new CommandProcess(['start'"),
  'npm test': notRun('it is what runs this'),
  'npm run test:kernels': elsewhere('scripts/test.sh', 'export BPF2KAFKA_TEST_KERNELS=beside'),
  "npm run test:kernels -- --project 'linux 7.3*'": minutes,
  'npm run test:kernels -- --all': minutes,
  'npm run test:kernels -- --json': minutes,
  'npm run bench': minutes,
  'npm run bench -- --only 1,4': minutes,
  'npm run bench -- --only 8 --long': minutes,
  'npm run bench -- --rounds 10': minutes,
  'npm run bench -- --json': minutes,

  // They ask nobody.
  'bpf2kafka schema exec-events': alone(/"name": "ExecEvent"/),
  'mkdir schemas': alone(),
  'for topic in exec-events exit-events packet-counts; do bpf2kafka schema $topic >schemas/$topic.avsc; done': alone(),
  'BPF2KAFKA_TOPIC_PREFIX=site. bpf2kafka run --config /etc/bpf2kafka/config.yaml --create-topics --dry-run': alone(
    /^topic-prefix: site\. # from the environment, BPF2KAFKA_TOPIC_PREFIX$/,
  ),

  'bpf2kafka run --brokers kafka-1:9092': goesOn(/^ready exec exit$/),
  'bpf2kafka run --brokers kafka-1:9092,kafka-2:9092 --registry http://registry:8081 --on-exit keep': captures,
  'bpf2kafka run --brokers kafka-1:9092 --failed-execs': captures,
  "bpf2kafka run --brokers kafka-1:9092 --exclude-exe /usr/lib/gcc/x86_64-linux-gnu/12/cc1 --exclude-exe '/opt/agent/*' --exclude-uid 997 --exclude-cgroup-file /etc/bpf2kafka/cgroups":
    captures,
  'bpf2kafka run --brokers kafka-1:9092 --label site=fra1 --label team=web': captures,
  "bpf2kafka run --brokers kafka-1:9092 --redact 'ACME-[0-9]{8}' --redact '(?i)internal-key=(?P<secret>\\S+)'":
    captures,
  'bpf2kafka run --brokers localhost:9092 --exec-env LD_PRELOAD': captures,
  'bpf2kafka check --brokers kafka-1:9092 --topic-prefix prod.': ends(
    /^fail {6}topic prod\.exec-events: it does not exist; create it, or give --create-topics$/,
    1,
  ),
  'bpf2kafka check --config /etc/bpf2kafka/config.yaml': ends(/^pass {6}broker: /),
  'bpf2kafka run --brokers kafka-1:9092 --http-token-file /etc/bpf2kafka/http-token': elsewhere(
    'test/unit/http-token.test.ts',
    "load({ 'http-token-file': path })",
  ),
  'ssh -L 8080:127.0.0.1:8080 web-17': notRun('there is no other host'),
  'curl -s http://127.0.0.1:8080/json | jq .ledger.lost': ends(/^0$/),
  'curl -sN -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8080/events': elsewhere(
    'test/integration/live.test.ts',
    '/events',
  ),
  'bpf2kafka attach --user bpf2kafka --interface eth0': attached("new CommandProcess(['attach'"),
  'setpriv --reuid bpf2kafka --regid bpf2kafka --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs bpf2kafka run --attached --interface eth0 --brokers kafka-1:9092':
    elsewhere('test/support/unprivileged.ts', "'--bounding-set=-all'"),
  'useradd --system --no-create-home --shell /usr/sbin/nologin bpf2kafka': otherHost,
  "install -D -m 640 -g bpf2kafka /dev/stdin /etc/bpf2kafka/config.yaml <<< 'brokers: kafka-1:9092,kafka-2:9092'":
    otherHost,
  'install -m 644 deploy/bpf2kafka-attached.service /etc/systemd/system/ && systemctl enable --now bpf2kafka-attached':
    otherHost,

  'bpf2kafka detach': afterKeep(/^bpf2kafka: cannot .* have not been acknowledged/, 3),
  'bpf2kafka detach --discard': afterKeep(/^detached \S+; lost: \d+ records that no broker had acknowledged$/),
  'bpf2kafka schema exec-events --register --registry http://registry:8081': ends(/^exec-events-value has the id \d+$/),

  'bpf2kafka tail exec --brokers localhost:9092 --json --from-beginning --limit 10': ends(/^\{"host_id":/),
  'bpf2kafka tail exec --brokers kafka-1:9092': goesOn(execLine),
  'bpf2kafka tail exec --brokers 127.0.0.1:29092 --registry http://127.0.0.1:28081/apis/ccompat/v7': goesOn(execLine),
  'bpf2kafka tail exit --brokers localhost:9092': goesOn(/ exited 0 after \d+\.\d{3} s$/),
  'bpf2kafka tail exit --brokers localhost:9092 --since 10m --until-end': ends(/ exited 0 after \d+\.\d{3} s$/),
  "bpf2kafka tail packets --brokers localhost:9092 --since 1m --until-end --json | jq -s 'unique | map(select(.source_address)) | group_by(.source_address) | map({source: .[0].source_address, bytes: (map(.bytes) | add)}) | sort_by(-.bytes) | .[:10]'":
    ends(/"bytes": \d+/),
  'bpf2kafka tail packets --brokers localhost:9092': goesOn(/ => :\d+.* \| \d+$/),
  'bpf2kafka tail ledger --brokers localhost:9092': goesOn(/ exec: capturing closed epoch \d+: seen \d+ = published /),
  'bpf2kafka tail exec --brokers localhost:9092 --format ocsf': goesOn(/"class_uid":1007/),
  'bpf2kafka tail packets --brokers localhost:9092 --format ecs --from-beginning --limit 10':
    ends(/"ecs":\{"version":/),
  'bpf2kafka tail exec --brokers localhost:9092 --format ecs --to siem-execs --group siem': goesOn(
    /^ready exec as ecs to siem-execs$/,
  ),
  'bpf2kafka tail exec --brokers localhost:9092 --format ecs --to siem-execs --group siem --dead-letter siem-refused':
    goesOn(/^ready exec as ecs to siem-execs$/),
  // It finds bare records, which are rare.
  'bpf2kafka tail exec --brokers localhost:9092 --json --from-beginning --limit 10 | jq \'select(.degraded | index("filename")) | [.seq, .pid, .comm]\'':
    ends(),
  'bpf2kafka audit --brokers localhost:9092': nothingLost,
  'bpf2kafka audit --brokers localhost:9092 --since 2026-11-24T00:00:00Z --until 2026-11-25T00:00:00Z': nothingLost,
  'bpf2kafka audit --brokers localhost:9092 --json': ends(/^\{.*"closes":true/),
  'curl -s http://127.0.0.1:8080/readyz': ends(/^\{"ready":true,"capturing":true,"reasons":\[\]\}$/),
  'curl -s http://127.0.0.1:8080/metrics | grep ^bpf2kafka_lost_total': ends(
    /^bpf2kafka_lost_total\{stream="exec",reason="ring_full"\} \d+$/,
  ),

  'docker compose up --build --wait': compose("compose(['up', '--detach', '--no-build', '--wait'"),
  'docker compose --profile demo up --no-recreate console': compose("COMPOSE_PROFILES: 'demo'"),
  'BPF2KAFKA_ON_EXIT=detach docker compose up --no-deps --wait sidecar && docker compose down': compose(
    "up(['--no-deps', 'sidecar'], { BPF2KAFKA_ON_EXIT: 'detach' })",
  ),
  'docker compose down': compose("compose(['down', '--timeout', '20'])"),
  'docker compose run --rm --no-deps sidecar detach --discard': compose(
    "compose(['run', '--rm', '--no-deps', 'sidecar', 'detach', '--discard'])",
  ),
  'npm pack': elsewhere('test/support/package.ts', "npm(['pack', "),
  'npm install bpf2kafka-0.1.0.tgz': installed,
  'npm install --global --ignore-scripts bpf2kafka-0.1.0.tgz': installed,
  "install -D -m 600 /dev/stdin /etc/bpf2kafka/config.yaml <<< 'brokers: kafka-1:9092,kafka-2:9092'": otherHost,
  'install -m 644 deploy/bpf2kafka.service /etc/systemd/system/ && systemctl enable --now bpf2kafka': otherHost,
  'systemctl status bpf2kafka': otherHost,
  'systemctl reload bpf2kafka': otherHost,
  'kill -HUP PID': elsewhere('test/integration/exec-filters.test.ts', "process.kill(sidecar.pid, 'SIGHUP')"),
  'kubectl apply -f deploy/kubernetes/namespace.yaml': cluster,
  'kubectl apply -f deploy/kubernetes/service-account.yaml -f deploy/kubernetes/priority-class.yaml -f deploy/kubernetes/config-map.yaml -f deploy/kubernetes/daemonset.yaml':
    cluster,
  'kafka-acls.sh --bootstrap-server kafka-1:9092 --add --allow-principal User:bpf2kafka --operation Write --operation Describe --topic exec-events --topic exit-events --topic packet-counts --topic bpf2kafka-ledger --topic bpf2kafka-dead-letter --topic bpf2kafka-hosts':
    rights,

  'bpf2kafka run --brokers kafka-1:9093 --tls --tls-ca-file /etc/bpf2kafka/ca.pem --sasl-mechanism SCRAM-SHA-512 --sasl-username host-17 --sasl-password-file /etc/bpf2kafka/password':
    elsewhere('test/integration/wire-security.test.ts', "'SCRAM-SHA-512'"),
  'kafka-acls.sh --add --allow-principal User:bpf2kafka --operation Write --operation Describe --topic exec-events --topic exit-events --topic packet-counts --topic bpf2kafka-ledger --topic bpf2kafka-dead-letter --topic bpf2kafka-hosts':
    rights,
  'kafka-acls.sh --add --allow-principal User:auditor --operation Read --operation Describe --topic exec-events --topic packet-counts --topic bpf2kafka-ledger --topic bpf2kafka-dead-letter':
    rights,
  'kafka-acls.sh --add --allow-principal User:auditor --operation Read --operation Delete --group bpf2kafka- --resource-pattern-type prefixed':
    rights,
  "install -m 600 /dev/stdin /etc/bpf2kafka/password <<< 'the password'": otherHost,
  'cat > /etc/bpf2kafka/config.yaml': otherHost,
  'kubectl -n bpf2kafka create secret generic bpf2kafka --from-file=ca.pem --from-file=password': cluster,
  'kubectl -n bpf2kafka edit configmap bpf2kafka': cluster,

  'python3 -m venv venv && venv/bin/pip install -r requirements.txt': elsewhere(
    'test/support/examples.ts',
    "execute('python3', ['-m', 'venv', home])",
  ),
  'venv/bin/python count.py --until-end': consumers("['count.py', ...optionsOf(framing), '--until-end']"),
  'venv/bin/python detect.py --to security-alerts': elsewhere(
    'test/integration/detections.test.ts',
    "join(copy.path, 'detect.py')",
  ),
  'npm install && node count.js --until-end': consumers("['count.js', ...optionsOf(framing), '--until-end']"),
  'mvn -q compile exec:java -Dexec.args="--brokers localhost:9092 --registry http://localhost:8081"':
    consumers("'exec:java',"),
  'venv/bin/python consume.py --registry http://localhost:8081 --until-end': consumers(
    "['consume.py', ...optionsOf('with a registry'), '--until-end'",
  ),
  'BROKERS=localhost:9092 REGISTRY=http://localhost:8081 mvn -q compile exec:exec': consumers(
    "['mvn', '-B', '-q', 'compile', 'exec:exec']",
  ),
  'BROKERS=localhost:9092 REGISTRY=http://localhost:8080/apis/registry/v2 TOPIC=exec-events mvn -q exec:java':
    consumers("['mvn', '-B', '-q', 'exec:java']"),
  'sort -u execs.txt | wc -l': consumers("'execs.txt'"),
};
