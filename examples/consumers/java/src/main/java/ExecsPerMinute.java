import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import org.apache.avro.generic.GenericRecord;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.common.config.TopicConfig;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;

/**
 * Counts execs a minute by container and writes the counts to a topic: the key is the minute and the container, or the
 * host for what runs in none; the newest value of a key is its count.
 */
public final class ExecsPerMinute {
    public static void main(String[] args) throws Exception {
        var options = options(args);
        var prefix = options.getOrDefault("topic-prefix", "");
        var brokers = options.getOrDefault("brokers", "localhost:9092");
        var output = prefix + "execs-per-minute";
        createTopic(brokers, output);

        var execs = new ExecDeserializer(Path.of(options.getOrDefault("schemas", "schemas")), options.get("registry"));
        var topology = topology(prefix + "exec-events", output, execs);
        var streams = new KafkaStreams(topology, settings(brokers, prefix, options.get("state-dir")));
        var ended = new CountDownLatch(1);
        streams.setStateListener((now, before) -> {
            if (!now.isRunningOrRebalancing() && now != KafkaStreams.State.CREATED) ended.countDown();
        });
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
        ended.await();
        if (streams.state() == KafkaStreams.State.ERROR) System.exit(1);
    }

    static Topology topology(String input, String output, Deserializer<GenericRecord> execs) {
        var builder = new StreamsBuilder();
        builder.addStateStore(FirstOfEach.store());
        // The time of a record is that of the exec. What an outage held back is late, and is waited for.
        var minutes = TimeWindows.ofSizeAndGrace(Duration.ofMinutes(1), Duration.ofHours(1));
        builder.stream(input, Consumed.with(Serdes.String(), readOnly(execs)))
            .processValues(FirstOfEach::new, FirstOfEach.storeName())
            .map((host, exec) -> KeyValue.pair(containerOf(host, exec), 1L))
            .groupByKey(Grouped.with("container", Serdes.String(), Serdes.Long()))
            .windowedBy(minutes)
            .count()
            .toStream((window, count) -> window.window().startTime() + " " + window.key())
            .peek((key, count) -> System.out.println(key + " " + count))
            .mapValues(count -> Long.toString(count))
            .to(output, Produced.with(Serdes.String(), Serdes.String()));
        return builder.build();
    }

    private static String containerOf(String host, GenericRecord exec) {
        return Optional.ofNullable(exec.get("container_id")).map(Object::toString).orElse(host);
    }

    private static Serde<GenericRecord> readOnly(Deserializer<GenericRecord> deserializer) {
        return new Serde<>() {
            @Override
            public Deserializer<GenericRecord> deserializer() {
                return deserializer;
            }

            @Override
            public Serializer<GenericRecord> serializer() {
                throw new UnsupportedOperationException("execs are read and never written");
            }
        };
    }

    private static Properties settings(String brokers, String prefix, String stateDir) {
        var settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, prefix + "execs-per-minute");
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
        // A count and the identities it was made of are written together: a crash counts nothing twice.
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put("auto.offset.reset", "earliest");
        if (stateDir != null) settings.put(StreamsConfig.STATE_DIR_CONFIG, stateDir);
        return settings;
    }

    private static void createTopic(String brokers, String name) throws Exception {
        var topic = new NewTopic(name, Optional.of(1), Optional.empty())
            .configs(Map.of(TopicConfig.CLEANUP_POLICY_CONFIG, TopicConfig.CLEANUP_POLICY_COMPACT));
        try (var admin = Admin.create(Map.of("bootstrap.servers", brokers))) {
            admin.createTopics(Set.of(topic)).all().get();
        } catch (ExecutionException error) {
            if (!(error.getCause() instanceof TopicExistsException)) throw error;
        }
    }

    /** --name value pairs. */
    private static Map<String, String> options(String[] args) {
        var options = new HashMap<String, String>();
        for (int i = 0; i + 1 < args.length; i += 2) options.put(args[i].replaceFirst("^--", ""), args[i + 1]);
        return options;
    }
}
