-- Columns are fields of the records by name; those that are not named here are left out. ReplacingMergeTree keeps one row
-- of each ORDER BY, which is the identity of a record: a repeat replaces the first one.

CREATE TABLE IF NOT EXISTS execs (
    host_id String, boot_id String, attach_id Int64, seq Int64, event_time DateTime64(3, 'UTC'),
    process_id String, exec_id String, parent_exec_id Nullable(String), pid Int32, comm String,
    exe Nullable(String), args Array(String), user_name Nullable(String), container_id Nullable(String)
) ENGINE = ReplacingMergeTree PARTITION BY toDate(event_time) ORDER BY (host_id, boot_id, attach_id, seq);

CREATE TABLE IF NOT EXISTS exits (
    host_id String, boot_id String, attach_id Int64, seq Int64, event_time DateTime64(3, 'UTC'),
    process_id String, exec_id String, exit_code Nullable(Int32), exit_signal Nullable(Int32)
) ENGINE = ReplacingMergeTree PARTITION BY toDate(event_time) ORDER BY (host_id, boot_id, attach_id, seq);

CREATE TABLE IF NOT EXISTS packets (
    host_id String, boot_id String, epoch Int64, interval_start DateTime64(3, 'UTC'), interval_end DateTime64(3, 'UTC'),
    interface_index Int32, interface_name String, interface_kind String, traffic_class String,
    address_family Nullable(String), protocol Nullable(String), protocol_number Nullable(Int32),
    source_address Nullable(String), destination_address Nullable(String),
    source_port Nullable(Int32), destination_port Nullable(Int32),
    icmp_type Nullable(Int32), icmp_code Nullable(Int32), vlan_id Nullable(Int32), packets Int64, bytes Int64
) ENGINE = ReplacingMergeTree PARTITION BY toDate(interval_end) ORDER BY (
    host_id, boot_id, epoch, interface_index, traffic_class, address_family, protocol_number,
    source_address, destination_address, source_port, destination_port, icmp_type, icmp_code, vlan_id
) SETTINGS allow_nullable_key = 1;
