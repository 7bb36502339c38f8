import java.time.Duration;
import org.apache.avro.generic.GenericRecord;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.processor.api.ContextualFixedKeyProcessor;
import org.apache.kafka.streams.processor.api.FixedKeyProcessorContext;
import org.apache.kafka.streams.processor.api.FixedKeyRecord;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.WindowStore;

/** Passes the first record of each identity on and drops its repeats. */
final class FirstOfEach extends ContextualFixedKeyProcessor<String, GenericRecord, GenericRecord> {
    private static final String STORE = "identities";
    /** How long an identity is known. A repeat has the time of its exec, too, unless clocks were wrong. */
    private static final Duration KEPT = Duration.ofHours(1);

    private WindowStore<String, Integer> identities;

    static StoreBuilder<WindowStore<String, Integer>> store() {
        var window = Stores.persistentWindowStore(STORE, KEPT, Duration.ofMillis(1), false);
        return Stores.windowStoreBuilder(window, Serdes.String(), Serdes.Integer());
    }

    static String storeName() {
        return STORE;
    }

    @Override
    public void init(FixedKeyProcessorContext<String, GenericRecord> context) {
        super.init(context);
        identities = context.getStateStore(STORE);
    }

    @Override
    public void process(FixedKeyRecord<String, GenericRecord> record) {
        var exec = record.value();
        var identity = exec.get("host_id") + " " + exec.get("boot_id") + " " + exec.get("attach_id") + " " + exec.get("seq");
        var time = record.timestamp();
        try (var known = identities.fetch(identity, time - KEPT.toMillis(), time + KEPT.toMillis())) {
            if (known.hasNext()) return;
        }
        identities.put(identity, 1, time);
        context().forward(record);
    }
}
