#!/bin/sh
# Start of the stand-in for Kafka's official image, with its names: KAFKA_A_B is the setting a.b, __ stands for _, ___
# for -.
set -euf
settings=/opt/kafka/server.properties
env | grep '^KAFKA_' | while IFS='=' read -r name value; do
  setting=$(printf %s "${name#KAFKA_}" | tr '[:upper:]' '[:lower:]' | sed 's/___/\n/g; s/__/\t/g; s/_/./g; s/\t/_/g; s/\n/-/g')
  printf '%s=%s\n' "$setting" "$value"
done >$settings
log_dirs=$(sed -n 's/^log\.dirs=//p' $settings)
if [ -z "$log_dirs" ]; then
  log_dirs=/tmp/kafka-logs
  echo "log.dirs=$log_dirs" >>$settings
fi
java="java -Dorg.apache.logging.log4j.level=INFO -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp /opt/kafka/libs/*"
[ -e "$log_dirs/meta.properties" ] ||
  $java -Xmx128m kafka.tools.StorageTool format -t 5L6g3nShT-eMCtK--X86sw -c $settings
exec $java -Xmx256m kafka.Kafka $settings
