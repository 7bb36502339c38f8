-- For a ClickHouse server, after tables.sql: it reads the topics itself, and goes on as records come.

CREATE TABLE execs_queue AS execs ENGINE = Kafka SETTINGS
    kafka_broker_list = 'localhost:9092', kafka_topic_list = 'exec-events', kafka_group_name = 'clickhouse-execs',
    kafka_format = 'AvroConfluent', format_avro_schema_registry_url = 'http://localhost:8081';
CREATE MATERIALIZED VIEW execs_reader TO execs AS SELECT * FROM execs_queue;

CREATE TABLE exits_queue AS exits ENGINE = Kafka SETTINGS
    kafka_broker_list = 'localhost:9092', kafka_topic_list = 'exit-events', kafka_group_name = 'clickhouse-exits',
    kafka_format = 'AvroConfluent', format_avro_schema_registry_url = 'http://localhost:8081';
CREATE MATERIALIZED VIEW exits_reader TO exits AS SELECT * FROM exits_queue;

CREATE TABLE packets_queue AS packets ENGINE = Kafka SETTINGS
    kafka_broker_list = 'localhost:9092', kafka_topic_list = 'packet-counts', kafka_group_name = 'clickhouse-packets',
    kafka_format = 'AvroConfluent', format_avro_schema_registry_url = 'http://localhost:8081';
CREATE MATERIALIZED VIEW packets_reader TO packets AS SELECT * FROM packets_queue;
