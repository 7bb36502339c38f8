import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.message.BinaryMessageDecoder;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.serialization.Deserializer;

/**
 * Reads both framings: Confluent's, asking the registry for the schema of an id once, and Avro's single-object encoding,
 * with the schemas of a directory. Whatever the writer's schema is, the record has the fields of exec-events.avsc.
 */
final class ExecDeserializer implements Deserializer<GenericRecord> {
    private final Schema schema;
    private final String registry;
    private final BinaryMessageDecoder<GenericRecord> singleObject;
    private final Map<Integer, GenericDatumReader<GenericRecord>> readers = new ConcurrentHashMap<>();
    private final HttpClient http = HttpClient.newHttpClient();
    private final ObjectMapper json = new ObjectMapper();

    /**
     * @param schemas has exec-events.avsc, and those of other versions that may stand in the topic
     * @param registry its URL; null without one
     */
    ExecDeserializer(Path schemas, String registry) throws IOException {
        this.schema = parse(schemas.resolve("exec-events.avsc"));
        this.registry = registry;
        this.singleObject = new BinaryMessageDecoder<>(GenericData.get(), schema);
        try (var files = Files.newDirectoryStream(schemas, "exec-events*.avsc")) {
            for (var file : files) singleObject.addSchema(parse(file));
        }
    }

    private static Schema parse(Path file) throws IOException {
        return new Schema.Parser().parse(Files.readString(file));
    }

    @Override
    public GenericRecord deserialize(String topic, byte[] value) {
        try {
            if (value[0] != 0) return singleObject.decode(value);
            int id = ByteBuffer.wrap(value).getInt(1);
            var bytes = DecoderFactory.get().binaryDecoder(value, 5, value.length - 5, null);
            return readers.computeIfAbsent(id, this::readerOf).read(null, bytes);
        } catch (IOException error) {
            throw new SerializationException("cannot read a record of " + topic, error);
        }
    }

    private GenericDatumReader<GenericRecord> readerOf(int id) {
        if (registry == null) throw new SerializationException("the record names a schema of a registry: give --registry");
        var request = HttpRequest.newBuilder(URI.create(registry + "/schemas/ids/" + id)).build();
        try {
            var answer = http.send(request, BodyHandlers.ofString());
            if (answer.statusCode() != 200) throw new SerializationException(request.uri() + ": " + answer.body());
            var writer = new Schema.Parser().parse(json.readTree(answer.body()).get("schema").asText());
            return new GenericDatumReader<>(writer, schema);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            throw new SerializationException(error);
        }
    }
}
