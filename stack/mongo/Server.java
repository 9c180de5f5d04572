import de.bwaldvogel.mongo.MongoBackend;
import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;

/** The MongoDB protocol for machines without mongod. Arguments: host, port, and the data file or "memory". */
public final class Server {
    public static void main(String[] arguments) {
        MongoServer server = new MongoServer(backend(arguments[2]));
        // Ends the connections, waits for the commands that are running, and closes the backend.
        Runtime.getRuntime().addShutdownHook(new Thread(server::shutdownNow));
        server.bind(arguments[0], Integer.parseInt(arguments[1]));
    }

    private static MongoBackend backend(String file) {
        if (file.equals("memory")) {
            return new MemoryBackend();
        }
        try {
            return new JournaledBackend(DataFile.open(file));
        } catch (DataFile.Refused refusal) {
            System.err.println(refusal.getMessage());
            System.exit(1);
            throw new AssertionError("unreachable");
        }
    }
}
