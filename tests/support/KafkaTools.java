import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.InputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs Apache Kafka's command line programs one after the other in one process, because starting a
 * process costs more than most of them do.
 *
 * A request on standard input: int32 number of words, each an int32 size and UTF-8 bytes; the first
 * word is the main class, the last the program's standard input. An answer on standard output: int32
 * exit status, then standard output and error, each an int32 size and bytes.
 */
public class KafkaTools {
    private static final class Ended extends RuntimeException {
        final int status;

        Ended(int status) {
            super(null, null, false, false);
            this.status = status;
        }
    }

    private static volatile Ended ended;
    /** What a program wants done at its end. */
    private static final List<Runnable> hooks = new CopyOnWriteArrayList<>();

    public static void main(String[] arguments) throws Exception {
        DataInputStream requests = new DataInputStream(System.in);
        DataOutputStream answers = new DataOutputStream(System.out);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
        Exit.setExitProcedure((status, message) -> end(status));
        Exit.setHaltProcedure((status, message) -> end(status));
        Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook));
        while (true) {
            String[] words;
            try {
                words = new String[requests.readInt()];
            } catch (EOFException end) {
                Runtime.getRuntime().halt(0);
                return;
            }
            for (int i = 0; i < words.length; i++) {
                words[i] = new String(requests.readNBytes(requests.readInt()), StandardCharsets.UTF_8);
            }
            out.reset();
            err.reset();
            answers.writeInt(run(words));
            for (ByteArrayOutputStream said : new ByteArrayOutputStream[] {out, err}) {
                byte[] bytes = said.toByteArray();
                answers.writeInt(bytes.length);
                answers.write(bytes);
            }
            answers.flush();
        }
    }

    /** The first status counts: some programs take the exception for a failure of theirs. */
    private static void end(int status) {
        if (ended == null) {
            ended = new Ended(status);
        }
        throw ended;
    }

    private static int run(String[] words) throws Exception {
        ended = null;
        int last = words.length - 1;
        InputStream input = new ByteArrayInputStream(words[last].getBytes(StandardCharsets.UTF_8));
        System.setIn(input);
        String[] arguments = Arrays.copyOfRange(words, 1, last);
        try {
            Class.forName(words[0]).getMethod("main", String[].class).invoke(null, (Object) arguments);
        } catch (InvocationTargetException failure) {
            if (!(failure.getCause() instanceof Ended)) {
                failure.getCause().printStackTrace();
                return 1;
            }
        } finally {
            hooks.forEach(Runnable::run);
            hooks.clear();
        }
        return ended == null ? 0 : ended.status;
    }
}
