-- DISTINCT over the identity of a record leaves out its repeats.
SELECT JSON_OBJECT('topic' VALUE 'exec-events', 'distinct' VALUE COUNT(*))
FROM (SELECT DISTINCT host_id, boot_id, attach_id, seq FROM execs);

SELECT JSON_OBJECT('topic' VALUE 'exit-events', 'distinct' VALUE COUNT(*))
FROM (SELECT DISTINCT host_id, boot_id, attach_id, seq FROM exits);

SELECT JSON_OBJECT('topic' VALUE 'packet-counts', 'distinct' VALUE COUNT(*), 'packets' VALUE SUM(packets))
FROM (
    SELECT DISTINCT host_id, boot_id, epoch, interface_index, traffic_class, address_family, protocol_number,
        source_address, destination_address, source_port, destination_port, icmp_type, icmp_code, vlan_id, packets
    FROM packet_counts
);
