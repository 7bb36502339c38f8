-- FINAL leaves out the repeats that no merge has replaced yet.
SELECT 'exec-events' AS topic, count() AS distinct FROM execs FINAL;
SELECT 'exit-events' AS topic, count() AS distinct FROM exits FINAL;
SELECT 'packet-counts' AS topic, count() AS distinct, sum(packets) AS packets FROM packets FINAL;
