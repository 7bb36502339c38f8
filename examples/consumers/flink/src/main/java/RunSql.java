import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.ResultKind;
import org.apache.flink.table.api.TableEnvironment;

/** Runs the statements of tables.sql and counts.sql in a Flink inside this process, and prints what the queries give. */
public final class RunSql {
    private static final Pattern VARIABLE = Pattern.compile("\\$\\{(\\w+)}");

    public static void main(String[] args) throws IOException {
        var flink = TableEnvironment.create(EnvironmentSettings.inBatchMode());
        for (var file : List.of("tables.sql", "counts.sql")) {
            for (var statement : statements(Path.of(file))) {
                var result = flink.executeSql(statement);
                if (result.getResultKind() != ResultKind.SUCCESS_WITH_CONTENT) continue;
                result.collect().forEachRemaining(row -> System.out.println(row.getField(0)));
            }
        }
    }

    /** The statements of a file; what stands in ${…} is taken from the environment, and is empty when it is not there. */
    private static List<String> statements(Path file) throws IOException {
        var text = Files.readString(file).replaceAll("(?m)^--.*$", "");
        var filled = VARIABLE.matcher(text).replaceAll(variable ->
            Matcher.quoteReplacement(Optional.ofNullable(System.getenv(variable.group(1))).orElse("")));
        return List.of(filled.strip().split(";\\s*"));
    }
}
