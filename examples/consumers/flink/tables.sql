-- Columns are fields of the records by name; those that are not named here are left out. A table ends where its topic ends
-- now; in streaming mode, without scan.bounded.mode, it goes on.

CREATE TABLE execs (
    host_id STRING NOT NULL, boot_id STRING NOT NULL, attach_id BIGINT NOT NULL, seq BIGINT NOT NULL,
    event_time TIMESTAMP(3) NOT NULL, process_id STRING NOT NULL, exec_id STRING NOT NULL, parent_exec_id STRING,
    pid INT NOT NULL, comm STRING NOT NULL, exe STRING, args ARRAY<STRING>, user_name STRING, container_id STRING
) WITH (
    'connector' = 'kafka', 'topic' = '${TOPIC_PREFIX}exec-events', 'properties.bootstrap.servers' = '${BROKERS}',
    'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset',
    'format' = 'avro-confluent', 'avro-confluent.url' = '${REGISTRY}'
);

CREATE TABLE exits (
    host_id STRING NOT NULL, boot_id STRING NOT NULL, attach_id BIGINT NOT NULL, seq BIGINT NOT NULL,
    event_time TIMESTAMP(3) NOT NULL, process_id STRING NOT NULL, exec_id STRING NOT NULL, exit_code INT, exit_signal INT
) WITH (
    'connector' = 'kafka', 'topic' = '${TOPIC_PREFIX}exit-events', 'properties.bootstrap.servers' = '${BROKERS}',
    'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset',
    'format' = 'avro-confluent', 'avro-confluent.url' = '${REGISTRY}'
);

CREATE TABLE packet_counts (
    host_id STRING NOT NULL, boot_id STRING NOT NULL, epoch BIGINT NOT NULL,
    interval_start TIMESTAMP(3) NOT NULL, interval_end TIMESTAMP(3) NOT NULL,
    interface_index INT NOT NULL, interface_name STRING NOT NULL, interface_kind STRING NOT NULL,
    traffic_class STRING NOT NULL, address_family STRING, protocol STRING, protocol_number INT,
    source_address STRING, destination_address STRING, source_port INT, destination_port INT,
    icmp_type INT, icmp_code INT, vlan_id INT, packets BIGINT NOT NULL, `bytes` BIGINT NOT NULL
) WITH (
    'connector' = 'kafka', 'topic' = '${TOPIC_PREFIX}packet-counts', 'properties.bootstrap.servers' = '${BROKERS}',
    'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset',
    'format' = 'avro-confluent', 'avro-confluent.url' = '${REGISTRY}'
);
